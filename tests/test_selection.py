"""The returned policy: the trained one where every judge rates it above the clone, else the clone."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from ranked_examples import trajectories_of

from drex.envs.data.trajectories import Trajectories
from drex.selection.choice import Candidate, Judge, PolicyChoice, choose

GREEDY, SAMPLING = Candidate(False, 0, "greedy"), Candidate(False, 0, "sampling")
EARLY, LATE = Candidate(True, 100, "greedy"), Candidate(True, 200, "greedy")


class Pays:
    """A reward of one observation, in place of a learned one."""

    def __init__(self, column: int) -> None:
        self._column = column

    def returns(self, trajectories: Trajectories):
        return np.add.reduceat(
            trajectories.observations[:, self._column].astype(np.float64), trajectories.starts
        )


def judges(*columns):
    return [Judge(f"judge {column}", Pays(column), 0.0) for column in columns]


def chosen(played, *, noise=0.0, **options):
    return choose(played, judges(0, 1), learned=judges(1)[0], noise=episodes(noise), **options)


def episodes(first, second=None, *, count=8, spread=0.1):
    """Episodes of one step that the two judges pay about these values."""
    around = spread * np.linspace(-1.0, 1.0, count)
    second = first if second is None else second
    return trajectories_of([1] * count, np.stack([first + around, second + around], axis=1))


def test_a_policy_that_all_judges_prefer_is_returned():
    played = {GREEDY: episodes(10.0), SAMPLING: episodes(8.0), LATE: episodes(20.0, 15.0)}
    choice = chosen(played)
    assert choice.returned == LATE
    rating = next(rating for rating in choice.ratings if rating.candidate == LATE)
    assert rating.gains == pytest.approx({"judge 0": 1.0, "judge 1": 0.5})
    assert rating.lower < 0.5
    assert rating.learned == pytest.approx(0.5)


@pytest.mark.parametrize("second", [9.0, 10.0])
def test_one_judge_that_does_not_prefer_it_keeps_the_better_clone(second):
    played = {GREEDY: episodes(10.0), SAMPLING: episodes(8.0), LATE: episodes(30.0, second)}
    choice = chosen(played)
    assert choice.returned == GREEDY
    assert "not every judge" in choice.reason


def test_a_gain_within_chance_is_none():
    played = {GREEDY: episodes(10.0, spread=5.0), SAMPLING: episodes(8.0), LATE: episodes(10.5, spread=5.0)}
    assert chosen(played).returned == GREEDY


@pytest.mark.parametrize(("gain", "returned"), [(0.01, GREEDY), (0.03, LATE)])
def test_a_gain_of_a_hundredth_is_not_worth_the_risk(gain, returned):
    values = {GREEDY: 10.0, SAMPLING: 8.0, LATE: 10.0 * (1.0 + gain)}
    played = {candidate: episodes(value, spread=1e-6) for candidate, value in values.items()}
    assert chosen(played).returned == returned


def test_the_sampling_clone_is_returned_where_it_is_the_better_one():
    played = {GREEDY: episodes(3.0), SAMPLING: episodes(8.0), LATE: episodes(5.0)}
    assert chosen(played).returned == SAMPLING


def test_the_best_policy_along_the_training_is_returned():
    played = {GREEDY: episodes(10.0), SAMPLING: episodes(8.0), EARLY: episodes(25.0), LATE: episodes(20.0)}
    assert chosen(played).returned == EARLY


def test_a_doubt_returns_the_clone_and_says_why():
    played = {GREEDY: episodes(10.0), SAMPLING: episodes(8.0), LATE: episodes(20.0)}
    choice = chosen(played, doubts=["the learned return is length alone"])
    assert choice.returned == GREEDY
    assert choice.reason.endswith("since the learned return is length alone")


@pytest.mark.parametrize("doubts", [(), ("the learned return is length alone",)])
def test_a_clone_that_one_judge_rates_below_noise_is_not_returned(doubts):
    """Nor is the best policy along the training: gains over such a clone mean nothing."""
    played = {GREEDY: episodes(10.0), SAMPLING: episodes(8.0), EARLY: episodes(25.0), LATE: episodes(5.0)}
    learned, above, below = judges(1)[0], episodes(0.0, 9.5), episodes(0.0, 10.5)
    choice = choose(played, judges(0, 1), learned=learned, noise=below, doubts=doubts)
    assert choice.returned == LATE
    assert "the judge of judge 1 rates the clone below the noisiest rollouts" in choice.reason
    assert choose(played, judges(0, 1), learned=learned, noise=above, doubts=["doubt"]).returned == GREEDY


def test_a_negative_scale_of_returns_does_not_turn_the_choice():
    """Where ending pays, all returns are negative."""
    noisy = [dataclasses.replace(judge, noisiest=-500.0) for judge in judges(0, 1)]
    played = {GREEDY: episodes(-100.0), SAMPLING: episodes(-170.0), LATE: episodes(-80.0)}
    choice = choose(played, noisy, learned=noisy[0], noise=episodes(-500.0))
    assert choice.returned == LATE
    assert choice.ratings[-1].gains["judge 0"] == pytest.approx(20.0 / 400.0)


def test_a_choice_survives_json():
    played = {GREEDY: episodes(10.0), SAMPLING: episodes(8.0), LATE: episodes(20.0)}
    choice = chosen(played)
    assert PolicyChoice.from_json(json.loads(json.dumps(choice.to_json()))) == choice
