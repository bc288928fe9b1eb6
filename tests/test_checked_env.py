"""What crosses the border to a user's environment is copied and checked; its faults are one sentence."""

from __future__ import annotations

import sys
import threading
import time

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box

from drex.agents.rollouts.collect import collect
from drex.demonstrations.load_and_save import save_demonstrations
from drex.envs import checked
from drex.envs.learned_reward import LearnedRewardEnv
from drex.envs.make import make_environments, task_spaces
from drex.envs.vector.scaled_reward import ScaledReward
from drex.errors import UserError

HERE = __name__


class Drift(gymnasium.Env):
    """The first number counts the steps up to 5, the second halves them; then the episode ends."""

    observation_space = Box(-np.inf, np.inf, (2,), np.float32)
    action_space = Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = np.zeros(2, np.float32)
        return self.state, {}

    def step(self, action):
        self.state += np.array([1.0, 0.5], np.float32)
        return self.state, 1.0, bool(self.state[0] >= 5), False, {}


class OneBuffer(Drift):
    """Hands out one buffer for ever."""

    def __init__(self):
        self.buffer = np.zeros(2, np.float32)

    def reset(self, *, seed=None, options=None):
        self.buffer[:] = 0.0
        self.state = self.buffer
        return self.state, {}


class ScalesItsAction(Drift):
    """Changes the action that it is given."""

    def step(self, action):
        action *= 0.01
        return super().step(action)


class Slow(Drift):
    """Takes its time at the third step."""

    def step(self, action):
        if self.state[0] == 2:
            time.sleep(0.5)
        return super().step(action)


class OddInfo(Drift):
    """Fills info with entries of another form at every step."""

    def step(self, action):
        observation, reward, terminated, truncated, _ = super().step(action)
        steps = int(self.state[0])
        forms = (None, [1, [2, 3]], "text", np.zeros(steps), {"nested": None})
        return observation, np.array([reward]), np.bool_(terminated), truncated, {"entry": forms[steps % 5]}


class Exits(Drift):
    def step(self, action):
        sys.exit(0)


class Raises(Drift):
    def step(self, action):
        raise RuntimeError("the motor is off")


class FourValues(Drift):
    def step(self, action):
        return super().step(action)[:4]


class OldReset(Drift):
    def reset(self):
        return np.zeros(2, np.float32)


class NotFinite(Drift):
    def step(self, action):
        observation, *rest = super().step(action)
        return (np.full(2, np.nan) if observation[0] == 3 else observation), *rest


class Grows(Drift):
    def step(self, action):
        return np.zeros(3, np.float32), 0.0, False, False, {}


class RewardIsNone(Drift):
    def step(self, action):
        return np.zeros(2, np.float32), None, False, False, {}


class RewardIsText(Drift):
    def step(self, action):
        return np.zeros(2, np.float32), "much", False, False, {}


class FlagsAreNone(Drift):
    def step(self, action):
        return np.zeros(2, np.float32), 0.0, None, None, {}


class CannotClose(Drift):
    def close(self):
        raise RuntimeError("the arm is stuck")


class PaysInfinity(Drift):
    """The second step of an episode is worth everything, the third less than nothing."""

    def step(self, action):
        observation, _, *flags = super().step(action)
        reward = {2.0: np.inf, 3.0: -np.inf}.get(float(observation[0]), 1.0)
        return observation, reward, *flags


def zeros(observations):
    return np.zeros((len(observations), 1), np.float32)


def halves(observations):
    return np.full((len(observations), 1), 0.5, np.float32)


def rolled_out(environment, policy=zeros, *, count=2, episodes=4):
    task = f"{HERE}:{environment.__name__}"
    task_spaces.cache_clear()
    environments = make_environments(task, count, seed=0)
    try:
        return collect(policy, environments, episodes, seed=0)
    finally:
        environments.close()


@pytest.mark.parametrize("environment", [OneBuffer, OddInfo])
def test_an_environment_that_reuses_its_buffer_or_fills_info_is_recorded_as_any_other(environment):
    found, expected = rolled_out(environment), rolled_out(Drift)
    np.testing.assert_array_equal(found[0].observations, expected[0].observations)
    assert found[0].last_observations.tolist() == [[5.0, 2.5]] * 4
    assert found[1].values_for_evaluation().tolist() == [5.0] * 4


def test_actions_are_recorded_and_paid_as_they_were_taken():
    trajectories, _ = rolled_out(ScalesItsAction, halves)
    assert set(trajectories.actions.ravel().tolist()) == {0.5}
    seen = []

    def reward(observations, actions, next_observations, terminated):
        seen.append(actions.copy())
        return np.zeros(len(actions), np.float32)

    environment = LearnedRewardEnv(ScalesItsAction(), reward)
    environment.reset(seed=0)
    environment.step(np.array([0.5], np.float32))
    assert seen[0].tolist() == [[0.5]]


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        (Exits, r"step 1: expected step to return, found SystemExit: 0 \(.*test_checked_env.py, line \d+\)"),
        (Raises, r"episode 1 .* step 1: expected step to return, found RuntimeError: the motor is off"),
        (FourValues, r"expected step to return \(observation, reward, .*, found 4 values"),
        (OldReset, r"step 0: expected reset to return, found TypeError: .*unexpected keyword argument"),
        (NotFinite, r"step 3: expected finite observations, found NaN or infinity"),
        (Grows, r"step 1: expected an observation of shape \(2,\), found shape \(3,\)"),
        (RewardIsNone, r"step 1: expected one reward and two flags, found None, False, False"),
        (RewardIsText, r"step 1: expected one reward and two flags, found 'much', False, False"),
        (FlagsAreNone, r"step 1: expected one reward and two flags, found 0.0, None, None"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_faulty_environment_is_one_sentence_that_names_episode_and_step(environment, sentence):
    with pytest.raises(UserError, match=sentence):
        rolled_out(environment)


def test_an_environment_that_cannot_be_closed_costs_no_result(caplog):
    trajectories, _ = rolled_out(CannotClose)
    np.testing.assert_array_equal(trajectories.observations, rolled_out(Drift)[0].observations)
    assert f"{HERE}:CannotClose: close failed" in caplog.text
    assert "the arm is stuck" in caplog.text


def test_infinite_true_rewards_are_unknown_and_end_no_rollout(tmp_path):
    trajectories, returns = rolled_out(PaysInfinity)
    np.testing.assert_array_equal(trajectories.observations, rolled_out(Drift)[0].observations)
    assert np.isnan(returns.values_for_evaluation()).all()
    rewards = returns.step_values_for_evaluation()
    np.testing.assert_array_equal(rewards[:5], [1.0, np.nan, np.nan, 1.0, 1.0])
    save_demonstrations(tmp_path / "demos.npz", trajectories, rewards=rewards)


def test_infinite_true_rewards_are_refused_where_they_are_learned_from():
    environments = ScaledReward(
        make_environments(f"{HERE}:PaysInfinity", 1, seed=0, reward="true"), scale=1.0
    )
    environments.reset()
    sentence = f"task '{HERE}:PaysInfinity': reward: expected a finite number, found NaN or infinity"
    with pytest.raises(UserError, match=sentence):
        for _ in range(3):
            environments.step(zeros(np.zeros((1, 2))))


@pytest.mark.parametrize("forked", [False, True])
def test_the_log_names_the_environment_that_keeps_the_process_waiting(monkeypatch, caplog, forked):
    monkeypatch.setattr("drex.envs.checked.PATIENCE", 0.1)
    watchdog = type(checked._WATCHDOG)()
    if forked:  # the child of a process whose watchdog ran has the object and no thread
        watchdog._thread = threading.Thread(target=print)
    monkeypatch.setattr("drex.envs.checked._WATCHDOG", watchdog)
    environments = make_environments(f"{HERE}:Slow", 1, seed=0)
    collect(lambda seen: np.zeros((len(seen), 1), np.float32), environments, 1, seed=0)
    waited = [record.getMessage() for record in caplog.records]
    task = f"task '{HERE}:Slow', episode 1 of this copy, step 3"
    assert waited == [f"{task}: step has not returned for 0.1 seconds"]
