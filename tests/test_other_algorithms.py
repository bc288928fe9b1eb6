"""Other algorithms train on the learned reward alone, through the whole run, and leave what PPO leaves."""

from __future__ import annotations

import dataclasses
import errno
import io
import json
import os
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from stable_baselines3 import DQN, SAC
from test_pipeline import TINY, demonstrate, start, timeless
from tiny_environments import DISCRETE_WALK, POISONED_WALK, WALK
from tiny_image_environments import MEET

from drex.agents.policies.algorithm_registry import ALGORITHMS
from drex.agents.policies.network import PolicySettings, make_policy
from drex.agents.policies.saved import as_callable, load_trained, save_trained
from drex.agents.policies.saved_actor_critic import save_policy
from drex.agents.ppo.settings import PPOSettings
from drex.agents.sb3_algorithms import SB3Settings, train
from drex.cli.run_options import parse_run_options
from drex.envs.make import make_environments, task_spaces
from drex.errors import UserError
from drex.report.finished_run import read_scalars

SMALL = {"policy_kwargs": {"net_arch": [8]}, "learning_starts": 20, "batch_size": 16}
NETWORK = PolicySettings(policy_hidden_sizes=(8,), value_hidden_sizes=(8,))


def settings(name, steps, **arguments):
    return SB3Settings(name=name, environment_steps=steps, arguments=json.dumps(arguments))


def place_and_action(observations, actions, next_observations, terminated):
    """A reward that shows where and how it was asked."""
    pushes = np.asarray(actions, np.float32).reshape(len(actions), -1)[:, 0]
    paid = next_observations.reshape(len(observations), -1)[:, 0] + 10.0 * pushes + 100.0 * terminated
    return paid.astype(np.float32)


def trained(name, task, steps, *, start_from=None, seed=0, settings_changes=None, **arguments):
    return train(
        lambda count, stream: make_environments(task, count, seed=stream),
        dataclasses.replace(settings(name, steps, **arguments), **(settings_changes or {})),
        policy_settings=NETWORK,
        seed=seed,
        reward=place_and_action,
        start_from=start_from,
    )


def same_weights(one, other):
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


# The whole run


@pytest.fixture(scope="module")
def run_of_sac(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sac")
    file = demonstrate(folder / "walk.npz", WALK, with_rewards=True)
    asked = dataclasses.replace(TINY, learner=settings("sac", 200, **SMALL))
    return folder / "run", file, asked, start(folder / "run", file, settings=asked, controls=("constant",))


def test_a_whole_run_by_sac_leaves_a_policy_that_is_judged(run_of_sac):
    folder, _, _, evaluation = run_of_sac
    names = {path.name for path in (folder / "trained").iterdir()}
    assert {"policy.safetensors", "policy.json", "policy.zip"} <= names
    facts = json.loads((folder / "trained" / "policy.json").read_text())
    assert (facts["algorithm"], facts["arguments"]["net_arch"]) == ("sac", [8])
    with np.load(folder / "ranked" / "rollouts.npz", allow_pickle=False) as rollouts:
        judged = sum(
            json.loads((folder / file).read_text())["environment_steps"]
            for file in ("judges/judges.json", "policy/choice.json")
        )
        assert evaluation["environment_steps"] == rollouts["lengths"].sum() + judged + 200
    assert evaluation["policy"]["episodes"] == evaluation["trained_deterministic"]["episodes"] == 4
    assert evaluation["policy"]["mean"] != evaluation["trained_deterministic"]["mean"]
    assert set(evaluation["controls"]) == {"constant"}
    scalars = read_scalars(folder)
    for name in ("rollout/learned_reward_per_step", "train/critic_loss", "eval/true_return"):
        assert scalars[name], name


def test_the_policy_of_the_files_acts_as_that_of_stable_baselines3s_own_zip(run_of_sac):
    folder, *_ = run_of_sac
    observations, actions, _ = task_spaces(WALK)
    kept = as_callable(load_trained(folder / "trained", observations, actions), seed=None)
    seen = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    own, _ = SAC.load(folder / "trained" / "policy.zip").predict(seen, deterministic=True)
    np.testing.assert_array_equal(kept(seen), own)
    assert np.ptp(own) > 0.01


def test_a_run_by_sac_that_lost_its_policy_ends_as_before_and_refuses_another_algorithm(run_of_sac, tmp_path):
    folder, file, asked, evaluation = run_of_sac
    again = start(tmp_path / "again", file, settings=asked)
    assert timeless(again) | {"controls": {}} == timeless(evaluation) | {"controls": {}}
    assert start(folder, file, settings=asked, controls=("constant",), resume=True) == evaluation
    with pytest.raises(UserError, match=r'learner\.class: expected "PPOSettings", found "SB3Settings"'):
        start(folder, file, resume=True)


# Training


def test_only_the_given_reward_is_paid_and_poisoned_true_rewards_change_no_weight():
    clean, poisoned = (trained("sac", task, 120, **SMALL) for task in (WALK, POISONED_WALK))
    assert same_weights(clean.policy, poisoned.policy)
    buffer = clean.replay_buffer
    rows = slice(0, 120)
    low, high = clean.action_space.low, clean.action_space.high
    actions = low + 0.5 * (buffer.actions[rows, 0] + 1.0) * (high - low)
    wanted = place_and_action(
        buffer.observations[rows, 0],
        actions,
        buffer.next_observations[rows, 0],
        (buffer.dones * (1 - buffer.timeouts))[rows, 0],
    )
    np.testing.assert_allclose(buffer.rewards[rows, 0], wanted, rtol=1e-5, atol=1e-5)
    assert buffer.size() == 120


def test_another_seed_gives_other_weights():
    assert not same_weights(*(trained("sac", WALK, 30, seed=seed, **SMALL).policy for seed in (0, 1)))


@pytest.mark.parametrize("name", ["td3", "ddpg"])
def test_an_algorithm_whose_policy_is_deterministic_explores_with_noise(name):
    model = trained(name, WALK, 60, **SMALL)
    chosen, _ = model.predict(model.replay_buffer.observations[40:60, 0], deterministic=True)
    assert 0.01 < np.abs(chosen - model.replay_buffer.actions[40:60, 0]).std() < 0.5


def test_dqn_trains_on_choices_and_its_files_give_its_policy(tmp_path):
    model = trained("dqn", DISCRETE_WALK, 80, **SMALL)
    save_trained(model, NETWORK, tmp_path)
    observations, actions, _ = task_spaces(DISCRETE_WALK)
    seen = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    act = as_callable(load_trained(tmp_path, observations, actions), seed=3)
    np.testing.assert_array_equal(act(seen), model.predict(seen, deterministic=True)[0])
    assert act(seen).shape == (50,)


def test_files_leave_out_what_is_of_training_alone(tmp_path):
    arguments = {"net_arch": [8], "optimizer_class": torch.optim.RMSprop, "optimizer_kwargs": {"eps": 0.01}}
    environments = make_environments(DISCRETE_WALK, 1, seed=0)
    model = DQN("MlpPolicy", environments, policy_kwargs=arguments, buffer_size=10, device="cpu")
    save_trained(model, NETWORK, tmp_path)
    assert json.loads((tmp_path / "policy.json").read_text())["arguments"] == {"net_arch": [8]}
    assert same_weights(load_trained(tmp_path, *task_spaces(DISCRETE_WALK)[:2]), model.policy)


def test_a_policy_that_may_not_be_written_goes_nowhere_else(tmp_path, monkeypatch):
    """stable-baselines3 would write ``policy_2.zip`` with a warning, and a run would miss its policy."""
    usual = io.open

    def refusing(place, *words, **options):
        if str(place).endswith("policy.zip"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
        return usual(place, *words, **options)

    for owner in ("io.open", "builtins.open"):
        monkeypatch.setattr(owner, refusing)
    with pytest.raises(PermissionError):
        save_trained(trained("dqn", DISCRETE_WALK, 10, **SMALL), NETWORK, tmp_path)
    assert not list(tmp_path.glob("*.zip"))


def test_dqn_sees_images_by_a_convolutional_network(tmp_path):
    model = trained("dqn", MEET, 12, policy_kwargs={"features_extractor_kwargs": {"features_dim": 8}})
    save_trained(model, NETWORK, tmp_path)
    observations, actions, _ = task_spaces(MEET)
    seen = np.random.default_rng(0).integers(0, 256, (5, 2, 36, 36), dtype=np.uint8)
    policy = load_trained(tmp_path, observations, actions)
    assert any("features_extractor.cnn" in name for name in policy.state_dict())
    np.testing.assert_array_equal(as_callable(policy, seed=None)(seen), model.predict(seen)[0])


def test_a2c_starts_from_the_clone_unless_from_scratch(tmp_path):
    clone = make_policy(*task_spaces(WALK)[:2], NETWORK, seed=5)
    still = {"learning_rate": 0.0}
    model = trained("a2c", WALK, 40, start_from=clone, **still)
    assert same_weights(model.policy, clone)
    assert model.n_envs == 8
    changes = {"start_from": "scratch", "environments": 2}
    other = trained("a2c", WALK, 10, start_from=clone, settings_changes=changes, **still)
    assert not same_weights(other.policy, clone) and other.n_envs == 2
    save_trained(model, NETWORK, tmp_path)
    assert same_weights(load_trained(tmp_path, *task_spaces(WALK)[:2]), clone)


def test_sampled_actions_repeat_by_their_seed_and_leave_torchs_own_stream_alone():
    policy = trained("sac", WALK, 10, **SMALL).policy
    seen = np.zeros((100, 2), np.float32)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, again, other = (as_callable(policy, seed=seed) for seed in (1, 1, 2))
    one, two = first(seen), first(seen)
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(again(seen), one)
    assert not np.array_equal(two, one) and not np.array_equal(other(seen), one)
    assert one.std() > 0.1


# What is said and refused


@pytest.mark.parametrize(
    ("name", "changes", "cloned", "line"),
    [
        ("sac", {}, True, "SAC starts from random weights: its network has another form than the clone's"),
        ("a2c", {}, True, "A2C starts from the clone"),
        ("a2c", {"start_from": "scratch"}, True, "A2C starts from random weights"),
        ("trpo", {}, False, "TRPO starts from random weights"),
    ],
)
def test_how_it_starts_is_said_plainly(name, changes, cloned, line):
    assert SB3Settings(name=name, **changes).how_it_starts(cloned=cloned) == line


@pytest.mark.parametrize(
    ("name", "task", "arguments", "sentence"),
    [
        (
            "sac",
            DISCRETE_WALK,
            {},
            "learner.name: expected actions in Box, found sac for Discrete(4); take one",
        ),
        ("dqn", WALK, {}, "take one of ppo, a2c, trpo, sac, td3, ddpg, tqc"),
        ("sac", WALK, {"learning_rat": 1.0}, "found learning_rat"),
        ("sac", WALK, {"device": "cpu"}, "found device"),
        ("a2c", WALK, {"policy_kwargs": {}}, "found policy_kwargs"),
        ("sac", WALK, {"train_freq": [1, "year"]}, "expected values that SAC takes, found The unit of the"),
    ],
)
def test_what_an_algorithm_cannot_do_is_one_sentence(name, task, arguments, sentence):
    with pytest.raises(UserError) as refused:
        trained(name, task, 10, **arguments)
    assert sentence in str(refused.value)


def test_a_run_is_refused_before_it_learns_anything(tmp_path):
    file = demonstrate(tmp_path / "walk.npz", DISCRETE_WALK, with_rewards=True)
    asked = dataclasses.replace(TINY, learner=settings("sac", 200))
    with pytest.raises(UserError, match=r"expected actions in Box, found sac for Discrete\(4\)"):
        start(tmp_path / "run", file, task=DISCRETE_WALK, settings=asked)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"arguments": "[1]"}, "SB3Settings.arguments: expected a JSON object, found JSON of type list"),
        ({"arguments": "{"}, "SB3Settings.arguments: expected a JSON object"),
        ({"environment_steps": 0}, "SB3Settings.environment_steps: expected at least 1, found 0"),
        ({"environments": 0}, "SB3Settings.environments: expected at least 1, found 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, sentence):
    with pytest.raises(UserError) as refused:
        SB3Settings(name="sac", **changes)
    assert sentence in str(refused.value)


def test_an_algorithm_of_a_library_that_is_missing_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sb3_contrib", None)
    with pytest.raises(UserError, match=r"algorithm TQC: expected sb3_contrib.*; pip install sb3-contrib"):
        ALGORITHMS["tqc"].load()


@pytest.mark.parametrize(
    "contents", ["{", '{"format": 1, "algorithm": "alphago"}', '{"format": 9, "algorithm": "sac"}']
)
def test_policy_files_of_something_else_are_one_sentence(tmp_path, contents):
    (tmp_path / "policy.json").write_text(contents)
    with pytest.raises(UserError, match=r"policy\.json"):
        load_trained(tmp_path, *task_spaces(WALK)[:2])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"policy_hidden_sizes": [200_000, 200_000]},
            r"policy_hidden_sizes: expected \(8,\), as the weights",
        ),
        ({"value_hidden_sizes": []}, r"value_hidden_sizes: expected \(8,\), as the weights"),
        ({"activation": "sine"}, "settings: activation: expected"),
        ({"depth": 3}, "settings: depth: expected only the fields"),
    ],
)
def test_a_network_that_the_weights_are_not_of_is_refused_before_it_is_made(tmp_path, changes, sentence):
    spaces = task_spaces(WALK)[:2]
    save_policy(make_policy(*spaces, NETWORK, seed=0), NETWORK, tmp_path)
    facts = json.loads((tmp_path / "policy.json").read_text())
    (tmp_path / "policy.json").write_text(json.dumps(facts | {"settings": facts["settings"] | changes}))
    with pytest.raises(UserError, match=sentence):
        load_trained(tmp_path, *spaces)


def test_weights_of_another_network_are_refused_by_name(tmp_path):
    save_trained(trained("dqn", DISCRETE_WALK, 5, **SMALL), NETWORK, tmp_path)
    facts = json.loads((tmp_path / "policy.json").read_text())
    (tmp_path / "policy.json").write_text(json.dumps(facts | {"arguments": {"net_arch": [9]}}))
    with pytest.raises(UserError, match=r"q_net\.q_net\.0\.bias: expected \(9,\), found \(8,\)"):
        load_trained(tmp_path, *task_spaces(DISCRETE_WALK)[:2])
    (tmp_path / "policy.json").write_text(json.dumps(facts | {"arguments": {"net_size": [9]}}))
    with pytest.raises(UserError, match=r"expected a network of DQN for Box.*net_size"):
        load_trained(tmp_path, *task_spaces(DISCRETE_WALK)[:2])
    assert load_file(tmp_path / "policy.safetensors")["q_net.q_net.0.bias"].shape == (8,)
    assert DQN.load(tmp_path / "policy.zip").policy.q_net.net_arch == [8]


def test_the_command_line_takes_the_algorithm_by_a_short_name_and_its_settings_by_long_ones():
    words = ["--algo", "sac", "--learner.environment-steps", "5000"]
    asked = parse_run_options("Hopper-v5", words).settings.learner
    assert (asked.name, asked.training_steps, asked.gamma) == ("sac", 5000, 0.99)
    assert not asked.starts_from_clone
    plain = parse_run_options("HalfCheetah-v5", []).settings.learner
    assert (type(plain), plain.gamma, plain.starts_from_clone) == (PPOSettings, None, True)
