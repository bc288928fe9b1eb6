"""No circle, no arrow back up, few loose modules, none too long, no more code than agreed."""

from __future__ import annotations

import statistics

import house
import pytest

LOOSE = 5
"""Modules in ``drex/`` itself, beside those that belong there."""
BELONG = {"__init__", "__main__", "errors", "pipeline"}
LONGEST = 350
MEDIAN = 150
LINES = 19_110


@pytest.fixture(scope="module")
def graph():
    return house.imports()


def test_no_modules_import_each_other_in_a_circle(graph):
    assert house.circles(graph) == []


def test_no_rooms_import_each_other_in_a_circle(graph):
    assert house.circles(house.between_rooms(graph)) == []


def test_no_arrow_runs_back_up(graph):
    assert house.arrows_back_up(graph, house.floors()) == []


def test_every_room_has_a_floor(graph):
    assert set(house.between_rooms(graph)) - {"drex"} == set(house.floors())


def test_nothing_of_the_method_imports_the_theory(graph):
    importers = {
        module for module, targets in graph.items() if any("drex.theory" in name for name in targets)
    }
    assert {house.room(module) for module in importers} <= {"theory"}


def test_few_modules_lie_loose():
    assert len(set(house.loose()) - BELONG) <= LOOSE


def test_no_module_is_too_long():
    lengths = house.lines()
    assert [module for module, count in lengths.items() if count >= LONGEST] == []
    assert statistics.median(lengths.values()) <= MEDIAN


def test_there_is_no_more_code_than_agreed():
    assert sum(house.lines().values()) <= LINES


# The counting itself


@pytest.fixture
def small_house(tmp_path):
    """Two rooms in a circle, one arrow in a function, one for type checkers, one relative."""
    files = {
        "drex/__init__.py": "from drex.cellar.wine import bottle\n",
        "drex/errors.py": "",
        "drex/cellar/__init__.py": "",
        "drex/cellar/wine.py": "def bottle():\n    import drex.attic.hats\n",
        "drex/attic/__init__.py": "",
        "drex/attic/hats.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
        "    from . import coats\nfrom drex import errors\n",
        "drex/attic/coats.py": "from drex.cellar import wine\nfrom .hats import brim\n",
        "agents/__init__.py": "",
        "agents/walk.py": "from drex.envs import hill\n",
        "envs/__init__.py": "",
        "envs/hill.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for name in ("agents", "envs"):
        (tmp_path / "drex" / name).symlink_to(f"../{name}")
    return tmp_path


def test_arrows_are_found_wherever_they_stand(small_house):
    found = {module: targets for module, targets in house.imports(small_house).items() if targets}
    assert found == {
        "drex": {"drex.cellar.wine"},
        "drex.cellar.wine": {"drex.attic.hats"},
        "drex.attic.hats": {"drex.attic.coats", "drex.errors"},
        "drex.attic.coats": {"drex.cellar.wine", "drex.attic.hats"},
        "drex.agents.walk": {"drex.envs.hill"},
    }


def test_circles_and_arrows_back_up_are_found(small_house):
    graph = house.imports(small_house)
    assert house.circles(graph) == [["drex.attic.coats", "drex.attic.hats", "drex.cellar.wine"]]
    assert house.circles(house.between_rooms(graph)) == [["attic", "cellar"]]
    order = {"errors": 0, "envs": 1, "agents": 2, "cellar": 3, "attic": 4}
    assert house.arrows_back_up(graph, order) == ["drex.cellar.wine -> drex.attic.hats"]
    assert house.loose(small_house) == ["__init__", "errors"]


def test_lines_are_counted_once_though_folders_are_linked(small_house):
    lengths = house.lines(small_house)
    assert sum(lengths.values()) == 10
    assert len(lengths) == 11
