"""PPO updates as stable-baselines3's does, however it is paid, and starts from a clone."""

from __future__ import annotations

import copy
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO as StablePPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger
from tiny_environments import BEST_RETURN, DISCRETE_WALK, POISONED_WALK, WALK

from drex.agents.demonstrator import DemonstratorSettings, train_demonstrator
from drex.agents.policies.acting import deterministic
from drex.agents.policies.network import PolicySettings, policy_arguments
from drex.agents.ppo.algorithm import PPO
from drex.agents.ppo.settings import PPOSettings
from drex.agents.ppo.train import train_ppo
from drex.agents.rollouts.collect import collect
from drex.agents.sb3_algorithms import SB3Settings
from drex.agents.sb3_algorithms import train as train_other
from drex.envs.learned_reward import LearnedRewardVecEnv
from drex.envs.make import make_environments
from drex.errors import UserError

ENVIRONMENTS, ROLLOUT = 4, 64
SMALL = policy_arguments(PolicySettings(policy_hidden_sizes=(16,), value_hidden_sizes=(16,)))
EXPECTED = {"rtol": 0.0, "atol": 2e-6}  # rounding: sums run in another order; measured 6e-8


def make_ppo(kind, task, *, environments=None, seed=3, **settings):
    chosen = {"n_steps": ROLLOUT, "batch_size": 64, "n_epochs": 4, "gamma": 0.97, "policy_kwargs": SMALL}
    environments = environments or make_environments(task, ENVIRONMENTS, seed=0)
    return kind("MlpPolicy", environments, seed=seed, device="cpu", **{**chosen, **settings})


def assert_equal_weights(ours, theirs, **tolerance):
    expected = theirs.policy.state_dict()
    for name, tensor in ours.policy.state_dict().items():
        if tolerance:
            torch.testing.assert_close(tensor, expected[name], **tolerance)
        else:
            assert torch.equal(tensor, expected[name]), name


class Kept(KVWriter):
    """Keeps every scalar that is logged."""

    def __init__(self):
        self.rows = []

    def write(self, key_values, key_excluded, step=0):
        self.rows.append(dict(key_values))

    def close(self):
        pass


def keep_scalars(model):
    kept = Kept()
    model.set_logger(Logger(None, [kept]))
    return kept


VARIANTS = {
    "plain": {},
    "clipped values": {"clip_range_vf": 0.05, "ent_coef": 0.01},
    "stops at a divergence": {"target_kl": 0.002, "n_epochs": 10},
    "raw advantages": {"normalize_advantage": False, "max_grad_norm": 0.1},
    "last minibatch smaller": {"batch_size": 100},
}


@pytest.mark.filterwarnings("ignore:You have specified a mini-batch size of 100")
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("task", [WALK, DISCRETE_WALK])
def test_updates_equal_stable_baselines3s_on_the_same_rollouts(task, variant):
    settings = {"learning_rate": 1e-3, **VARIANTS[variant]}
    environments = make_environments(task, ENVIRONMENTS, seed=0, reward="true")
    theirs = make_ppo(StablePPO, task, environments=environments, **settings)
    ours = make_ppo(PPO, task, **settings)
    assert_equal_weights(ours, theirs)
    their_scalars, our_scalars = keep_scalars(theirs), keep_scalars(ours)
    _, callback = theirs._setup_learn(10**6)
    epochs = []
    for rollout in range(4):
        theirs.collect_rollouts(environments, callback, theirs.rollout_buffer, ROLLOUT)
        buffer = ours.rollout_buffer
        buffer.reset()
        for name in ("observations", "actions", "values", "log_probs", "advantages", "returns"):
            getattr(buffer, name)[:] = getattr(theirs.rollout_buffer, name)
        before = theirs._n_updates
        for model in (theirs, ours):
            model._current_progress_remaining = 1.0 - rollout / 10
            np.random.seed(rollout)  # noqa: NPY002  minibatches are drawn from this stream
            model.train()
            model.logger.dump()
        epochs.append(theirs._n_updates - before)
        assert_equal_weights(ours, theirs, **EXPECTED)
        assert ours._n_updates == theirs._n_updates
    if "target_kl" in settings:
        assert min(epochs) < 10
        return
    for mine, expected in zip(our_scalars.rows, their_scalars.rows, strict=True):
        assert {key for key in expected if key.startswith("train/")} <= set(mine)
        for key in expected:
            if key.startswith("train/"):
                assert mine[key] == pytest.approx(expected[key], rel=1e-3, abs=1e-5), key


def made_up_reward(observations, actions, next_observations, terminated):
    """A reward that notices every part of a transition: clipped actions, terminal observations, true ends."""
    pushes = np.asarray(actions, np.float32).reshape(len(observations), -1)
    scores = next_observations[:, 0] - 0.5 * observations[:, 0] - np.abs(next_observations[:, 1])
    return (scores + 0.3 * np.square(pushes).sum(axis=1) - 2.0 * terminated).astype(np.float32)


class KeepRollouts(BaseCallback):
    """Copies what each rollout's buffer held once its advantages were known."""

    def __init__(self):
        super().__init__()
        self.rollouts = []

    def _on_step(self):
        return True

    def _on_rollout_end(self):
        names = ("observations", "actions", "rewards", "advantages", "returns", "values", "log_probs")
        buffer = self.model.rollout_buffer
        self.rollouts.append({name: getattr(buffer, name).copy() for name in names})


@pytest.mark.parametrize("task", [WALK, DISCRETE_WALK])
def test_a_relabelled_rollout_equals_per_step_rewards(task):
    """The same seed three times: stable-baselines3's PPO and ours paid step by step, ours paid by rollout."""
    runs = []
    for kind, per_step in ((StablePPO, True), (PPO, True), (PPO, False)):
        environments = make_environments(task, ENVIRONMENTS, seed=0)
        if per_step:
            environments = LearnedRewardVecEnv(environments, made_up_reward)
        model, kept = make_ppo(kind, task, environments=environments), KeepRollouts()
        if not per_step:
            model.set_reward(made_up_reward)
        model.learn(4 * ENVIRONMENTS * ROLLOUT, callback=kept)
        runs.append((model, kept.rollouts))
    (theirs, expected), *others = runs
    for ours, rollouts in others:
        assert len(rollouts) == 4
        for rollout, expected_rollout in zip(rollouts, expected, strict=True):
            for name, values in rollout.items():
                np.testing.assert_allclose(values, expected_rollout[name], rtol=1e-5, atol=1e-5, err_msg=name)
        assert_equal_weights(ours, theirs, **EXPECTED)
    last = runs[2][0].rollout_buffer
    assert last.terminated.any()
    if task == WALK:
        assert np.abs(last.actions).max() > 1.0
        assert np.abs(last.executed).max() == 1.0
    truncated = sum(not end for end in ended_by_itself(last))
    assert truncated > 0


def ended_by_itself(buffer):
    """For each episode that ended inside a rollout, whether it ended by itself."""
    starts = np.argwhere(buffer.episode_starts[1:] > 0)
    return [bool(buffer.terminated[step, environment]) for step, environment in starts]


def test_a_cut_off_episode_is_bootstrapped_and_an_ended_one_is_not():
    environments = make_environments(WALK, 1, seed=0)
    model = make_ppo(PPO, WALK, environments=environments, n_steps=31, batch_size=31, gamma=0.5)
    model.set_reward(lambda observations, *rest: np.zeros(len(observations), np.float32))
    with torch.no_grad():  # always straight ahead: cut off at step 30
        model.policy.action_net.weight.zero_()
        model.policy.action_net.bias.copy_(torch.tensor([1.0, 0.0]))
        model.policy.log_std.fill_(-20.0)
    kept = KeepRollouts()
    model.n_epochs = 1
    before = copy.deepcopy(model.policy)
    model.learn(31, callback=kept)
    rewards = kept.rollouts[0]["rewards"][:, 0]
    final = model.rollout_buffer.next_observations[29, 0]
    assert final[0] == pytest.approx(3.0, abs=1e-5)
    with torch.no_grad():
        value = float(before.predict_values(torch.as_tensor(final)[None]))
    assert rewards[29] == pytest.approx(0.5 * value, abs=1e-6)
    assert value != 0.0
    assert np.delete(rewards, 29) == pytest.approx(np.zeros(30))


def test_pay_by_pays_instead_of_the_environment_not_besides_it():
    weights = []
    for task in (WALK, POISONED_WALK):
        environments = make_environments(task, ENVIRONMENTS, seed=0, reward="true")
        model = make_ppo(PPO, task, environments=environments)
        model.set_reward(made_up_reward)
        model.learn(2 * ENVIRONMENTS * ROLLOUT)
        weights.append(model)
    assert_equal_weights(*weights)
    assert all(torch.isfinite(tensor).all() for tensor in weights[0].policy.parameters())


@pytest.mark.parametrize("task", [WALK, DISCRETE_WALK])
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(task):
    models = []
    for seed in (3, 3, 4):
        model = make_ppo(PPO, task, seed=seed)
        model.set_reward(made_up_reward)
        models.append(model.learn(2 * ENVIRONMENTS * ROLLOUT))
    assert_equal_weights(models[0], models[1])
    assert not torch.equal(models[0].policy.value_net.weight, models[2].policy.value_net.weight)


def progress_made(observations, actions, next_observations, terminated):
    return (10.0 * (next_observations - observations)[:, 0]).astype(np.float32)


def test_ppo_reaches_the_best_return_on_a_reward_that_means_it():
    model = make_ppo(PPO, WALK, n_epochs=10, gamma=0.9, learning_rate=1e-3)
    model.set_reward(progress_made)
    model.learn(8000)
    _, returns = collect(deterministic(model.policy), make_environments(WALK, 2, seed=9), 6, seed=0)
    assert returns.values_for_evaluation().min() > 0.95 * BEST_RETURN


def test_settings_for_the_soonest_return_reach_one_that_drifting_does_not():
    settings = DemonstratorSettings(
        target_return=0.8 * BEST_RETURN,
        reward_scale=1.0,
        ppo=PPOSettings.fast_from_scratch(environment_steps=40_000, initial_std=0.4),
    )
    watched = train_demonstrator(
        lambda count, stream: make_environments(WALK, count, seed=stream, reward="true"), settings, seed=0
    )
    assert watched.num_timesteps < 40_000
    _, returns = collect(deterministic(watched.policy), make_environments(WALK, 2, seed=9), 6, seed=0)
    assert returns.values_for_evaluation().mean() > 0.8 * BEST_RETURN


def test_the_leaving_penalty_falls_linearly_to_zero():
    model = make_ppo(PPO, WALK)
    model.set_reward(made_up_reward)
    model.set_reference_policy(model.policy, penalty=0.4)
    kept = keep_scalars(model)
    model.learn(4 * ENVIRONMENTS * ROLLOUT, log_interval=1)
    logged = [row["train/kl_penalty"] for row in kept.rows if "train/kl_penalty" in row]
    model.logger.dump()
    logged.append(kept.rows[-1]["train/kl_penalty"])
    assert logged == pytest.approx([0.3, 0.2, 0.1, 0.0])


@pytest.mark.parametrize("task", [WALK, DISCRETE_WALK])
def test_a_leaving_penalty_of_zero_changes_nothing(task):
    clone, models = make_ppo(PPO, task, seed=8).policy, []
    for near in (False, True):
        model = make_ppo(PPO, task)
        model.set_reward(made_up_reward)
        if near:
            model.set_reference_policy(clone, penalty=0.0)
        models.append(model.learn(2 * ENVIRONMENTS * ROLLOUT))
    assert_equal_weights(*models)


@pytest.mark.parametrize("task", [WALK, DISCRETE_WALK])
def test_a_leaving_penalty_pulls_towards_the_clone(task):
    """With nothing to gain, a policy that starts elsewhere comes closer to the clone only with a penalty."""
    clone = make_ppo(PPO, task, seed=8).policy
    with torch.no_grad():
        clone.action_net.bias.add_(1.0 if task == WALK else torch.tensor([2.0, 0.0, 0.0, 0.0]))
    states = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)

    def distance(policy):
        with torch.no_grad():
            ours = policy.get_distribution(torch.as_tensor(states)).distribution
            its = clone.get_distribution(torch.as_tensor(states)).distribution
            return float(torch.distributions.kl_divergence(its, ours).mean())

    distances = []
    for penalty in (0.0, 1.0):
        model = make_ppo(PPO, task, learning_rate=1e-2, n_epochs=10)
        model.set_reward(lambda observations, *rest: np.zeros(len(observations), np.float32))
        model.set_reference_policy(clone, penalty=penalty)
        model.vf_coef = 0.0
        before = distance(model.policy)
        model.normalize_advantage = False
        model.learn(3 * ENVIRONMENTS * ROLLOUT)
        distances.append(distance(model.policy) / before)
    assert distances[0] > 0.7
    assert distances[1] < 0.4


def test_the_clone_is_copied_when_it_is_attached():
    model = make_ppo(PPO, WALK)
    clone = make_ppo(PPO, WALK, seed=8).policy
    model.set_reference_policy(clone, penalty=1.0)
    before = copy.deepcopy(model._clone.state_dict())
    with torch.no_grad():
        clone.action_net.bias.add_(5.0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model._clone.state_dict().items())
    assert all(parameter.requires_grad for parameter in clone.parameters())


def test_value_only_rollouts_leave_the_policy_bit_equal():
    model = make_ppo(PPO, WALK)
    model.set_reward(made_up_reward)
    model.critic_warmup_rollouts = 2
    start = copy.deepcopy(model.policy.state_dict())
    model.learn(2 * ENVIRONMENTS * ROLLOUT)
    value_names = {name for name in start if "value" in name}
    for name, tensor in model.policy.state_dict().items():
        assert torch.equal(tensor, start[name]) == (name not in value_names), name
    model.learn(ENVIRONMENTS * ROLLOUT, reset_num_timesteps=False)
    assert not torch.equal(model.policy.action_net.weight, start["action_net.weight"])


def test_a_saved_ppo_loads_in_a_fresh_process_and_predicts_the_same(tmp_path):
    model = make_ppo(PPO, WALK)
    model.set_reward(made_up_reward)
    model.learn(ENVIRONMENTS * ROLLOUT)
    model.save(tmp_path / "ppo")
    seen = np.array([[0.1, -0.2], [1.0, 0.3]], np.float32)
    expected, _ = model.predict(seen, deterministic=True)
    script = (
        "import sys, numpy as np\n"
        "from drex.agents.ppo.algorithm import PPO\n"
        "model = PPO.load(sys.argv[1], device='cpu')\n"
        "seen = np.array([[0.1, -0.2], [1.0, 0.3]], np.float32)\n"
        "np.save(sys.argv[2], model.predict(seen, deterministic=True)[0])\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "ppo.zip"), str(tmp_path / "predicted.npy")]
    subprocess.run(command, cwd=Path(__file__).parent, check=True)
    np.testing.assert_allclose(np.load(tmp_path / "predicted.npy"), expected, atol=1e-6)


def test_a_loaded_ppo_goes_on_learning_as_if_it_had_never_been_saved(tmp_path):
    ends = []
    for saved in (False, True):
        model = make_ppo(PPO, WALK)
        model.set_reward(made_up_reward)
        model.critic_warmup_rollouts = 2
        model.learn(ENVIRONMENTS * ROLLOUT)
        if saved:
            model.save(tmp_path / "ppo")
            model = PPO.load(
                tmp_path / "ppo", env=make_environments(WALK, ENVIRONMENTS, seed=0), device="cpu"
            )
            model.set_reward(made_up_reward)
        else:
            model.set_env(make_environments(WALK, ENVIRONMENTS, seed=0))
        model.set_random_seed(7)
        ends.append(model.learn(2 * ENVIRONMENTS * ROLLOUT, reset_num_timesteps=False))
    assert ends[0].rollouts_done == ends[1].rollouts_done == 3
    assert_equal_weights(*ends)


def test_a_loaded_ppo_without_its_reward_or_its_clone_refuses_to_learn(tmp_path):
    model = make_ppo(PPO, WALK)
    model.set_reward(made_up_reward)
    model.set_reference_policy(model.policy, penalty=0.1)
    model.save(tmp_path / "ppo")
    loaded = PPO.load(tmp_path / "ppo", env=make_environments(WALK, ENVIRONMENTS, seed=0), device="cpu")
    with pytest.raises(
        UserError, match=r"expected the reward function it was trained on.* call set_reward\(reward\)"
    ):
        loaded.learn(ENVIRONMENTS * ROLLOUT)
    loaded.set_reward(made_up_reward)
    with pytest.raises(
        UserError, match=r"expected the clone .* call set_reference_policy\(clone, penalty=...\)"
    ):
        loaded.learn(ENVIRONMENTS * ROLLOUT)
    loaded.set_reference_policy(None, penalty=0.0)
    loaded.learn(ENVIRONMENTS * ROLLOUT)
    assert loaded.num_timesteps == ENVIRONMENTS * ROLLOUT


# ---------------------------------------------------------------- numbers that are not finite


def test_a_reward_that_is_not_finite_stops_the_training_and_names_environment_and_step():
    def reward(observations, actions, next_observations, terminated):
        found = np.zeros(len(actions), np.float32)
        found[5 * ENVIRONMENTS + 2] = np.inf  # (steps, environments), flattened
        return found

    ours = make_ppo(PPO, WALK)
    ours.set_reward(reward)
    before = copy.deepcopy(ours.policy.state_dict())
    with pytest.raises(UserError, match=r"reward of environment 2, step 5 of PPO.s rollout: .*found inf"):
        ours.learn(ENVIRONMENTS * ROLLOUT)
    assert all(torch.equal(tensor, before[name]) for name, tensor in ours.policy.state_dict().items())


def test_weights_that_are_not_finite_stop_the_training():
    ours = make_ppo(PPO, WALK, learning_rate=1e38)
    with pytest.raises(UserError, match=r"weights of PPO after 256 steps: .*expected finite numbers"):
        ours.learn(ENVIRONMENTS * ROLLOUT)


def test_training_leaves_no_folder_for_temporary_files(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ppo = PPOSettings(environment_steps=256, environments=2, rollout_steps=32, batch_size=64)
    others = {"policy_settings": PolicySettings(), "seed": 0, "reward": None, "start_from": None}

    def make(count, seed):
        return make_environments(WALK, count, seed=seed)

    train_ppo(make, replace(ppo, start_from="scratch"), **others)
    train_other(make, SB3Settings(name="a2c", environment_steps=64), **others)
    assert list(tmp_path.glob("SB3-*")) == []
