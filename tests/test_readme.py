"""The README does what it says: its Python runs, its commands exist, its figures are those of the results."""

import ast
import re
import shlex
from pathlib import Path

import pytest

import drex.theory
from benchmarks.readme import README, with_tables
from drex.cli.main import main

TEXT = README.read_text()


def test_tables_are_those_of_the_results():
    assert with_tables(TEXT) == TEXT


def test_every_python_block_runs_in_the_order_of_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "readme"}
    blocks = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    assert len(blocks) >= 3
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert (tmp_path / "hopper.zip").is_file()
    assert (tmp_path / "runs/readme/evaluation.json").is_file()


PAGES = [README, *sorted(README.parent.glob("docs/*.md"))]


def deep_imports(page: str) -> list[str]:
    """Names that the page's Python blocks take from drex and that are not public."""
    found = []
    for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Import):
                found += [alias.name for alias in node.names if alias.name.startswith("drex.")]
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "drex":
                public = drex.__all__ if node.module == "drex" else vars(drex.theory)
                known = node.module in ("drex", "drex.theory")
                found += [alias.name for alias in node.names if not known or alias.name not in public]
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "drex":
                found += [node.attr] if node.attr not in drex.__all__ else []
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_need_public_names_alone(page):
    assert deep_imports(page.read_text()) == []


def test_the_guard_against_deep_imports_sees_them():
    page = """```python
import drex.pipeline
from drex.envs.make import task_spaces
from drex import clone, pipeline
from drex.theory import run_ambiguity
drex.run, drex.rewards
```"""
    assert deep_imports(page) == ["drex.pipeline", "task_spaces", "pipeline", "rewards"]


SHELL = "".join(re.findall(r"^```\n(.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE))


@pytest.mark.parametrize("line", re.findall(r"^drex .*", SHELL, flags=re.MULTILINE))
def test_every_command_is_one_that_drex_knows(line, capsys):
    words = shlex.split(line, comments=True)[1:]
    named = 2 if words[0] in ("demos", "reward") else 1
    task = [] if words[0] == "report" else words[named : named + 1]
    with_help = [*words[:named], *[word for word in task if not word.endswith(".npz")]]
    with_help += ["--help-all" if words[0] == "run" else "--help"]
    assert main(with_help) == 0
    shown = capsys.readouterr().out
    for option in (word for word in words if word.startswith("--") and not word.startswith("--help")):
        assert option in shown


def test_every_link_within_the_repository_leads_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT):
        assert (Path(README).parent / target).exists(), target
