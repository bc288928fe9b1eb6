"""What demonstrations leave open, and what noise does to a policy: closed forms and random MDPs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.theory_experiments.corridors import (
    ambiguous_corridor,
    deterministic_mdp,
    precarious_corridor,
)
from drex.errors import UserError
from drex.theory import (
    all_pairs,
    clone_policies,
    deterministic_policies,
    expected_returns,
    feature_expectations,
    fit_linear_rewards,
    flawed_policies,
    largest_rise,
    mix_with_uniform,
    noisy_feature_sums,
    noisy_returns,
    optimal_policies,
    random_mdps,
    sample_rollouts,
    share_ranked_right,
    softmax_policies,
    uniform_policies,
    unit_rewards,
)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.floats(0.05, 0.999))
def test_demonstrations_cannot_tell_resting_from_reckless(length, discount):
    corridor = ambiguous_corridor(length, discount)
    both = np.stack([corridor.true_weights, corridor.blind_weights])
    assert corridor.explains_demonstrations(both).all()
    assert corridor.gap(corridor.blind_weights) == pytest.approx(0, abs=1e-9)
    assert corridor.gap(corridor.true_weights) == pytest.approx(discount / (1 - discount) / 2)


def test_the_gap_grows_without_limit():
    gaps = [ambiguous_corridor(3, 1 - 10.0**-n).gap(np.array([0.0, -0.5, 0.5])) for n in (1, 2, 3, 4, 5)]
    np.testing.assert_allclose(gaps, [4.5, 49.5, 499.5, 4999.5, 49999.5])


def test_one_ranked_pair_removes_every_reward_that_prefers_red_and_no_other():
    corridor = ambiguous_corridor(3, 0.9)
    rewards = unit_rewards(3000, 3, np.random.default_rng(0))
    explains, ranks = corridor.explains_demonstrations(rewards), corridor.ranks_resting_higher(rewards)
    assert np.array_equal(ranks, rewards[:, 1] < rewards[:, 0])
    # the walk must beat going by the red cells, which pays three of them and reaches the goal two steps later
    white, red, goal = rewards.T
    detour = (0.9 + 0.9**2 + 0.9**3) * (red - white)
    by_hand = (goal > white) & (detour <= (0.9**3 + 0.9**4) * (goal - white))
    assert np.array_equal(explains, by_hand)
    assert 0.2 < (explains & ~ranks).sum() / explains.sum() < 0.4


def test_a_corridor_without_cells_is_refused():
    with pytest.raises(UserError, match="at least 1 white cell, found 0"):
        ambiguous_corridor(0, 0.9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31 - 1), st.floats(0, 1))
def test_noise_one_is_uniform_and_noise_zero_is_the_policy(seed, level):
    mdps = random_mdps(3, 5, 3, features=2, discount=0.9, seed=seed)
    rewards = mdps.linear_rewards(np.array([1.0, -0.5]))
    policies = flawed_policies(mdps, rewards, competence=np.full(3, 0.5), seed=seed)
    returns = noisy_returns(mdps, policies, rewards, levels=np.array([0.0, level, 1.0]))
    np.testing.assert_allclose(returns[:, 0], expected_returns(mdps, policies, rewards))
    np.testing.assert_allclose(returns[:, 2], expected_returns(mdps, uniform_policies(mdps), rewards))
    best = expected_returns(mdps, optimal_policies(mdps, rewards), rewards)
    assert np.all(returns[:, 1] <= best + 1e-9)


def test_noise_in_one_state_by_hand():
    # one state to stand in (pays 1) and one to fall into for ever (pays 0): survive with chance 1 − ε/2
    mdp = deterministic_mdp(np.array([[0, 1], [1, 1]]), np.array([0, 1]), 0.5)
    stay = deterministic_policies(np.zeros((1, 2), int), 2)
    returns = noisy_returns(mdp, stay, np.array([[1.0, 0.0]]), levels=np.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(returns, [[2, 1 / (1 - 0.375), 1 / (1 - 0.25)]])


def test_some_noise_can_be_worse_than_all_noise():
    mdp, walk, rewards = precarious_corridor(6, 6, 0.99)
    levels = np.linspace(0, 1, 21)
    returns = noisy_returns(mdp, walk, rewards, levels=levels)
    assert returns[0, 0] == pytest.approx(0.99**12 / 0.01)
    assert returns[0].argmin() not in (0, 20) and returns[0].min() < 10 * returns[0, -1] < 0
    assert largest_rise(returns)[0] > 0.3
    assert 0.3 < share_ranked_right(returns, levels)[0] < 1


def test_noise_degrades_on_average_and_labels_turn_round_below_uniform():
    mdps = random_mdps(400, 12, 3, features=3, branching=2, discount=0.9, seed=5)
    rewards = mdps.linear_rewards(np.array([0.5, -0.3, 0.2]))
    levels = np.linspace(0, 1, 11)
    for temperature, falls in ((1.0, True), (-1.0, False)):
        policies = softmax_policies(mdps, rewards, temperature=np.full(400, temperature))
        returns = noisy_returns(mdps, policies, rewards, levels=levels)
        assert np.all(np.diff(returns.mean(0)) < 0) == falls
        assert share_ranked_right(returns, levels).mean() == pytest.approx(1.0 if falls else 0.0, abs=0.05)


def test_rises_and_ranked_pairs_by_hand():
    levels = np.array([0.0, 0.5, 1.0])
    returns = np.array([[4.0, 2.0, 0.0], [4.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(largest_rise(returns), [0, 0.25, 0])
    np.testing.assert_allclose(share_ranked_right(returns, levels, margin=0.3), [1, 2 / 3, 0.5])
    np.testing.assert_allclose(share_ranked_right(returns, levels, margin=1.0), [1, 1, 0.5])


def test_a_noise_level_above_one_is_refused():
    with pytest.raises(UserError, match=r"0 <= ε <= 1, found 1\.5"):
        mix_with_uniform(np.full((1, 1, 2), 0.5), 1.5)


def test_rollouts_visit_states_as_often_as_their_occupancy_says():
    mdps = random_mdps(1, 4, 2, features=2, discount=0.5, seed=3)
    policy = np.random.default_rng(0).dirichlet(np.ones(2), (1, 4))
    count = 40_000
    states, actions = sample_rollouts(
        mdps,
        np.repeat(policy, count, 0),
        which=np.zeros(count, int),
        steps=20,
        generator=np.random.default_rng(1),
    )
    discounted = (mdps.features[0, states] * 0.5 ** np.arange(20)[:, None]).sum(1).mean(0)
    np.testing.assert_allclose(discounted, feature_expectations(mdps, policy)[0], atol=0.02)
    assert np.mean(actions[states == 2]) == pytest.approx(policy[0, 2, 1], abs=0.01)


def test_more_demonstrations_clone_better():
    mdps = random_mdps(1, 4, 3, features=2, seed=4)
    demonstrator = np.random.default_rng(2).dirichlet(np.ones(3), (1, 4))
    off = [
        np.abs(clone_policies(mdps, demonstrator, demonstrations=n, steps=50,
                              generator=np.random.default_rng(3)) - demonstrator).max()
        for n in (1, 400)
    ]  # fmt: skip
    assert off[1] < 0.03 < off[0]


def test_pairs_respect_the_margin():
    better, worse = all_pairs(np.array([0.0, 0.3, 0.6, 0.0]), margin=0.3)
    found = set(zip(better.tolist(), worse.tolist(), strict=True))
    assert found == {(0, 1), (0, 2), (1, 2), (3, 1), (3, 2)}


def test_noise_alone_teaches_the_true_reward():
    mdps = random_mdps(20, 15, 3, features=3, branching=3, discount=0.9, seed=6)
    generator = np.random.default_rng(7)
    true = unit_rewards(20, 3, generator)
    policies = optimal_policies(mdps, mdps.linear_rewards(true))
    levels = np.tile(np.linspace(0, 0.9, 10), 10)
    sums = noisy_feature_sums(mdps, policies, levels=levels, steps=40, generator=generator)
    better, worse = all_pairs(levels)
    learned = fit_linear_rewards(sums[:, better] - sums[:, worse])
    assert (learned * true).sum(1).mean() > 0.85


def test_the_linear_fit_stands_where_its_gradient_vanishes():
    generator = np.random.default_rng(0)
    differences = generator.standard_normal((1, 60, 3)) + np.array([0.5, 0.0, -0.2])
    scaled = differences[0] / np.sqrt((differences**2).sum(-1).mean())
    learned = fit_linear_rewards(differences, penalty=0.1)[0]
    # the minimum lies somewhere along the unit vector: there the gradient is zero in every direction
    lengths = np.linspace(0, 5, 20_001)[1:]
    doubt = 1 / (1 + np.exp(np.outer(lengths, scaled @ learned)))
    gradients = -doubt @ scaled / 60 + 0.1 * lengths[:, None] * learned
    assert np.abs(gradients).max(1).min() < 1e-4
