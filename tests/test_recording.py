"""Any policy is recorded: of a run folder, of stable-baselines3's zips without unpickling, or a callable."""

from __future__ import annotations

import base64
import io
import json
import pickle
import zipfile
from contextlib import suppress

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.torch_layers import FlattenExtractor
from tiny_environments import DISCRETE_WALK, HORIZON, WALK
from tiny_image_environments import MEET

import drex
from drex.agents.policies.acting import deterministic
from drex.agents.policies.network import PolicySettings, make_policy, policy_arguments
from drex.agents.policies.saved_actor_critic import save_policy
from drex.agents.policies.sb3_zips import load_zip
from drex.agents.ppo.algorithm import PPO as OwnPPO
from drex.cli.main import main
from drex.demonstrations.load_and_save import load_demonstrations
from drex.demonstrations.record import RecordingSettings, open_policy, record
from drex.envs.make import make_environments, task_spaces
from drex.errors import UserError

NETWORK = PolicySettings(policy_hidden_sizes=(8,), value_hidden_sizes=(8,))


def saved(file, kind, task, policy="MlpPolicy", **arguments):
    """An untrained algorithm with weights far from its initial ones, and its zip."""
    model = kind(policy, make_environments(task, 1, seed=0), seed=1, device="cpu", **arguments)
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter.mul_(2.0)
    model.save(file)
    return model


def some(task, count=30):
    """Observations of a task's shape."""
    space, random = task_spaces(task)[0], np.random.default_rng(0)
    if space.dtype == np.uint8:
        return random.integers(0, 256, (count, *space.shape), dtype=np.uint8)
    return random.normal(size=(count, *space.shape)).astype(np.float32)


# Recording


def forward(observations):
    return np.tile(np.float32([0.5, 0.0]), (len(observations), 1))


def test_a_callable_is_recorded_with_what_it_did_and_what_that_was_worth(tmp_path):
    made = record(forward, WALK, tmp_path / "demos.npz", settings=RecordingSettings(episodes=3), seed=4)
    assert made.trajectories.lengths.tolist() == [HORIZON] * 3
    assert (made.trajectories.actions == np.float32([0.5, 0.0])).all()
    np.testing.assert_allclose(made.true_returns.values_for_evaluation(), 0.5 * HORIZON)
    again = load_demonstrations(tmp_path / "demos.npz")
    assert again.task == WALK and again.about["episodes"] == 3 and again.about["seed"] == 4
    assert len(np.unique(again.trajectories.observations[again.trajectories.starts, 1])) == 3


def test_noise_replaces_the_share_of_actions_that_was_asked_for(tmp_path):
    asked = RecordingSettings(episodes=20, noise_level=0.25, noise_name="no_op")
    made = record(forward, WALK, tmp_path / "demos.npz", settings=asked)
    struck = (made.trajectories.actions == 0.0).all(axis=1)
    assert struck.mean() == pytest.approx(0.25, abs=0.05)
    assert made.about["noise_name"] == "no_op"


def test_a_models_most_likely_or_sampled_actions_are_recorded_as_asked(tmp_path):
    model = saved(tmp_path / "ppo.zip", PPO, WALK)
    sure = record(model, WALK, tmp_path / "a.npz", settings=RecordingSettings(episodes=2, deterministic=True))
    seen = sure.trajectories.observations
    np.testing.assert_allclose(
        sure.trajectories.actions, model.predict(seen, deterministic=True)[0], rtol=1e-5, atol=1e-6
    )
    sampled = record(model, WALK, tmp_path / "b.npz", settings=RecordingSettings(episodes=2))
    spread = (
        sampled.trajectories.actions - model.predict(sampled.trajectories.observations, deterministic=True)[0]
    )
    assert spread.std() > 0.3


def test_it_is_public_and_overwrites_nothing(tmp_path):
    (tmp_path / "demos.npz").write_text("mine")
    with pytest.raises(UserError, match="expected a new path, found one that exists"):
        drex.record(forward, WALK, tmp_path / "demos.npz")
    assert (tmp_path / "demos.npz").read_text() == "mine"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"episodes": 0}, "RecordingSettings.episodes: expected at least 1"),
        ({"noise_level": 1.5}, "expected from 0 to 1, found 1.5"),
    ],
)
def test_settings_that_record_nothing_are_refused(changes, sentence):
    with pytest.raises(UserError, match=sentence):
        RecordingSettings(**changes)


def test_a_policy_of_another_task_is_refused(tmp_path):
    model = saved(tmp_path / "dqn.zip", DQN, DISCRETE_WALK)
    with pytest.raises(
        UserError, match=rf"policy: actions: expected Box.*as {WALK} has, found Discrete\(4\)"
    ):
        record(model, WALK, tmp_path / "demos.npz")


class Grid(gymnasium.Env):
    """A small grid of bytes, channels last: stable-baselines3 moves its channels to the front."""

    observation_space = gymnasium.spaces.Box(0, 255, (5, 6, 3), np.uint8)

    def __init__(self, discrete=True):
        box = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(3) if discrete else box

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, False, False, {}


@pytest.mark.parametrize("kind", [PPO, A2C, DQN, SAC, TD3])
def test_a_zip_trained_on_transposed_grids_acts_on_the_tasks_own(tmp_path, kind):
    sizes = {} if kind in (PPO, A2C) else {"buffer_size": 10}
    model = kind("MlpPolicy", Grid(kind in (PPO, A2C, DQN)), seed=1, device="cpu", **sizes)
    assert model.observation_space.shape == (3, 5, 6)
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    model.save(tmp_path / "grid.zip")
    own = load_zip(tmp_path / "grid.zip", Grid.observation_space, model.action_space)
    seen = np.random.default_rng(0).integers(0, 256, (40, 5, 6, 3), dtype=np.uint8)
    expected = model.predict(seen.transpose(0, 3, 1, 2), deterministic=True)[0]
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(own.predict(seen, deterministic=True)[0], expected, rtol=1e-4, atol=1e-5)


# Run folders


def test_the_policy_of_a_run_folder_or_of_a_stage_is_opened(tmp_path):
    policy = make_policy(*task_spaces(WALK)[:2], NETWORK, seed=3)
    (tmp_path / "run" / "policy").mkdir(parents=True)
    save_policy(policy, NETWORK, tmp_path / "run" / "policy")
    wanted = deterministic(policy)(some(WALK))
    for place in (tmp_path / "run", tmp_path / "run" / "policy"):
        np.testing.assert_array_equal(deterministic(open_policy(place, WALK))(some(WALK)), wanted)


def test_our_own_zip_is_read_too_with_what_it_standardises_by(tmp_path):
    arguments = policy_arguments(PolicySettings(policy_hidden_sizes=(6, 5), activation="relu"))
    model = OwnPPO("MlpPolicy", make_environments(WALK, 1, seed=0), policy_kwargs=arguments, device="cpu")
    model.policy.features_extractor.fit(10.0 * some(WALK) + 3.0)
    model.save(tmp_path / "own.zip")
    loaded = load_zip(tmp_path / "own.zip", *task_spaces(WALK)[:2])
    np.testing.assert_allclose(
        loaded.predict(some(WALK), deterministic=True)[0],
        model.predict(some(WALK), deterministic=True)[0],
        rtol=1e-6,
    )


# Zips of stable-baselines3

TANH, RELU = torch.nn.Tanh, torch.nn.ReLU
ZIPS = [
    (PPO, WALK, {}),
    (PPO, DISCRETE_WALK, {"policy_kwargs": {"net_arch": [7, 5], "activation_fn": RELU}}),
    (A2C, WALK, {"policy_kwargs": {"net_arch": {"pi": [6], "vf": [9, 4]}, "log_std_init": -1.0}}),
    (PPO, WALK, {"policy_kwargs": {"net_arch": []}}),
    (SAC, WALK, {"policy_kwargs": {"net_arch": [7, 5], "n_critics": 3}}),
    (SAC, WALK, {"policy_kwargs": {"net_arch": {"pi": [4], "qf": [6, 6]}, "activation_fn": TANH}}),
    (TD3, WALK, {"policy_kwargs": {"net_arch": [8, 3]}}),
    (DDPG, WALK, {"policy_kwargs": {"net_arch": [5]}}),
    (DQN, DISCRETE_WALK, {"policy_kwargs": {"net_arch": [9, 4], "activation_fn": torch.nn.ELU}}),
    (PPO, MEET, {"policy": "CnnPolicy", "policy_kwargs": {"features_extractor_kwargs": {"features_dim": 9}}}),
    (DQN, MEET, {"policy": "CnnPolicy", "policy_kwargs": {"net_arch": [4]}}),
]


@pytest.mark.parametrize(
    ("kind", "task", "arguments"), ZIPS, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_network_told_by_its_weights_acts_as_the_saved_one(tmp_path, kind, task, arguments):
    small = {"buffer_size": 10} if kind in (SAC, TD3, DDPG, DQN) else {}
    model = saved(tmp_path / "model.zip", kind, task, **small, **arguments)
    loaded = load_zip(tmp_path / "model.zip", *task_spaces(task)[:2])
    wanted, _ = model.predict(some(task), deterministic=True)
    np.testing.assert_array_equal(loaded.predict(some(task), deterministic=True)[0], wanted)
    assert task == MEET or np.ptp(wanted) > 0
    for name, part in model.policy.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], part), name


def test_nothing_in_a_zip_is_unpickled(tmp_path):
    """Every pickle inside would write a file."""
    trap = tmp_path / "sprung"

    class Trap:
        def __reduce__(self):
            return (open, (str(trap), "w"))

    model = saved(tmp_path / "good.zip", PPO, WALK)
    armed = base64.b64encode(pickle.dumps(Trap())).decode()
    with zipfile.ZipFile(tmp_path / "good.zip") as good, zipfile.ZipFile(tmp_path / "bad.zip", "w") as bad:
        described = json.loads(good.read("data"))
        for value in described.values():
            if isinstance(value, dict) and ":serialized:" in value:
                value[":serialized:"] = armed
        bad.writestr("data", json.dumps(described))
        bad.writestr("policy.pth", good.read("policy.pth"))
    loaded = load_zip(tmp_path / "bad.zip", *task_spaces(WALK)[:2])
    wanted = model.predict(some(WALK), deterministic=True)[0]
    np.testing.assert_array_equal(loaded.predict(some(WALK), deterministic=True)[0], wanted)

    weights = io.BytesIO()
    torch.save(Trap(), weights)
    rewrite(tmp_path / "bad.zip", {"policy.pth": weights.getvalue()})
    with pytest.raises(UserError, match="found a pickle that would run code; if you trust the file, load it"):
        load_zip(tmp_path / "bad.zip", *task_spaces(WALK)[:2])
    assert not trap.exists()
    pickle.loads(base64.b64decode(armed)).close()
    assert trap.exists(), "the trap is armed"


def rewrite(file, contents, compression=zipfile.ZIP_STORED):
    """Replace entries of a zip."""
    with zipfile.ZipFile(file) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()} | contents
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, entry in entries.items():
            archive.writestr(name, entry)


class OwnExtractor(FlattenExtractor):
    """Not stable-baselines3's, as far as a zip says."""


@pytest.mark.parametrize(
    ("kind", "arguments", "found"),
    [
        (
            PPO,
            {"policy_kwargs": {"features_extractor_class": OwnExtractor}},
            "found features_extractor_class",
        ),
        (PPO, {"use_sde": True}, "found state-dependent exploration"),
        (PPO, {"policy_kwargs": {"squash_output": False}}, "found squash_output"),
    ],
)
def test_a_network_that_weights_do_not_tell_is_refused_with_the_way_to_record_it(
    tmp_path, kind, arguments, found
):
    saved(tmp_path / "model.zip", kind, WALK, **arguments)
    with pytest.raises(UserError) as refused:
        load_zip(tmp_path / "model.zip", *task_spaces(WALK)[:2])
    assert found in str(refused.value)
    assert "load it in Python and call drex.record(model, ENV, FILE)" in str(refused.value)


def test_what_is_no_zip_of_stable_baselines3_is_one_sentence(tmp_path):
    spaces = task_spaces(WALK)[:2]
    (tmp_path / "text.zip").write_text("hello")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme", "hello")
    for name in ("text.zip", "other.zip", "none.zip"):
        with pytest.raises(UserError, match=rf"{name}: expected a zip that stable-baselines3 saved, found"):
            load_zip(tmp_path / name, *spaces)
    saved(tmp_path / "model.zip", PPO, WALK)
    rewrite(tmp_path / "model.zip", {}, zipfile.ZIP_DEFLATED)
    content = (tmp_path / "model.zip").read_bytes()
    for place in range(0, len(content) // 2, 50):
        damage = bytes(byte ^ 0xFF for byte in content[place : place + 256])
        (tmp_path / "damaged.zip").write_bytes(content[:place] + damage + content[place + 256 :])
        with suppress(UserError):  # some of it is in members that nobody reads
            load_zip(tmp_path / "damaged.zip", *spaces)
    rewrite(tmp_path / "model.zip", {"data": b"[]"})
    with pytest.raises(UserError, match="found other things by the same names"):
        load_zip(tmp_path / "model.zip", *spaces)
    rewrite(tmp_path / "model.zip", {"data": json.dumps({"policy_class": {"__module__": "mine"}}).encode()})
    with pytest.raises(
        UserError, match=r"expected a policy of PPO, A2C, TRPO, SAC, TD3, DDPG or DQN.*one of mine"
    ):
        load_zip(tmp_path / "model.zip", *spaces)


def test_weights_that_repeat_a_few_numbers_are_refused_before_a_network_of_their_size_is_made(tmp_path):
    model = saved(tmp_path / "model.zip", PPO, WALK)
    weights, stream = dict(model.policy.state_dict()), io.BytesIO()
    weights["mlp_extractor.policy_net.0.weight"] = torch.zeros(1).expand(40_000, 40_000)
    torch.save(weights, stream)
    rewrite(tmp_path / "model.zip", {"policy.pth": stream.getvalue()})
    with pytest.raises(UserError, match="found other things by the same names"):
        load_zip(tmp_path / "model.zip", *task_spaces(WALK)[:2])


def test_a_zip_of_another_task_is_refused_by_the_shape_that_differs(tmp_path):
    saved(tmp_path / "model.zip", PPO, WALK)
    with pytest.raises(UserError, match=r"model.zip: .*: expected \(4,?.*\), found \(2,?.*\)|no such entry"):
        load_zip(tmp_path / "model.zip", *task_spaces(DISCRETE_WALK)[:2])


# The command


def test_the_command_records_a_zip(tmp_path, capsys):
    saved(tmp_path / "sac.zip", SAC, WALK, policy_kwargs={"net_arch": [4]}, buffer_size=10)
    out = tmp_path / "demos.npz"
    words = ["demos", "record", WALK, "--policy", str(tmp_path / "sac.zip"), "--out", str(out)]
    assert main([*words, "--episodes", "3", "--noise-level", "0.1", "--seed", "2"]) == 0
    assert "episodes      3" in capsys.readouterr().out
    made = load_demonstrations(out)
    assert made.about["command"].startswith(f"drex demos record {WALK} --policy")
    assert (made.about["noise_level"], made.about["deterministic"]) == (0.1, False)
    assert np.isfinite(made.true_returns.values_for_evaluation()).all()
    assert main([*words[:-1], str(tmp_path / "more.npz"), "--policy", str(tmp_path)]) == 2
    assert "policy.json: expected a JSON file" in capsys.readouterr().err
