"""A run killed at any moment, again and again, and continued by ``--resume``."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections import Counter
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from benchmarks.reliability_experiments.forked import end, start
from benchmarks.reliability_experiments.measured import Measured
from benchmarks.reliability_experiments.walk import continued, demonstrate, undisturbed, whole_run
from drex.agents import gradient_descent

RUNS, KILLS_OF_A_RUN = 30, 5
_START, _REPORT = "start", "report"


def measure(share: float) -> Measured:
    """Kill runs in random stages, continue them, and compare them with the undisturbed run."""
    rng, failures, kills = random.Random(0), [], Counter[str]()
    trials = max(1, round(RUNS * share))
    # trainings of a second have checkpoints, too
    often = mock.patch.object(gradient_descent, "SECONDS_BETWEEN_CHECKPOINTS", 0.01)
    with TemporaryDirectory() as name, often:
        folder = Path(name)
        log, whole = folder / "log", folder / "whole"
        demonstrations = demonstrate(folder)
        expected = undisturbed(whole, demonstrations, report=True)
        stages = _stages(whole)
        for trial in range(trials):
            run = folder / f"run-{trial}"
            work, killed = partial(whole_run, run, demonstrations, report=True), []
            for place in sorted(rng.sample(range(len(stages)), KILLS_OF_A_RUN)):
                process = start(work, log)
                _wait_for(run / stages[place - 1][0] if place else run, process)
                time.sleep(rng.uniform(0.0, stages[place][1]))
                if end(process) < 0:
                    killed.append(_stage(run, [name for name, _ in stages]))
            kills.update(killed)
            wrong = continued(run, demonstrations, expected, report=True)
            if wrong:
                failures.append(f"killed in {', '.join(killed)}: {wrong}")
            shutil.rmtree(run)
    return Measured(
        what="a run killed in five stages drawn by chance and continued: equal to the undisturbed run",
        tried=trials,
        failures=failures,
        counts=dict(kills),
        facts={"kills": kills.total(), "stages": len(kills)},
    )


def _stages(run: Path) -> list[tuple[str, float]]:
    """Name and seconds of each part of a finished run, in the order in which they were made."""
    files = sorted(run.glob("*/seconds.json"), key=lambda file: file.stat().st_mtime_ns)
    stages = [(file.parent.name, json.loads(file.read_text())["seconds"]) for file in files]
    return [(_START, 0.2), *stages, (_REPORT, 1.0)]


def _stage(run: Path, stages: list[str]) -> str:
    """The part that a killed run was in."""
    return next((name for name in stages[1:-1] if not (run / name).exists()), _REPORT)


def _wait_for(place: Path, process: int) -> None:
    """Return once the path exists or the process has ended."""
    while not place.exists():
        if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
        time.sleep(0.001)
