"""Shares of the space of rewards, the samplers that measure them, and what a run's pairs are worth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drex.errors import UserError
from drex.theory import (
    chance_of_no_contradiction,
    consistent_rewards,
    demonstrations_for_reduction,
    equivalent_true_labels,
    hit_and_run,
    log_share_with_true_labels,
    pairs_for_reduction,
    run_ambiguity,
    share_with_independent_sides,
    share_with_true_labels,
    shares_by_adding_pairs,
    spread_of_returns,
    spread_of_weights,
    survivors_by_rejection,
    unit_rewards,
    wilson_interval,
)


def test_theorem_2_by_hand():
    np.testing.assert_allclose(share_with_independent_sides([0, 1, 3]), [1, 0.5, 0.125])
    assert pairs_for_reduction(50) == pytest.approx(1)
    assert pairs_for_reduction(99) == pytest.approx(np.log2(100))
    # 6.6 pairs: four demonstrations give six, five give ten
    assert demonstrations_for_reduction(99) == 5
    assert demonstrations_for_reduction(50) == 2
    with pytest.raises(UserError, match="0 <= x < 100, found 100"):
        pairs_for_reduction(100)


@settings(deadline=None)
@given(st.floats(0, 1e6))
def test_two_dimensions_leave_one_in_k_plus_one(pairs):
    assert share_with_true_labels(pairs, 2) == pytest.approx(1 / (pairs + 1), rel=1e-9)


def test_shares_published_for_eight_pairs():
    found = [share_with_true_labels(8, dimensions) for dimensions in (2, 4, 8, 16)]
    np.testing.assert_allclose(found, [0.111, 0.031, 0.0129, 0.0075], rtol=0.02)


def test_three_dimensions_by_hand():
    # density sin θ / 2: E[1 − θ/π] = ½ and E[(1 − θ/π)²] = ½ − 2/π²
    assert share_with_true_labels(1, 3) == pytest.approx(0.5)
    assert share_with_true_labels(2, 3) == pytest.approx(0.5 - 2 / np.pi**2)


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 60), st.floats(0.01, 5000))
def test_equivalent_pairs_invert_the_law(dimensions, pairs):
    log_share = log_share_with_true_labels(pairs, dimensions)
    assert equivalent_true_labels(log_share, dimensions) == pytest.approx(pairs, rel=1e-5)


@settings(deadline=None)
@given(st.integers(2, 40), st.integers(0, 200))
def test_true_labels_never_cut_faster_than_coin_flips(dimensions, pairs):
    share = log_share_with_true_labels(pairs, dimensions)
    assert share >= -pairs * np.log(2) - 1e-9
    assert share >= log_share_with_true_labels(pairs, dimensions + 1) - 1e-9


def test_a_share_of_one_is_worth_no_pair_and_one_dimension_one():
    assert equivalent_true_labels(0.0, 5) == 0
    assert equivalent_true_labels(np.log(0.5), 1) == 1
    with pytest.raises(UserError, match="finite and <= 0"):
        equivalent_true_labels(-np.inf, 3)


def test_contradictions_by_hand():
    # in two dimensions k random half-planes share a point with chance k / 2^(k−1)
    pairs = np.arange(1, 12)
    np.testing.assert_allclose(chance_of_no_contradiction(pairs, 2), pairs / 2.0 ** (pairs - 1))
    np.testing.assert_allclose(chance_of_no_contradiction([0, 5, 10], 5), [1, 1, 0.5])


def test_wilson_interval_by_hand():
    low, high = wilson_interval(np.array([0.0, 50.0]), 100)
    z = 1.959964
    assert low[0] == pytest.approx(0) and high[0] == pytest.approx(z**2 / (100 + z**2), rel=1e-6)
    assert low[1] + high[1] == pytest.approx(1) and low[1] == pytest.approx(0.4038, abs=1e-4)


def test_rejection_counts_halve_with_coin_flip_sides():
    generator = np.random.default_rng(0)
    rewards = unit_rewards(200_000, 3, generator)
    counts = survivors_by_rejection(
        rewards, 6, lambda alive: (generator.standard_normal((len(alive), 3)) * rewards[alive]).sum(1) > 0
    )
    low, high = wilson_interval(counts.astype(float), 200_000, 0.9999)
    law = share_with_independent_sides(np.arange(7))
    assert np.all((low <= law + 1e-12) & (law <= high + 1e-12))


def sector(angle):
    """Two half-planes whose intersection is a sector of this angle."""
    return np.array([[0.0, 1.0], [np.sin(angle), -np.cos(angle)]])


@pytest.mark.parametrize("angle", [2.0, 0.5, 0.02, 1e-4])
def test_both_samplers_measure_a_sector(angle):
    truth = angle / (2 * np.pi)
    normals = np.repeat(sector(angle)[None], 60, 0)
    adding = shares_by_adding_pairs(normals, particles=200, seed=0)
    assert adding[:, 0].mean() == 1
    assert adding[:, 1].mean() == pytest.approx(0.5, abs=0.02)
    if angle > 0.01:  # a single cut this thin kills a population of 200: that is what relaxing is for
        error = adding[:, 2].std() / 60**0.5
        assert adding[:, 2].mean() == pytest.approx(truth, abs=4 * error)
    relaxing = consistent_rewards(normals[:20], particles=300, seed=1).log_share
    assert relaxing.mean() == pytest.approx(np.log(truth), abs=4 * relaxing.std() / 20**0.5 + 0.02)


def test_both_samplers_measure_an_orthant_in_every_dimension():
    for dimensions in (3, 8):
        normals = np.repeat(np.eye(dimensions)[None], 40, 0)
        adding = shares_by_adding_pairs(normals, particles=200, seed=2)
        np.testing.assert_allclose(adding.mean(0), 0.5 ** np.arange(dimensions + 1), rtol=0.15)
        relaxing = consistent_rewards(normals[:20], particles=300, seed=3).log_share / np.log(2)
        assert relaxing.mean() == pytest.approx(-dimensions, abs=4 * relaxing.std() / 20**0.5 + 0.05)


def test_a_spherical_triangle():
    # area of the triangle cut by three half-spaces: the sum of its angles less π, over 4π
    normals = np.array([[1.0, 0.2, 0.1], [-0.3, 1.0, 0.0], [0.1, -0.4, 1.0]])
    unit = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    angles = np.pi - np.arccos((unit @ unit.T)[np.triu_indices(3, 1)])
    truth = (angles.sum() - np.pi) / (4 * np.pi)
    shares = shares_by_adding_pairs(np.repeat(normals[None], 80, 0), particles=300, seed=4)[:, 3]
    assert shares.mean() == pytest.approx(truth, abs=4 * shares.std() / 80**0.5)


def test_true_labels_follow_their_law_and_contradictions_leave_nothing():
    generator = np.random.default_rng(5)
    normals = generator.standard_normal((300, 16, 4))
    true = unit_rewards(300, 4, generator)
    normals *= np.sign(np.einsum("skd,sd->sk", normals, true))[..., None]
    shares = shares_by_adding_pairs(normals, particles=100, seed=6)
    for pairs in (2, 4, 8, 16):
        error = shares[:, pairs].std() / 300**0.5
        assert shares[:, pairs].mean() == pytest.approx(share_with_true_labels(pairs, 4), abs=4 * error)
    contradiction = np.array([[[1.0, 0.0], [-1.0, 0.0]]])
    assert shares_by_adding_pairs(contradiction, seed=0)[0, 2] == 0
    with pytest.raises(UserError, match="pairs that some reward satisfies"):
        consistent_rewards(contradiction, particles=50, seed=0)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(2, 6), st.integers(1, 12))
def test_consistent_rewards_agree_with_every_pair(seed, dimensions, pairs):
    generator = np.random.default_rng(seed)
    normals = generator.standard_normal((2, pairs, dimensions))
    normals *= np.sign(normals[..., :1])
    found = consistent_rewards(normals, particles=60, seed=seed)
    assert np.all(np.einsum("spd,skd->spk", found.rewards, normals) > -1e-9)
    assert np.all(found.log_share <= 0)


def test_hit_and_run_keeps_the_law_it_starts_from():
    generator = np.random.default_rng(8)
    points = np.abs(generator.standard_normal((20, 400, 3)))
    moved = hit_and_run(points, np.repeat(np.eye(3)[None], 20, 0), moves=30, generator=generator)
    assert moved.min() > 0 and not np.allclose(moved, points)
    # half-normal: mean √(2/π), mean square 1, and independent coordinates
    assert moved.mean() == pytest.approx(np.sqrt(2 / np.pi), abs=0.02)
    assert (moved**2).mean() == pytest.approx(1, abs=0.04)
    assert np.corrcoef(moved.reshape(-1, 3).T)[0, 1] == pytest.approx(0, abs=0.05)


def test_pairs_that_say_nothing_are_refused():
    with pytest.raises(UserError, match="1 rows all zero"):
        shares_by_adding_pairs(np.array([[[1.0, 0.0], [0.0, 0.0]]]), seed=0)


def test_orthogonal_pairs_halve_the_space_once_each():
    found = run_ambiguity(np.eye(5)[:3] * [[2.0], [1.0], [7.0]], seed=0)
    assert (found.pairs, found.used, found.contradicted, found.dimensions) == (3, 3, 0, 3)
    assert found.effective_rank == pytest.approx(3)
    assert found.halvings == pytest.approx(3, abs=0.15)
    assert found.halvings_interval[0] < found.halvings < found.halvings_interval[1]


def test_a_thousand_copies_of_a_pair_are_worth_one():
    found = run_ambiguity(np.tile([[0.6, 0.8, 0.0]], (1000, 1)), particles=200, seed=1)
    assert found.dimensions == 1 and found.effective_rank == pytest.approx(1)
    assert found.halvings == pytest.approx(1, abs=0.1)
    assert found.independent_pairs == 1
    # with the other two axes free, two rewards of one half-space are less than a right angle apart
    assert 1.0 < found.mean_angle < np.pi / 2


def test_a_quarter_plane_by_hand():
    found = run_ambiguity(np.eye(2), fresh=np.array([[1.0, -1.0], [1.0, 1.0]]), particles=500, seed=2)
    # two uniform angles in a quarter: π/6 apart on average; half of them differ on x > y, none on x + y > 0
    assert found.mean_angle == pytest.approx(np.pi / 6, rel=0.05)
    assert found.disagreement == pytest.approx(0.25, abs=0.02)
    # a quarter of the circle is what three pairs leave, 1/(3 + 1)
    assert found.independent_pairs == pytest.approx(3, rel=0.1)


def test_independent_pairs_are_worth_their_number():
    generator = np.random.default_rng(9)
    worth = []
    for run in range(8):
        normals = generator.standard_normal((64, 4))
        normals *= np.sign(normals[:, :1])
        worth.append(run_ambiguity(normals, particles=150, repeats=2, seed=run).independent_pairs)
    assert 45 < np.exp(np.log(worth).mean()) < 110


def test_pairs_that_the_reward_contradicts_are_counted_and_set_aside():
    differences = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.1], [0.0, 0.0]])
    found = run_ambiguity(differences, np.array([1.0, 1.0]), seed=3)
    assert (found.pairs, found.used, found.contradicted) == (4, 2, 1)
    assert found.halvings == pytest.approx(2, abs=0.15)
    ensemble = run_ambiguity(differences, np.array([[1.0, 0.0], [0.0, 1.0]]), seed=3)
    assert ensemble == found


def test_mistakes_in_a_runs_arrays_are_named():
    with pytest.raises(UserError, match="2 features, as the differences have, found 3"):
        run_ambiguity(np.eye(2), np.ones(3), seed=0)
    with pytest.raises(UserError, match="found none of 2"):
        run_ambiguity(-np.eye(2), np.ones(2), seed=0)
    with pytest.raises(UserError, match="at least 2 repeats, found shape"):
        run_ambiguity(np.eye(2), repeats=1, seed=0)


def test_same_seed_same_answer():
    assert run_ambiguity(np.eye(3), seed=4) == run_ambiguity(np.eye(3), seed=4)
    assert run_ambiguity(np.eye(3), seed=4) != run_ambiguity(np.eye(3), seed=5)


def test_spread_of_weights_by_hand():
    right_angle = spread_of_weights(np.eye(2))
    assert right_angle.mean_angle == pytest.approx(np.pi / 2)
    assert right_angle.disagreement == pytest.approx(0.5)
    fresh = np.array([[1.0, 1.0], [1.0, -1.0], [2.0, 1.0], [1.0, 0.0]])
    # agree, disagree, agree, and one tie that counts half
    assert spread_of_weights(np.eye(2), fresh).disagreement == pytest.approx(1.5 / 4)
    same = spread_of_weights(np.array([[1.0, 2.0], [2.0, 4.0]]), fresh)
    assert same.mean_angle == pytest.approx(0, abs=1e-6) and same.disagreement == 0


def test_spread_of_returns_by_hand():
    up = np.array([0.0, 1.0, 2.0, 3.0])
    assert spread_of_returns(np.stack([up, 5 * up - 2])).disagreement == 0
    opposite = spread_of_returns(np.stack([up, -up]))
    assert opposite.disagreement == 1 and opposite.mean_angle == pytest.approx(np.pi)
    one_swap = spread_of_returns(np.stack([up, [0.0, 2.0, 1.0, 3.0]]))
    assert one_swap.disagreement == pytest.approx(1 / 6)
    silent = spread_of_returns(np.stack([up, np.ones(4)]))
    assert silent.disagreement == pytest.approx(0.5) and silent.mean_angle == pytest.approx(np.pi / 2)
    with pytest.raises(UserError, match="at least 2 of each"):
        spread_of_returns(up[None])
