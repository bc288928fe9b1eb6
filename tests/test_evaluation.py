"""Judging: known answers, intervals that cover, and null for whatever cannot be known."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
from ranked_examples import trajectories_of
from test_normalize import observation_itself
from tiny_environments import BEST_RETURN, HORIZON, WALK

from drex.agents.rollouts.noise import NoiseJob
from drex.demonstrations.load_and_save import Demonstrations
from drex.envs.data.true_returns import TrueReturns
from drex.errors import UserError
from drex.evaluation.evaluate import EvaluationSettings, PolicyEvaluation, evaluate_policy
from drex.evaluation.findings import assemble, noise_curve
from drex.evaluation.statistics import agreement, bootstrap_interval, summarize
from drex.evaluation.training_curve import TrueReturnWatch
from drex.rankings.noisy_rollouts import NoisyRollouts
from drex.rankings.preferences import RankedTrajectories, from_pairs
from drex.rankings.ranked_episodes import from_noise, from_user_ranking
from drex.rankings.settings import NoiseRanking

NOTHING_KNOWN = {"mean": None, "std": None, "best": None, "interval": None}

# One policy


def test_a_summary_states_mean_deviation_best_and_interval():
    found = summarize(np.array([1.0, 2.0, 6.0]))
    low, high = found.pop("interval")
    assert found == {"mean": 3.0, "std": pytest.approx(np.sqrt(7.0)), "best": 6.0, "episodes": 3}
    assert 1.0 <= low < 3.0 < high <= 6.0


def test_one_return_has_no_deviation_and_no_interval():
    assert summarize(np.array([4.0])) == {
        "mean": 4.0,
        "std": None,
        "best": 4.0,
        "interval": None,
        "episodes": 1,
    }


@pytest.mark.parametrize("returns", [[np.nan, 1.0], [np.nan] * 3, []])
def test_what_is_not_known_of_every_episode_is_null(returns):
    assert summarize(np.array(returns)) == NOTHING_KNOWN | {"episodes": len(returns)}


def test_the_interval_covers_the_mean_about_as_often_as_it_says():
    random = np.random.default_rng(0)
    covered = []
    for trial in range(400):
        low, high = bootstrap_interval(random.exponential(size=40), resamples=400, seed=trial)
        covered.append(low <= 1.0 <= high)
    # The percentile bootstrap covers a little less than 95% of skewed samples of 40.
    assert 0.89 < np.mean(covered) < 0.97


def test_the_interval_is_as_wide_as_theory_says():
    values = np.random.default_rng(1).normal(5.0, 2.0, size=400)
    low, high = bootstrap_interval(values)
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)
    assert bootstrap_interval(values) == [low, high]  # the same again
    assert bootstrap_interval(np.full(5, 3.0)) == [3.0, 3.0]


def always_forward(observations):
    return np.tile(np.array([1.0, 0.0], np.float32), (len(observations), 1))


def test_a_policy_with_a_known_return_is_judged_to_have_it():
    advanced = []
    found = evaluate_policy(
        always_forward,
        WALK,
        EvaluationSettings(episodes=5, environments=3),
        seed=0,
        progress=advanced.append,
    )
    assert found.returns.tolist() == [BEST_RETURN] * 5
    assert found.summary() == {
        "mean": BEST_RETURN,
        "std": 0.0,
        "best": BEST_RETURN,
        "interval": [BEST_RETURN, BEST_RETURN],
        "episodes": 5,
        "length": float(HORIZON),
    }
    assert len(found.trajectories) == 5
    assert sum(advanced) == 5


@pytest.mark.parametrize("changes", [{"episodes": 1}, {"environments": 0}])
def test_too_little_to_judge_by_is_refused(changes):
    with pytest.raises(UserError, match=r"EvaluationSettings\.(episodes|environments): expected at least"):
        EvaluationSettings(**changes)


# Agreement of learned and true returns


def test_agreement_of_known_orders():
    returns = np.array([1.0, 2.0, 3.0, 4.0])
    perfect = {"kendall_tau": pytest.approx(1.0), "pearson": pytest.approx(1.0)}
    assert agreement(10 * returns - 3, returns) == perfect
    assert agreement(-returns, returns)["kendall_tau"] == pytest.approx(-1.0)
    # One of six pairs the wrong way round: (5 - 1) / 6; Pearson's by hand: 1 - 6·2 / (4·15) = 0.8.
    found = agreement(np.array([1.0, 3.0, 2.0, 4.0]), returns)
    assert found == {"kendall_tau": pytest.approx(4 / 6), "pearson": pytest.approx(0.8)}


@pytest.mark.parametrize(
    ("predicted", "returns"),
    [
        ([1.0, 2.0], [np.nan, 1.0]),
        ([1.0, 2.0], [1.0, 1.0]),
        ([2.0, 2.0], [1.0, 2.0]),
        ([1.0], [1.0]),
        ([], []),
    ],
)
def test_agreement_that_cannot_be_known_is_null(predicted, returns):
    assert agreement(np.array(predicted), np.array(returns)) == {"kendall_tau": None, "pearson": None}


# The whole


def noisy_rollouts(returns):
    """Two kinds, levels 0 and 1 and again, lengths 1 to 4; the learned reward is the observation."""
    world = trajectories_of([1, 2, 3, 4], [[4.0], *[[1.0]] * 2, *[[2.0]] * 3, *[[0.5]] * 4])
    kinds = ("uniform", "uniform", "sticky", "sticky")
    jobs = tuple(NoiseJob(kind, level) for kind, level in zip(kinds, (0.0, 1.0) * 2, strict=True))
    return NoisyRollouts(world, TrueReturns(returns), jobs, np.zeros(len(jobs), np.bool_))


def judgement(*returns):
    lengths = np.full(len(returns), 2)
    return PolicyEvaluation(np.array(returns), trajectories_of(lengths, np.ones((2 * len(returns), 1))))


def assembled(demonstrator, rollouts=(8.0, 3.0, 9.0, 1.0), policy=(10.0, 20.0)):
    demonstrations = Demonstrations(
        trajectories_of([1, 2], [[3.0], [1.0], [1.0]]), TrueReturns(demonstrator), "here"
    )
    judged = {
        "random": judgement(0.0, 1.0),
        "bc": judgement(2.0, 4.0),
        "bc_stochastic": judgement(1.0, 4.0),
        "policy": judgement(*policy),
        "trained_deterministic": judgement(12.0, 14.0),
    }
    ranked = from_noise(noisy_rollouts(rollouts), NoiseRanking(minimum_gap=0.3, grade_margin=2.0))
    found = assemble(demonstrations, ranked, observation_itself(), judged)
    json.dumps(found, allow_nan=False)  # JSON as it is
    return found


def test_everything_is_judged_side_by_side():
    found = assembled([5.0, 7.0])
    assert list(found) == [
        "demonstrator",
        "random",
        "bc",
        "bc_stochastic",
        "policy",
        "trained_deterministic",
        "beats_best_demonstration",
        "reward",
        "ranking",
        "noise",
        "predicted_and_true",
    ]
    assert (found["demonstrator"]["mean"], found["demonstrator"]["best"]) == (6.0, 7.0)
    assert found["policy"]["mean"] == 15.0
    assert found["policy"]["length"] == 2.0
    assert found["bc_stochastic"]["mean"] == 2.5
    said = {
        "source": "noise",
        "trajectories": 4,
        "compared": 4,
        "pairs": 2,
        "contradictions": 0.0,
        "user": [],
    }
    assert found["ranking"] == said | {"rollout_policy": None}
    assert found["beats_best_demonstration"] is True
    # Predicted 4, 2, 6, 2 (sums of observations): both pairs, within their kinds, are ordered rightly.
    assert found["reward"]["pair_accuracy"] == 1.0
    assert found["reward"]["kendall_tau"] == pytest.approx(5 / np.sqrt(5 * 6))  # tau-b: one tie in predicted
    assert found["predicted_and_true"]["ranked"] == [[4.0, 8.0], [2.0, 3.0], [6.0, 9.0], [2.0, 1.0]]
    assert found["predicted_and_true"]["demonstrations"] == [[3.0, 5.0], [2.0, 7.0]]
    assert found["predicted_and_true"]["policy"] == [[2.0, 10.0], [2.0, 20.0]]
    assert set(found["predicted_and_true"]) == {"demonstrations", "ranked", "bc", "policy"}


def test_the_mean_must_beat_the_best_demonstration():
    assert assembled([5.0, 15.0])["beats_best_demonstration"] is False
    assert assembled([5.0, 14.9])["beats_best_demonstration"] is True


UNKNOWN_AGREEMENT = dict.fromkeys(("kendall_tau", "pearson", "step_pearson", "distance"))


@pytest.mark.parametrize("returns", [[np.nan, np.nan], [5.0, np.nan]])
def test_demonstrations_of_unknown_worth_leave_null_what_rests_on_them(returns):
    found = assembled(returns)
    assert found["demonstrator"] == NOTHING_KNOWN | {"episodes": 2, "length": 1.5}
    assert found["beats_best_demonstration"] is None
    assert found["predicted_and_true"]["demonstrations"][1] == [2.0, None]
    assert found["policy"]["mean"] == 15.0
    assert found["reward"]["kendall_tau"] is not None


def test_rollouts_of_unknown_worth_leave_agreement_null_but_not_the_labels():
    found = assembled([5.0, 7.0], rollouts=[np.nan] * 4)
    assert found["reward"] == UNKNOWN_AGREEMENT | {"pair_accuracy": 1.0}
    assert [point["return"]["mean"] for point in found["noise"]] == [None] * 4


def test_a_users_ranking_is_judged_without_a_clone_and_without_rewards():
    """Learned returns 3 and 2, 1 and 1 over 0: two of three pairs are ordered as ranked, one against two."""
    world = trajectories_of([1, 2, 1], [[3.0], [1.0], [1.0], [5.0]])
    demonstrations = Demonstrations(world, TrueReturns.unknown(3), "here")
    given = RankedTrajectories(world, from_pairs([0, 2, 1], [1, 1, 0]))
    judged = {name: judgement(10.0, 20.0) for name in ("random", "policy", "trained_deterministic")}
    found = assemble(demonstrations, from_user_ranking(demonstrations, given), observation_itself(), judged)
    json.dumps(found, allow_nan=False)
    assert found["bc"] is None and found["bc_stochastic"] is None
    assert found["demonstrator"]["mean"] is None
    assert found["beats_best_demonstration"] is None
    assert found["reward"] == UNKNOWN_AGREEMENT | {"pair_accuracy": pytest.approx(2 / 3)}
    assert found["noise"] == []
    assert set(found["predicted_and_true"]) == {"demonstrations", "ranked", "policy"}
    assert found["ranking"] == {
        "source": "pairs",
        "trajectories": 3,
        "compared": 3,
        "pairs": 3,
        "contradictions": pytest.approx(2 / 3),
        "rollout_policy": None,
        "user": [
            {"episode": 0, "win_rate": 0.5, "predicted": 3.0},
            {"episode": 1, "win_rate": 0.4, "predicted": 2.0},
            {"episode": 2, "win_rate": pytest.approx(2 / 3), "predicted": 5.0},
        ],
    }


def test_a_mixture_shows_the_users_demonstrations_and_the_noise_beside_them():
    world = trajectories_of([1, 1], [[3.0], [1.0]])
    demonstrations = Demonstrations(world, TrueReturns.unknown(2), "here")
    given = RankedTrajectories(world, from_pairs([0], [1], source="mine"))
    both = from_user_ranking(
        demonstrations,
        given,
        extra=noisy_rollouts([8.0, 3.0, 9.0, 1.0]),
        settings=NoiseRanking(minimum_gap=0.3),
    )
    assert both.ranked.preferences.weight.tolist() == [2.0, 1.0, 1.0]
    judged = {name: judgement(1.0, 2.0) for name in ("random", "bc", "policy", "trained_deterministic")}
    found = assemble(demonstrations, both, observation_itself(), judged)
    assert found["ranking"]["source"] == "mine + noise"
    assert [point["episode"] for point in found["ranking"]["user"]] == [0, 1]
    assert len(found["noise"]) == 4
    assert [true for _, true in found["predicted_and_true"]["ranked"]] == [None, None, 8.0, 3.0, 9.0, 1.0]


def test_the_noise_curve_has_a_point_for_every_kind_and_level():
    rollouts = noisy_rollouts([8.0, 3.0, 9.0, 1.0])
    curve = noise_curve(rollouts)
    assert [(point["name"], point["level"]) for point in curve] == [
        ("sticky", 0.0),
        ("sticky", 1.0),
        ("uniform", 0.0),
        ("uniform", 1.0),
    ]
    assert [point["return"]["mean"] for point in curve] == [9.0, 1.0, 8.0, 3.0]
    assert [point["length"] for point in curve] == [3.0, 4.0, 1.0, 2.0]
    again = dataclasses.replace(rollouts, jobs=(NoiseJob("uniform", 0.5),) * 4)
    assert [(point["length"], point["return"]["mean"]) for point in noise_curve(again)] == [(2.5, 5.25)]


def test_true_returns_of_training_are_logged_now_and_then_and_only_when_there_are_any():
    logged, learner = [], SimpleNamespace(num_timesteps=0)
    watch = TrueReturnWatch(lambda *scalar: logged.append(scalar), every=10)
    watch.model = learner
    steps = {4: [2.0], 8: [4.0], 10: [], 14: [], 20: [7.0], 25: [5.0]}
    for learner.num_timesteps, ended in steps.items():
        infos = [{"true_return": TrueReturns([value])} for value in ended] + [{}]
        watch.update_locals({"dones": np.array([True] * len(ended) + [False]), "infos": infos})
        assert watch.on_step()
    name = "eval/true_return"
    assert logged == [(name, 3.0, 10), (name, 7.0, 20)]
    watch.on_training_end()
    watch.on_training_end()
    assert logged[2:] == [(name, 5.0, 25)]  # what was left, once
