"""The page on T-REX does what it says, and so do the commands that make and rank demonstrations for it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from ranked_examples import trajectories_of
from tiny_environments import WALK

from benchmarks import trex
from benchmarks.readme import with_tables
from drex.cli.main import main
from drex.cli.run_options import parse_run_options
from drex.demonstrations.load_and_save import load_demonstrations, save_demonstrations
from drex.rankings.user_ranking import FORMS
from drex.rankings.user_ranking_files import load_ranking

PAGE = Path(__file__).parent.parent / "docs" / "trex.md"
TEXT = PAGE.read_text()
COMMANDS = re.findall(r"^drex .*", TEXT, flags=re.MULTILINE)


def told(capsys, *words):
    """Exit status, stdout and stderr of one command."""
    status = main(list(words))
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.fixture
def demos(tmp_path):
    file = tmp_path / "demos.npz"
    save_demonstrations(file, trajectories_of([2, 3, 1, 2], np.zeros((8, 1))))
    return file


# The page


def test_the_table_is_that_of_the_results():
    assert with_tables(TEXT) == TEXT


def test_the_pages_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    names = {"__name__": "page"}
    exec(compile(block, "trex.md", "exec"), names)
    assert len(names["ranked"].preferences) == 12
    assert {entry.name for entry in tmp_path.iterdir()} == {"demos.npz", "demos.ranking.json"}


def test_the_page_names_every_form_of_a_ranking():
    assert tuple(re.findall(r"^\| `(\w+)` \|", TEXT, flags=re.MULTILINE)) == FORMS


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("drex demos rank")])
def test_every_ranking_on_the_page_is_written(line, demos, monkeypatch, capsys):
    monkeypatch.chdir(demos.parent)
    (demos.parent / "mine.csv").write_text("better,worse\n1,0\n")
    status, said, error = told(capsys, *shlex.split(line, comments=True)[1:])
    assert status == 0, error
    assert said.splitlines()[-1] == "ranking       demos.ranking.json"
    ranked = load_ranking("demos.ranking.json").rank(load_demonstrations(demos).trajectories)
    assert f"pairs         {len(ranked.preferences)}, 0.0% contradicted by others" in said


@pytest.mark.parametrize("line", [line for line in COMMANDS if not line.startswith("drex demos rank")])
def test_every_option_on_the_page_is_one_that_drex_knows(line, capsys):
    words = shlex.split(line, comments=True)[1:]
    status, said, _ = told(capsys, *words, "--help-all" if words[0] == "run" else "--help")
    assert status == 0
    assert [word for word in words if word.startswith("--") and word not in said] == []


# The commands


def test_what_is_no_ranking_is_one_sentence_and_writes_nothing(demos, capsys):
    status, _, error = told(capsys, "demos", "rank", str(demos), "--by", "order", "0", "4")
    assert (status, error) == (2, "drex: --by order: order: expected episodes from 0 to 3, found 4\n")
    assert [entry.name for entry in demos.parent.iterdir()] == ["demos.npz"]


def test_a_ranking_is_replaced_only_where_that_is_asked_for(demos, capsys):
    words = ["demos", "rank", str(demos), "--by", "order"]
    assert told(capsys, *words, "0", "1", "2", "3")[0] == 0
    status, _, error = told(capsys, *words, "3", "2", "1", "0")
    assert (
        status == 2 and "demos.ranking.json: expected a new path, found a ranking; add --overwrite" in error
    )
    file = demos.parent / "demos.ranking.json"
    assert json.loads(file.read_text())["order"] == [0, 1, 2, 3]
    assert told(capsys, *words, "3", "2", "1", "0", "--overwrite")[0] == 0
    assert json.loads(file.read_text())["order"] == [3, 2, 1, 0]


def test_negative_scores_are_values_and_no_options(demos, capsys):
    out = demos.parent / "mine.json"
    words = ["demos", "rank", str(demos), "--by", "scores", "--out", str(out), "-1.5", "none", "-3e+00", "0"]
    assert told(capsys, *words)[0] == 0
    assert json.loads(out.read_text())["scores"] == [-1.5, None, -3.0, 0.0]


def test_a_learners_history_is_recorded_in_order_with_its_ranking(tmp_path, capsys):
    file = tmp_path / "history.npz"
    words = ["demos", "make", WALK, "--target-return", "8", "--history", "4", "--out", str(file)]
    words += ["--episodes-watched", "4", "--ppo.environments", "4", "--ppo.rollout-steps", "64"]
    status, said, error = told(capsys, *words, "--ppo.environment-steps", "200000", "--seed", "1")
    assert status == 0, error
    assert "episodes      4" in said
    made = load_demonstrations(file)
    assert made.about["recorded"] == "4 stages of the training"
    returns = made.true_returns.values_for_evaluation()
    assert returns[-1] > returns[0] + 3.0  # it had learned something in between
    ranking = load_ranking(tmp_path / "history.ranking.json")
    assert ranking.to_json() == {"format": 1, "file_order": 4}
    assert ranking.rank(made.trajectories).preferences.top_share(0.25).tolist() == [3]


def test_a_history_of_more_stages_than_there_were_is_refused(tmp_path, capsys):
    words = [
        "demos",
        "make",
        WALK,
        "--target-return",
        "-30",
        "--history",
        "500",
        "--out",
        str(tmp_path / "h.npz"),
    ]
    words += ["--episodes-watched", "1", "--ppo.environments", "4", "--ppo.rollout-steps", "64"]
    status, _, error = told(capsys, *words)
    assert status == 2 and "policies of this training, found 500" in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", ["drex", "trex"])
def test_the_method_decides_the_defaults_and_the_folder(method):
    options = parse_run_options("Hopper-v5", ["--method", method])
    assert options.settings.held_out_folds == {"drex": 0, "trex": 4}[method]
    assert options.folder().name == {"drex": "default-seed0", "trex": "trex-default-seed0"}[method]


@pytest.mark.parametrize("command", ["run Hopper-v5", "run Hopper-v5 --method trex", "demos make Hopper-v5"])
def test_help_has_no_marks_of_the_source(command, capsys):
    status, said, _ = told(capsys, *command.split(), "--help")
    assert status == 0 and "``" not in said


# The benchmark


def test_the_benchmark_asks_for_what_the_command_line_knows():
    asked = list(trex.experiments(trex.Options(variants=tuple(trex.VARIANTS), seeds=(0, 1))))
    assert len({one.label for one in asked}) == 8
    for one in asked:
        words = list(one.words(Path("runs")))[2:]
        options = parse_run_options(one.task, words)
        assert (options.method, options.demos, options.seed) == ("trex", trex.HISTORY, one.seed)


def test_the_benchmarks_demonstrations_are_ranked_and_small():
    demonstrations = load_demonstrations(trex.HISTORY)
    ranked = load_ranking(trex.HISTORY.with_suffix(".ranking.json")).rank(demonstrations.trajectories)
    assert len(ranked.preferences) == 66
    assert ranked.preferences.source == "training time"
    assert trex.HISTORY.stat().st_size < 300_000
    assert demonstrations.true_returns.values_for_evaluation().max() == pytest.approx(1481, abs=1)
