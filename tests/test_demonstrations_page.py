"""The page on demonstrations does what it says: its Python runs and its commands exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from drex.cli.main import main
from drex.demonstrations.formats.registry import FORMATS

TEXT = (Path(__file__).parent.parent / "docs/demonstrations.md").read_text()
SHELL = "".join(re.findall(r"^```\n(.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE))


def test_every_python_block_runs_in_the_order_of_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    blocks = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, "demonstrations.md", "exec"), names)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        "cart.npz",
        "tapes",
        "tapes.npz",
        "walks",
        "walks.h5",
        "walks.npz",
    ]


@pytest.mark.parametrize("line", re.findall(r"^drex .*", SHELL, flags=re.MULTILINE))
def test_every_command_is_one_that_drex_knows(line, capsys):
    words = shlex.split(line, comments=True)[1:]
    assert main([*words, "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in words if word.startswith("--"))


def test_the_table_names_every_format():
    assert re.findall(r"^\| `(\w+)` \| (?:one|the|a) ", TEXT, flags=re.MULTILINE) == list(
        sorted(FORMATS, key=["npz", "d4rl", "minari", "imitation"].index)
    )
