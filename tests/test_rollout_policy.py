"""The rollout policy is chosen from episode lengths alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
from test_pipeline import demonstrate, start, with_ranking
from tiny_environments import DISCRETE_WALK, HORIZON, POISONED_DISCRETE_WALK

from drex.envs.make import make_environments
from drex.rankings.rollout_policy import EPISODES, RolloutPolicyChoice, choose_rollout_policy
from drex.report.tables import findings_table, seconds_table

FORWARD, LEFT = 1, 2
LONG = np.array([30, 28, 30, 29, 30, 27, 30, 30])


def upright(observations):
    return np.full(len(observations), FORWARD)


def tips_over(observations):
    """Ends an episode after four to six steps."""
    return np.full(len(observations), LEFT)


def leans(observations):
    """Tips over half as fast: left where it has gone as far forward as it leans, and forward elsewhere."""
    place, tilt = observations.T
    return np.where(place + tilt > 0.05, LEFT, FORWARD)


def never(_):
    raise AssertionError("this clone should not have been asked")


def choose(demonstrated, deterministic, stochastic, task=DISCRETE_WALK):
    environments = make_environments(task, EPISODES, seed=0)
    found = choose_rollout_policy(np.asarray(demonstrated), deterministic, stochastic, environments, seed=0)
    environments.close()
    return found


@pytest.mark.parametrize("task", [DISCRETE_WALK, POISONED_DISCRETE_WALK], ids=["rewards", "NaN for rewards"])
def test_a_greedy_clone_whose_episodes_end_too_early_is_replaced_by_the_sampling_one(task):
    found = choose(LONG, tips_over, upright, task)
    assert found.chosen == "stochastic"
    assert found.demonstrations == LONG.mean() and found.stochastic == HORIZON
    assert 4 <= found.deterministic <= 7 and found.chance < 0.01


def test_a_greedy_clone_whose_episodes_are_too_long_is_replaced_where_random_ones_are_long_too():
    found = choose([5, 5, 6, 5, 4, 6, 5, 7], upright, tips_over)
    assert found.chosen == "stochastic" and found.deterministic == HORIZON
    assert 10 < found.uniform <= HORIZON  # chance takes long to tip over


def test_a_greedy_clone_stays_whose_lengths_differ_away_from_the_random_policy():
    found = choose([19, 20, 21, 22, 21, 20, 19, 21], tips_over, leans)
    assert found.chance < 0.01 and found.deterministic < found.stochastic < found.demonstrations
    assert found.demonstrations < found.uniform and found.chosen == "deterministic"


def test_a_greedy_clone_stays_where_the_sampling_clone_is_farther_off():
    found = choose(LONG, leans, tips_over)
    assert found.chance < 0.01 and found.stochastic < found.deterministic < LONG.mean()
    assert found.chosen == "deterministic"


@pytest.mark.parametrize(
    "demonstrated", [[HORIZON] * 8, LONG, [4, 5, 30, 30]], ids=["equal lengths", "alike", "spread"]
)
def test_a_greedy_clone_stays_whose_lengths_do_not_differ_significantly(demonstrated):
    found = choose(demonstrated, upright, never)
    assert found.chosen == "deterministic" and found.stochastic is None and found.chance >= 0.01


def test_two_demonstrations_are_too_few_to_tell():
    assert choose([29, 30], tips_over, never).chosen == "deterministic"


def test_the_choice_is_kept_with_its_reasons(tmp_path):
    choice = RolloutPolicyChoice("stochastic", 1424.2, 395.0, 1300.0, 520.4, 0.0001)
    choice.save(tmp_path)
    assert RolloutPolicyChoice.load(tmp_path) == choice
    assert choice.actions == "sampling"
    steps = {"demonstrated": 1424.2, "greedy": 395.0, "sampling": 1300.0, "random": 520.4}
    assert choice.steps() == steps


def test_a_run_disturbs_what_was_chosen_as_if_it_had_been_named(tmp_path):
    demonstrations = demonstrate(tmp_path / "walk.npz", DISCRETE_WALK, with_rewards=True)
    nearest = with_ranking(rollout_policy="auto")
    found = start(tmp_path / "auto", demonstrations, task=DISCRETE_WALK, settings=nearest)
    chosen = found["ranking"]["rollout_policy"]["chosen"]
    named = with_ranking(rollout_policy=chosen)
    beside = start(tmp_path / "named", demonstrations, task=DISCRETE_WALK, settings=named)
    assert beside["ranking"]["rollout_policy"] is None and beside["policy"] == found["policy"]
    files = (tmp_path / name / "ranked" / "fingerprint.json" for name in ("auto", "named"))
    fingerprints = [json.loads(file.read_text()) for file in files]
    played = found["ranking"]["rollout_policy"]
    choice = sum(10 * (played[name] or 0.0) for name in ("deterministic", "stochastic", "uniform"))
    assert found["environment_steps"] == beside["environment_steps"] + round(choice)
    assert fingerprints[0] == fingerprints[1] and fingerprints[0]["settings"]["rollout_policy"] == chosen
    assert f"{found['ranking']['rollout_policy']['demonstrations']:.0f}" in str(findings_table(found).rows)
    assert [row[0] for row in seconds_table(found).rows][1:4] == [
        "behavioral cloning",
        "choice of the rollout policy",
        "ranking",
    ]
    again = start(tmp_path / "auto", demonstrations, task=DISCRETE_WALK, settings=nearest, resume=True)
    assert again["ranking"] == found["ranking"]
