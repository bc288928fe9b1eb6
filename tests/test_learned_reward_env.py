"""One gymnasium environment on a learned reward pays what the vectorised one pays, and nothing of its own."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from custom_environments import in_a_dict
from stable_baselines3.common.vec_env import DummyVecEnv
from tiny_environments import HORIZON, POISONED_WALK, WALK

from drex.envs.learned_reward import LearnedRewardEnv, LearnedRewardVecEnv
from drex.errors import UserError


def told_apart(observations, actions, next_observations, terminated):
    """A reward in which every part of a transition shows."""
    paid = observations[:, 0] + 10.0 * next_observations[:, 1] + 100.0 * actions[:, 0] + 1000.0 * terminated
    return paid.astype(np.float32)


def test_it_pays_what_the_vectorised_one_pays_over_ends_and_cut_offs():
    single = LearnedRewardEnv(gymnasium.make(POISONED_WALK), told_apart)
    beside = LearnedRewardVecEnv(DummyVecEnv([lambda: gymnasium.make(POISONED_WALK)]), told_apart)
    beside.seed(3)
    beside.reset()
    single.reset(seed=3)
    random, ends = np.random.default_rng(0), {"terminated": 0, "truncated": 0}
    for step in range(6 * HORIZON):
        tilt = 1.0 if step > 3 * HORIZON else 0.0  # first episodes that are cut off, then such that end
        action = np.array([random.uniform(-1, 1), tilt], np.float32)
        _, paid, terminated, truncated, _ = single.step(action)
        _, also_paid, dones, _ = beside.step(action[None])
        assert type(paid) is float and paid == also_paid[0]
        assert dones[0] == (terminated or truncated)
        ends["terminated"] += terminated
        ends["truncated"] += truncated
        if terminated or truncated:
            single.reset()
    assert ends["terminated"] > 2 and ends["truncated"] == 3


def test_an_observation_that_is_written_over_later_is_scored_as_it_was():
    class InPlace(gymnasium.ObservationWrapper):
        seen = np.zeros(2, np.float32)

        def observation(self, observation):
            self.seen[:] = observation
            return self.seen

    plain, shared = (
        LearnedRewardEnv(wrap(gymnasium.make(WALK)), told_apart) for wrap in (lambda e: e, InPlace)
    )
    for environment in (plain, shared):
        environment.reset(seed=0)
    for action in ([1.0, 0.2], [0.5, -0.3], [-1.0, 0.0]):
        assert plain.step(np.float32(action))[1] == shared.step(np.float32(action))[1]


def test_observations_in_a_dict_are_refused_with_the_wrapper_to_use():
    with pytest.raises(UserError, match=r"found Dict\(.*flatten them first, by gymnasium.wrappers.Flatten"):
        LearnedRewardEnv(in_a_dict(gymnasium.make(WALK)), told_apart)
