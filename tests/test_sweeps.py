"""Many runs side by side: their cores, their ends, and the table of their seeds."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from test_cli import TINY, demos, told, with_tests  # noqa: F401 (a fixture)
from tiny_environments import WALK

from drex.errors import UserError
from drex.sweeps.processes import Program, run_side_by_side
from drex.sweeps.seeds import seeds_of

# -------------------------------------------------------------------------------------------- processes


def program(folder, name, code):
    return Program(name, (sys.executable, "-c", code), folder / "logs" / f"{name}.log")


def processes_with(word):
    """Command lines of running processes that hold the word."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            lines.append(file.read_text(errors="replace"))
    return [line for line in lines if word in line]


def test_programs_end_with_their_status_and_leave_their_output(tmp_path):
    programs = [
        program(tmp_path, str(status), f"print('hi'); raise SystemExit({status})") for status in (0, 3)
    ]
    seen = [(one.name, status) for one, status in run_side_by_side(programs, 1)]
    assert seen == [("0", None), ("0", 0), ("3", None), ("3", 3)]
    assert [one.log.read_text() for one in programs] == ["hi\n", "hi\n"]


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_as_many_run_at_a_time_as_asked_for_on_equal_shares_of_the_cores(tmp_path, jobs):
    code = "import os, time; print(sorted(os.sched_getaffinity(0)), os.environ['OMP_NUM_THREADS'])"
    code += "; time.sleep(1)"
    programs = [program(tmp_path, str(place), code) for place in range(4)]
    running, most = set(), 0
    for one, status in run_side_by_side(programs, jobs):
        (running.add if status is None else running.discard)(one.name)
        most = max(most, len(running))
    assert most == jobs
    usable = sorted(os.sched_getaffinity(0))
    shares = [usable[place::jobs] or [usable[place % len(usable)]] for place in range(jobs)]
    assert {one.log.read_text().strip() for one in programs} == {f"{share} {len(share)}" for share in shares}


def test_programs_are_ended_with_the_one_that_runs_them(tmp_path):
    code = "import time\nprint('there', flush=True)\ntime.sleep(601)"
    programs = run_side_by_side([program(tmp_path, "long", code)], 1)
    one, _ = next(programs)
    while not one.log.read_text():
        time.sleep(0.05)
    began = time.monotonic()
    programs.close()
    assert time.monotonic() - began < 60
    assert not processes_with(code)


# ------------------------------------------------------------------------------------------------ seeds


@pytest.mark.parametrize(
    ("text", "seeds"), [("0-4", [0, 1, 2, 3, 4]), ("3", [3]), ("5-6, 0,2,5", [0, 2, 5, 6])]
)
def test_seeds_are_numbers_and_ranges(text, seeds):
    assert seeds_of(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "1,", "3-1", "-1", "1.5", "0-4-5"])
def test_other_seeds_are_refused(text):
    with pytest.raises(UserError, match="seeds: expected numbers and ranges such as 0-4 or 0,2,5-7"):
        seeds_of(text)


def test_a_seed_that_is_too_large_is_refused():
    with pytest.raises(UserError, match="seeds: expected from 0 to 1073741823, found 99999999999"):
        seeds_of("99999999999")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--seeds", "x"], "seeds: expected numbers and ranges"),
        (["--seeds", "0-1", "--seed", "1"], "seed: expected none beside --seeds, found 1"),
        (["--jobs", "2"], "jobs: expected --seeds with it, found none"),
        (["--seeds", "0-1", "--jobs", "0"], "jobs: expected at least 1, found 0"),
    ],
)
def test_options_that_contradict_each_other_are_one_sentence(words, sentence, capsys):
    status, _, said = told(capsys, "run", "HalfCheetah-v5", *words)
    assert (status, said.startswith(f"drex: {sentence}")) == (2, True), said


def test_a_diagnosis_has_one_seed(capsys):
    status, _, said = told(capsys, "diagnose", "HalfCheetah-v5", "--seeds", "0-1")
    assert (status, said) == (2, "drex: seeds: expected one seed, by --seed, found 0-1\n")


@pytest.fixture(scope="module")
def swept(tmp_path_factory, demos):  # noqa: F811
    """Two seeds, side by side, and what was printed."""
    folder = tmp_path_factory.mktemp("swept")
    words = [sys.executable, "-m", "drex", "run", f"tiny_environments:{WALK}", "--demos", str(demos)]
    words += [*TINY, "--learner.environment-steps", "512", "--seeds", "3,5", "--jobs", "2"]
    words += ["--run-dir", str(folder)]
    done = subprocess.run(words, env=with_tests(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return folder, words, done.stdout


def test_seeds_are_ordinary_runs_in_folders_of_their_own(swept, tmp_path):
    folder, words, said = swept
    assert sorted(path.name for path in folder.iterdir()) == ["seed3", "seed3.log", "seed5", "seed5.log"]
    single = [*words[: words.index("--seeds")], "--seed", "5", "--run-dir", str(tmp_path / "single")]
    subprocess.run(single, env=with_tests(), capture_output=True, check=True)
    weights = "policy/policy.safetensors"
    assert (folder / "seed5" / weights).read_bytes() == (tmp_path / "single" / weights).read_bytes()
    assert (folder / "seed5" / weights).read_bytes() != (folder / "seed3" / weights).read_bytes()
    returned = [
        json.loads((folder / f"seed{seed}" / "evaluation.json").read_text())["policy"]["mean"]
        for seed in (3, 5)
    ]
    (row,) = (line.split() for line in said.splitlines() if line.startswith("D-REX"))
    assert row[1:3] == ["2", f"{np.mean(returned):.2f}"]


def test_finished_seeds_are_kept_others_are_added_and_one_that_fails_is_named(swept):
    folder, words, said = swept
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/*/*.safetensors")}
    (folder / "seed4").mkdir()
    (folder / "seed4" / "thesis.txt").write_text("not a run")
    more = [{"3,5": "2-5"}.get(word, word) for word in words]
    done = subprocess.run(more, env=with_tests(), capture_output=True, text=True, check=False)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert (folder / "seed2" / "evaluation.json").exists()
    assert [f"seed {seed}: finished" in done.stdout for seed in (2, 3, 4, 5)] == [True, True, False, True]
    (failure,) = (line for line in done.stdout.splitlines() if line.startswith("seed 4: failed"))
    assert "thesis.txt" in failure
    log = folder / "seed4.log"
    sentence = f"drex: seeds: expected all runs to finish, found seed 4 failed; read {log}"
    assert (done.returncode, done.stderr.startswith(sentence)) == (2, True)
    assert "seed 2" not in said


def test_an_interruption_ends_all_runs_and_the_same_command_continues(tmp_path, demos):  # noqa: F811
    words = [sys.executable, "-m", "drex", "run", f"tiny_environments:{WALK}", "--demos", str(demos), *TINY]
    words += [
        "--learner.environment-steps",
        "100000",
        "--seeds",
        "0-1",
        "--jobs",
        "2",
        "--run-dir",
        str(tmp_path),
    ]
    process = subprocess.Popen(words, env=with_tests(), stderr=subprocess.PIPE, text=True)
    while len(list(tmp_path.glob("*/trained.unfinished/checkpoint-*"))) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert "drex: interrupted; the same command with --resume continues" in said
    assert not processes_with(str(tmp_path))
    assert len(list(Path(tmp_path).glob("*/trained.unfinished/checkpoint-*"))) == 2
