"""Thirty runs in one process: memory, open files and threads must not grow."""

from __future__ import annotations

import gc
import os
import shutil
import threading
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.reliability_experiments.forked import attempt
from benchmarks.reliability_experiments.measured import Measured
from benchmarks.reliability_experiments.walk import demonstrate, difference, undisturbed, whole_run

RUNS, SETTLED = 30, 5
"""Runs, and those after which imports and caches are there."""
_MIB_A_RUN = 0.5


def measure(share: float) -> Measured:
    """Run again and again in one process, and compare the last runs with the first."""
    runs = max(SETTLED + 2, round(RUNS * share))
    with TemporaryDirectory() as name:
        folder = Path(name)
        demonstrations = demonstrate(folder)
        expected = undisturbed(folder / "whole", demonstrations)
        work = partial(_run_often, folder / "run", demonstrations, expected, runs)
        outcome = attempt(work, folder / "log", seconds=3600.0)
    if outcome.kind != "done":
        return _measured(runs, [f"{outcome.kind}: {outcome.said}"], {})
    memory, files, threads, different = (list(values) for values in zip(*outcome.found, strict=True))
    growth = _slope(memory[SETTLED:])
    failures = [f"run {run}: {wrong}" for run, wrong in enumerate(different) if wrong]
    for what, counted in (("open files", files), ("threads", threads)):
        if counted[-1] > counted[SETTLED]:
            failures.append(f"{what}: {counted[SETTLED]} after run {SETTLED}, {counted[-1]} after the last")
    if growth > _MIB_A_RUN:
        failures.append(f"memory grows by {growth:.2f} MiB a run")
    facts = {
        "MiB a run": growth,
        "MiB at the end": memory[-1],
        "open files": files[-1],
        "threads": threads[-1],
    }
    return _measured(runs, failures, facts)


def _measured(runs: int, failures: list[str], facts: dict[str, float]) -> Measured:
    return Measured(
        what="many runs in one process: no growth of memory, open files and threads, and equal results",
        tried=runs,
        failures=failures,
        counts={"runs": runs},
        facts=facts,
    )


def _run_often(
    run: Path, demonstrations: Path, expected: dict[str, bytes], runs: int
) -> list[tuple[float, int, int, str]]:
    """MiB in memory, open files, threads, and the difference from the undisturbed run, after each run."""
    found = []
    for _ in range(runs):
        whole_run(run, demonstrations, report=True)
        wrong = difference(run, expected)
        shutil.rmtree(run)
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        memory = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        found.append((memory, len(os.listdir("/proc/self/fd")), threading.active_count(), wrong))
    return found


def _slope(values: list[float]) -> float:
    """Of the line of least squares through the values."""
    middle = (len(values) - 1) / 2
    steps = [place - middle for place in range(len(values))]
    return sum(step * value for step, value in zip(steps, values, strict=True)) / sum(s * s for s in steps)
