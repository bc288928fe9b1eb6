"""One run for each of many seeds: ``drex run ENV --seeds 0-4 --jobs 2``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from drex.comparison.runs import read_runs
from drex.comparison.tables import returns_table
from drex.errors import UserError
from drex.ranges import SEEDS
from drex.report.tables import Table
from drex.sweeps.cell import Cell
from drex.sweeps.cells import run_cells


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


def run_seeds(cells: Sequence[Cell], *, jobs: int, quiet: bool) -> Table:
    """Run cells that differ in their seeds alone.

    Args:
        cells: a run for each seed.
        jobs: runs at a time.
        quiet: print no line when a run starts or ends.

    Returns:
        The table of all seeds.

    Raises:
        UserError: runs failed; the others are finished all the same.
    """
    run_cells(cells, jobs=jobs, quiet=quiet, where="seeds")
    runs, _ = read_runs([cell.folder for cell in cells])
    return returns_table(runs, f"True return over seeds: {runs[0].label} on {runs[0].task}")


def words_of_seed(command: Sequence[str], seed: int) -> tuple[str, ...]:
    """The command for one seed; options given again replace the earlier ones."""
    return (*command, "--seeds", "", "--jobs", "1", "--seed", str(seed))
