"""The page on single pieces does what it says, on a tiny task in place of Hopper."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from test_pipeline import TINY, demonstrate, start
from tiny_environments import HORIZON, WALK

from drex.agents.policies.algorithm_registry import ALGORITHMS
from drex.cli.main import main
from drex.cli.run_options import parse_run_options
from drex.demonstrations.load_and_save import load_demonstrations

TEXT = (Path(__file__).parents[1] / "docs" / "own-pieces.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
COMMANDS = re.findall(r"^drex .*", TEXT, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A folder in which every block has run, and the names that they left."""
    folder = tmp_path_factory.mktemp("pieces")
    file = demonstrate(folder / "walk.npz", WALK, with_rewards=False)
    start(folder / "runs" / "Hopper-v5" / "default-seed0", file, settings=TINY)
    names = {"__name__": "page"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in BLOCKS:
            source = block.replace('"Hopper-v5"', repr(WALK)).replace("20_000", "60")
            exec(compile(source, "own-pieces.md", "exec"), names)
        yield folder, names


def test_the_wrapper_pays_what_the_callable_pays(page):
    _, names = page
    assert names["paid"] == names["by_hand"][0] != 0.0


def test_the_exported_reward_pays_the_same(page):
    folder, names = page
    seen = torch.rand(7, 2)
    wanted = names["reward"](seen.numpy(), np.zeros((7, 2)), seen.numpy(), np.zeros(7, np.bool_))
    np.testing.assert_allclose(names["exported"](seen, torch.zeros(7, 2), seen), wanted, rtol=1e-5, atol=1e-6)
    assert names["rewards"].shape == (5,)
    assert main(["reward", "export", str(folder / "runs/Hopper-v5/default-seed0"), "reward.pt2"]) == 0
    again = torch.export.load(folder / "reward.pt2").module()
    np.testing.assert_allclose(again(seen, torch.zeros(7, 2), seen), wanted, rtol=1e-5, atol=1e-6)


def test_the_policies_are_recorded(page):
    folder, names = page
    assert len(names["demonstrations"].trajectories) == 4
    assert (names["standing"].trajectories.actions == 0.0).all()
    assert names["standing"].trajectories.lengths.tolist() == [HORIZON] * 10
    words = shlex.split(next(line for line in COMMANDS if "--policy runs" in line))[1:]
    assert main([WALK if word == "Hopper-v5" else word for word in words]) == 0
    assert len(load_demonstrations(folder / "policy.npz").trajectories) == 10


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("drex run")])
def test_every_run_on_the_page_asks_for_what_there_is(line):
    words = shlex.split(line)[3:]
    asked = parse_run_options("Hopper-v5", words).settings.learner
    assert asked.name in words
    assert set(asked.parsed()) <= {"learning_rate", "train_freq"}


@pytest.mark.parametrize("line", [line for line in COMMANDS if not line.startswith("drex run")])
def test_every_other_command_knows_its_options(line, capsys):
    words = shlex.split(line)[1:]
    assert main([*words[:2], "--help"]) == 0
    said = capsys.readouterr().out
    assert [word for word in words if word.startswith("--") and word not in said] == []


def test_every_algorithm_is_named():
    assert {name for name in ALGORITHMS if f"`{name}`" in TEXT} == set(ALGORITHMS) - {"ppo"}
