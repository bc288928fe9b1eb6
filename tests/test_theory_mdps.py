"""The tabular solvers against MDPs worked by hand, and Theorem 1 on random ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.theory_experiments.corridors import deterministic_mdp
from drex.errors import UserError
from drex.theory import (
    TabularMDPs,
    action_values,
    better_than_demonstrator,
    deterministic_policies,
    expected_returns,
    feature_expectations,
    occupancies,
    optimal_policies,
    random_mdps,
    state_values,
    uniform_policies,
)

seeds = st.integers(0, 2**31 - 1)
discounts = st.sampled_from([0.0, 0.5, 0.9, 0.99])


def two_states(discount=0.9):
    """Action 0 stays, action 1 changes place; state 0 pays 1, state 1 pays 2."""
    return deterministic_mdp(np.array([[0, 1], [1, 0]]), np.array([0, 1]), discount)


def test_two_states_by_hand():
    mdp = two_states()
    rewards = mdp.linear_rewards(np.array([1.0, 2.0]))
    best = optimal_policies(mdp, rewards)
    # go to state 1 and stay: 2/(1-0.9) = 20 there, 1 + 0.9 * 20 = 19 from state 0
    assert best.argmax(-1).tolist() == [[1, 0]]
    np.testing.assert_allclose(state_values(mdp, best, rewards), [[19, 20]])
    np.testing.assert_allclose(
        action_values(mdp, np.array([[19.0, 20.0]]), rewards), [[[18.1, 19], [20, 19.1]]]
    )
    np.testing.assert_allclose(occupancies(mdp, best), [[1, 9]])
    np.testing.assert_allclose(feature_expectations(mdp, best), [[1, 9]])
    # uniform: after the first step either state with chance one half, so 1 + 9 * 1.5
    np.testing.assert_allclose(expected_returns(mdp, uniform_policies(mdp), rewards), [14.5])


def test_slippery_bet_by_hand():
    # bet: win (pays 3 for ever) with chance 1/4, else lose (pays 0); decline: pays 1 for ever
    transitions = np.zeros((1, 4, 2, 4))
    transitions[0, 0] = [[0, 0.25, 0.75, 0], [0, 0, 0, 1]]
    for state in (1, 2, 3):
        transitions[0, state, :, state] = 1
    mdp = TabularMDPs(transitions=transitions, features=np.eye(4)[None], start=np.eye(4)[:1], discount=0.5)
    rewards = np.array([[0.0, 3.0, 0.0, 1.0]])
    best = optimal_policies(mdp, rewards)
    assert best[0, 0].tolist() == [0, 1]
    np.testing.assert_allclose(expected_returns(mdp, best, rewards), [1.0])
    bet = deterministic_policies(np.zeros((1, 4), int), 2)
    np.testing.assert_allclose(expected_returns(mdp, bet, rewards), [0.75])


def value_iteration(mdps, rewards, tolerance=1e-9):
    """Optimal values within ``tolerance``, by repeated Bellman backups: (mdps, states)."""
    values = np.zeros_like(rewards)
    while True:
        improved = action_values(mdps, values, rewards).max(-1)
        # a backup contracts by γ, so the remaining error is at most γ/(1−γ) times the last change
        left = mdps.discount / (1 - mdps.discount) * np.abs(improved - values).max()
        values = improved
        if left <= tolerance:
            return values


@settings(max_examples=40, deadline=None)
@given(seeds, discounts, st.integers(1, 6), st.integers(1, 4))
def test_policy_iteration_and_value_iteration_agree_and_nobody_does_better(seed, discount, states, actions):
    mdps = random_mdps(5, states, actions, features=3, discount=discount, seed=seed)
    generator = np.random.default_rng(seed)
    rewards = generator.standard_normal((5, states))
    best = optimal_policies(mdps, rewards)
    np.testing.assert_allclose(state_values(mdps, best, rewards), value_iteration(mdps, rewards), atol=1e-7)
    other = generator.dirichlet(np.ones(actions), (5, states))
    assert np.all(state_values(mdps, best, rewards) >= state_values(mdps, other, rewards) - 1e-9)


@settings(max_examples=40, deadline=None)
@given(seeds, discounts)
def test_returns_are_linear_in_feature_expectations(seed, discount):
    mdps = random_mdps(4, 5, 3, features=2, branching=2, discount=discount, seed=seed)
    generator = np.random.default_rng(seed)
    policies, weights = generator.dirichlet(np.ones(3), (4, 5)), generator.standard_normal((4, 2))
    by_features = (feature_expectations(mdps, policies) * weights).sum(1)
    by_values = (mdps.start * state_values(mdps, policies, mdps.linear_rewards(weights))).sum(1)
    np.testing.assert_allclose(by_features, by_values, atol=1e-9)
    np.testing.assert_allclose(occupancies(mdps, policies).sum(1), 1 / (1 - discount))


def test_a_batch_gives_what_each_mdp_gives_alone():
    mdps = random_mdps(6, 5, 3, features=2, discount=0.9, seed=1)
    rewards = mdps.linear_rewards(np.array([1.0, -1.0]))
    together = expected_returns(mdps, optimal_policies(mdps, rewards), rewards)
    for index in range(6):
        one = slice(index, index + 1)
        alone = TabularMDPs(
            transitions=mdps.transitions[one],
            features=mdps.features[one],
            start=mdps.start[one],
            discount=0.9,
        )
        best = optimal_policies(alone, rewards[one])
        np.testing.assert_allclose(expected_returns(alone, best, rewards[one]), together[one])


def test_branching_bounds_the_next_states():
    mdps = random_mdps(3, 7, 2, features=1, branching=2, seed=0)
    assert np.all((mdps.transitions > 0).sum(-1) == 2)


def test_transitions_that_are_no_distribution_are_refused():
    good = two_states()
    with pytest.raises(UserError) as refused:
        TabularMDPs(transitions=good.transitions / 2, features=good.features, start=good.start, discount=0.9)
    assert "sums to 1" in str(refused.value) and "0.5" in str(refused.value)


def test_a_discount_of_one_is_refused():
    with pytest.raises(UserError, match="expected 0 <= γ < 1, found 1"):
        two_states(discount=1.0)


@settings(max_examples=60, deadline=None)
@given(seeds, discounts, st.floats(-4, 1), st.booleans(), st.booleans())
def test_theorem_1_is_never_violated(seed, discount, log_scale, learned_is_optimal, sparse):
    mdps = random_mdps(20, 6, 3, features=3, branching=2 if sparse else None, discount=discount, seed=seed)
    generator = np.random.default_rng(seed)
    weights = generator.dirichlet(np.ones(3), 20) * generator.choice([-1, 1], (20, 3))
    errors = 10**log_scale * generator.uniform(-1, 1, (20, 6))
    demonstrators, other = generator.dirichlet(np.ones(3) / 2, (2, 20, 6))
    found = better_than_demonstrator(
        mdps, weights, errors, demonstrators=demonstrators, learned=None if learned_is_optimal else other
    )
    assert not found.violations().any()
    assert np.all(found.better[found.guaranteed & (found.room > found.bound + 1e-9 / (1 - discount))])
    if learned_is_optimal:
        assert not found.violations(found.sharper_bound).any()
        assert np.all(found.sharper_bound <= found.bound + 1e-12)


def test_three_states_meet_the_bound_of_theorem_1():
    # the start leads to a bad or a good end; the learned policy goes to the bad one although R̂ knows better
    mdp = deterministic_mdp(np.array([[1, 2], [1, 1], [2, 2]]), np.array([0, 1, 2]), 0.5)
    to_bad = deterministic_policies(np.zeros((1, 3), int), 2)
    found = better_than_demonstrator(
        mdp, np.array([[0.0, 0.0, 1.0]]), np.zeros((1, 3)), demonstrators=to_bad, learned=to_bad
    )
    assert found.feature_gap[0] == pytest.approx(1.0)  # γ/(1−γ)
    assert found.shortfall[0] == pytest.approx(found.bound[0]) == pytest.approx(1.0)
    assert not found.guaranteed[0] and not found.better[0]


def test_errors_alone_nearly_meet_the_sharper_bound():
    # R̂ is indifferent up to a hair; errors of −e and +e make the learned choice worse by 2e a step
    mdp = deterministic_mdp(np.array([[1, 2], [1, 1], [2, 2]]), np.array([0, 1, 2]), 0.99)
    error, hair = 0.1, 1e-6
    found = better_than_demonstrator(
        mdp,
        np.array([[0.0, hair, 0.0]]),
        np.array([[0.0, -error, error]]),
        demonstrators=uniform_policies(mdp),
    )
    assert found.sharper_bound[0] == pytest.approx(0.2 / 0.01)
    assert found.shortfall[0] == pytest.approx(0.99 * (2 * error - hair) / 0.01)


def test_weights_outside_the_theorem_are_refused():
    mdp = two_states()
    with pytest.raises(UserError) as refused:
        better_than_demonstrator(
            mdp, np.array([[1.0, 1.0]]), np.zeros((1, 2)), demonstrators=uniform_policies(mdp)
        )
    assert "‖w‖₁ <= 1" in str(refused.value) and "‖w‖₁ = 2" in str(refused.value)
