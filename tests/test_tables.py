"""The tables say what ``evaluation.json`` holds, and "unknown" where it holds null."""

from __future__ import annotations

import re
from dataclasses import asdict

import pytest
from finished_runs import evaluation, ranked_by_the_user, without_true_returns

from drex.rankings.rollout_policy import RolloutPolicyChoice
from drex.report.tables import Table, findings_table, number, returns_table, seconds_table, tables
from drex.report.warnings import warnings_of


def rows(table):
    return {row[0]: row[1:] for row in table.rows}


def test_returns_stand_beside_each_other_with_their_interval_and_episodes():
    table = returns_table(evaluation())
    assert "D-REX on drex-tests/Walk-v0, seed 3" in table.title
    assert rows(table) == {
        "demonstrator": ("10", "14", "8 to 12", "4", ""),
        "uniform random": ("1", "3", "0 to 2", "20", "20"),
        "greedy clone": ("9", "12", "8 to 10", "20", "29"),
        "baseline: constant reward": ("5", "6", "4 to 6", "20", "30"),
        "D-REX: policy": ("1,234", "1,300", "1,200 to 1,251", "20", "30"),
        "trained policy, greedy": ("1,235", "1,301", "1,201 to 1,252", "20", "30"),
    }


def test_null_is_unknown_and_never_a_number():
    returns = rows(returns_table(without_true_returns()))
    assert {row[:3] for row in returns.values()} == {("unknown",) * 3}
    found = [value for _, value in findings_table(without_true_returns()).rows]
    assert found == ["unknown", "1,234", "0.0%", "97.5%", "90.0%", *["unknown"] * 4, "1,023,456"]


def test_a_ranking_that_came_with_the_demonstrations_is_named_and_what_is_not_known_is_unknown():
    returns = rows(returns_table(ranked_by_the_user()))
    assert set(returns) == {"demonstrator", "uniform random", "T-REX: policy", "trained policy, greedy"}
    assert returns["demonstrator"][:3] == ("unknown",) * 3
    found = rows(findings_table(ranked_by_the_user()))
    assert found["preferences, from the user's order"] == ("1",)
    assert found["held-out pair accuracy"] == ("unknown",)
    assert found["mean return above the best demonstration"] == ("unknown",)
    assert found["Kendall tau of learned and true return, ranked trajectories"] == ("unknown",)


def test_held_out_comparisons_are_counted():
    assert rows(findings_table(evaluation()))["held-out pair accuracy (40 comparisons)"] == ("90.0%",)


@pytest.mark.parametrize(("answer", "word"), [(True, "yes"), (False, "no"), (None, "unknown")])
def test_whether_the_best_demonstration_was_beaten_is_one_word(answer, word):
    assert findings_table(evaluation(beats_best_demonstration=answer)).rows[0][1] == word


def test_the_rollout_policy_is_shown_with_the_lengths_that_decided_it():
    choice = asdict(RolloutPolicyChoice("stochastic", 1424.2, 395.0, 1300.0, 520.4, 0.0001))
    found = rows(findings_table(evaluation(ranking__rollout_policy=choice)))
    assert found["noise injected into"] == ("sampling clone",)
    assert found["steps per episode: demonstrated, greedy, sampling, random"] == ("1,424, 395, 1,300, 520",)
    stayed = asdict(RolloutPolicyChoice("deterministic", 560.0, 529.0, None, None, 0.2))
    found = rows(findings_table(evaluation(ranking__rollout_policy=stayed)))
    assert found["steps per episode: demonstrated, greedy"] == ("560, 529",)


def test_rank_correlation_has_two_digits():
    assert rows(findings_table(evaluation()))["Pearson correlation of learned and true return"] == ("0.90",)


def test_seconds_stand_in_the_order_of_the_method_with_their_sum():
    assert seconds_table(evaluation()).rows == (
        ("demonstrations", "0.0"),
        ("behavioral cloning", "1.2"),
        ("choice of the policy", "60.0"),
        ("evaluation", "2.0"),
        ("total", "63.2"),
    )


def test_zero_has_no_sign():
    assert [number(value) for value in (-0.2, 0.2, -0.6, 12345.6)] == ["0", "0", "-1", "12,346"]


def test_terminal_markdown_and_html_say_the_same_words():
    for table in tables(evaluation()):
        words = [word for row in (table.columns, *table.rows) for word in row if word]
        for written in (table.text(), table.markdown(), table.html()):
            assert [word for word in words if word not in written] == []
    assert table.markdown().splitlines()[1] == "|---|---:|"


def test_text_columns_are_aligned():
    lines = Table("t", ("who", "n"), (("a", "1"), ("longer", "1,000"))).text().splitlines()
    assert lines == ["t", "who         n", "-------------", "a           1", "longer  1,000"]


def test_html_escapes_what_it_is_given():
    assert "<script>" not in Table("<script>", ("<script>",), (("<script>",),)).html()


def test_a_sound_run_has_no_warnings():
    assert warnings_of(evaluation()) == []


def test_nothing_is_warned_of_that_is_not_known():
    assert warnings_of(without_true_returns()) == []


RISING = [
    {"name": "sticky", "level": level, "length": 30.0, "return": {"mean": 5.0 + level}}
    for level in (0, 0.5, 1)
]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bc__mean": 1.4}, r"clone \(mean return 1\).*not clearly better than uniform random actions \(1\)"),
        ({"noise": RISING}, r"level of 'sticky' noise.*rank correlation 1\.00"),
        ({"reward__kendall_tau": 0.31}, r"unlike the true return \(Kendall tau 0\.31\)"),
        ({"reward__pair_accuracy": 0.6}, r"pair accuracy is only 60%"),
        (
            {"ranking__contradictions": 0.25},
            r"25% of 1234 preferences from noise contradict others",
        ),
        (
            {"policy__mean": 6.0},
            r"The reward is misleading.*\(40\.0 against 2\.5\).*\(6 against 10\)",
        ),
        (
            {"controls": {"constant": {"mean": 2000.0}}},
            r"baseline 'constant' reaches 2000, not clearly below the policy's 1234 \[",
        ),
        (
            {"controls": {"constant": {"mean": 1201.0}}, "policy__interval": [1200.0, 1260.0]},
            r"baseline 'constant' reaches 1201, .* 1234 \[1200, 1260\]: the gain need not come from",
        ),
        ({"bc__mean": 1300.0}, r"greedy clone reaches 1300, no less than the policy's 1234"),
        (
            {"bc_stochastic": {"mean": 1300.0}},
            r"sampling clone reaches 1300, no less than the policy's 1234.*comes from cloning\.",
        ),
    ],
)
def test_each_failed_assumption_is_named_with_its_numbers(changes, words):
    found = warnings_of(evaluation(**changes))
    assert len(found) == 1 and re.search(words, found[0]), found


def test_the_clone_that_receives_the_noise_must_be_better_than_random():
    sampling = {"chosen": "stochastic"}
    stuck = evaluation(bc__mean=1.4, bc_stochastic={"mean": 8.0}, ranking__rollout_policy=sampling)
    assert warnings_of(stuck) == []
    noisy = evaluation(bc_stochastic={"mean": 1.2}, ranking__rollout_policy=sampling)
    assert len(warnings_of(noisy)) == 1 and "(mean return 1) is not clearly better" in warnings_of(noisy)[0]


def test_a_policy_of_low_learned_return_is_reported_with_the_advice_to_train_longer():
    found = evaluation()
    found["predicted_and_true"]["policy"] = [[1.0, 1234.0]]
    assert ["train longer" in warning for warning in warnings_of(found)] == [True]
