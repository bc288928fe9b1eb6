"""Results hold the settings they were made with: one that today's presets no longer make is named."""

from __future__ import annotations

import copy
import json
import re
from typing import get_args

import pytest

from benchmarks import ablations, atari, stale, suite, trex
from benchmarks.runner import RESULTS, STALE, Experiment, _finish, shown_name
from benchmarks.stale import differences, results, settings_today, stale_results
from drex.agents.policies.nature_cnn import Precision

TABLES = {"suite": suite.table, "trex": trex.table, "ablations": ablations.table, "atari": atari.table}


def numbers(values, above=()):
    """The path of every number in nested settings."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from numbers(value, (*above, name))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield (*above, name)


def test_every_result_has_the_settings_of_its_command_but_those_listed_as_stale():
    unlisted = {label: changed for label, changed in stale_results().items() if label not in STALE}
    assert unlisted == {}, "run these again, or list them in benchmarks.runner.STALE with date and reason"


@pytest.mark.parametrize("precision", get_args(Precision))
def test_no_result_is_stale_for_the_processor_that_reads_it(precision, monkeypatch):
    monkeypatch.setattr("drex.presets.atari.fastest_precision", lambda: precision)
    stale._settings.cache_clear()
    assert settings_today("drex run ALE/Seaquest-v5")["policy"]["image_precision"] == precision
    assert set(stale_results()) <= set(STALE)
    stale._settings.cache_clear()


def test_what_is_listed_as_stale_is_so_with_date_and_reason():
    assert set(STALE) <= set(stale_results()), "delete what is as preset again"
    for reason in STALE.values():
        assert re.fullmatch(r"20\d\d-\d\d-\d\d: .{20,}", reason)


def test_tables_mark_what_is_stale_and_nothing_else():
    tables = "\n".join(table(RESULTS / name) for name, table in TABLES.items())
    marked = set(re.findall(r"\| ([^|]*) \(older settings\) \| (\d)", tables))
    shown = (label.replace("-v5", "").replace("Hopper-as-preset", "as preset") for label in STALE)
    listed = {tuple(label.rsplit("-seed", 1)) for label in shown}
    assert marked == listed


def test_an_ablation_is_marked_where_one_of_its_seeds_is_stale(tmp_path, monkeypatch):
    part, (words, _) = next(iter(ablations.PARTS.items()))
    for seed in (0, 1):
        name = f"{part}-Hopper-v5"
        facts = {"name": name, "seed": seed, "trained": {"mean": 1.0 + seed}, "demonstrator": {"mean": 0.0}}
        (tmp_path / f"{name}-seed{seed}.json").write_text(json.dumps(facts))
    assert f"| {words} |" in ablations.table(tmp_path)
    monkeypatch.setitem(STALE, f"{part}-Hopper-v5-seed1", "2026-01-01: for this test")
    row = next(
        line for line in ablations.table(tmp_path).splitlines() if f"| {words} (older settings) |" in line
    )
    assert "| 1.5 |" in row


def test_an_ablation_has_a_mean_score_once_it_has_every_task(tmp_path):
    part, (words, _) = next(iter(ablations.PARTS.items()))
    for task in ablations.DEVELOPMENT:
        row = [line for line in ablations.table(tmp_path).splitlines() if f"| {words} |" in line]
        assert all(line.split("|")[-2].strip() == "" for line in row)
        name = f"{part}-{task.name}"
        facts = {"name": name, "seed": 0, "trained": {"mean": 1.0}, "demonstrator": {"mean": 0.0}}
        (tmp_path / f"{name}-seed0.json").write_text(json.dumps(facts))
    row = next(line for line in ablations.table(tmp_path).splitlines() if f"| {words} |" in line)
    assert float(row.split("|")[-2])


def test_a_number_ten_times_as_large_is_named_whichever_it_is():
    seen = 0
    for _, facts in results():
        then = facts["settings"]
        for path in numbers(then):
            now = copy.deepcopy(then)
            group = now
            for name in path[:-1]:
                group = group[name]
            group[path[-1]] = group[path[-1]] * 10 if group[path[-1]] else 10
            changed = differences(then, now)
            assert len(changed) == 1
            assert changed[0].startswith(".".join(path) + ": ")
            seen += 1
    assert seen > 1000


def test_differences_name_fields_that_one_side_lacks():
    then, now = {"a": 1, "b": {"c": None}, "gone": 0}, {"a": 2, "b": {"c": None, "new": [1]}}
    assert differences(then, now) == ["a: 1, today 2", "b.new: absent, today [1]", "gone: 0, today absent"]
    assert differences(then, then) == []


def test_options_of_a_command_are_in_its_settings():
    plain = settings_today("drex run Hopper-v5 --seed 0")
    changed = settings_today("drex run Hopper-v5 --seed 1 --reward.l2 0.5 --controls constant")
    assert differences(plain, changed) == [f"reward.l2: {plain['reward']['l2']}, today 0.5"]
    small = settings_today("drex run ALE/Breakout-v5 --seed 0 --preset small --method trex")
    assert small["learner"]["environment_steps"] == 500_000


@pytest.fixture
def finished_run(tmp_path):
    """A run folder with what a result is made of."""
    run = tmp_path / "runs" / "some-seed3"
    run.mkdir(parents=True)
    found = {"policy": {"mean": 1.0}, "predicted_and_true": {}, "seed": 3}
    (run / "evaluation.json").write_text(json.dumps(found))
    (run / "config.json").write_text(json.dumps({"seed": 3, "settings": {"ppo": {"gamma": 0.987}}}))
    return tmp_path


def test_a_new_result_keeps_the_settings_of_its_run(finished_run):
    one = Experiment("some", "Hopper-v5", 3)
    _finish(one, 0, finished_run / "results", finished_run / "runs")
    facts = json.loads((finished_run / "results" / "some-seed3.json").read_text())
    assert facts["settings"] == {"ppo": {"gamma": 0.987}}
    assert (facts["command"], facts["policy"]) == ("drex run Hopper-v5 --seed 3", {"mean": 1.0})
    assert shown_name(facts) == "some"
