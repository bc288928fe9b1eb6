"""Runs side by side: those that are finished are kept, unfinished ones continue."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drex.errors import UserError
from drex.files.atomic import read_json
from drex.files.dataclass_json import settings_to_json
from drex.files.run_layout import CONFIG, RESULT
from drex.presets.settings import Settings
from drex.sweeps.processes import Program, run_side_by_side


@dataclass(frozen=True)
class Cell:
    """One run of many.

    Args:
        name: in messages.
        folder: of the run.
        words: its command after ``drex``, without the folder.
        task: as one name.
        seed: of the run.
        settings: of the run.
        controls: trained beside it.
    """

    name: str
    folder: Path
    words: tuple[str, ...]
    task: str
    seed: int
    settings: Settings
    controls: tuple[str, ...]

    def is_finished(self) -> bool:
        """Whether its folder holds this run with all its results."""
        if not (self.folder / RESULT).is_file() or not (self.folder / CONFIG).is_file():
            return False
        config: Mapping[str, Any] = {
            "task": self.task,
            "method": self.settings.method,
            "seed": self.seed,
            "settings": settings_to_json(self.settings),
        }
        trained = read_json(self.folder / RESULT).get("controls", {})
        return bool(read_json(self.folder / CONFIG) == config and set(self.controls) <= set(trained))


def run_cells(cells: Sequence[Cell], *, jobs: int, quiet: bool, where: str) -> None:
    """Run the cells that are not finished, each in a process of its own.

    Args:
        cells: the runs.
        jobs: runs at a time.
        quiet: print no line when a run starts or ends.
        where: names the option or file that asked for them.

    Raises:
        UserError: runs failed; the others are finished all the same.
    """
    failed = []
    for name, log, what in _events(cells, jobs):
        if what.startswith("failed"):
            failed.append((name, log))
        if not quiet:
            print(f"{name}: {what}", flush=True)
    if failed:
        name, log = failed[0]
        more = f", and {len(failed) - 1} more" if failed[1:] else ""
        do = f"read {log}; the same command continues"
        raise UserError(where, expected="all runs to finish", found=f"{name} failed{more}", do=do)


def _events(cells: Sequence[Cell], jobs: int) -> Iterator[tuple[str, Path, str]]:
    """Name and log of a run, and what has become of it."""
    programs = []
    for cell in cells:
        log = cell.folder.with_name(f"{cell.folder.name}.log")
        if cell.is_finished():
            yield cell.name, log, "finished before"
        else:
            words = (*cell.words, "--run-dir", str(cell.folder), "--resume", "--quiet")
            programs.append(Program(cell.name, (sys.executable, "-m", "drex", *words), log))
    for program, status in run_side_by_side(programs, jobs):
        if status is None:
            yield program.name, program.log, f"started, {program.log}"
        elif status == 0:
            yield program.name, program.log, "finished"
        else:
            last = (program.log.read_text(errors="replace").strip() or "no output").splitlines()[-1]
            yield program.name, program.log, f"failed, {last}"
