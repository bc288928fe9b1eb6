"""Rules of what a run returns: as in the run where they should be, and each as its name says."""

from __future__ import annotations

import json

import numpy as np
import pytest
from test_pipeline import TINY, demonstrate, start
from tiny_environments import WALK

from benchmarks import selection
from benchmarks.selection import RULES, is_worse, judged, measure, regret, table


def play(policy, actions, true, **rewards):
    """Four episodes whose returns spread a little around these means."""
    spread = np.array([-0.1, -0.05, 0.05, 0.1])
    return {
        "policy": policy,
        "actions": actions,
        "true": list(true + spread),
        "steps": [10] * 4,
        "rewards": {name: list(mean + spread) for name, mean in rewards.items()},
    }


def facts(*plays, doubts=(), greedy_clone_left_out=False, noise=0.0):
    """A run with two judges; the noisiest rollouts pay ``noise`` by all rewards."""
    return {
        "demonstrator": {"best": 5.0},
        "doubts": list(doubts),
        "greedy_clone_left_out": greedy_clone_left_out,
        "noisiest": {name: [noise] * 4 for name in ("learned", "uniform noise", "sticky noise")},
        "noise": dict.fromkeys(("learned", "uniform noise", "sticky noise"), noise),
        "plays": list(plays),
    }


def run_of(greedy, sampling, last, **options):
    """A greedy clone, a sampling clone and one policy: true return, then by learned reward and judges."""
    names = ("learned", "uniform noise", "sticky noise")
    plays = (("clone", "greedy", greedy), ("clone", "sampling", sampling), ("100", "sampling", last))
    return facts(
        *(
            play(policy, acts, true, **dict(zip(names, by, strict=True)))
            for policy, acts, (true, *by) in plays
        ),
        **options,
    )


def returned(rule, run):
    """Policy and actions that a rule returns."""
    found = RULES[rule](run)
    return found["policy"], found["actions"]


GOOD = ((1.0, 2, 2, 2), (0.5, 1, 1, 1), (9.0, 6, 6, 6))
DISPUTED = ((1.0, 2, 2, 2), (0.5, 1, 1, 1), (9.0, 6, 8, 1))
CHANCE = ((0.0, 0.05, 0.05, 0.05), (0.0, 0, 0, 0), (9.0, 6, 8, -3))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("as in a run", "100"),
        ("always the clone that judges prefer", "clone"),
        ("always the last policy, sampling", "100"),
        ("margin 0.1", "100"),
    ],
)
def test_rules_where_all_judges_agree(rule, expected):
    assert returned(rule, run_of(*GOOD))[0] == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("as in a run", "clone"), ("mean of the judges", "100"), ("best of the judges", "100")],
)
def test_rules_where_judges_disagree(rule, expected):
    assert returned(rule, run_of(*DISPUTED))[0] == expected


def test_a_red_light_returns_the_clone_unless_the_rule_ignores_it():
    run = run_of(*GOOD, doubts=["time"])
    assert returned("as in a run", run) == ("clone", "greedy")
    assert returned("no diagnosis", run) == ("100", "sampling")


def test_a_greedy_clone_that_was_left_out_is_returned_only_where_both_may_be():
    run = run_of(*GOOD, doubts=["time"], greedy_clone_left_out=True)
    assert returned("as in a run", run) == ("clone", "sampling")
    assert returned("both clones may be returned", run) == ("clone", "greedy")


def test_a_clone_that_a_judge_rates_below_noise_is_nothing_to_fall_back_on():
    below = run_of(*CHANCE, noise=0.2, doubts=["time"])
    assert returned("as in a run", below)[0] == "100"
    for rule in ("no clone is too bad to return", "as in a run of the suite"):
        assert returned(rule, below)[0] == "clone"
    assert returned("as in a run", run_of(*CHANCE))[0] == "clone"  # a little above noise
    assert returned("as in a run", run_of(*DISPUTED))[0] == "clone"


@pytest.mark.parametrize(
    ("doubts", "expected"),
    [
        (["uniform noise"], "100"),
        (["uniform noise", "sticky noise"], "clone"),
        (["uniform noise", "kinds of noise"], "clone"),
    ],
)
def test_one_kind_of_noise_of_two_is_no_reason_to_return_the_clone(doubts, expected):
    run = run_of(*GOOD, doubts=doubts)
    assert returned("as in a run", run)[0] == expected
    for rule in ("any red light returns the clone", "as in a run of the suite"):
        assert returned(rule, run)[0] == "clone"


def test_the_learned_reward_as_a_judge_can_only_forbid():
    doubtful = run_of((1.0, 2, 2, 2), (0.5, 1, 1, 1), (9.0, 1, 6, 6))
    assert returned("as in a run", doubtful)[0] == "100"
    assert returned("learned reward among the judges", doubtful)[0] == "clone"


def test_regret_and_loss_are_of_true_returns():
    run = run_of((4.0, 2, 2, 2), (0.0, 1, 1, 1), (1.0, 6, 6, 6))
    greedy, sampling, last = run["plays"]
    assert [round(regret(run, each), 2) for each in run["plays"]] == [0.0, 1.0, 0.75]
    assert [is_worse(run, each) for each in (greedy, sampling, last)] == [False, True, True]


def test_the_table_has_a_row_for_each_rule(tmp_path):
    for name, run in {"a": run_of(*GOOD), "b": run_of(*DISPUTED)}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(run | {"name": name}))
    group, _, *lines = table(tmp_path).splitlines()
    assert group == "**other**"
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]
    assert [row[0] for row in rows] == list(RULES)
    found = {row[0]: row[1:] for row in rows}
    assert found["as in a run"] == ["1 of 2", "0", "0.471"]
    assert found["always the last policy, sampling"] == ["2 of 2", "0", "0.000"]


def test_runs_of_the_suite_have_a_table_for_each_of_its_groups(tmp_path):
    for name in ("Acrobot-v1-seed0", "Acrobot-v1-seed1", "Humanoid-v5-seed0"):
        (tmp_path / f"{name}.json").write_text(json.dumps(run_of(*GOOD) | {"name": name}))
    development, confirmation = table(tmp_path).split("\n\n**confirmation**")
    assert development.startswith("**development**")
    assert "| as in a run | 2 of 2 |" in development
    assert "| as in a run | 1 of 1 |" in confirmation


def test_the_rule_of_a_run_returns_what_the_run_returned(tmp_path):
    folder = tmp_path / "run"
    start(folder, demonstrate(tmp_path / "walk.npz", WALK, with_rewards=True))
    facts = measure(folder, TINY.selection.episodes)
    choice = json.loads((folder / "policy" / "choice.json").read_text())
    plays = {(one["policy"], one["actions"]): one for one in facts["plays"]}

    def name(candidate):
        return str(candidate["steps"]) if candidate["trained"] else "clone", candidate["actions"]

    assert judged(facts) is plays[name(choice["returned"])]
    better = selection.better_clone(facts)
    for rating in choice["ratings"]:
        one = plays[name(rating["candidate"])]
        gains = [selection.gain(facts, one, better, judge) for judge in selection.judges_of(facts)]
        assert min(gains) == pytest.approx(rating["lower"], rel=1e-4)
