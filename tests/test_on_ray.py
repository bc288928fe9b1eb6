"""A sweep on a local Ray, one of whose workers is killed: nothing is lost, and the weights are the same."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from test_cli import demos, told, with_tests  # noqa: F401 (a fixture)
from test_sweep_files import TABLES, written
from tiny_environments import WALK

pytest.importorskip("ray", reason="Ray is installed by few: pip install '.[ray]'")

TASK = f"tiny_environments:{WALK}"


@pytest.fixture
def spec(tmp_path, demos):  # noqa: F811
    """Two seeds of eight checkpoints each."""
    shutil.copy(demos, tmp_path / "walk.npz")
    long = TABLES.replace("environment_steps = 512", "environment_steps = 20000, checkpoint_steps = 1024")
    head = f'tasks = [{{task = "{TASK}", demos = "walk.npz", name = "walk"}}]\nseeds = "0-1"\njobs = 2\n'
    return written(tmp_path, f'folder = "ray"\n{head}{long}', "ray.toml"), written(
        tmp_path, f'folder = "here"\n{head}{long}', "here.toml"
    )


def sweep(file, *words):
    command = [sys.executable, "-m", "drex", "sweep", str(file), "--task", TASK, *words]
    return subprocess.Popen(
        command, env=with_tests(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def table_of(output):
    """The printed tables, without the lines about the runs."""
    return output[output.index("Scores (") : output.index("comparison: ")]


def test_a_run_whose_worker_is_killed_continues_and_ends_with_the_same_weights(spec, tmp_path):
    on_ray, here = spec
    process = sweep(on_ray, "--ray")
    run = tmp_path / "ray" / "walk" / "default-seed0"
    while not list(run.glob("trained.unfinished/checkpoint-*")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    worker = int((run / ".lock").read_text())
    assert worker != process.pid
    os.kill(worker, signal.SIGKILL)
    output, _ = process.communicate(timeout=500)
    assert process.returncode == 0, output
    assert output.count("started") >= 3, output  # both, and one of them again

    local = sweep(here)
    expected, _ = local.communicate(timeout=500)
    assert local.returncode == 0, expected
    assert table_of(output) == table_of(expected)
    for seed in (0, 1):
        weights = f"walk/default-seed{seed}/trained/policy.safetensors"
        assert (tmp_path / "ray" / weights).read_bytes() == (tmp_path / "here" / weights).read_bytes()


def test_a_mistake_is_not_tried_again(spec, tmp_path):
    on_ray, _ = spec
    (tmp_path / "walk.npz").write_bytes(b"no demonstrations")
    output, _ = sweep(on_ray, "--ray").communicate(timeout=500)
    assert output.count("started") == 2 and output.count(": failed, ") == 2, output
    assert "walk.npz" in output and "expected all runs to finish, found walk default seed" in output


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("127.0.0.1:1", "a cluster at 127.0.0.1:1, found [Errno 111] Connection refused"),
        ("127.0.0.1:70000", "a cluster at 127.0.0.1:70000, found"),
        ("cluster", "an address HOST:PORT, found 'cluster'"),
    ],
)
def test_an_address_without_a_cluster_is_one_sentence(spec, capsys, address, sentence):
    status, _, said = told(capsys, "sweep", str(spec[0]), "--task", TASK, "--ray", address)
    assert status == 2 and said.startswith(f"drex: ray: expected {sentence}") and said.count("\n") == 1
