"""Runs side by side: those that are finished are kept, unfinished ones continue."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from drex.errors import UserError
from drex.sweeps.cell import Cell, Tell
from drex.sweeps.processes import Program, run_side_by_side


def run_cells(cells: Sequence[Cell], *, jobs: int, quiet: bool, where: str, ray: str | None = None) -> None:
    """Run the cells that are not finished, each in a process of its own.

    Args:
        cells: the runs.
        jobs: runs at a time.
        quiet: print no line when a run starts or ends.
        where: names the option or file that asked for them.
        ray: address of a Ray cluster to run them on, or ``"local"``, which starts one.

    Raises:
        UserError: runs failed; the others are finished all the same.
    """
    failed = []

    def tell(name: str, log: Path, what: str) -> None:
        if what.startswith("failed"):
            failed.append((name, log))
        if not quiet:
            print(f"{name}: {what}", flush=True)

    waiting = []
    for cell in cells:
        if cell.is_finished():
            tell(cell.name, cell.log, "finished before")
        else:
            waiting.append(cell)
    if ray is None:
        _run_here(waiting, jobs, tell)
    elif waiting:
        from drex.sweeps.on_ray import run_on_ray  # Ray is installed by few

        run_on_ray(waiting, jobs=jobs, address=ray, tell=tell)
    if failed:
        name, log = failed[0]
        more = f", and {len(failed) - 1} more" if failed[1:] else ""
        do = f"read {log}; the same command continues"
        raise UserError(where, expected="all runs to finish", found=f"{name} failed{more}", do=do)


def _run_here(cells: Sequence[Cell], jobs: int, tell: Tell) -> None:
    programs = []
    for cell in cells:
        words = (*cell.words, "--run-dir", str(cell.folder), "--resume", "--quiet")
        programs.append(Program(cell.name, (sys.executable, "-m", "drex", *words), cell.log))
    for program, status in run_side_by_side(programs, jobs):
        if status is None:
            tell(program.name, program.log, f"started, {program.log}")
        elif status == 0:
            tell(program.name, program.log, "finished")
        else:
            last = (program.log.read_text(errors="replace").strip() or "no output").splitlines()[-1]
            tell(program.name, program.log, f"failed, {last}")
