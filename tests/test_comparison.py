"""Finished runs beside each other: scores, statistics with intervals, and the files of a comparison."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from finished_runs import evaluation
from test_cli import told

import drex
from drex.comparison.runs import read_runs, scores_of
from drex.comparison.statistics import (
    STATISTICS,
    estimate,
    interquartile_mean,
    mean,
    median,
    performance_profile,
    probability_of_improvement,
)
from drex.comparison.tables import returns_table


def write_run(folder, *, mean_return=28.0, settings=None, **changes):
    """A finished run: uniform random actions reach 1, the demonstrations 10, so that 28 scores 3."""
    found = evaluation(policy__mean=mean_return, **changes)
    folder.mkdir(parents=True)
    (folder / "evaluation.json").write_text(json.dumps(found))
    config = {name: found[name] for name in ("task", "method", "seed")} | {"settings": settings or {}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def two_tasks(tmp_path):
    """Two seeds each of two tasks."""
    for task, means in {"Hop-v0": (28.0, 46.0), "Walk-v0": (19.0, 10.0)}.items():
        for seed, value in enumerate(means):
            write_run(
                tmp_path / "runs" / task / f"default-seed{seed}", task=task, seed=seed, mean_return=value
            )
    return tmp_path / "runs"


# ------------------------------------------------------------------------------------------- statistics

SCORES = {"a": np.array([0.0, 1.0, 2.0, 9.0]), "b": np.array([3.0, 4.0, 5.0, 6.0])}


def test_the_statistics_are_those_of_agarwal_et_al():
    """Of eight runs the middle four are 2, 3, 4, 5; the means of the tasks are 3 and 4.5."""
    assert interquartile_mean(list(SCORES.values())) == pytest.approx(3.5)
    assert mean(list(SCORES.values())) == pytest.approx(3.75)
    third = {**SCORES, "c": np.array([100.0])}
    assert median(list(third.values())) == pytest.approx(4.5)
    assert list(STATISTICS) == ["interquartile mean", "mean", "median"]


def test_runs_are_drawn_anew_within_each_task():
    """Tasks far apart but without spread have no interval, which a bootstrap over all runs would give."""
    apart = {"a": np.zeros(5), "b": np.full(5, 100.0)}
    found = estimate(apart, mean)
    assert (found.value, found.low, found.high) == (50.0, 50.0, 50.0)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    samples = [{"a": rng.normal(0, 1, 20), "b": rng.normal(2, 1, 20)} for _ in range(200)]
    held = [(f := estimate(sample, mean, resamples=500)).low <= 1.0 <= f.high for sample in samples]
    assert 0.88 <= np.mean(held) <= 0.99


def test_equal_seeds_give_equal_intervals_and_others_do_not():
    first = estimate(SCORES, mean)
    assert estimate(SCORES, mean) == first
    assert estimate(SCORES, mean, seed=1, resamples=50) != estimate(SCORES, mean, seed=2, resamples=50)


def test_the_probability_of_improvement_is_a_mean_over_tasks_in_which_ties_count_half():
    ours = {"a": np.array([1.0, 3.0]), "b": np.array([0.0])}
    theirs = {"a": np.array([2.0, 3.0]), "b": np.array([1.0])}
    found = probability_of_improvement(ours, theirs)
    assert found.value == pytest.approx(((0 + 0 + 1 + 0.5) / 4 + 0.0) / 2)
    assert found.low <= found.value <= found.high
    assert probability_of_improvement(theirs, ours).value == pytest.approx(1 - found.value)


def test_a_profile_is_the_share_of_runs_above_each_score():
    share, low, high = performance_profile(SCORES, np.array([-1.0, 0.5, 5.5, 9.0]))
    assert share.tolist() == [1.0, 0.875, 0.25, 0.0]
    assert (low <= share).all() and (share <= high).all() and low[1] < high[1]


# ------------------------------------------------------------------------------------------------- runs


def test_a_score_is_0_for_random_actions_and_1_for_the_demonstrations(two_tasks):
    runs, notes = read_runs([two_tasks])
    scores, unknown = scores_of(runs)
    assert (notes, unknown) == ([], [])
    found = {(score.task, score.seed): score.score for score in scores if score.policy == "D-REX"}
    expected = {("Hop-v0", 0): 3.0, ("Hop-v0", 1): 5.0, ("Walk-v0", 0): 2.0, ("Walk-v0", 1): 1.0}
    assert found == pytest.approx(expected)
    policies = {score.policy for score in scores}
    assert policies == {"D-REX", "greedy clone", "trained policy, greedy", "baseline: constant reward"}


@pytest.mark.parametrize(("one", "other"), [("default-seed0", "wide-seed0"), ("default/seed0", "wide/seed0")])
def test_runs_of_other_settings_are_named_by_their_folders(tmp_path, one, other):
    write_run(tmp_path / one, seed=0)
    write_run(tmp_path / other, seed=0)
    runs, _ = read_runs([tmp_path])
    assert [run.label for run in runs] == ["D-REX, default", "D-REX, wide"]
    policies = {score.policy for score in scores_of(runs)[0]}
    assert {"D-REX, wide", "D-REX, wide: greedy clone", "D-REX, default: greedy clone"} <= policies


def test_names_that_differ_between_tasks_alone_tell_nothing(tmp_path):
    for task in ("Hop-v0", "Walk-v0"):
        write_run(tmp_path / f"{task}-seed0", task=task, seed=0)
    runs, _ = read_runs([tmp_path])
    assert [(run.task, run.label) for run in runs] == [("Hop-v0", "D-REX"), ("Walk-v0", "D-REX")]


def test_methods_tell_runs_apart(tmp_path):
    write_run(tmp_path / "default-seed0", seed=0)
    write_run(tmp_path / "trex-default-seed0", seed=0, method="trex")
    assert [run.label for run in read_runs([tmp_path])[0]] == ["D-REX", "T-REX"]


def test_a_run_named_twice_counts_once(two_tasks):
    assert len(read_runs([two_tasks, two_tasks / "Hop-v0", two_tasks / "Hop-v0" / "default-seed0"])[0]) == 4


def test_runs_of_one_task_in_two_folders_are_two_tasks(tmp_path):
    """As of other demonstrations."""
    for folder in ("walk-good", "walk-poor"):
        write_run(tmp_path / folder / "default-seed0", seed=0, task="Walk-v0")
    runs, _ = read_runs([tmp_path])
    assert [(run.task, run.label) for run in runs] == [
        ("Walk-v0 (walk-good)", "D-REX"),
        ("Walk-v0 (walk-poor)", "D-REX"),
    ]


def test_two_runs_that_nothing_tells_apart_are_refused(tmp_path):
    for folder in ("a", "b"):
        write_run(tmp_path / folder / "Walk-v0" / "default-seed0", seed=0)
    with pytest.raises(drex.UserError, match=r"expected one run of .*, D-REX, seed 0, found another in"):
        read_runs([tmp_path])


def test_unfinished_runs_and_runs_without_scores_are_left_out_and_named(two_tasks):
    unfinished = two_tasks / "Hop-v0" / "default-seed2"
    unfinished.mkdir()
    (unfinished / "config.json").write_text("{}")
    nothing = {"mean": None, "std": None, "best": None, "interval": None, "episodes": 4}
    unknown = write_run(two_tasks / "Walk-v0" / "default-seed2", task="Walk-v0", seed=2, demonstrator=nothing)
    low = write_run(two_tasks / "Walk-v0" / "default-seed3", task="Walk-v0", seed=3, random__mean=10.0)
    runs, notes = read_runs([two_tasks])
    scores, more = scores_of(runs)
    assert notes == [f"left out, not finished: {unfinished}"]
    assert more == [
        f"no score, since the true return of the demonstrator is unknown: {unknown}",
        f"no score, since the demonstrations are not above uniform random: {low}",
    ]
    assert {score.run for score in scores}.isdisjoint(map(str, (unknown, low)))
    table = returns_table([run for run in runs if run.task == "Walk-v0"], "Walk")
    assert {row[0]: row[1] for row in table.rows}["D-REX"] == "4"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("[]", "damage"), ("{}", "damage"), ('{"task": 3', "JSON")],
)
def test_a_damaged_run_is_one_sentence(two_tasks, text, sentence, capsys):
    damaged = two_tasks / "Hop-v0" / "default-seed1" / "evaluation.json"
    damaged.write_text(text)
    status, _, said = told(capsys, "compare", str(two_tasks))
    assert status == 2 and said.count("\n") == 1, said
    assert str(damaged.parent) in said and sentence in said


def test_a_folder_without_runs_is_refused(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for path, found in ((tmp_path / "empty", "0 unfinished"), (tmp_path / "none", "no such folder")):
        status, _, said = told(capsys, "compare", str(path))
        assert (status, said) == (
            2,
            f"drex: {path}: expected finished runs, with evaluation.json, found {found}\n",
        )


# ------------------------------------------------------------------------------------------ returns table


def test_the_table_of_a_task_has_a_row_for_each_policy_and_says_how_the_seeds_differ(tmp_path):
    for seed, value in enumerate((100.0, 200.0, 300.0, 1000.0)):
        write_run(tmp_path / f"default-seed{seed}", seed=seed, mean_return=value)
    runs, _ = read_runs([tmp_path])
    rows = {name: row for name, *row in returns_table(runs, "Walk").rows}
    seeds, mean_, bounds, middle, lowest, highest = rows["D-REX"]
    assert (seeds, mean_, middle, lowest, highest) == ("4", "400", "250", "100", "1,000")
    low, high = (float(word.replace(",", "")) for word in bounds.split(" to "))
    assert 100 <= low < 250 and 400 < high <= 1000
    assert rows["demonstrator"][0] == "4"
    (single,) = (row for name, *row in returns_table(runs[:1], "Walk").rows if name == "D-REX")
    assert single == ["1", "100", "", "100", "100", "100"]


def test_unknown_returns_have_no_row(tmp_path):
    nothing = {"mean": None, "std": None, "best": None, "interval": None, "episodes": 4}
    write_run(tmp_path / "seed0", demonstrator=nothing)
    assert "demonstrator" not in [row[0] for row in returns_table(read_runs([tmp_path])[0], "Walk").rows]


# ------------------------------------------------------------------------------------------ what is written


def test_a_comparison_is_a_page_with_its_tables_figures_and_numbers(two_tasks, tmp_path, capsys):
    out = tmp_path / "out"
    status, said, _ = told(capsys, "compare", str(two_tasks), "--out", str(out))
    assert status == 0
    assert f"comparison: {out / 'comparison.html'}" in said
    page = (out / "comparison.html").read_text()
    assert page.count("<img") == 3 and page.count("<table>") == 4
    for words in (
        "interquartile mean",
        "Probability that a run ends above",
        "True return over seeds: Hop-v0",
    ):
        assert words in page and words in said
    with (out / "scores.csv").open() as opened:
        rows = list(csv.DictReader(opened))
    (row,) = (r for r in rows if (r["task"], r["policy"], r["seed"]) == ("Hop-v0", "D-REX", "1"))
    assert (float(row["mean_return"]), float(row["score"])) == (46.0, 5.0)
    facts = json.loads((out / "comparison.json").read_text())
    assert facts["statistics"]["D-REX"]["mean"]["value"] == pytest.approx(2.75)
    assert len(facts["runs"]) == 4


def test_python_compares_as_the_command_does(two_tasks, tmp_path, capsys):
    comparison = drex.compare([two_tasks], tmp_path / "python")
    told(capsys, "compare", str(two_tasks), "--out", str(tmp_path / "command"))
    assert comparison.path == tmp_path / "python" / "comparison.html"
    for name in ("comparison.html", "comparison.json", "scores.csv"):
        assert (tmp_path / "python" / name).read_bytes() == (tmp_path / "command" / name).read_bytes()


def test_no_statistic_of_a_policy_that_lacks_a_task(two_tasks, tmp_path):
    for seed in (0, 1):
        file = two_tasks / "Walk-v0" / f"default-seed{seed}" / "evaluation.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"controls": {}}))
    comparison = drex.compare([two_tasks], tmp_path / "out")
    rows = {row[0]: row[1:] for row in comparison.tables[0].rows}
    assert rows["baseline: constant reward"] == ("1", "2", "", "", "")
    assert all(rows["D-REX"])
    facts = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert "baseline: constant reward" not in facts["statistics"]
    against = {row[1]: row[2] for row in comparison.tables[1].rows}
    assert (against["baseline: constant reward"], against["greedy clone"]) == ("1", "2")


def test_an_earlier_comparison_is_replaced_and_anything_else_is_not(two_tasks, tmp_path):
    out = tmp_path / "out"
    drex.compare([two_tasks], out)
    drex.compare([two_tasks / "Hop-v0"], out)
    assert len(json.loads((out / "comparison.json").read_text())["runs"]) == 2
    assert len([path for path in (out / "tensorboard").iterdir() if path.is_dir()]) == 2
    with pytest.raises(drex.UserError, match="expected a new folder, or one with a comparison"):
        drex.compare([two_tasks], two_tasks)
    assert (two_tasks / "Hop-v0" / "default-seed0" / "evaluation.json").is_file()


def test_tensorboard_sorts_runs_by_score_and_by_the_settings_that_differ(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    for name, rate in (("default", 0.1), ("wide", 0.2)):
        settings = {"learner": {"learning_rate": rate, "gamma": None}}
        write_run(tmp_path / "runs" / f"{name}-seed0", seed=0, settings=settings)
    drex.compare([tmp_path / "runs"], tmp_path / "out")
    folders = sorted(path for path in (tmp_path / "out" / "tensorboard").iterdir() if path.is_dir())
    assert len(folders) == 2
    events = EventAccumulator(str(folders[1]))
    events.Reload()
    assert events.Scalars("score")[0].value == pytest.approx(3.0)
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    session = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert session["settings.learner.learning_rate"].number_value == pytest.approx(0.2)
    assert session["policy"].string_value == "D-REX, wide"
    assert "settings.learner.gamma" not in session
