"""Agreement of rewards step by step: shaping and scale change nothing, other rewards do."""

from __future__ import annotations

import numpy as np
import pytest
from ranked_examples import trajectories_of

from drex.evaluation.step_rewards import step_agreement

GAMMA = 0.99


@pytest.fixture(scope="module")
def walk():
    """Episodes of which every other terminates, with the reward of each step."""
    rng = np.random.default_rng(0)
    lengths = [50, 30] * 20
    seen = np.cumsum(rng.normal(size=(sum(lengths), 3)), axis=0).astype(np.float32)
    terminated = np.arange(len(lengths)) % 2 == 1
    ahead = rng.normal(size=(len(lengths), 3)).astype(np.float32)
    walked = trajectories_of(lengths, seen, terminated=terminated, last_observations=ahead)
    return walked, np.sin(seen[:, 0].astype(np.float64)) + 0.1 * seen[:, 1]


def shaped(walked, rewards, potential):
    here, there = potential(walked.observations), potential(walked.next_observations())
    return rewards + GAMMA * there * ~walked.terminated_steps() - here


def distance(walked, learned, true):
    found = step_agreement(walked, learned, true)["distance"]
    assert 0.0 <= found <= 1.0
    return found


def test_scale_and_shaping_change_nothing(walk):
    walked, rewards = walk

    def potential(states):
        return 3.0 + 2.0 * states[:, 0].astype(np.float64) - 0.5 * states[:, 2].astype(np.float64) ** 2

    assert distance(walked, rewards, rewards) == pytest.approx(0.0, abs=1e-6)
    assert distance(walked, 7.0 * shaped(walked, rewards, potential), rewards) < 0.02
    assert step_agreement(walked, shaped(walked, rewards, potential), rewards)["step_pearson"] < 0.5


def test_opposite_and_unrelated_rewards_are_far(walk):
    walked, rewards = walk
    assert distance(walked, -rewards, rewards) == pytest.approx(1.0, abs=1e-6)
    noise = np.random.default_rng(1).normal(size=len(rewards))
    assert distance(walked, noise, rewards) == pytest.approx(np.sqrt(0.5), abs=0.05)
    near = distance(walked, rewards + 0.1 * noise, rewards)
    assert 0.01 < near < distance(walked, rewards + noise, rewards)


def test_the_correlation_is_that_of_steps(walk):
    walked, rewards = walk
    noise = np.random.default_rng(1).normal(size=len(rewards))
    learned = (rewards + noise).astype(np.float32)
    found = step_agreement(walked, learned, rewards)["step_pearson"]
    assert found == pytest.approx(np.corrcoef(learned, rewards)[0, 1])


@pytest.mark.parametrize("unknown", ["none", "nan", "constant"])
def test_unknown_and_constant_rewards_have_no_agreement(walk, unknown):
    walked, rewards = walk
    true = {"none": None, "nan": np.full(len(rewards), np.nan), "constant": np.ones(len(rewards))}[unknown]
    assert step_agreement(walked, rewards, true) == {"step_pearson": None, "distance": None}


def test_images_have_no_potentials():
    frames = np.random.default_rng(0).normal(size=(30, 1, 4, 4))
    walked, rewards = trajectories_of([10, 20], frames), np.arange(30.0)
    found = step_agreement(walked, rewards, rewards**2)
    assert found["distance"] is None and found["step_pearson"] > 0.9
