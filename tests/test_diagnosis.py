"""Findings before PPO, on rollouts whose answer is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from ranked_examples import trajectories_of
from test_both_clones import rollouts
from test_normalize import observation_itself

from drex.agents.rollouts.noise import NoiseJob
from drex.diagnosis.finding import Finding, doubts_of
from drex.diagnosis.findings import ranking_findings, reward_findings
from drex.envs.data.true_returns import TrueReturns
from drex.rankings.noisy_rollouts import NoisyRollouts
from drex.rankings.preferences import RankedTrajectories, from_order


def by_name(findings):
    return {finding.name: finding for finding in findings}


def both_kinds(**changes):
    """Uniform and sticky rollouts that do the same to the observations."""
    parts = [rollouts(greedy=True, seed=seed, **changes) for seed in (0, 1)]
    jobs = [*parts[0].jobs, *(NoiseJob("sticky", job.level) for job in parts[1].jobs)]
    joined = type(parts[0].trajectories).concatenate([part.trajectories for part in parts])
    return NoisyRollouts(joined, TrueReturns.unknown(len(jobs)), tuple(jobs), np.ones(len(jobs), np.bool_))


def without_noise(rolled):
    """The first half of its episodes without noise, as demonstrations."""
    return rolled.trajectories.select([i for i, job in enumerate(rolled.jobs) if job.level == 0.0])


def test_noise_that_grades_behaviour_is_green():
    rolled = both_kinds()
    found = by_name(ranking_findings(without_noise(rolled), rolled, rolled.ranked_kinds(2.0)))
    assert {
        name: found[name].light for name in ("uniform noise", "sticky noise", "kinds of noise", "clone")
    } == {
        "uniform noise": "green",
        "sticky noise": "green",
        "kinds of noise": "green",
        "clone": "green",
    }
    assert not found["uniform noise"].advice


def test_a_kind_of_noise_that_does_not_show_is_no_doubt_while_another_does():
    def findings(uniform, sticky, across="green"):
        kinds = (("uniform noise", uniform, True), ("sticky noise", sticky, True))
        every = (*kinds, ("kinds of noise", across, False))
        return [Finding(name, light, 0.5, name, one_kind=one_kind) for name, light, one_kind in every]

    assert doubts_of(findings("green", "green")) == []
    assert doubts_of(findings("red", "yellow")) == []
    assert doubts_of(findings("red", "red")) == ["uniform noise", "sticky noise"]
    assert doubts_of(findings("red", "green", "red")) == ["kinds of noise"]


def test_the_only_kind_of_noise_is_a_doubt():
    rolled = rollouts(greedy=True)
    random = np.random.default_rng(3)
    seen = random.normal(size=rolled.trajectories.observations.shape)
    rolled = dataclasses.replace(rolled, trajectories=trajectories_of(rolled.trajectories.lengths, seen))
    found = list(ranking_findings(without_noise(rolled), rolled, rolled.ranked_kinds(2.0)))
    (uniform,) = (finding for finding in found if finding.name == "uniform noise")
    assert uniform.light == "red" and uniform.sentence in doubts_of(found)


def test_noise_that_changes_nothing_is_red():
    rolled = both_kinds()
    random = np.random.default_rng(3)
    seen = random.normal(size=rolled.trajectories.observations.shape)
    rolled = dataclasses.replace(rolled, trajectories=trajectories_of(rolled.trajectories.lengths, seen))
    found = by_name(ranking_findings(without_noise(rolled), rolled, rolled.ranked_kinds(2.0)))
    assert found["uniform noise"].light == found["sticky noise"].light == "red"
    assert found["uniform noise"].advice


def test_demonstrations_unlike_the_clone_are_red():
    rolled = both_kinds()
    noisy = rolled.trajectories.select([i for i, job in enumerate(rolled.jobs) if job.level == 1.0])
    assert by_name(ranking_findings(noisy, rolled, rolled.ranked_kinds(2.0)))["clone"].light == "red"


def test_a_greedy_clone_left_out_is_yellow():
    rolled = rollouts(greedy=False)
    found = by_name(ranking_findings(without_noise(rolled), rolled, rolled.ranked_kinds(2.0)))
    assert found["greedy clone"].light == "yellow"


def ranked(values, lengths, terminated, *, order):
    """Episodes that pay these values a step, worst first in the order."""
    steps = np.repeat(np.asarray(values, float), lengths)[:, None]
    return RankedTrajectories(trajectories_of(lengths, steps, terminated=terminated), from_order(order))


def light_of_ending(values, lengths, terminated, demonstrations_terminated):
    part = ranked(values, lengths, terminated, order=range(len(lengths)))
    count = len(demonstrations_terminated)
    given = trajectories_of([3] * count, np.zeros((3 * count, 1)), terminated=demonstrations_terminated)
    return by_name(reward_findings(given, part, observation_itself(), None))["ending"].light


def test_a_reward_of_length_alone_is_red_where_demonstrations_last_already():
    flat = [1.0, 1.01, 1.0, 0.99]
    lengths, ends = [10, 20, 30, 40], [True, True, True, False]
    assert light_of_ending(flat, lengths, ends, [True, False]) == "red"
    assert light_of_ending(flat, lengths, ends, [True, True]) == "green"  # lasting is still to be learned
    assert light_of_ending([1.0, 3.0, 0.2, 2.0], lengths, ends, [True, False]) == "green"


def test_ending_that_noise_does_not_change_is_yellow():
    part = ranked([1.0] * 4, [10, 20, 20, 10], [True] * 4, order=[0, 1, 2, 3])
    given = trajectories_of([3], np.zeros((3, 1)), terminated=[True])
    assert by_name(reward_findings(given, part, observation_itself(), None))["ending"].light == "yellow"


def test_returns_against_the_ranking_are_red():
    part = ranked([3.0, 2.0, 1.0], [5, 5, 5], [False] * 3, order=[0, 1, 2])
    given = trajectories_of([3], np.zeros((3, 1)))
    found = by_name(reward_findings(given, part, observation_itself(), 0.5))
    assert found["order"].light == found["held-out pairs"].light == "red"
    assert found["order"].value == 0.0


def test_a_clock_is_red():
    steps = np.tile(np.arange(20.0), 3)[:, None]
    part = RankedTrajectories(trajectories_of([20] * 3, steps), from_order([0, 1, 2]))
    found = by_name(reward_findings(part.trajectories, part, observation_itself(), None))
    assert found["time"].light == "red"


@pytest.mark.parametrize("value", [np.nan, 1e9])
def test_no_finding_reads_a_true_return(value):
    rolled = both_kinds()
    other = dataclasses.replace(rolled, true_returns=TrueReturns(np.full(len(rolled.jobs), value)))
    given = without_noise(rolled)
    assert list(ranking_findings(given, rolled, rolled.ranked_kinds(2.0))) == list(
        ranking_findings(given, other, other.ranked_kinds(2.0))
    )


def test_a_kind_that_is_not_ranked_is_green_unless_it_does_not_show_at_all():
    rolled = both_kinds()
    seen = np.array(rolled.trajectories.observations)
    sticky = np.repeat(rolled.kinds == "sticky", rolled.trajectories.lengths)
    for spread, light in ((0.0, "green"), (100.0, "red")):
        noise = np.random.default_rng(0).normal(scale=spread, size=seen.shape) if spread else 0.0
        noisy = trajectories_of(rolled.trajectories.lengths, np.where(sticky[:, None], seen + noise, seen))
        found = by_name(
            ranking_findings(
                without_noise(rolled), dataclasses.replace(rolled, trajectories=noisy), ["uniform"]
            )
        )
        assert found["sticky noise"].light == light
        assert ("is not ranked" in found["sticky noise"].sentence) == (light == "green")
        assert "kinds of noise" not in found
