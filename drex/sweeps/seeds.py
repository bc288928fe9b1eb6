"""One run for each of many seeds: ``drex run ENV --seeds 0-4 --jobs 2``."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from drex.comparison.runs import read_runs
from drex.comparison.tables import returns_table
from drex.errors import UserError
from drex.ranges import SEEDS
from drex.report.tables import Table
from drex.sweeps.processes import Program, run_side_by_side


def seeds_of(text: str) -> list[int]:
    """The seeds of a text such as ``0-4`` or ``0,2,5-7``, ascending.

    Raises:
        UserError: it names none, or anything else.
    """
    found: set[int] = set()
    for part in text.split(","):
        bounds = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        first, last = (int(bounds[1]), int(bounds[2] or bounds[1])) if bounds else (1, 0)
        if first > last:
            raise UserError("seeds", expected="numbers and ranges such as 0-4 or 0,2,5-7", found=repr(text))
        SEEDS.check("seeds", last)
        found.update(range(first, last + 1))
    return sorted(found)


def run_seeds(command: Sequence[str], folders: Mapping[int, Path], *, jobs: int, quiet: bool) -> Table:
    """Run a command for each seed in a process of its own; what a folder holds already is continued.

    Args:
        command: the words after ``drex``, without seed and folder.
        folders: the run folder of each seed.
        jobs: runs at a time.
        quiet: print no line when a run starts or ends.

    Returns:
        The table of all seeds.

    Raises:
        UserError: runs failed; the others are finished all the same.
    """
    programs = [
        Program(f"seed {seed}", _words(command, seed, folder), folder.with_name(f"{folder.name}.log"))
        for seed, folder in folders.items()
    ]
    failed = []

    def tell(line: str) -> None:
        if not quiet:
            print(line, flush=True)

    for program, status in run_side_by_side(programs, jobs):
        if status is None:
            tell(f"{program.name}: started, {program.log}")
        elif status == 0:
            tell(f"{program.name}: finished")
        else:
            last = (program.log.read_text(errors="replace").strip() or "no output").splitlines()[-1]
            tell(f"{program.name}: failed, {last}")
            failed.append(program)
    if failed:
        found, do = f"{failed[0].name} failed", f"read {failed[0].log}; the same command continues"
        raise UserError("seeds", expected="all runs to finish", found=found, do=do)
    runs, _ = read_runs(list(folders.values()))
    return returns_table(runs, f"True return over seeds: {runs[0].label} on {runs[0].task}")


def _words(command: Sequence[str], seed: int, folder: Path) -> tuple[str, ...]:
    """Options given again replace the earlier ones."""
    one = ("--seeds", "", "--jobs", "1", "--seed", str(seed), "--run-dir", str(folder), "--resume", "--quiet")
    return (sys.executable, "-m", "drex", *command, *one)
