"""The suite asks its questions of results alone, and every command that it shows can be typed again."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest

import drex
from benchmarks import suite
from benchmarks.__main__ import main as main_of_benchmarks
from benchmarks.suite import (
    Options,
    Task,
    experiments,
    make_demonstrations,
    rock,
    score,
    summary,
    table,
    verdict,
)
from drex.cli.run_options import parse_run_options
from drex.errors import UserError


def mean(value, low=None, high=None):
    return {"mean": value, "interval": [value if low is None else low, value if high is None else high]}


def facts(
    policy, *, name="Hopper-v5", seed=0, greedy=5.0, sampling=4.0, best=8.0, controls=None, light="green"
):
    """A result as the runner writes it, with the fields that the suite reads."""
    return {
        "name": name,
        "seed": seed,
        "demonstrator": {"mean": 2.0, "best": best},
        "bc": mean(greedy, greedy - 1, greedy + 1),
        "bc_stochastic": mean(sampling),
        "trained": mean(policy),
        "trained_deterministic": mean(policy),
        "policy": mean(policy, policy - 1, policy + 1),
        "returned": {"returned": {"trained": True, "steps": 1_000, "actions": "greedy"}},
        "controls": {key: mean(value) for key, value in (controls or {}).items()},
        "diagnosis": [{"name": "order", "light": light}],
    }


BASELINES = {"constant": 6.0, "shuffled_labels": 7.0}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (9.0, (True, True, True, True)),
        (7.5, (False, True, True, True)),
        (6.5, (False, True, True, False)),
        (4.5, (False, True, False, False)),
        (2.5, (False, False, False, False)),
    ],
)
def test_a_verdict_compares_with_best_demonstration_clones_and_baselines(policy, expected):
    found = verdict([facts(policy, controls=BASELINES)])
    assert (found.above_best, found.no_harm, found.above_clones, found.above_baselines) == expected


def test_one_harmful_seed_is_harm_and_means_are_over_seeds():
    found = verdict([facts(20.0), facts(1.0, seed=1, light="red")])
    assert (found.above_best, found.no_harm, found.above_clones, found.above_baselines) == (
        True,
        False,
        True,
        None,
    )
    assert found.red == 1


def test_the_ceiling_is_one_and_the_demonstrations_mean_is_zero():
    controlled = facts(9.0, controls={"true_reward": 12.0})
    assert [score(value, controlled, controlled) for value in (2.0, 7.0, 12.0, 17.0)] == [0.0, 0.5, 1.0, 1.5]
    assert score(9.0, controlled, facts(9.0)) is None
    assert score(9.0, controlled, facts(9.0, controls={"true_reward": 1.0})) is None


def test_lights_are_compared_with_how_training_ended():
    runs = [
        facts(2.0, light="red"),
        facts(2.5),  # missed
        facts(4.5, light="red"),  # neither worse nor much better
        facts(6.5, light="red"),  # a false alarm
        facts(9.0),
    ]
    for run in runs:
        run["trained"] = run["trained_deterministic"] = run["policy"]
    assert suite.calibration(runs) == {"worse": (1, 2), "better": (1, 2)}


def write(folder, *results):
    for found in results:
        (folder / f"{found['name']}-seed{found['seed']}.json").write_text(json.dumps(found))


def test_tables_are_made_from_results_alone_in_the_order_of_the_tasks(tmp_path):
    hopper = facts(9.0, controls=BASELINES | {"true_reward": 12.0}, light="red")
    write(tmp_path, hopper, facts(10.0, seed=1), facts(3.0, name="Pendulum-v1"))
    lines = table(tmp_path).splitlines()
    assert [line for line in lines if line.startswith("**")] == ["**development**", "**confirmation**"]
    row = next(line for line in lines if line.startswith("| Hopper-v5 | 0 "))
    assert "| **9** [8, 10] | 1,000 steps, greedy | 6 | 7 | 12 | order |" in row
    assert "- above the best demonstration: 1 of 1 tasks" in lines
    assert "- above the best demonstration: 0 of 1 tasks" in lines
    short = summary(tmp_path).splitlines()[2:]
    assert short[0] == "| Hopper-v5 | 2 | 2 / 8 | 5 | 6 | 7 | **9.5** (9 to 10) | 1 of 2 |"
    assert short[1].startswith("| Pendulum-v1 | 1 |")
    suite.draw(tmp_path, tmp_path / "figure.png")
    suite.draw_bundled(tmp_path, tmp_path / "bundled.png")
    for figure in ("figure.png", "bundled.png"):
        assert (tmp_path / figure).stat().st_size > 5_000


@pytest.mark.parametrize("group", ["development", "confirmation", "second", "third"])
def test_every_command_of_the_suite_can_be_parsed_as_it_is_shown(group):
    asked = list(experiments(Options(group=group, seeds=(0, 1))))
    assert len(asked) == 2 * sum(task.group == group for task in suite.TASKS)
    for one in asked:
        _, _, task, *words = shlex.split(one.shown())
        options = parse_run_options(task, words)
        assert bool(options.controls) == (options.seed == 0)
        assert options.settings == drex.Settings()


def test_published_demonstrations_need_their_folder(tmp_path):
    with pytest.raises(UserError, match="paper_demos: expected a folder, found none"):
        list(experiments(Options(group="published")))
    asked = list(experiments(Options(group="published", paper_demos=tmp_path, seeds=(0,))))
    assert [one.name for one in asked] == [
        "HalfCheetah-v5-paper-demonstrations",
        "Hopper-v5-paper-demonstrations",
    ]
    assert all(one.demos.parent == tmp_path for one in asked)


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [("MountainCarContinuous-v0", 50.0, 92.0), ("MountainCar-v0", -195.0, -110.0)],
)
def test_the_scripted_demonstrator_finds_the_flag_and_is_not_the_best_possible(
    name, lowest, highest, tmp_path, monkeypatch
):
    monkeypatch.setattr(suite, "DEMONSTRATIONS", tmp_path)
    task = Task(name, "confirmation", scripted=True)
    make_demonstrations(task)
    made = drex.load_demonstrations(task.demonstrations)
    returns = made.true_returns.values_for_evaluation()
    assert len(returns) == 10 and lowest < returns.mean() < highest
    assert made.task == task.id and made.about["policy"] == "scripted"


def test_the_scripted_demonstrator_is_seeded():
    seen = np.random.default_rng(0).normal(size=(20, 2))
    np.testing.assert_array_equal(rock(seed=1, discrete=False)(seen), rock(seed=1, discrete=False)(seen))


@pytest.mark.filterwarnings("ignore:.*found in sys.modules")
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["suite", "--tasks", "Hoper-v5", "--table"], "--tasks: expected names among HalfCheetah-v5, "),
        (["ablations", "--only", "nothing", "--table"], "--only: expected names among sampling-alone, "),
        (["reliability", "--only", "nothing"], "--only: expected names among kills, "),
        (["nothing"], "benchmark: expected one of ablations, "),
    ],
)
def test_a_name_that_there_is_not_is_one_sentence(words, sentence, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["benchmarks", *words])
    assert main_of_benchmarks() == 2
    said = capsys.readouterr().err
    assert said.startswith(f"benchmarks: {sentence}") and said.count("\n") == 1
