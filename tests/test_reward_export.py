"""An exported reward gives the callable's numbers in a process without drex."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiDiscrete
from tiny_environments import WALK

from drex.cli.main import main
from drex.errors import UserError
from drex.rewards.cnn import EnsembleCNN, ImageLayers
from drex.rewards.export import export_reward
from drex.rewards.fields import RewardFields
from drex.rewards.learned_reward import LearnedReward
from drex.rewards.mlp import EnsembleMLP

STATES = 10_000
VECTORS, IMAGES = Box(-5.0, 5.0, (3,), np.float32), Box(0, 255, (2, 36, 36), np.uint8)
PUSHES = Box(-1.0, 1.0, (2,), np.float32)
ELSEWHERE = """
import sys
import numpy as np
import torch
torch.set_num_threads(1)
for name in sys.argv[1:]:
    given = np.load(name + ".npz")
    reward = torch.export.load(name + ".pt2").module()
    parts = [torch.from_numpy(given[part]) for part in ("observations", "actions", "next_observations")]
    chunks = zip(*(part.split(5_000) for part in parts))
    paid = np.concatenate([reward(*chunk).numpy() for chunk in chunks])
    np.savez(name + ".out.npz", paid=paid, alone=reward(*(part[:1] for part in parts)).numpy())
print([module for module in sys.modules if module.split(".")[0] in ("drex", "stable_baselines3")])
"""


def a_reward(network, features, **changes):
    """An ensemble whose every number that is not a weight differs from doing nothing."""
    random, members = np.random.default_rng(0), network.members
    fields = RewardFields(
        input_shift=tuple(random.normal(size=features).astype(np.float32).tolist()),
        input_spread=tuple(random.uniform(0.5, 2.0, features).astype(np.float32).tolist()),
        member_mean=tuple(random.normal(size=members).tolist()),
        member_std=tuple(random.uniform(0.1, 2.0, members).tolist()),
        offset=0.3,
        scale=2.5,
        **{"pessimism": 0.0, "control_cost": 0.0} | changes,
    )
    return LearnedReward(network, fields)


def mlp(features):
    generator = torch.Generator().manual_seed(0)
    return EnsembleMLP(features, members=3, hidden_sizes=(16, 16), generator=generator)


def cnn():
    layers = ImageLayers(shape=(2, 36, 36), convolutions=((4, 7, 4), (4, 3, 2)), mask_top=5, mask_bottom=3)
    generator = torch.Generator().manual_seed(0)
    return EnsembleCNN(layers, members=2, hidden_sizes=(8,), generator=generator)


CASES = {
    "mlp": (
        a_reward(
            mlp(5),
            5,
            inputs=("observations", "actions"),
            pessimism=0.5,
            control_cost=0.1,
            squash="sigmoid",
        ),
        VECTORS,
        PUSHES,
    ),
    "plain": (a_reward(mlp(3), 3, inputs=("next_observations",)), VECTORS, PUSHES),
    "choices": (
        a_reward(mlp(3 + 2 + 4), 9, inputs=("next_observations", "actions"), action_options=(2, 4)),
        VECTORS,
        MultiDiscrete([2, 4]),
    ),
    "cnn": (
        a_reward(cnn(), 0, inputs=("next_observations",), pessimism=0.2, squash="tanh"),
        IMAGES,
        Discrete(4),
    ),
}


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """Each reward exported, and asked for 10,000 states and for one, in a process without drex."""
    folder, random = tmp_path_factory.mktemp("exported"), np.random.default_rng(1)
    asked, wanted = [], {}
    for name, (reward, observations, actions) in CASES.items():
        export_reward(reward, folder / f"{name}.pt2", observations, actions)
        parts = {}
        for part, space in (
            ("observations", observations),
            ("actions", actions),
            ("next_observations", observations),
        ):
            shape = (STATES, *space.shape)
            drawn = random.normal(size=shape) if isinstance(space, Box) else random.integers(4, size=shape)
            parts[part] = random.integers(256, size=shape) if space is IMAGES else drawn
            parts[part] = parts[part].astype(space.dtype)
        if name == "choices":
            parts["actions"][:, 0] %= 2
        np.savez(folder / f"{name}.npz", **parts)
        wanted[name] = reward(*parts.values(), np.zeros(STATES, np.bool_))
        asked.append(str(folder / name))
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *asked], capture_output=True, text=True, cwd=folder, check=False
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    return {name: (np.load(folder / f"{name}.out.npz"), wanted[name]) for name in CASES}


@pytest.mark.parametrize("name", CASES)
def test_an_exported_reward_pays_as_the_callable_does_without_drex(elsewhere, name):
    got, wanted = elsewhere[name]
    assert got["paid"].shape == (STATES,) and got["paid"].dtype == np.float32
    assert np.ptp(wanted) > 0.1
    np.testing.assert_allclose(got["paid"], wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(got["alone"], wanted[:1], rtol=1e-5, atol=1e-5)


def test_an_own_network_that_cannot_be_saved_is_exported_all_the_same(tmp_path):
    class Squared(torch.nn.Module):
        members = 1

        def forward(self, inputs):
            return inputs.square().sum(dim=-1)

    reward = a_reward(Squared(), 3, inputs=("observations",))
    export_reward(reward, tmp_path / "own.pt2", VECTORS, PUSHES)
    seen = torch.arange(12.0).reshape(4, 3)
    found = torch.export.load(tmp_path / "own.pt2").module()(seen, torch.zeros(4, 2), seen)
    wanted = reward(seen.numpy(), np.zeros((4, 2)), seen.numpy(), np.zeros(4, np.bool_))
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-6)


# What is wrong


@pytest.mark.parametrize(
    ("name", "file", "observations", "actions", "sentence"),
    [
        ("plain", "reward.onnx", VECTORS, PUSHES, "expected a name that ends in .pt2, found '.onnx'"),
        ("plain", "there.pt2", VECTORS, PUSHES, "expected a new path, found one that exists"),
        ("plain", "a.pt2", Box(-1, 1, (4,)), PUSHES, "spaces: expected 3 numbers a transition in next_obs"),
        ("mlp", "a.pt2", VECTORS, Box(-1, 1, (3,)), "in observations, actions, found 6, of 3 an observation"),
        ("choices", "a.pt2", VECTORS, PUSHES, "action space: expected choices among (2, 4), found float32"),
        ("mlp", "a.pt2", VECTORS, Discrete(2), "action space: expected real numbers, found int64"),
        ("plain", "a.pt2", IMAGES, PUSHES, "observation space: expected no images, found images (2, 36, 36)"),
        (
            "cnn",
            "a.pt2",
            Box(0, 255, (4, 36, 36), np.uint8),
            PUSHES,
            "expected images (2, 36, 36), found images (4, 36, 36)",
        ),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(tmp_path, name, file, observations, actions, sentence):
    (tmp_path / "there.pt2").write_text("mine")
    with pytest.raises(UserError) as refused:
        export_reward(CASES[name][0], tmp_path / file, observations, actions)
    assert sentence in str(refused.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["there.pt2"]


# The command


def told(capsys, *words):
    status = main(["reward", "export", *map(str, words)])
    said = capsys.readouterr()
    return status, said.out + said.err


def test_the_command_takes_a_run_folder_or_a_reward_with_its_task(tmp_path, capsys):
    reward = a_reward(mlp(2), 2, inputs=("next_observations",))
    run = tmp_path / "run"
    reward.save(run / "reward")
    status, said = told(capsys, run / "reward", tmp_path / "no.pt2")
    assert status == 2 and "expected a run folder around it, which names the task" in said
    (run / "config.json").write_text(json.dumps({"task": WALK}))
    assert told(capsys, run, tmp_path / "a.pt2") == (0, f"reward        {tmp_path / 'a.pt2'}\n")
    assert told(capsys, run / "reward", tmp_path / "b.pt2", "--task", WALK)[0] == 0
    seen = torch.tensor([[0.5, -0.25]])
    wanted = reward(seen.numpy(), np.zeros((1, 2)), seen.numpy(), np.zeros(1, np.bool_))
    for name in ("a", "b"):
        found = torch.export.load(tmp_path / f"{name}.pt2").module()(seen, torch.zeros(1, 2), seen)
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-6)
