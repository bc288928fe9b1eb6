"""Each room imports only what lies below it, and every contract that says so fails where one does not."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import house
import pytest

CONTRACTS = tomllib.loads((house.ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def forbidden_arrows(contract):
    """Arrows that a contract forbids: of each room to every one a floor above it and to those kept apart from
    it, and of each source to each target; ``drex.*`` stands for some room."""
    for container in contract.get("containers", ()):
        order = house.floors(container)
        apart = [set(layer.split(" | ")) for layer in contract["layers"]]
        for room, floor in order.items():
            above = {other for other, its in order.items() if its == floor + 1}
            beside = next(rooms for rooms in apart if room in rooms) - {room}
            yield from ((f"{container}.{room}", f"{container}.{other}") for other in sorted(above | beside))
    for source in contract.get("source_modules", ()):
        for target in contract["forbidden_modules"]:
            yield source, target.replace("drex.*", "drex.files")


def lint(folder: Path) -> tuple[int, str]:
    """Exit status and output of import-linter over a copy of the sources."""
    program = Path(sys.executable).with_name("lint-imports")
    finished = subprocess.run(
        [program, "--no-cache", "--no-logo"], cwd=folder, capture_output=True, text=True, check=False
    )
    return finished.returncode, finished.stdout


def plant(folder: Path, importer: str, imported: str) -> None:
    """Add an import to a module or to a package's ``__init__``."""
    place = folder.joinpath(*importer.split("."))
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    with file.open("a") as opened:
        opened.write(f"\nimport {imported}\n")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for folder in ("drex", "agents", "envs", "benchmarks"):
        ignore = shutil.ignore_patterns("__pycache__", "*.npz", "results")
        shutil.copytree(house.ROOT / folder, tmp_path / folder, symlinks=True, ignore=ignore)
    shutil.copy(house.ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_floor_imports_only_what_lies_below_it(copy):
    status, output = lint(copy)
    assert status == 0, output
    assert "0 broken" in output


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract["name"])
def test_every_arrow_that_a_contract_forbids_breaks_it(copy, contract):
    arrows = list(forbidden_arrows(contract))
    for importer, imported in arrows:
        plant(copy, importer, imported)
    status, output = lint(copy)
    assert status == 1, output
    assert f"{contract['name']} BROKEN" in output
    assert arrows
    assert [arrow for arrow in arrows if f"{arrow[0]} -> {arrow[1]} (l." not in output] == []


def test_an_arrow_back_up_deep_inside_a_room_breaks_a_contract(copy):
    plant(copy, "drex.envs.data.trajectories", "drex.agents.rollouts.noise")
    status, output = lint(copy)
    assert status == 1, output
    assert "drex.envs.data.trajectories -> drex.agents.rollouts.noise" in output


@pytest.mark.parametrize("container", ["drex", "drex/agents", "drex/envs"])
def test_a_new_room_without_a_floor_breaks_a_contract(copy, container):
    (copy / container / "a_new_room.py").write_text('"""A room that no contract names."""\n')
    status, output = lint(copy)
    assert status == 1, output
    assert "a_new_room" in output
