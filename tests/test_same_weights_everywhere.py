"""One truth: equal seeds give equal weights from Python and the command line, on any number of cores."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from test_cli import TINY as OPTIONS
from test_pipeline import demonstrate, start
from tiny_environments import WALK

from drex.demonstrations.make import MakingSettings, make_demonstrations
from drex.demonstrations.record import RecordingSettings, record
from drex.errors import UserError

WIDE = shlex.split("--policy.policy-hidden-sizes 64 64 --bc.gradient-steps 50 --bc.batch-size 256")
"""Wide enough that two threads change the clone."""
WORDS = [*OPTIONS, "--learner.environment-steps", "512", *WIDE]
WEIGHTS = ("bc/policy.safetensors", "reward/reward.safetensors", "trained/policy.safetensors")
PYTHON = """
import sys
import drex, tiny_environments, torch
from drex.cli.run_options import parse_run_options
torch.set_num_threads(int(sys.argv[1]))
options = parse_run_options(sys.argv[2], sys.argv[5:])
drex.run(sys.argv[2], run_dir=sys.argv[3], demonstrations=sys.argv[4], settings=options.settings, seed=3,
         quiet=True, report=False)
assert torch.get_num_threads() == int(sys.argv[1])
"""


def weights(folder: Path) -> list[bytes]:
    return [(folder / file).read_bytes() for file in WEIGHTS]


def on_cores(cores: int, code: str, *words: str) -> None:
    """Run code in a process of its own that sees so many cores of those that there are."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    environment |= {f"{library}_NUM_THREADS": str(cores) for library in ("OMP", "OPENBLAS", "MKL")}
    pinned = f"import os; os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[:cores]})\n{code}"
    command = [sys.executable, "-c", pinned, *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory):
    return demonstrate(tmp_path_factory.mktemp("demonstrations") / "walk.npz", WALK, with_rewards=True)


def test_command_line_and_python_one_core_and_two_give_equal_weights(demonstrations, tmp_path):
    task, demos = f"tiny_environments:{WALK}", str(demonstrations)
    for cores in (1, 2):
        folder = str(tmp_path / f"command-{cores}")
        words = ["run", task, "--demos", demos, "--run-dir", folder, "--seed", "3", "--quiet", *WORDS]
        on_cores(cores, "from drex.cli.main import main\nassert main() == 0", *words)
        on_cores(cores, PYTHON, str(cores), task, str(tmp_path / f"python-{cores}"), demos, *WORDS)
    expected = weights(tmp_path / "command-1")
    for other in ("command-2", "python-1", "python-2"):
        assert weights(tmp_path / other) == expected, other


def test_a_run_sets_torchs_threads_and_sets_them_back_on_errors_too(demonstrations, tmp_path, monkeypatch):
    seen = []

    def fail(*_, **__):
        seen.append(torch.get_num_threads())
        raise RuntimeError("no clone")

    monkeypatch.setattr("drex.pipeline.clone_demonstrations", fail)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(RuntimeError, match="no clone"):
            start(tmp_path / "run", demonstrations)
        assert (seen, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)


def test_double_precision_asked_for_elsewhere_changes_no_weight_and_is_still_asked_for(
    demonstrations, tmp_path
):
    start(tmp_path / "single", demonstrations)
    torch.set_default_dtype(torch.float64)
    try:
        start(tmp_path / "double", demonstrations)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert weights(tmp_path / "double") == weights(tmp_path / "single")


def test_demonstrations_are_made_and_recorded_on_one_thread_through_every_door(tmp_path, monkeypatch):
    seen = []

    def policy(observations):
        seen.append(torch.get_num_threads())
        return np.zeros((len(observations), 2), np.float32)

    def fail(*_, **__):
        seen.append(torch.get_num_threads())
        raise UserError("target", expected="some return", found="none")

    monkeypatch.setattr("drex.demonstrations.make.train_demonstrator", fail)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        record(policy, WALK, tmp_path / "recorded.npz", settings=RecordingSettings(episodes=2), seed=0)
        with pytest.raises(UserError, match="target"):
            make_demonstrations(WALK, tmp_path / "made.npz", MakingSettings(), seed=0)
        assert (set(seen), torch.get_num_threads()) == ({1}, 2)
    finally:
        torch.set_num_threads(before)


def test_runs_of_two_threads_give_the_weights_of_runs_one_after_the_other(demonstrations, tmp_path):
    start(tmp_path / "alone", demonstrations)
    folders = [tmp_path / name for name in ("first", "second")]
    threads = [threading.Thread(target=start, args=(folder, demonstrations)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for folder in folders:
        assert weights(folder) == weights(tmp_path / "alone"), folder.name


def test_a_run_leaves_no_thread_and_no_open_file(demonstrations, tmp_path):
    start(tmp_path / "first", demonstrations)  # what is imported and cached once is no leak
    threads, files = threading.active_count(), open_files()
    start(tmp_path / "second", demonstrations, controls=("constant",))
    assert threading.active_count() == threads
    assert open_files() == files


def open_files() -> list[str]:
    links = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
    return sorted(os.readlink(link) for link in links if os.path.lexists(link))


def test_a_run_writes_its_report_unless_asked_not_to(demonstrations, tmp_path):
    start(tmp_path / "run", demonstrations)
    assert not (tmp_path / "run" / "report.html").exists()
    start(tmp_path / "run", demonstrations, resume=True, report=True)
    assert (tmp_path / "run" / "report.html").is_file() and list((tmp_path / "run" / "figures").iterdir())
