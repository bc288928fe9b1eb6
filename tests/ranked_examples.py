"""Small ranked trajectories whose true reward is known, for the tests of ranking and reward learning."""

from __future__ import annotations

import numpy as np

from drex.envs.data.trajectories import Trajectories
from drex.rankings.preferences import RankedTrajectories, from_scores

PLANTED = np.array([1.0, -2.0, 0.5], np.float32)
"""The true reward of ``linear_world`` is this vector times the next observation."""


def trajectories_of(lengths, observations, *, terminated=None, last_observations=None):
    """Trajectories of given observations (steps, n), the last observation by default the last one seen."""
    lengths = np.asarray(lengths, np.int64)
    observations = np.asarray(observations, np.float32)
    return Trajectories(
        observations,
        np.zeros((len(observations), 1), np.float32),
        lengths,
        np.zeros(len(lengths), np.bool_) if terminated is None else np.asarray(terminated),
        observations[np.cumsum(lengths) - 1] if last_observations is None else last_observations,
    )


def linear_world(episodes, *, seed, shortest=20, longest=20):
    """Episodes around centres of their own, and their true mean reward a step."""
    random = np.random.default_rng(seed)
    lengths = random.integers(shortest, longest + 1, episodes)
    centres = random.normal(size=(episodes, len(PLANTED)))
    steps = np.repeat(centres, lengths, axis=0)
    world = trajectories_of(lengths, steps + 0.3 * random.normal(size=steps.shape))
    true = world.next_observations() @ PLANTED
    return world, np.add.reduceat(true, world.starts) / lengths


def ranked_linear_world(episodes, *, seed, **lengths):
    """The same, ranked by the true mean reward."""
    world, quality = linear_world(episodes, seed=seed, **lengths)
    return RankedTrajectories(world, from_scores(quality))
