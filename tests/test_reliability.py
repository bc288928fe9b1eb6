"""The reliability harness: its trials are told apart, its damage is damage, its table is of its files."""

from __future__ import annotations

import faulthandler
import json
import os
import pickle
import random
import sys
import time

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from benchmarks import reliability
from benchmarks.readme import PAGES, with_tables
from benchmarks.reliability_experiments import files
from benchmarks.reliability_experiments.attacks import _Payload
from benchmarks.reliability_experiments.forked import attempt, attempts
from benchmarks.reliability_experiments.measured import Measured, Tally
from benchmarks.reliability_experiments.mutations import mutate
from benchmarks.reliability_experiments.walk import (
    FAULTS_OF_RESET,
    FAULTS_OF_STEP,
    HARMLESS,
    Walk,
    misbehave,
)
from drex.envs.checked import CheckedEnv
from drex.errors import UserError


def test_a_tally_counts_by_kind_and_keeps_what_did_not_hold():
    tally = Tally()
    for kind, wrong in (("bc", ""), ("reward", "lost"), ("bc", "")):
        tally.add(kind, f"killed in {kind}", wrong)
    found = tally.measured("kills", largest_MiB=2.5)
    assert (found.tried, found.held, found.counts) == (3, 2, {"bc": 2, "reward": 1})
    assert (found.failures, found.facts) == (["killed in reward: lost"], {"largest MiB": 2.5})


def abort():
    faulthandler.disable()  # what it would print looks like a failed test
    os.abort()


def refuse():
    raise UserError("file", expected="sense", found="none")


def test_each_way_to_end_is_told_apart_and_harms_no_other_trial(tmp_path):
    def wait():
        print("waiting for the arm", flush=True)
        time.sleep(60.0)

    trials = [lambda: 1, refuse, lambda: [][0], lambda: sys.exit(0), abort, wait, lambda: 2]
    found = list(attempts(trials, tmp_path / "log", seconds=2.0))
    kinds = ["done", "refused", "raised", "raised", "died", "hung", "done"]
    assert [outcome.kind for outcome in found] == kinds
    assert found[1].said == "file: expected sense, found none"
    assert "IndexError: list index out of range (test_reliability.py, line" in found[2].said
    assert "waiting for the arm" in found[5].said
    assert (found[0].found, found[6].found) == (1, 2)


def test_the_memory_of_a_trial_is_that_of_its_peak(tmp_path):
    assert attempt(lambda: len(b"x" * 2**27), tmp_path / "log").memory > 2**26
    assert attempt(lambda: 1, tmp_path / "log").memory < 2**24


def test_a_process_that_hung_is_gone(tmp_path):
    def tell_and_wait():
        (tmp_path / "process").write_text(str(os.getpid()))
        time.sleep(60.0)

    assert attempt(tell_and_wait, tmp_path / "log", seconds=1.0).kind == "hung"
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "process").read_text()), 0)


def sound(folder):
    """A file of every kind that is damaged by its structure."""
    folder.mkdir()
    np.savez(folder / "a.npz", observations=np.zeros((3, 2)), lengths=np.array([3]))
    save_file({"weight": torch.zeros(2, 2)}, folder / "b.safetensors")
    (folder / "c.json").write_text(json.dumps({"sizes": [8, 8], "names": {"one": "x"}}))
    (folder / "d.csv").write_text("episode,score\n0,1\n1,2\n")
    with h5py.File(folder / "e.hdf5", "w") as file:
        file["actions"] = np.zeros((3, 2))
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_damage_changes_files_is_repeated_by_its_seed_and_is_of_many_kinds(tmp_path):
    done, changed = set(), 0
    for seed in range(300):
        found = []
        for name in ("first", "second"):
            folder = tmp_path / f"{seed}-{name}"
            before = sound(folder)
            said = mutate(folder, random.Random(seed))
            after = {file.name: file.read_bytes() for file in folder.iterdir()}
            found.append(
                (said, {name: after.get(name) for name in before if not name.endswith((".npz", "5"))})
            )
        assert found[0] == found[1]
        changed += after != before
        done.add(said.partition(":")[2][:8])
    assert changed > 290
    assert len(done) > 20


def test_a_reader_that_fails_otherwise_is_found(tmp_path, monkeypatch):
    (tmp_path / "walk.json").write_text("{}")

    def read(path):
        json.loads(path.read_text())["order"]

    monkeypatch.setattr(files, "_sound", lambda folder: {"ranking.json": (tmp_path / "walk.json", read)})
    monkeypatch.setattr(files, "TRIALS", {"ranking.json": 20})
    measured = files.measure(1.0)
    assert (measured.tried, measured.held) == (20, 0)
    assert all("raised: " in failure and "walk.json: " in failure for failure in measured.failures)


def test_the_readers_of_drex_withstand_damage():
    measured = files.measure(0.0005)
    assert set(measured.counts) == set(files.TRIALS)
    assert measured.failures == []


def test_what_an_attack_runs_is_seen(tmp_path):
    attack = pickle.dumps(_Payload(f"touch {tmp_path / 'executed'}"))
    assert not (tmp_path / "executed").exists()
    pickle.loads(attack)
    assert (tmp_path / "executed").exists()


@pytest.mark.parametrize("fault", [*FAULTS_OF_STEP, *FAULTS_OF_RESET])
def test_every_fault_of_an_environment_happens_after_a_while(fault, monkeypatch):
    monkeypatch.setitem(FAULTS_OF_STEP, "step hangs", lambda _: refuse())
    environment = CheckedEnv(Walk(), "the walk")

    def play():
        environment.reset(seed=0)
        rewards = [environment.step(np.zeros(2, np.float32))[1] for _ in range(20)]
        yield rewards
        environment.reset()
        yield environment.step(np.zeros(2, np.float32))[1]

    misbehave(fault)
    try:
        calls = play()
        assert next(calls) == [0.0] * 20
        if fault in ("NaN reward", "infinite reward"):
            assert not np.isfinite(next(calls))
        else:
            with pytest.raises(UserError, match=r"the walk|file"):
                next(calls)
    finally:
        misbehave(None)


@pytest.mark.parametrize("habit", HARMLESS)
def test_habits_of_an_environment_are_no_faults(habit):
    misbehave(habit)
    try:
        environment = CheckedEnv(Walk(), "the walk")
        environment.reset(seed=0)
        assert environment.step(np.ones(2, np.float32))[1:4] == (1.0, False, False)
    finally:
        misbehave(None)


def test_the_table_has_a_row_for_each_part_and_is_in_the_documentation(tmp_path, monkeypatch):
    def measure(share):
        return Measured(what="kills", tried=3, failures=["killed in bc: lost"], counts={"bc": 3})

    monkeypatch.setattr(reliability, "part", lambda name: measure)
    reliability.measure(reliability.Options(results=tmp_path, only=("kills",)))
    command = "python -m benchmarks reliability --only kills"
    assert f"| kills | `{command}` | 3 | **2** | bc 3 |" in reliability.table(tmp_path)
    page = next(page for page in PAGES if page.name == "reliability.md")
    assert page.read_text() == with_tables(page.read_text())
    assert all(f"- **{name}**: " in page.read_text() for name in reliability.PARTS)


def test_an_unknown_part_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match=r"--only: expected names among kills, disk, .*, found fires"):
        reliability.measure(reliability.Options(results=tmp_path, only=("fires",)))
