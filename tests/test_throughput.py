"""Speed is told as ratios of things measured in turn, kept in files, and shown as they are."""

from __future__ import annotations

import json

import pytest

from benchmarks.readme import PAGES, with_tables
from benchmarks.throughput import Options, all_experiments, measure, row, shown, table
from benchmarks.throughput_experiments.comparison import Comparison
from drex.errors import UserError


def compare(ours, against, *, unit="steps/s", target=2.0):
    return Comparison(
        what="stepping",
        ours="here",
        against="there",
        unit=unit,
        ours_values=ours,
        against_values=against,
        target=target,
    )


def test_the_ratio_is_the_median_over_repeats_so_that_a_slow_minute_slows_both():
    comparison = compare([300.0, 30.0, 400.0], [100.0, 10.0, 200.0])
    assert comparison.ratios == [3.0, 3.0, 2.0]
    assert comparison.ratio == 3.0
    assert comparison.spread == (2.0, 3.0)
    assert comparison.reached
    assert not compare([100.0], [51.0]).reached


def test_a_row_says_both_values_the_ratio_its_range_and_whether_the_target_is_reached():
    line = row(compare([3000.0, 3200.0, 2900.0], [1000.0, 1600.0, 1000.0]))
    assert line == (
        "| stepping | 3,000 steps/s: here | 1,000 steps/s: there "
        "| **2.90** (2.00 to 3.00, 3 repeats) | 2, reached |"
    )
    assert row(compare([10.0], [10.0])).endswith("| **1.00** (1.00 to 1.00, 1 repeat) | 2, not reached |")


def test_inverses_are_shown_as_what_they_are_inverses_of():
    assert shown(1 / 240.0, "1/s") == "240 s"
    assert shown(1 / 1.5, "1/GB") == "1.5 GB"
    assert shown(2500.0, "steps/s") == "2,500 steps/s"


def test_finished_experiments_are_kept_and_redone_by_name(tmp_path):
    calls = []

    def experiment(repeats):
        calls.append(repeats)
        return compare([float(len(calls))] * repeats, [1.0] * repeats)

    experiments = {"one": experiment, "two": experiment}
    measure(Options(results=tmp_path, repeats=2), experiments)
    assert calls == [2, 2]
    measure(Options(results=tmp_path, repeats=2), experiments)
    assert calls == [2, 2]
    measure(Options(results=tmp_path, repeats=3, only=("two",)), experiments)
    assert calls == [2, 2, 3]
    facts = json.loads((tmp_path / "two.json").read_text())
    assert facts["ours_values"] == [3.0, 3.0, 3.0]
    assert facts["ratio"] == 3.0
    assert facts["command"] == "python -m benchmarks throughput --only two --repeats 3"
    assert facts["machine"]["cores"] >= 1
    assert {"torch", "stable-baselines3"} <= set(facts["versions"])
    assert json.loads((tmp_path / "one.json").read_text())["ours_values"] == [1.0, 1.0]
    assert table(tmp_path).count("| stepping |") == 2


def test_an_unknown_experiment_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match="--only: expected names among one, found three"):
        measure(Options(results=tmp_path, only=("three",)), {"one": lambda repeats: compare([1.0], [1.0])})


def test_experiments_of_every_module_are_found():
    assert {"ppo_learned_reward_rl_zoo", "ppo_time_to_return", "run_memory"} <= set(all_experiments())


def test_the_pages_tables_are_those_of_the_results():
    for page in PAGES:
        assert with_tables(page.read_text()) == page.read_text(), page
