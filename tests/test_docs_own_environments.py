"""The page on own environments does what it says: a custom environment goes through the whole method."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from drex.cli.main import main
from drex.cli.run_options import parse_run_options
from drex.demonstrations.load_and_save import load_demonstrations
from drex.envs.make import task_spaces
from drex.envs.single import NARROWEST, WIDEST
from drex.report.finished_run import read_finished_run
from drex.report.video import make_video

TEXT = (Path(__file__).parents[1] / "docs" / "own-environments.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
COMMANDS = re.findall(r"^drex .*", TEXT, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def lane(tmp_path_factory):
    """A folder in which every block has run, and the names that they left."""
    folder = tmp_path_factory.mktemp("lane")
    (folder / "lane.py").write_text(BLOCKS[0])
    names = {"__name__": "page"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        for block in BLOCKS[1:]:
            exec(compile(block, "own-environments.md", "exec"), names)
        yield folder, names
    del sys.modules["lane"]


def test_the_policy_drives_much_better_than_its_demonstrations(lane):
    _, names = lane
    found = names["found"]
    assert found["demonstrator"]["mean"] == pytest.approx(47.5, abs=0.5)
    assert names["best_possible"] == pytest.approx(96.0, abs=0.5)
    assert found["bc"]["mean"] == pytest.approx(47.5, abs=3.0)
    assert found["policy"]["mean"] > 75.0
    assert found["policy"]["best"] <= 97.0
    assert found["task"] == "lane:Lane-v0|lane:Gentle"


def test_what_is_seen_has_the_order_that_the_page_tells(lane):
    folder, _ = lane
    observations, actions, horizon = task_spaces("lane:Lane-v0|lane:Gentle")
    assert (observations.shape, actions.low.tolist(), horizon) == ((5,), [-1.0, -0.5], 100)
    first = load_demonstrations(folder / "lane.npz").trajectories.observations[0]
    assert abs(first[0]) <= 0.2  # offset, then heading, dry, wet and speed
    assert first[1] == first[4] == 0.0
    assert sorted(first[2:4]) == [0.0, 1.0]


def test_the_environment_is_filmed_by_another_process(lane):
    folder, _ = lane
    run = read_finished_run(folder / "runs" / "lane", task="lane:Lane-v0|lane:Gentle")
    assert make_video(run, folder / "lane.mp4") is None
    assert (folder / "lane.mp4").stat().st_size > 1000


def test_the_demonstrations_are_inspected_as_the_page_says(lane, capsys):
    assert main(shlex.split(COMMANDS[0])[1:]) == 0
    assert "steps         1000, 100 to 100 per episode" in capsys.readouterr().out


def test_the_command_asks_for_the_settings_of_the_page(lane, capsys):
    _, names = lane
    words = shlex.split(COMMANDS[1])
    options = parse_run_options(words[2], words[3:])
    assert options.environment() == names["found"]["task"]
    assert options.settings == names["settings"]
    assert str(options.demos) == "lane.npz"


def test_the_page_names_the_widths_that_are_refused():
    assert f"narrower than {NARROWEST:g} or wider than {WIDEST:g}" in TEXT
