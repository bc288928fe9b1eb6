"""Programs side by side, each on CPU cores of its own."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple


class Program(NamedTuple):
    """A program with its arguments, and the file that takes its output."""

    name: str
    words: tuple[str, ...]
    log: Path


def run_side_by_side(programs: Iterable[Program], jobs: int) -> Iterator[tuple[Program, int | None]]:
    """Run programs, at most ``jobs`` at a time.

    Each has an equal share of the cores to itself: on shared cores a step waits for the slowest of its
    threads, which made runs three times slower. Programs that run when the iterator is closed are ended.

    Yields:
        Each program with ``None`` when it starts, and with its exit status when it ends.
    """
    waiting, running = list(programs), dict[subprocess.Popen[bytes], tuple[Program, set[int]]]()
    usable = sorted(os.sched_getaffinity(0))
    free = [set(usable[place::jobs]) or {usable[place % len(usable)]} for place in range(jobs)]
    try:
        while waiting or running:
            while waiting and free:
                program, cores = waiting.pop(0), free.pop(0)
                running[_start(program, cores)] = program, cores
                yield program, None
            time.sleep(0.2)
            for process in [each for each in running if each.poll() is not None]:
                program, cores = running.pop(process)
                free.append(cores)
                yield program, process.returncode
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


def _start(program: Program, cores: set[int]) -> subprocess.Popen[bytes]:
    program.log.parent.mkdir(parents=True, exist_ok=True)
    threads = {"OMP_NUM_THREADS": str(len(cores))}
    with program.log.open("ab") as log:
        process = subprocess.Popen(program.words, stdout=log, stderr=log, env=os.environ | threads)
    os.sched_setaffinity(process.pid, cores)
    return process
