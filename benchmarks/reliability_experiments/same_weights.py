"""One seed, one result: whatever must not matter is varied."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.reliability_experiments.measured import Measured, Tally
from benchmarks.reliability_experiments.walk import demonstrate, difference, files_of

ROOT = Path(__file__).parent.parent.parent
WORDS = shlex.split("""
--policy.policy-hidden-sizes 8 --policy.value-hidden-sizes 8 --bc.gradient-steps 100 --bc.check-every 50
--ranking.levels 0 0.5 1 --ranking.episodes-per-level 4 --ranking.names uniform sticky
--ranking.environments 4 --reward.hidden-sizes 8 --reward.gradient-steps 20 --reward.check-every 10
--reward.held-out 0.25 --reward.snippets.minimum-length 5 --reward.snippets.maximum-length 10
--reward.snippets.stride 1 --learner.environment-steps 2048 --learner.environments 4
--learner.rollout-steps 32 --learner.batch-size 64 --learner.epochs 2 --learner.critic-warmup-rollouts 1
--learner.checkpoint-steps 128 --selection.episodes 2 --selection.checkpoints 2 --evaluation.episodes 4
--evaluation.environments 4
""")
"""``walk.SETTINGS`` as the command line says them."""
_PRELUDE = """
import os, sys, threading
from pathlib import Path
import numpy as np, torch
import drex
from benchmarks.reliability_experiments.walk import SETTINGS, TASK, whole_run
from drex.cli.main import main
folder, demonstrations, words = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
def run(place=folder, **changes):
    return whole_run(place, demonstrations, **changes)
"""
_COMMAND = (
    "main(['run', TASK, '--demos', str(demonstrations), '--run-dir', str(folder), '--seed', '1', *words])"
)
_DIAGNOSE = "drex.diagnose(TASK, run_dir=folder, demonstrations=demonstrations, settings=SETTINGS, seed=1)"
VARIATIONS = {
    "Python": "run()",
    "again": "run()",
    "progress bars": "run(quiet=False)",
    "report": "run(report=True)",
    "no controls": "run(controls=())",
    "controls added later": "run(controls=()); run()",
    "all controls": "run(controls=('true_reward', 'shuffled_labels', 'constant'))",
    "diagnosed first": f"{_DIAGNOSE}; run()",
    "command line": f"assert {_COMMAND} == 0; run()",
    "one core": "os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1]); run()",
    "two threads of torch": "torch.set_num_threads(2); run()",
    "three threads of torch": "torch.set_num_threads(3); run()",
    "another directory": "os.chdir('/'); run()",
    "other random states": "np.random.seed(7); torch.manual_seed(7); run()",
    "double precision asked for": "torch.set_default_dtype(torch.float64); run()",
    "second in its process": "run(folder.with_name('first')); run()",
    "after another seed": "run(folder.with_name('first'), seed=2); run()",
    "in a thread": "t = threading.Thread(target=run); t.start(); t.join()",
    "beside another run": (
        "t = threading.Thread(target=run, args=(folder.with_name('first'),)); t.start(); run(); t.join()"
    ),
    "demonstrations in memory": ("whole_run(folder, drex.load_demonstrations(demonstrations))"),
    "another hash seed": "run()",
    "four threads of OpenMP": "run()",
}
"""What is varied, as the code that runs."""
_ENVIRONMENT = {
    "another hash seed": {"PYTHONHASHSEED": "11"},
    "four threads of OpenMP": {"OMP_NUM_THREADS": "4"},
}


def measure(share: float) -> Measured:
    """Run every variation in a process of its own, and compare it with the plain run."""
    tally = Tally()
    tried = list(VARIATIONS)[: max(2, round(len(VARIATIONS) * share))]
    with TemporaryDirectory() as name:
        folder = Path(name)
        demonstrations = demonstrate(folder)
        expected: dict[str, bytes] = {}
        for variation in tried:
            run = folder / "runs" / "varied"
            shutil.rmtree(run.parent, ignore_errors=True)
            run.parent.mkdir()
            code = f"{_PRELUDE}\n{VARIATIONS[variation]}"
            variables = os.environ | {"PYTHONPATH": str(ROOT)} | _ENVIRONMENT.get(variation, {})
            words = [sys.executable, "-W", "ignore", "-c", code, str(run), str(demonstrations), *WORDS]
            done = subprocess.run(words, env=variables, capture_output=True, text=True, check=False)
            expected = expected or files_of(run)
            common = expected
            if variation == "no controls":
                common = {name: content for name, content in expected.items() if "control" not in name}
            wrong = difference(run, common) if done.returncode == 0 else done.stderr[-500:]
            tally.add(variation, variation, wrong)
    return tally.measured("one seed under other circumstances: equal weights, rollouts and decisions")
