"""The command line: helps, exit statuses, a task's own defaults, a whole run, and one killed and resumed."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tiny_environments import WALK

from drex import pipeline
from drex.agents.rollouts.collect import collect
from drex.cli.main import main
from drex.cli.run_options import parse_run_options
from drex.demonstrations.load_and_save import load_demonstrations, save_demonstrations
from drex.envs.make import make_environments
from drex.errors import UserError
from drex.presets.presets import preset
from drex.progress_bar import progress_bar

TINY = shlex.split("""
--policy.policy-hidden-sizes 8 --policy.value-hidden-sizes 8 --bc.gradient-steps 100 --bc.check-every 50
--ranking.levels 0 0.5 1 --ranking.episodes-per-level 3 --ranking.environments 4
--reward.hidden-sizes 8 --reward.gradient-steps 20 --reward.held-out 0
--reward.snippets.minimum-length 5 --reward.snippets.maximum-length 10
--learner.environments 4 --learner.rollout-steps 32 --learner.batch-size 64 --learner.epochs 2
--learner.critic-warmup-rollouts 1 --learner.checkpoint-steps 1024
--evaluation.episodes 4 --evaluation.environments 4
""")
STEPS = ["--learner.environment-steps", "8192"]  # eight segments


@pytest.fixture(scope="module")
def demos(tmp_path_factory):
    """A walker that pushes forward by a third of what it could."""
    file = tmp_path_factory.mktemp("demos") / "walk.npz"

    def push(observations):
        return np.stack([np.full(len(observations), 0.3), -observations[:, 1]], axis=1).astype(np.float32)

    trajectories, returns = collect(push, make_environments(WALK, 2, seed=0), 4, seed=0)
    save_demonstrations(file, trajectories, rewards=returns.step_values_for_evaluation(), task=WALK)
    return file


@pytest.fixture(scope="module")
def finished(tmp_path_factory, demos):
    """A run from beginning to end, and what it printed."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    words = [
        sys.executable,
        "-m",
        "drex",
        "run",
        f"tiny_environments:{WALK}",
        "--demos",
        str(demos),
        "--seed",
        "5",
    ]
    words += ["--run-dir", str(folder), "--controls", "constant", *TINY, *STEPS]
    done = subprocess.run(words, env=with_tests(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder, done


def with_tests():
    """The environment in which a process of its own finds the tiny tasks."""
    return os.environ | {"PYTHONPATH": str(Path(__file__).parent)}


def told(capsys, *words):
    """Exit status, stdout and stderr of one command."""
    status = main(list(words))
    said = capsys.readouterr()
    return status, said.out, said.err


# ---------------------------------------------------------------------------------------------- commands


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["demos"], ["demos", "--help"]])
def test_help_names_every_command(capsys, words):
    status, said, _ = told(capsys, *words)
    assert status == 0
    assert all(f"drex {name} " in said for name in ("run", "demos make", "demos inspect", "report"))


@pytest.mark.parametrize(
    "words", [["-h"], ["run", "--help"], ["run", "ALE/Pong-v5", "--preset", "small", "-h"]]
)
def test_help_does_not_wait_for_torch(words):
    code = (
        f"import sys, drex.cli.main as cli; cli.main({words}); "
        "print({'torch', 'gymnasium', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize("words", [["demos", "mke"], ["demos-make"]])
def test_a_misspelt_command_is_told_the_nearest(capsys, words):
    status, _, said = told(capsys, *words)
    assert (status, said.count("\n")) == (2, 1)
    assert "did you mean demos make?" in said


def test_version_is_told(capsys):
    status, said, _ = told(capsys, "--version")
    assert (status, said.split()[0]) == (0, "drex")


@pytest.mark.parametrize("words", [["run", "Hopper-v5", "--help-all"], ["demos", "inspect", "{demos}"]])
def test_a_reader_that_has_seen_enough_is_no_error(demos, words):
    reading, writing = os.pipe()
    os.close(reading)  # as head does once it has its lines
    command = [sys.executable, "-m", "drex", *(word.format(demos=demos) for word in words)]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_terminal_without_a_character_shows_its_code(demos):
    command = [
        sys.executable,
        "-m",
        "drex",
        "run",
        "Hopper-v5",
        "--run-dir",
        "\N{SNOWMAN}\x1b[31m",
        "--seed",
        "-1",
    ]
    for encoding in ("ascii", "latin-1"):
        variables = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
        done = subprocess.run(
            [*command, "--demos", "\N{SNOWMAN}"], env=variables, capture_output=True, check=False
        )
        assert done.returncode == 2 and b"Traceback" not in done.stderr, done.stderr


def test_a_name_that_no_file_can_have_is_one_sentence(capsys):
    status, _, error = told(capsys, "demos", "inspect", "a" * 300 + ".npz")
    assert status == 2 and error == f"drex: {'a' * 300}.npz: File name too long\n"


def test_progress_in_a_log_is_a_line_every_tenth(capsys):
    with progress_bar("ranked", 1000, "episode", hidden=False) as bar:
        for _ in range(500):
            bar.update(2)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("%")[0].split()[-1] for line in lines] == [str(10 * tenth) for tenth in range(11)]
    assert all(line.startswith("ranked: ") for line in lines)
    with progress_bar("ranked", 1000, "episode", hidden=True) as bar:
        bar.update(1000)
    assert capsys.readouterr().err == ""


def test_a_message_of_a_file_gives_the_terminal_no_orders(demos, tmp_path, capsys):
    loaded = load_demonstrations(demos)
    save_demonstrations(tmp_path / "task.npz", loaded.trajectories, task="a\x1b[31mb\nc")
    status, said, _ = told(capsys, "demos", "inspect", str(tmp_path / "task.npz"))
    assert status == 0 and "a\\x1b[31mb c" in said
    assert str(UserError("a\nb", expected="\x1b", found="c")) == "a b: expected \\x1b, found c"


@pytest.mark.parametrize("limit", [200, 3_000, 24_000, 60_000])
def test_a_full_disk_is_one_sentence_at_every_stage(demos, tmp_path, limit):
    folder = tmp_path / "run"
    words = ["run", f"tiny_environments:{WALK}", "--demos", str(demos), "--run-dir", str(folder), "--quiet"]
    command = [sys.executable, "-m", "drex", *words, *TINY, "--learner.environment-steps", "1024"]
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); "
    limited += f"import os, sys; os.execv(sys.executable, {command!r})"
    done = subprocess.run(
        [sys.executable, "-c", limited], env=with_tests(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert re.search("\ndrex: .*: expected a place to write, found File too large; .*\n$", done.stderr)
    assert "Traceback" not in done.stderr and ".partial" not in done.stderr


@pytest.mark.parametrize(("words", "continues"), [(["run", "Hopper-v5"], True), (["report", "x"], False)])
def test_an_interrupted_command_names_resume_where_it_has_it(monkeypatch, capsys, words, continues):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("drex.cli.main._dispatch", interrupted)
    status, _, error = told(capsys, *words)
    assert status == 1 and error.startswith("drex: interrupted")
    assert ("--resume" in error) == continues


# ---------------------------------------------------------------------------------------------- options


def test_help_shows_the_options_that_people_use_and_where_the_others_are(capsys):
    status, said, _ = told(capsys, "run", "Hopper-v5", "--help")
    assert status == 0 and "drex run Hopper-v5 --help-all" in " ".join(said.split())
    shown = set(re.findall(r"^\W*(--[a-z][a-z-]+)", said, re.MULTILINE))
    assert {"--demos", "--seed", "--run-dir", "--preset", "--method", "--ranking", "--algo"} <= shown
    assert len(shown) <= 14 and not any("." in option for option in shown)
    _, everything, _ = told(capsys, "run", "Hopper-v5", "--help-all")
    assert all(option in everything for option in [*shown, "--learner.environment-steps", "--bc.l2"])


def test_help_of_a_task_shows_that_tasks_defaults(capsys):
    status, said, _ = told(capsys, "run", "ALE/Breakout-v5", "--help-all")
    clip = preset("default", "ALE/Breakout-v5").learner.clip_range
    assert clip != preset("default", "Pendulum-v1").learner.clip_range
    assert status == 0
    assert f"(default: {clip})" in said.split("--learner.clip-range")[1].split("--learner.")[0]


def test_the_preset_decides_the_defaults_and_options_go_over_them():
    words = ["--preset", "paper", "--learner.environment-steps", "7000", "--ranking.levels", "0.0", "0.5"]
    options = parse_run_options("Hopper-v5", words)
    paper = preset("paper", "Hopper-v5")
    assert options.settings.learner.environment_steps == 7000
    assert options.settings.ranking.levels == (0.0, 0.5)
    assert (
        options.settings.learner.start_from
        == paper.learner.start_from
        != preset("default", "Hopper-v5").learner.start_from
    )
    assert options.settings.reward == paper.reward
    assert options.folder() == Path("runs/Hopper-v5/paper-seed0")


def test_without_options_the_settings_are_the_presets():
    assert parse_run_options("Ant-v5", []).settings == preset("default", "Ant-v5")


def test_a_task_with_a_slash_and_a_module_has_one_folder():
    options = parse_run_options("mine:group/Task-v0", ["--seed", "3"])
    assert options.folder() == Path("runs/mine-group-Task-v0/default-seed3")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "drex run ENV: expected a task, then options, found none"),
        (["--seed", "3"], "drex run ENV: expected a task, then options, found --seed"),
        (
            ["Nowhere-v0", "--demos", "x.npz"],
            "task 'Nowhere-v0': expected an environment that gymnasium can make",
        ),
        (
            ["Pendulum-v1", "--preset", "beste"],
            "preset: expected one of default, small, paper, found 'beste'",
        ),
        (["Pendulum-v1", "--run-dir", "{tmp}/run", "--demos", "{tmp}/no.npz"], "no.npz"),
        (
            ["Pendulum-v1", "--run-dir", "{tmp}/run"],
            "demonstrations for Pendulum-v1: expected a bundled file",
        ),
        (["Pendulum-v1", "--learner.batch-size", "100000"], "learner.batch_size: expected at most"),
    ],
)
def test_a_users_mistake_is_one_sentence_and_status_2(capsys, tmp_path, words, said):
    status, _, error = told(capsys, "run", *(word.format(tmp=tmp_path) for word in words))
    assert (status, error.count("\n"), error.startswith("drex: ")) == (2, 1, True), error
    assert said in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--learner.environment-stps", "3"], "--learner.environment-steps"),
        (["--seed", "first"], "first"),
        (["--controls", "alife"], "alife"),
        (["--method", "magic"], "magic"),
        (["--device", "tpu"], "tpu"),
    ],
)
def test_an_option_that_cannot_be_parsed_is_status_2_and_named(capsys, words, said):
    status, _, error = told(capsys, "run", "Pendulum-v1", *words)
    assert status == 2
    assert said in error and "Traceback" not in error


def test_anything_else_is_status_1_with_a_traceback(capsys, monkeypatch, tmp_path):
    def fail(*_, **__):
        raise RuntimeError("not the user's doing")

    monkeypatch.setattr(pipeline, "run", fail)
    status, _, error = told(capsys, "run", WALK, "--run-dir", str(tmp_path / "run"))
    assert status == 1
    assert "Traceback" in error and "not the user's doing" in error


# ---------------------------------------------------------------------------------------------- runs


def test_a_run_leaves_its_folder_and_ends_with_the_tables(finished):
    folder, done = finished
    stages = {"demonstrations", "bc", "ranked", "reward", "policy", "evaluation", "control-constant"}
    assert stages <= {entry.name for entry in folder.iterdir()}
    found = json.loads((folder / "evaluation.json").read_text())
    assert (found["seed"], found["policy"]["episodes"]) == (5, 4)
    assert found["demonstrator"]["mean"] == pytest.approx(9.0, abs=0.01)  # 30 steps of 0.3
    for words in (
        "demonstrator",
        "uniform random",
        "baseline: constant reward",
        "Kendall tau",
        "Wall time per stage",
    ):
        assert words in done.stdout
    assert done.stdout.splitlines()[-1] == f"report: {folder / 'report.html'}"
    assert "policy" in done.stderr  # its progress bar
    assert {"predicted_and_true.png", "learning_curve.png"} <= {
        file.name for file in (folder / "figures").iterdir()
    }


def test_a_folder_with_a_run_is_left_alone_unless_told_to_resume(finished, demos, capsys):
    folder, _ = finished
    before = (folder / "evaluation.json").stat().st_mtime_ns
    words = [
        "run",
        f"tiny_environments:{WALK}",
        "--demos",
        str(demos),
        "--run-dir",
        str(folder),
        *TINY,
        *STEPS,
    ]
    status, _, error = told(capsys, *words, "--seed", "5")
    assert status == 2 and "add --resume or name another folder" in error
    status, _, error = told(capsys, *words, "--seed", "6", "--resume")
    assert status == 2 and "seed: expected 6, found 5" in error
    assert (folder / "evaluation.json").stat().st_mtime_ns == before


def test_a_report_is_made_again_from_the_folder_alone(finished, capsys):
    folder, done = finished
    (folder / "report.html").unlink()
    status, said, _ = told(capsys, "report", str(folder))
    assert status == 0 and (folder / "report.html").is_file()
    assert said.strip().splitlines()[-1] == done.stdout.splitlines()[-1]


def test_a_report_of_no_run_is_a_users_mistake(capsys, tmp_path):
    status, _, error = told(capsys, "report", str(tmp_path / "none"))
    assert status == 2 and "expected a finished run" in error


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_killed_in_ppo_and_resumed_ends_with_the_same_weights(finished, demos, tmp_path, how):
    whole, _ = finished
    killed = tmp_path / "killed"
    words = [
        "run",
        f"tiny_environments:{WALK}",
        "--demos",
        str(demos),
        "--seed",
        "5",
        "--run-dir",
        str(killed),
    ]
    words += [*TINY, *STEPS, "--quiet"]
    command = [sys.executable, "-m", "drex", *words]
    process = subprocess.Popen(command, env=with_tests(), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300
    while not list(killed.glob("trained.unfinished/checkpoint-*")) and time.monotonic() < deadline:
        assert process.poll() is None, "finished before it could be killed"
        time.sleep(0.002)
    process.send_signal(how)
    _, error = process.communicate()
    assert "Traceback" not in error
    assert ("drex: interrupted; the same command with --resume continues" in error) == (how == signal.SIGTERM)
    assert not (killed / "trained").exists()
    assert main([*words, "--resume"]) == 0
    for file in ("bc/policy.safetensors", "reward/reward.safetensors", "trained/policy.safetensors"):
        assert (killed / file).read_bytes() == (whole / file).read_bytes(), file
    assert not (killed / "trained.unfinished").exists()


def test_a_diagnosis_stops_before_the_policy_and_a_run_continues_from_it(finished, demos, tmp_path, capsys):
    whole, _ = finished
    folder = tmp_path / "diagnosed"
    words = [f"tiny_environments:{WALK}", "--demos", str(demos), "--seed", "5", "--run-dir", str(folder)]
    words += [*TINY, *STEPS, "--quiet"]
    status, said, error = told(capsys, "diagnose", *words)
    assert status == 0, error
    lines = said.splitlines()
    assert any(re.match(r"\[(green|yellow|red)\] uniform noise: The level of", line) for line in lines)
    assert "--resume" in lines[-1]
    assert (folder / "reward").is_dir() and not (folder / "trained").exists()
    status, again, _ = told(capsys, "diagnose", str(folder))
    assert (status, again.splitlines()) == (0, lines[:-1])
    assert told(capsys, "run", *words, "--resume")[0] == 0
    for file in ("reward/reward.safetensors", "trained/policy.safetensors"):
        assert (folder / file).read_bytes() == (whole / file).read_bytes(), file


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["{empty}"], "expected a run that has learned its reward, found no diagnosis"),
        (["{run}", "--seed", "1"], "expected no options after a run folder, found --seed"),
        (["{unnamed}"], "expected a task of gymnasium's own, found none; drex diagnose ENV --demos"),
        (["Hopper-v5", "--controls", "constant"], "controls: expected none, as no policy is trained"),
    ],
)
def test_what_cannot_be_diagnosed_is_one_sentence(finished, demos, tmp_path, capsys, words, sentence):
    unnamed = tmp_path / "unnamed.npz"
    save_demonstrations(unnamed, load_demonstrations(demos).trajectories)
    places = {"empty": tmp_path, "run": finished[0], "unnamed": unnamed}
    status, _, error = told(capsys, "diagnose", *(word.format(**places) for word in words))
    assert status == 2 and sentence in error


# ---------------------------------------------------------------------------------------------- demos


def test_demonstrations_are_made_and_inspected(capsys, tmp_path):
    file = tmp_path / "made.npz"
    words = [
        "demos",
        "make",
        WALK,
        "--target-return",
        "2",
        "--episodes",
        "3",
        "--seed",
        "1",
        "--out",
        str(file),
    ]
    words += ["--episodes-watched", "4", "--ppo.environments", "4", "--ppo.rollout-steps", "64"]
    status, said, error = told(capsys, *words, "--ppo.environment-steps", "200000")
    assert status == 0, error
    assert "episodes      3" in said
    made = load_demonstrations(file)
    assert made.about["command"].startswith(f"drex demos make {WALK} --target-return 2 --episodes 3")
    status, again, _ = told(capsys, "demos", "inspect", str(file), "--task", WALK)
    assert status == 0 and again.splitlines()[1:3] == said.splitlines()[2:4]
    assert told(capsys, *words)[0] == 2  # the file exists and is not overwritten


def test_a_history_of_demonstrations_comes_with_its_ranking(capsys, tmp_path):
    file = tmp_path / "history.npz"
    words = [
        "demos",
        "make",
        WALK,
        "--out",
        str(file),
        "--history",
        "3",
        "--target-return",
        "-100",
        "--quiet",
    ]
    words += shlex.split("--ppo.environments 4 --ppo.rollout-steps 64 --ppo.batch-size 64 --ppo.epochs 1")
    status, _, error = told(capsys, *words, "--ppo.environment-steps", "8192")
    assert status == 0, error
    assert len(load_demonstrations(file).trajectories) == 3
    ranking = json.loads((tmp_path / "history.ranking.json").read_text())
    assert ranking == {"format": 1, "file_order": 3}


def test_demonstrations_of_another_task_are_refused(capsys, demos):
    status, _, error = told(capsys, "demos", "inspect", str(demos), "--task", "Pendulum-v1")
    assert status == 2 and "observations: expected (3,)" in error
