"""Trajectories check themselves, and selecting, joining and looking one step ahead lose nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drex.envs.data.trajectories import Trajectories
from drex.envs.data.true_returns import TrueReturns
from drex.errors import UserError


def numbered(lengths, *, terminated=None, known_ends=True, first=0.0):
    """Episodes whose k-th observation is (episode, k), so that every step can be told apart."""
    lengths = np.array(lengths, np.int64)
    episode = first + np.repeat(np.arange(len(lengths)), lengths)
    step = np.concatenate([np.arange(length) for length in lengths])
    return Trajectories(
        np.stack([episode, step], axis=1).astype(np.float32),
        (10.0 * episode + step)[:, None].astype(np.float32),
        lengths,
        np.zeros(len(lengths), np.bool_) if terminated is None else np.array(terminated),
        np.stack([first + np.arange(len(lengths)), lengths], axis=1).astype(np.float32)
        if known_ends
        else None,
    )


EXAMPLE = numbered([3, 1, 2], terminated=[False, True, False])


def test_starts_ends_and_episodes_of_steps():
    assert EXAMPLE.starts.tolist() == [0, 3, 4]
    assert EXAMPLE.ends.tolist() == [3, 4, 6]
    assert EXAMPLE.episode_of_step.tolist() == [0, 0, 0, 1, 2, 2]
    assert EXAMPLE.terminated_steps().tolist() == [False, False, False, True, False, False]
    assert len(EXAMPLE) == 3
    assert "3 episodes, 6 steps" in repr(EXAMPLE)
    assert "1 terminated" in repr(EXAMPLE)


def test_next_observations_end_with_the_last_ones():
    assert EXAMPLE.next_observations().tolist() == [[0, 1], [0, 2], [0, 3], [1, 1], [2, 1], [2, 2]]


def test_an_unknown_last_observation_repeats_the_last_one_seen():
    unknown = dataclasses.replace(EXAMPLE, last_observations=None)
    assert unknown.next_observations().tolist() == [[0, 1], [0, 2], [0, 2], [1, 0], [2, 1], [2, 1]]


def test_looking_ahead_changes_nothing():
    before = EXAMPLE.observations.copy()
    EXAMPLE.next_observations()[:] = 99.0
    np.testing.assert_array_equal(EXAMPLE.observations, before)


def test_there_is_no_field_for_rewards():
    assert {field.name for field in dataclasses.fields(Trajectories)} == {
        "observations",
        "actions",
        "lengths",
        "terminated",
        "last_observations",
    }
    with pytest.raises(dataclasses.FrozenInstanceError):
        EXAMPLE.lengths = EXAMPLE.lengths
    with pytest.raises(TypeError, match="rewards"):
        dataclasses.replace(EXAMPLE, rewards=np.zeros(6))


lengths_lists = st.lists(st.integers(1, 6), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), lengths=lengths_lists, known_ends=st.booleans())
def test_selected_episodes_are_those_named_in_the_order_named(data, lengths, known_ends):
    whole = numbered(lengths, known_ends=known_ends, terminated=[n % 2 == 0 for n in lengths])
    chosen = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=8))
    picked = whole.select(chosen)
    assert picked.lengths.tolist() == [lengths[episode] for episode in chosen]
    assert picked.observations[picked.starts, 0].tolist() == chosen
    assert picked.observations[:, 1].tolist() == [
        step for episode in chosen for step in range(lengths[episode])
    ]
    np.testing.assert_array_equal(picked.actions[:, 0], picked.observations @ [10.0, 1.0])
    assert picked.terminated.tolist() == [lengths[episode] % 2 == 0 for episode in chosen]
    assert (picked.last_observations is None) == (not known_ends)


@settings(max_examples=60, deadline=None)
@given(parts=st.lists(lengths_lists, min_size=1, max_size=4))
def test_joining_then_selecting_gives_every_part_back(parts):
    pieces = [numbered(lengths, first=10.0 * index) for index, lengths in enumerate(parts)]
    whole = Trajectories.concatenate(pieces)
    assert len(whole) == sum(len(lengths) for lengths in parts)
    np.testing.assert_array_equal(
        whole.next_observations(), np.concatenate([piece.next_observations() for piece in pieces])
    )
    offset = 0
    for piece in pieces:
        back = whole.select(range(offset, offset + len(piece)))
        for field in dataclasses.fields(Trajectories):
            np.testing.assert_array_equal(getattr(back, field.name), getattr(piece, field.name))
        offset += len(piece)


@settings(max_examples=40, deadline=None)
@given(lengths=lengths_lists)
def test_within_an_episode_the_next_observation_is_the_one_of_the_next_step(lengths):
    whole = numbered(lengths)
    ahead = whole.next_observations()
    np.testing.assert_array_equal(ahead[:, 1], whole.observations[:, 1] + 1)
    np.testing.assert_array_equal(ahead[:, 0], whole.observations[:, 0])
    assert whole.terminated_steps().sum() == whole.terminated.sum()


def test_last_observations_survive_joining_only_if_every_part_knows_them():
    joined = Trajectories.concatenate([EXAMPLE, dataclasses.replace(EXAMPLE, last_observations=None)])
    assert joined.last_observations is None
    assert len(joined) == 6


def with_nan(array):
    spoiled = array.copy()
    spoiled[-1] = np.nan
    return spoiled


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"actions": EXAMPLE.actions[:5]}, "actions: expected 6 steps, as many as observations, found 5"),
        (
            {"lengths": np.array([3, 1, 1])},
            "lengths: expected a sum of 6, the number of observations, found 5",
        ),
        ({"lengths": np.array([3, 0, 3])}, "lengths: expected a vector of positive integers"),
        ({"lengths": np.array([3.0, 1.0, 2.0])}, "lengths: expected a vector of positive integers"),
        ({"lengths": np.array([[3, 1, 2]])}, "lengths: expected a vector of positive integers"),
        ({"terminated": np.array([True])}, r"terminated: expected \(3,\) bool, found \(1,\) bool"),
        ({"terminated": np.zeros(3, np.int64)}, r"terminated: expected \(3,\) bool, found \(3,\) int64"),
        (
            {"last_observations": EXAMPLE.observations},
            r"last_observations: expected \(3, 2\), found \(6, 2\)",
        ),
        (
            {"observations": with_nan(EXAMPLE.observations)},
            "observations: expected finite numbers, found NaN or infinity at index 5",
        ),
        ({"actions": with_nan(EXAMPLE.actions)}, "actions: expected finite numbers, .* at index 5"),
        (
            {"last_observations": with_nan(EXAMPLE.last_observations)},
            "last_observations: expected finite numbers, .* at index 2",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::conftest.WrongType")
def test_what_does_not_fit_is_named(wrong, sentence):
    with pytest.raises(UserError, match=sentence):
        dataclasses.replace(EXAMPLE, **wrong)


def test_nothing_at_all_is_refused():
    nothing = np.zeros((0, 2), np.float32)
    with pytest.raises(UserError, match="at least one episode of one step, found 0 episodes, 0 steps"):
        Trajectories(nothing, nothing, np.zeros(0, np.int64), np.zeros(0, np.bool_))
    with pytest.raises(UserError, match="at least one episode"):
        EXAMPLE.select([])


def an_episode(steps, *, last=True, terminated=True, **changes):
    seen = np.arange(steps + last, dtype=np.float32)[:, None]
    return {"observations": seen, "actions": np.zeros(steps), "terminated": terminated} | changes


def test_episodes_are_joined_with_their_last_observations():
    joined = Trajectories.from_episodes([an_episode(2), an_episode(3, terminated=False, rewards=np.ones(3))])
    assert joined.observations[:, 0].tolist() == [0, 1, 0, 1, 2]
    assert joined.last_observations[:, 0].tolist() == [2, 3]
    assert (joined.lengths.tolist(), joined.terminated.tolist()) == ([2, 3], [True, False])
    one_unknown = Trajectories.from_episodes([an_episode(2), an_episode(3, last=False)])
    assert one_unknown.observations.shape == (5, 1) and one_unknown.last_observations is None


@pytest.mark.parametrize(
    ("episodes", "sentence"),
    [
        ([], "trajectories: expected at least one episode, found none"),
        ([{"observations": [0], "actions": [0]}], "episode 0: terminated: expected an entry of this name"),
        (
            [an_episode(2, actions=np.zeros(5))],
            "0: observations: expected 5 or 6 rows beside 5 actions",
        ),
        (
            [an_episode(2, terminated=[False, True])],
            "0: terminated: expected true or false, found (2,)",
        ),
        (
            [an_episode(2), an_episode(2, observations=np.zeros((3, 4)))],
            "observations: expected (1,) a step, as in the first part, found (4,)",
        ),
        ([an_episode(2, actions=[0.0, np.nan])], "actions: expected finite numbers"),
    ],
)
def test_episodes_that_fit_no_trajectories_are_refused_in_one_sentence(episodes, sentence):
    with pytest.raises(UserError) as refused:
        Trajectories.from_episodes(episodes)
    assert sentence in str(refused.value)


def test_true_returns_are_read_through_one_method():
    returns = TrueReturns([12.5, 7.0])
    assert repr(returns) == "TrueReturns(2 episodes)"
    assert not hasattr(returns, "__dict__")
    opened = returns.values_for_evaluation()
    opened[:] = 0.0
    assert returns.values_for_evaluation().tolist() == [12.5, 7.0]
    joined = TrueReturns.concatenate([returns, TrueReturns.unknown(1)])
    assert len(joined) == 3
    np.testing.assert_array_equal(joined.values_for_evaluation(), [12.5, 7.0, np.nan])


def test_step_rewards_are_joined_only_if_all_are_known():
    known = TrueReturns([3.0], [1.0, 2.0])
    assert known.step_values_for_evaluation().tolist() == [1.0, 2.0]
    assert TrueReturns.concatenate([known, known]).step_values_for_evaluation().tolist() == [
        1.0,
        2.0,
        1.0,
        2.0,
    ]
    assert TrueReturns.concatenate([known, TrueReturns.unknown(1)]).step_values_for_evaluation() is None
