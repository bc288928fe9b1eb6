"""Damaged files, 20,000 of them, over every reader."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import drex
from benchmarks.reliability_experiments.forked import Outcome, attempts, end, start
from benchmarks.reliability_experiments.measured import Measured, Tally
from benchmarks.reliability_experiments.mutations import mutate
from benchmarks.reliability_experiments.walk import TASK, demonstrate, difference, undisturbed, whole_run
from drex.agents.policies.saved_actor_critic import load_policy
from drex.agents.policies.sb3_zips import load_zip
from drex.demonstrations.load_and_save import convert_demonstrations
from drex.envs.make import task_spaces
from drex.rankings.user_ranking import Ranking
from drex.rankings.user_ranking_files import load_ranking, save_ranking
from drex.report.html import write_report
from drex.rewards.learned_reward import load_reward

Reader = Callable[[Path], object]

TRIALS = {
    "npz": 4000,
    "d4rl": 4000,
    "minari": 3000,
    "imitation": 3000,
    "ranking.json": 1000,
    "ranking.csv": 1000,
    "reward": 1500,
    "policy": 1200,
    "policy.zip": 700,
    "report": 300,
    "resume": 200,
    "checkpoint": 100,
}
"""By reader."""
_KILLED = "killed-run"
SECONDS = 60.0
"""After which a reader hangs."""


def budget(size: int) -> int:
    """Bytes that a reader may take for a file of a size: what the best compression could hold, and some."""
    return 2**28 + 1100 * size


def measure(share: float) -> Measured:
    """Damage a sound file or folder of each kind, and call its reader."""
    tally = Tally()
    outcomes: Counter[str] = Counter()
    largest = 0
    with TemporaryDirectory() as name:
        folder = Path(name)
        sound = _sound(folder / "sound")
        for reader, most in TRIALS.items():
            trials = max(1, round(most * share))
            path, read = sound[reader]
            scratch = folder / "damaged" / path.name
            scratch.parent.mkdir(exist_ok=True)
            made = [partial(_trial, path, scratch, read, f"{reader}-{trial}") for trial in range(trials)]
            limit = budget(sum(file.stat().st_size for file in (path, *path.rglob("*"))))
            for trial, outcome in enumerate(attempts(made, folder / "log", seconds=SECONDS)):
                outcomes[outcome.kind] += 1
                largest = max(largest, outcome.memory)
                wrong, seed = _wrong(outcome, limit, path.name), f"{reader}-{trial}"
                # a copy of its own: the process is at the next trial
                done = _damage(path, folder / path.name, seed) if wrong else ""
                tally.add(reader, f"{seed}, {done}", wrong)
    return tally.measured(
        "a damaged file: read, or refused by one sentence that names it",
        read=outcomes["done"],
        refused=outcomes["refused"],
        largest_MiB=largest / 2**20,
    )


def _trial(path: Path, scratch: Path, read: Reader, seed: str) -> str:
    """Damage a copy and read it; what was read wrongly, or an empty text."""
    _damage(path, scratch, seed)
    wrong = read(scratch)
    return wrong if isinstance(wrong, str) else ""


def _damage(path: Path, scratch: Path, seed: str) -> str:
    """Replace the copy by one with the damage of this seed; what was done."""
    if scratch.is_dir():
        shutil.rmtree(scratch)
    scratch.unlink(missing_ok=True)
    if path.is_dir():
        shutil.copytree(path, scratch)
    else:
        shutil.copy(path, scratch)
    rng = random.Random(seed)
    done = mutate(scratch, rng)
    return f"{done}; {mutate(scratch, rng, sound=False)}" if rng.random() < 0.25 else done


def _wrong(outcome: Outcome, limit: int, name: str) -> str:
    """Why a trial did not hold; empty if it did."""
    if outcome.memory > limit:
        return f"{outcome.memory / 2**20:,.0f} MiB"
    if outcome.kind == "done":
        return str(outcome.found)
    if outcome.kind != "refused":
        return f"{outcome.kind}: {outcome.said}"
    return (
        ""
        if name in outcome.said or _KILLED in outcome.said
        else f"the sentence does not name it: {outcome.said}"
    )


def _sound(folder: Path) -> dict[str, tuple[Path, Reader]]:
    """A sound file or folder for each reader, and the reader."""
    demonstrations = demonstrate(folder)
    run, killed = folder / "run", folder / "killed"
    expected = undisturbed(run, demonstrations, report=True)
    _kill_in_training(killed, demonstrations, folder / "killed.log")
    spaces = task_spaces(TASK)[:2]
    found: dict[str, tuple[Path, Reader]] = {"npz": (demonstrations, drex.load_demonstrations)}
    for name, ending in (("d4rl", ".hdf5"), ("minari", ""), ("imitation", "")):
        place = folder / f"walk-{name}{ending}"
        convert_demonstrations(demonstrations, place, target_format=name)
        found[name] = (place, partial(drex.load_demonstrations, format_name=name))
    save_ranking(folder / "walk.json", Ranking("pairs", [[1, 0], [2, 0], [3, 1, 0.5]], "here", 4))
    (folder / "walk.csv").write_text("episode,score\n0,1\n1,2.5\n2,\n3,-1e3\n")
    trajectories = drex.load_demonstrations(demonstrations).trajectories
    for name in ("ranking.json", "ranking.csv"):
        file = folder / f"walk.{name.rpartition('.')[2]}"
        found[name] = (file, lambda path: load_ranking(path).rank(trajectories))
    continued = partial(_continue, demonstrations, expected)
    return found | {
        "reward": (run / "reward", load_reward),
        "policy": (run / "policy", lambda path: load_policy(path, *spaces)),
        "policy.zip": (run / "policy" / "policy.zip", lambda path: load_zip(path, *spaces)),
        "report": (run, write_report),
        "resume": (run, continued),
        "checkpoint": (killed / "trained.unfinished", partial(_continue_training, killed, continued)),
    }


def _kill_in_training(run: Path, demonstrations: Path, log: Path) -> None:
    """A run killed while PPO trained, with a checkpoint."""
    process = start(lambda: whole_run(run, demonstrations), log)
    while not list(run.glob("trained.unfinished/checkpoint-*")):
        time.sleep(0.005)
    if end(process) == 0 or not (run / "trained.unfinished").exists():
        raise RuntimeError("the run was through before it was killed")


def _continue(demonstrations: Path, expected: dict[str, bytes], run: Path) -> str:
    """Continue a run; how it differs from the undisturbed one."""
    whole_run(run, demonstrations)
    return difference(run, expected)


def _continue_training(killed: Path, continued: Callable[[Path], str], checkpoints: Path) -> str:
    """Continue the killed run with other checkpoints."""
    run = checkpoints.with_name(_KILLED)
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(killed, run, ignore=shutil.ignore_patterns(checkpoints.name))
    shutil.copytree(checkpoints, run / checkpoints.name)
    return continued(run)
