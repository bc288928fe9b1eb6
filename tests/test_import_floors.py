"""Each floor imports only what lies below it, and the check that says so fails where one does not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def lint(folder: Path) -> tuple[int, str]:
    """Exit status and output of import-linter over a copy of the sources."""
    program = Path(sys.executable).with_name("lint-imports")
    finished = subprocess.run(
        [program, "--no-cache", "--no-logo"], cwd=folder, capture_output=True, text=True, check=False
    )
    return finished.returncode, finished.stdout


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for folder in ("drex", "agents", "envs", "benchmarks"):
        ignore = shutil.ignore_patterns("__pycache__", "*.npz")
        shutil.copytree(ROOT / folder, tmp_path / folder, symlinks=True, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "drex/a_new_room.py").write_text('"""A room that no contract names."""\n')
    return tmp_path


def test_every_floor_imports_only_what_lies_below_it(copy):
    status, output = lint(copy)
    assert status == 0, output
    assert "0 broken" in output


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("envs/make.py", "drex.agents.rollouts.noise"),
        ("envs/make.py", "drex.a_new_room"),
        ("agents/noise.py", "drex.a_new_room"),
        ("drex/errors.py", "drex.envs.data.trajectories"),
        ("drex/a_new_room.py", "benchmarks"),
        ("drex/a_new_room.py", "drex.cli.main"),
    ],
)
def test_an_import_from_a_higher_floor_breaks_a_contract(copy, importer, imported):
    with (copy / importer).open("a") as file:
        file.write(f"\nimport {imported}\n")
    status, output = lint(copy)
    assert status == 1, output
    where = importer.removesuffix(".py").replace("/", ".")
    assert f"{where} -> {imported}" in output
