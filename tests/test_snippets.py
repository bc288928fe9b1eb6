"""Snippets stay within their episodes, within their limits, and fall everywhere alike."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from drex.errors import UserError
from drex.rankings.preferences import from_noise_levels, from_pairs, from_scores
from drex.rewards.snippets import SnippetSettings, batch_snippets, sample_snippet_pairs


@st.composite
def cases(draw):
    """Lengths of episodes, preferences between them, and any settings."""
    lengths = np.array(draw(st.lists(st.integers(1, 40), min_size=2, max_size=6)))
    scores = draw(st.permutations(range(len(lengths))))
    shortest = draw(st.integers(1, 20))
    scheme = draw(st.sampled_from(["shared", "independent"]))
    many = (
        {"pairs": st.integers(1, 12)}
        if scheme == "independent"
        else {"trajectories": st.sampled_from([0, 2, 4])}
    )
    settings = SnippetSettings(
        scheme=scheme,
        **{name: draw(number) for name, number in many.items()},
        minimum_length=shortest,
        maximum_length=shortest + draw(st.integers(0, 15)),
        better_starts_no_earlier=draw(st.booleans()),
        stride=draw(st.integers(1, 5)),
    )
    return lengths, from_scores(scores), settings, draw(st.integers(0, 1000))


def drawn(lengths, preferences, settings, seed):
    return sample_snippet_pairs(preferences, lengths, settings, np.random.default_rng(seed))


def episodes_and_steps(lengths, found):
    """For every snippet its episode, and the steps within the episode that count."""
    episode_of_step = np.repeat(np.arange(len(lengths)), lengths)
    step_in_episode = np.concatenate([np.arange(length) for length in lengths])
    for first, count in zip(found.first, found.counts, strict=True):
        steps = first + found.stride * np.arange(count)
        yield episode_of_step[steps], step_in_episode[steps]


@hypothesis_settings(max_examples=150, deadline=None)
@given(case=cases())
def test_a_snippet_is_one_stretch_of_one_episode(case):
    lengths, _, settings, _ = case
    found = drawn(*case)
    for snippet, (episodes, steps) in enumerate(episodes_and_steps(lengths, found)):
        assert len(set(episodes.tolist())) == 1
        assert steps[0] == found.starts[snippet]
        assert (np.diff(steps) == settings.stride).all()
        assert steps[-1] < lengths[episodes[0]]


@hypothesis_settings(max_examples=150, deadline=None)
@given(case=cases())
def test_snippets_are_as_long_as_asked_or_whole_trajectories(case):
    lengths, _, settings, _ = case
    for episodes, steps in episodes_and_steps(lengths, drawn(*case)):
        # A stretch of n steps, every stride-th scored, has ceil(n / stride) scored ones.
        span = len(steps) * settings.stride
        available = lengths[episodes[0]]
        assert span - settings.stride < min(settings.maximum_length, available)
        assert span >= min(settings.minimum_length, available)
        if available <= settings.minimum_length:
            assert steps.tolist() == list(range(0, available, settings.stride))


@hypothesis_settings(max_examples=150, deadline=None)
@given(case=cases())
def test_pairs_are_among_those_preferred(case):
    lengths, preferences, settings, _ = case
    found = drawn(*case)
    episode = [episodes[0] for episodes, _ in episodes_and_steps(lengths, found)]
    allowed = set(zip(preferences.better.tolist(), preferences.worse.tolist(), strict=True))
    used = [(episode[b], episode[w]) for b, w in zip(found.better, found.worse, strict=True)]
    assert set(used) <= allowed
    if settings.scheme == "independent":
        assert len(used) == settings.pairs
        assert len(found.first) == 2 * settings.pairs
    elif not settings.better_starts_no_earlier and not 0 < settings.trajectories < len(lengths):
        assert set(used) == allowed
    assert found.weight.shape == found.better.shape == found.worse.shape


@hypothesis_settings(max_examples=150, deadline=None)
@given(case=cases())
def test_where_asked_the_better_snippet_starts_no_earlier(case):
    found = drawn(*case)
    if case[2].better_starts_no_earlier:
        assert (found.starts[found.better] >= found.starts[found.worse]).all()


@hypothesis_settings(max_examples=150, deadline=None)
@given(case=cases(), members=st.integers(1, 3))
def test_each_member_encodes_each_step_once_and_every_snippet_is_one_stretch_of_them(case, members):
    lengths, preferences, settings, seed = case
    random = np.random.default_rng(seed)
    draws = [sample_snippet_pairs(preferences, lengths, settings, random) for _ in range(members)]
    batch = batch_snippets(draws)
    scored = [
        [draw.first[i] + draw.stride * np.arange(draw.counts[i]) for i in range(len(draw.first))]
        for draw in draws
    ]
    flat = [steps.tolist() for steps_of_member in scored for steps in steps_of_member]
    stretches = zip(batch.begins, batch.counts, strict=True)
    assert [batch.steps.flatten()[begin : begin + count].tolist() for begin, count in stretches] == flat
    needed = [set(np.concatenate(steps_of_member).tolist()) for steps_of_member in scored]
    assert batch.steps.shape == (members, max(len(steps) for steps in needed))
    for row, steps in zip(batch.steps.tolist(), needed, strict=True):
        assert len(set(row[: len(steps)])) == len(steps)
        assert set(row[: len(steps)]) == steps
        assert set(row[len(steps) :]) <= {0}


def test_the_pairs_of_all_members_are_joined_with_weights_that_sum_to_one_each():
    random, preferences = np.random.default_rng(0), from_pairs([0, 1], [1, 2], weight=[1.0, 3.0])
    settings, lengths = SnippetSettings(minimum_length=2, maximum_length=2, stride=1), np.array([4, 4, 4])
    batch = batch_snippets([sample_snippet_pairs(preferences, lengths, settings, random) for _ in range(2)])
    assert batch.better.tolist() == [0, 1, 3, 4]
    assert batch.worse.tolist() == [1, 2, 4, 5]
    assert batch.weight.tolist() == [0.25, 0.75, 0.25, 0.75]


def test_a_snippet_from_some_trajectories_is_compared_in_all_pairs_among_them():
    lengths, preferences = np.full(12, 9), from_scores(range(12))
    settings = SnippetSettings(minimum_length=3, maximum_length=3, stride=1, trajectories=4)
    generator, drawn_so_often = np.random.default_rng(0), np.zeros(12)
    for _ in range(600):
        found = sample_snippet_pairs(preferences, lengths, settings, generator)
        episodes = found.first // 9
        assert len(set(episodes.tolist())) == 4
        assert len(found.better) == 6
        assert (episodes[found.better] > episodes[found.worse]).all()
        np.testing.assert_array_equal(found.starts, found.first % 9)
        drawn_so_often[episodes] += 1
    np.testing.assert_allclose(drawn_so_often, 200, atol=4 * np.sqrt(200 * 2 / 3))


@pytest.mark.parametrize("scheme", ["shared", "independent"])
def test_margins_between_levels_are_respected(scheme):
    levels = np.repeat([0.0, 0.25, 0.5, 0.75, 1.0], 2)
    many = {"pairs": 500} if scheme == "independent" else {}
    settings = SnippetSettings(scheme=scheme, minimum_length=3, maximum_length=6, stride=1, **many)
    lengths = np.full(10, 12)
    found = drawn(lengths, from_noise_levels(levels, minimum_gap=0.3), settings, 0)
    level = levels[found.first // 12]
    gaps = level[found.worse] - level[found.better]
    assert gaps.min() == 0.5
    assert gaps.max() == 1.0


@pytest.mark.parametrize("scheme", ["shared", "independent"])
def test_every_start_is_as_likely_as_any_other(scheme):
    many = {"pairs": 200} if scheme == "independent" else {}
    settings = SnippetSettings(scheme=scheme, minimum_length=4, maximum_length=4, stride=1, **many)
    generator, preferences = np.random.default_rng(0), from_pairs([0], [1])
    starts = []
    for _ in range(1500 if scheme == "shared" else 10):
        found = sample_snippet_pairs(preferences, np.array([10, 13]), settings, generator)
        starts += found.starts[found.better].tolist()
    counts = np.bincount(starts, minlength=7)
    assert len(counts) == 7  # starts 0 to 6 leave room for 4 of 10 steps
    expected = len(starts) / 7
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    assert chi_squared < 22.5  # 99.9th percentile for 6 degrees of freedom


def test_every_length_between_the_limits_is_as_likely_as_any_other():
    settings = SnippetSettings(scheme="independent", minimum_length=2, maximum_length=6, stride=1, pairs=2000)
    found = drawn(np.array([30, 30]), from_pairs([0], [1]), settings, 1)
    np.testing.assert_array_equal(
        found.counts[found.better], found.counts[found.worse]
    )  # two of a pair are alike
    counts = np.bincount(found.counts[found.better])[2:]
    assert len(counts) == 5
    assert ((counts - 400) ** 2 / 400).sum() < 18.5  # 99.9th percentile for 4 degrees of freedom


def test_independent_pairs_are_drawn_by_their_weight():
    preferences = from_pairs([0, 1, 2], [3, 3, 3], weight=[1.0, 3.0, 0.0])
    settings = SnippetSettings(scheme="independent", minimum_length=1, maximum_length=1, stride=1, pairs=4000)
    found = drawn(np.array([5, 5, 5, 5]), preferences, settings, 2)
    share = np.bincount(found.first[found.better] // 5, minlength=3) / 4000
    assert share[2] == 0.0
    assert share[1] == pytest.approx(0.75, abs=4 * np.sqrt(0.75 * 0.25 / 4000))
    assert (found.weight == 1).all()


def test_shared_pairs_keep_their_weight():
    preferences = from_pairs([0, 1, 2], [1, 2, 0], weight=[1.0, 3.0, 0.0])
    assert drawn(np.array([5, 5, 5]), preferences, SnippetSettings(), 0).weight.tolist() == [1.0, 3.0, 0.0]


def test_one_generator_draws_the_same_again():
    preferences, lengths = from_scores([1, 2, 3]), np.array([30, 60, 90])
    for scheme in ("shared", "independent"):
        first, second = (drawn(lengths, preferences, SnippetSettings(scheme=scheme), 5) for _ in range(2))
        np.testing.assert_array_equal(first.first, second.first)
        np.testing.assert_array_equal(first.better, second.better)


@pytest.mark.parametrize(
    ("longest", "expected"),
    [(1000, (100, 200, 20)), (400, (100, 200, 20)), (100, (25, 50, 5)), (4, (1, 2, 1))],
)
def test_snippets_shrink_to_half_of_the_longest_trajectory(longest, expected):
    """The number of scored steps stays, where there are as many."""
    fitted = SnippetSettings(minimum_length=100).fitted(np.array([3, longest]))
    assert (fitted.minimum_length, fitted.maximum_length, fitted.stride) == expected
    asked = SnippetSettings(maximum_share=1.0)
    assert asked.fitted(np.array([3, longest])) == asked


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"minimum_length": 0}, "SnippetSettings.minimum_length: expected at least 1, found 0"),
        (
            {"minimum_length": 201},
            "SnippetSettings.minimum_length: expected at most maximum_length (200), found 201",
        ),
        ({"trajectories": 1}, "SnippetSettings.trajectories: expected 0 for all, or at least 2, found 1"),
        ({"stride": 0}, "SnippetSettings.stride: expected at least 1, found 0"),
        ({"pairs": 0}, "SnippetSettings.pairs: expected at least 1, found 0"),
    ],
)
def test_settings_without_meaning_are_refused(changes, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        SnippetSettings(**changes)
