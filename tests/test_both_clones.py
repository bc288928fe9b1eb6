"""Rollouts of both clones are ranked, each within itself; kinds of noise that grade badly are not ranked."""

from __future__ import annotations

import numpy as np
import pytest
from ranked_examples import trajectories_of

from drex.agents.rollouts.noise import NoiseJob
from drex.envs.data.trajectories import Trajectories
from drex.envs.data.true_returns import TrueReturns
from drex.rankings.apparent_noise import apparent_levels
from drex.rankings.noisy_rollouts import NoisyRollouts, of_both_clones

LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
STEPS = 30


def rollouts(*, greedy, shift=0.0, episodes=6, seed=0, kind="uniform", spread=0.2):
    """Episodes whose first observation moves with the noise level, around a start of their own."""
    random = np.random.default_rng(seed)
    jobs = tuple(NoiseJob(kind, level) for level in LEVELS for _ in range(episodes))
    centres = np.array([job.level + shift for job in jobs])
    seen = np.stack([np.repeat(centres, STEPS), random.normal(size=len(jobs) * STEPS)], axis=1)
    seen += spread * random.normal(size=seen.shape)
    trajectories = trajectories_of([STEPS] * len(jobs), seen)
    returns = TrueReturns.unknown(len(jobs))
    return NoisyRollouts(trajectories, returns, jobs, np.full(len(jobs), greedy))


def test_apparent_levels_are_those_of_new_episodes_and_go_of_both_clones():
    known, asked = rollouts(greedy=False), rollouts(greedy=True, shift=-0.5, seed=1)
    levels = np.array([job.level for job in known.jobs])
    own, other = apparent_levels(known.trajectories, levels, asked.trajectories)
    assert np.abs(own - levels).mean() < 0.15
    assert np.abs(other - (levels - 0.5)).mean() < 0.25
    assert other[levels == 0.0].mean() < -0.1


def test_what_never_changes_says_nothing():
    still = trajectories_of([4, 4], np.ones((8, 3)))
    own, other = apparent_levels(still, [0.0, 1.0], still)
    assert own.tolist() == other.tolist() == [0.5, 0.5]


def test_images_have_levels_too():
    random = np.random.default_rng(0)
    levels = np.linspace(0.0, 1.0, 12)
    frames = np.concatenate([random.integers(0, 100 + int(150 * level), (5, 1, 12, 12)) for level in levels])
    frames = frames.astype(np.uint8)
    lengths = np.full(12, 5)
    images = Trajectories(
        frames, np.zeros(60, np.int64), lengths, np.zeros(12, np.bool_), frames[np.cumsum(lengths) - 1]
    )
    own, _ = apparent_levels(images, levels, images)
    assert np.corrcoef(own, levels)[0, 1] > 0.9


@pytest.mark.parametrize(("shift", "included"), [(-0.5, True), (0.0, True), (0.6, False)])
def test_the_greedy_clone_is_left_out_where_it_looks_like_more_noise(shift, included):
    both = of_both_clones(rollouts(greedy=False), rollouts(greedy=True, shift=shift, seed=1))
    assert both.greedy.any() == included
    assert len(both.jobs) == len(both.trajectories) == len(both.greedy) == (60 if included else 30)


def test_each_clone_is_ranked_within_itself():
    both = of_both_clones(rollouts(greedy=False, episodes=1), rollouts(greedy=True, episodes=1, seed=1))
    pairs = both.preferences(minimum_gap=0.3)
    assert (both.levels[pairs.worse] - both.levels[pairs.better] >= 0.3 - 1e-9).all()
    assert (both.greedy[pairs.better] == both.greedy[pairs.worse]).all()
    assert len(pairs) == 2 * len([1 for a in LEVELS for b in LEVELS if b - a >= 0.3])


def two_kinds(spread):
    """Uniform noise that shows, and sticky noise that shows the less the larger the spread."""
    plain = rollouts(greedy=False)
    sticky = rollouts(greedy=False, seed=1, kind="sticky", spread=spread)
    joined = Trajectories.concatenate([plain.trajectories, sticky.trajectories])
    jobs = (*plain.jobs, *sticky.jobs)
    return NoisyRollouts(joined, TrueReturns.unknown(len(jobs)), jobs, np.zeros(len(jobs), np.bool_))


def test_other_kinds_of_noise_are_not_compared():
    both = two_kinds(spread=0.2)
    pairs = both.preferences(minimum_gap=0.3)
    assert (both.kinds[pairs.better] == both.kinds[pairs.worse]).all()
    assert set(both.kinds[pairs.better]) == {"uniform", "sticky"}


@pytest.mark.parametrize(
    ("spread", "margin", "ranked"),
    [(0.2, 0.15, ["uniform", "sticky"]), (30.0, 0.15, ["uniform"]), (30.0, 2.0, ["uniform", "sticky"])],
)
def test_a_kind_of_noise_that_grades_badly_is_not_ranked(spread, margin, ranked):
    both = two_kinds(spread)
    assert both.grades["uniform"] > 0.95
    assert both.ranked_kinds(margin) == ranked
    pairs = both.ranked(minimum_gap=0.3, grade_margin=margin).preferences
    assert set(both.kinds[pairs.better]) == set(both.kinds[pairs.worse]) == set(ranked)


def test_rollouts_survive_their_files(tmp_path):
    made = of_both_clones(rollouts(greedy=False), rollouts(greedy=True, seed=1))
    made.save(tmp_path)
    kept = NoisyRollouts.load(tmp_path)
    assert kept.jobs == made.jobs
    np.testing.assert_array_equal(kept.greedy, made.greedy)
    np.testing.assert_array_equal(kept.trajectories.observations, made.trajectories.observations)
