"""Where preferences come from: orders, tiers, scores, pairs and noise, and what mixing and shuffling keep."""

from __future__ import annotations

import itertools
import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from ranked_examples import ranked_linear_world, trajectories_of

from drex.agents.rollouts.noise import NoiseSchedule
from drex.errors import UserError
from drex.rankings.noisy_rollouts import NoisyRollouts, rank_by_noise
from drex.rankings.preferences import (
    RankedTrajectories,
    balance_weights,
    combine,
    from_noise_levels,
    from_order,
    from_pairs,
    from_scores,
    from_tiers,
    shuffle_labels,
)
from drex.rewards.learning import split_train_held_out


def pairs(preferences):
    """The pairs as (better, worse), sorted."""
    return sorted(zip(preferences.better.tolist(), preferences.worse.tolist(), strict=True))


def ranked(preferences, episodes):
    return RankedTrajectories(trajectories_of(np.ones(episodes), np.zeros((episodes, 1))), preferences)


# Where preferences come from


def test_an_order_prefers_every_later_trajectory_to_every_earlier_one():
    assert pairs(from_order([2, 0, 1])) == [(0, 2), (1, 0), (1, 2)]


def test_trajectories_left_out_of_an_order_are_compared_with_none():
    assert pairs(from_order([5, 3])) == [(3, 5)]


def test_tiers_compare_across_and_never_within():
    assert pairs(from_tiers([[0, 3], [], [1], [2, 4]])) == sorted(
        [(1, 0), (1, 3), (2, 0), (2, 3), (4, 0), (4, 3), (2, 1), (4, 1)]
    )


def test_tiers_of_arrays_are_tiers():
    assert pairs(from_tiers([np.array([1]), np.array([0, 2])])) == [(0, 1), (2, 1)]


def test_equal_scores_are_ties_and_make_no_pair():
    assert pairs(from_scores([1.0, 1.0, 2.0])) == [(2, 0), (2, 1)]


def test_a_score_that_is_not_a_number_is_compared_with_none():
    assert pairs(from_scores([3.0, np.nan, 1.0])) == [(0, 2)]


def test_only_scores_of_one_group_are_compared():
    assert pairs(from_scores([1, 2, 3, 4], groups=["a", "b", "a", "b"])) == [(2, 0), (3, 1)]


def test_pairs_are_kept_as_given_with_their_weights():
    given_pairs = from_pairs([1, 0, 1], [0, 1, 0], weight=[1.0, 0.5, 2.0], source="two people")
    assert pairs(given_pairs) == [(0, 1), (1, 0), (1, 0)]
    assert given_pairs.weight.tolist() == [1.0, 0.5, 2.0]
    assert given_pairs.source == "two people"
    assert from_pairs([1], [0]).weight.tolist() == [1.0]


@hypothesis_settings(max_examples=60, deadline=None)
@given(scores=st.lists(st.integers(-5, 5), min_size=2, max_size=8).filter(lambda s: len(set(s)) > 1))
def test_scores_agree_with_their_order_and_tiers(scores):
    by_score = from_scores(scores)
    tiers = [[i for i, s in enumerate(scores) if s == value] for value in sorted(set(scores))]
    assert pairs(by_score) == pairs(from_tiers(tiers))
    assert all(scores[better] > scores[worse] for better, worse in pairs(by_score))
    assert len(by_score) == sum(a != b for a, b in itertools.combinations(scores, 2))
    assert by_score.contradictions() == 0.0


@hypothesis_settings(max_examples=60, deadline=None)
@given(scores=st.lists(st.integers(-50, 50), min_size=2, max_size=8).filter(lambda s: len(set(s)) > 1))
def test_scores_are_used_as_ranks_alone(scores):
    assert pairs(from_scores(scores)) == pairs(from_scores([np.sinh(s / 10) for s in scores]))


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    trajectories=st.lists(
        st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0, float("nan")]), st.sampled_from("ab")), max_size=9
    ),
    gap=st.sampled_from([0.0, 0.25, 0.3]),
)
def test_every_two_trajectories_far_enough_apart_are_compared_in_their_order(trajectories, gap):
    scores, groups = [score for score, _ in trajectories], [group for _, group in trajectories]
    expected = [
        (better, worse)
        for better, worse in itertools.product(range(len(scores)), repeat=2)
        if scores[better] > scores[worse]
        and scores[better] - scores[worse] >= gap
        and groups[better] == groups[worse]
    ]
    if expected:
        found = from_scores(scores, minimum_gap=gap, groups=groups)
        assert list(zip(found.better.tolist(), found.worse.tolist(), strict=True)) == expected
    else:
        with pytest.raises(UserError, match="expected at least one pair, found none"):
            from_scores(scores, minimum_gap=gap, groups=groups)


def test_ranking_thousands_of_trajectories_takes_little_more_memory_than_their_pairs():
    tracemalloc.start()
    found = from_noise_levels(np.repeat([0.0, 0.5, 1.0], 400))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    kept = found.better.nbytes + found.worse.nbytes + found.weight.nbytes
    assert len(found) == 3 * 400 * 400
    assert peak < 1.2 * kept


# Noise


def test_more_noise_is_never_preferred():
    levels = [0.5, 0.0, 1.0, 0.25]
    found = pairs(from_noise_levels(levels, minimum_gap=0.0))
    assert all(levels[better] < levels[worse] for better, worse in found)
    assert len(found) == 6


def test_levels_three_tenths_apart_are_compared_whatever_their_rounding():
    levels = [round(0.05 * i, 2) for i in range(20)]
    rounded_down = [(a, b) for a, b in itertools.combinations(range(20), 2) if levels[b] - levels[a] < 0.3]
    assert any(b - a == 6 for a, b in rounded_down)  # else the tolerance would be tested by nothing
    expected = [(a, b) for a, b in itertools.combinations(range(20), 2) if b - a >= 6]
    assert pairs(from_noise_levels(levels, minimum_gap=0.3)) == expected
    assert len(expected) == 105


def test_the_published_schedule_makes_2625_pairs():
    jobs = NoiseSchedule(episodes_per_level=5).jobs()
    assert len(jobs) == 100
    assert len(from_noise_levels([job.level for job in jobs])) == 105 * 5 * 5


def test_each_kind_of_noise_is_ranked_within_itself():
    levels, kinds = [0.0, 1.0, 0.0, 1.0], ["uniform", "uniform", "sticky", "sticky"]
    assert pairs(from_noise_levels(levels, names=kinds)) == [(0, 1), (2, 3)]


def test_noisy_rollouts_survive_their_files(tmp_path):
    from tiny_environments import WALK

    from drex.agents.policies.acting import uniform
    from drex.envs.make import make_environments, task_spaces

    schedule = NoiseSchedule(levels=(0.0, 0.5, 1.0), episodes_per_level=2, names=("uniform", "sticky"))
    policy = uniform(task_spaces(WALK)[1], seed=0)
    made = rank_by_noise(policy, make_environments(WALK, 3, seed=0), schedule, seed=0)
    made.save(tmp_path)
    kept = NoisyRollouts.load(tmp_path)
    for name in ("observations", "actions", "lengths", "terminated", "last_observations"):
        np.testing.assert_array_equal(
            getattr(kept.trajectories, name), getattr(made.trajectories, name), strict=True
        )
    np.testing.assert_array_equal(
        kept.true_returns.values_for_evaluation(), made.true_returns.values_for_evaluation()
    )
    assert kept.jobs == made.jobs == tuple(schedule.jobs())
    expected = [(a, b) for a in range(12) for b in range(12) if a // 6 == b // 6 and a // 2 < b // 2]
    assert pairs(kept.ranked(minimum_gap=0.3).preferences) == expected


# Mixing, contradicting, shuffling


def test_combining_compares_nothing_across_its_parts():
    first, second = ranked(from_order([0, 1]), 3), ranked(from_order([1, 0], source="mine"), 2)
    both = combine(first, second)
    assert len(both.trajectories) == 5
    assert pairs(both.preferences) == [(1, 0), (3, 4)]
    assert both.preferences.source == "order + mine"


some_ranked = st.lists(st.integers(0, 3), min_size=2, max_size=5).filter(lambda s: len(set(s)) > 1)


@hypothesis_settings(max_examples=40, deadline=None)
@given(first=some_ranked, second=some_ranked)
def test_combining_commutes_up_to_the_order_of_trajectories(first, second):
    def part(scores, name):
        named = name + np.arange(len(scores), dtype=np.float32)[:, None]
        weight = np.arange(1, 1 + len(from_scores(scores)), dtype=np.float32)
        plain = from_scores(scores)
        return RankedTrajectories(
            trajectories_of(np.ones(len(scores)), named), from_pairs(plain.better, plain.worse, weight=weight)
        )

    def by_content(mixed):
        name = mixed.trajectories.observations[:, 0]
        kept = mixed.preferences
        return sorted(zip(name[kept.better], name[kept.worse], kept.weight, strict=True))

    one, other = part(first, 0.0), part(second, 100.0)
    assert by_content(combine(one, other)) == by_content(combine(other, one))


def test_contradictions_are_counted_by_the_pair():
    assert from_pairs([0, 1, 2], [1, 0, 1]).contradictions() == pytest.approx(2 / 3)
    assert from_pairs([0, 0, 1, 2], [1, 1, 0, 3]).contradictions() == 0.75
    assert from_order([0, 1, 2]).contradictions() == 0.0
    # 0 over 1 over 2 over 0 is a circle; 3 over 0 lies on none
    assert from_pairs([0, 1, 2, 3], [1, 2, 0, 0]).contradictions() == 0.75


def test_the_best_win_most_of_their_comparisons():
    assert from_order([4, 0, 2, 7]).win_rate().tolist() == [0.4, 0.6, 0.2, 0.8]  # of 0, 2, 4, 7
    assert from_order([4, 0, 2, 7]).top_share(0.25).tolist() == [7]
    assert from_order([4, 0, 2, 7]).top_share(0.3).tolist() == [2, 7]
    assert from_order(range(12)).top_share(0.25).tolist() == [9, 10, 11]
    assert from_order(range(12)).top_share(1.0).tolist() == list(range(12))


def test_of_tiers_the_best_whole_ones_are_chosen():
    assert from_tiers([[0], [1, 2], [3, 4, 5]]).top_share(0.25).tolist() == [3, 4, 5]
    assert from_tiers([[0, 1, 2], [3, 4], [5]]).top_share(0.25).tolist() == [
        3,
        4,
        5,
    ]  # 5 alone is no quarter of 6


def test_one_win_says_less_than_many_and_weights_count():
    lucky = from_pairs([0, 1, 1, 1], [2, 2, 3, 4])
    assert lucky.top_share(0.2).tolist() == [1]
    assert from_pairs([0, 1], [1, 0], weight=[3.0, 1.0]).top_share(0.5).tolist() == [0]


def test_rankings_made_equally_heavy_have_one_sum_of_weights_and_the_same_pairs():
    many, few = ranked(from_order(range(8)), 8), ranked(from_order([1, 0]), 2)
    one, other = balance_weights(many, few)
    assert one.preferences.weight.sum() == pytest.approx(28.0)
    assert other.preferences.weight.sum() == pytest.approx(28.0)
    assert (pairs(one.preferences), pairs(other.preferences)) == (
        pairs(many.preferences),
        pairs(few.preferences),
    )


def test_shuffled_labels_keep_the_count_and_lose_the_order():
    truth = from_scores(np.arange(60))
    agreements = []
    for seed in range(40):
        control = shuffle_labels(truth, seed=seed)
        assert len(control) == len(truth) == 1770
        assert set(control.better) | set(control.worse) == set(range(60))
        assert control.contradictions() == 0.0  # an order still, but another one
        np.testing.assert_array_equal(control.weight, truth.weight)
        agreements.append(np.mean(control.better > control.worse))
    # One order's agreement is (1 + tau) / 2, tau's deviation √(2(2n + 5) / 9n(n − 1)) = 0.089 for n = 60.
    assert np.mean(agreements) == pytest.approx(0.5, abs=4 * 0.0445 / np.sqrt(40))
    assert np.std(agreements) == pytest.approx(0.0445, rel=0.4)


def test_shuffled_labels_are_repeatable_and_say_what_they_are():
    truth = from_order([3, 5, 9])
    assert pairs(shuffle_labels(truth, seed=7)) == pairs(shuffle_labels(truth, seed=7))
    assert shuffle_labels(truth, seed=7).source == "random instead of order"
    assert set(shuffle_labels(truth, seed=7).better) <= {3, 5, 9}


def test_shuffled_labels_leave_pairs_to_hold_out_by_the_same_seed():
    preferences = from_noise_levels([job.level for job in NoiseSchedule(episodes_per_level=5).jobs()])
    for seed in range(20):
        _, held_out = split_train_held_out(
            shuffle_labels(preferences, seed=seed), 100, 0.1, np.random.default_rng(seed)
        )
        assert held_out is not None


# Errors


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: from_pairs([0], [1, 2]), "better, worse and weight of one length, found (1,), (2,), (1,)"),
        (lambda: from_pairs([[0]], [[1]]), "better, worse and weight of one length"),
        (lambda: from_pairs([], []), "preferences from pairs: expected at least one pair, found none"),
        (lambda: from_pairs([0, 4], [1, 4]), "found trajectory 4 preferred to itself"),
        (lambda: from_pairs([0.5], [1.0]), "trajectory indices, whole numbers, found float64 0.5"),
        (lambda: from_pairs([0], [1], weight=[-1.0]), "not negative, and not all 0, found weights from -1.0"),
        (lambda: from_pairs([0], [1], weight=[np.nan]), "weights that are finite"),
        (lambda: from_pairs([0], [1], weight=[0.0]), "not all 0, found weights from 0.0 to 0.0"),
        (lambda: from_scores([1.0, 1.0]), "preferences from scores: expected at least one pair"),
        (lambda: from_scores([1.0, np.inf]), "scores: expected a vector of finite numbers, found [1.0, inf]"),
        (lambda: from_scores([[1.0, 2.0]]), "scores: expected a vector of finite numbers"),
        (lambda: from_scores([1, 2], groups=["a"]), "scores: groups: expected 2, one a score, found 1"),
        (lambda: from_noise_levels([0.0, 0.2]), "preferences from noise: expected at least one pair"),
        (lambda: from_order([]), "preferences from order: expected at least one pair"),
        (lambda: from_order([3]), "preferences from order: expected at least one pair"),
        (lambda: from_order([0, 1, 0]), "each named once, found 0, named 2 times"),
        (lambda: from_order([-1, 0]), "trajectory indices from 0, each named once, found -1"),
        (lambda: from_order([0.0, 1.5]), "whole numbers, found float64 0.0"),
        (
            lambda: from_tiers([[0, 1], [1]]),
            "preferences from tiers: expected trajectory indices from 0, each",
        ),
        (lambda: from_tiers([[], []]), "preferences from tiers: expected at least one pair"),
        (lambda: from_tiers([[0, 1]]), "preferences from tiers: expected at least one pair"),
        (
            lambda: ranked(from_pairs([0], [3]), 3),
            "preferences from pairs: expected indices from 0 to 2, found 0 to 3",
        ),
        (lambda: ranked(from_pairs([-1], [1]), 3), "indices from 0 to 2, found -1 to 1"),
    ],
)
def test_rankings_that_are_none_are_refused_in_one_sentence(make, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        make()


def test_a_ranking_of_real_trajectories_says_how_many_pairs_it_holds():
    assert len(ranked_linear_world(12, seed=0).preferences) == 66
