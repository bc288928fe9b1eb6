"""A disk that fails: every write of a run is refused once, and runs on disks of every size too small."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.reliability_experiments.forked import Outcome, attempt
from benchmarks.reliability_experiments.measured import Measured, Tally
from benchmarks.reliability_experiments.walk import continued, demonstrate, difference, undisturbed, whole_run

SIZES = 40
_ENOUGH_BYTES = 2**28
_ERRORS = (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT)


def measure(share: float) -> Measured:
    """Refuse every write once, then run on full disks; continue, and compare with the undisturbed run."""
    tally = Tally()
    with TemporaryDirectory() as name:
        folder = Path(name)
        demonstrations = demonstrate(folder)
        expected = undisturbed(folder / "whole", demonstrations, report=True)
        _refuse_each_write(folder, demonstrations, expected, share, tally)
        disk = folder / "disk"
        disk.mkdir()
        if _mount(disk, _ENOUGH_BYTES):
            subprocess.run(["umount", str(disk)], check=True)
            _fill_disks(disk, folder / "whole", demonstrations, expected, share, tally)
    return tally.measured(
        "a disk that refuses or is full: one sentence; continued: equal to the undisturbed run"
    )


def _refuse_each_write(
    folder: Path,
    demonstrations: Path,
    expected: dict[str, bytes],
    share: float,
    tally: Tally,
) -> None:
    """Continue one run again and again; each time the first write fails that has not failed before."""
    run, refused = folder / "run", folder / "refused"
    refused.touch()
    most = 10_000 if share >= 1 else round(100 * share)
    while tally.counts.total() < most:
        error = _ERRORS[tally.counts.total() % len(_ERRORS)]
        before = refused.read_text()
        outcome = attempt(partial(_run_with_refusal, run, demonstrations, refused, error), folder / "log")
        write = refused.read_text().removeprefix(before).strip()
        if not write:
            break
        if outcome.kind == "done":  # it was tried again, as zipfile does
            wrong = difference(run, expected)
        else:
            wrong = _unlike_one_sentence(outcome, os.strerror(error))
        tally.add(f"refused {write.split()[0]}", write, wrong)
    wrong = continued(run, demonstrations, expected, report=True)
    tally.add("continued after all refusals", "after all refusals", wrong)


def _run_with_refusal(run: Path, demonstrations: Path, refused: Path, error: int) -> bool:
    """Run; the first write whose kind and path are not in the file ``refused`` fails and is noted there."""
    known, inside, done = set(refused.read_text().splitlines()), f"{run}/", False

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal done
        write = _write_of(event, arguments)
        if done or write is None or not f"{write[1]}/".startswith(inside):
            return
        noted = f"{write[0]} {re.sub(r'[0-9]{3,}', 'N', write[1].removeprefix(inside))}"
        if noted in known:
            return
        done = True
        descriptor = os.open(refused, os.O_WRONLY | os.O_APPEND)
        os.write(descriptor, f"{noted}\n".encode())
        os.close(descriptor)
        raise OSError(error, os.strerror(error), write[1])

    sys.addaudithook(refuse)
    return bool(whole_run(run, demonstrations, report=True))


def _write_of(event: str, arguments: tuple[Any, ...]) -> tuple[str, str] | None:
    """Kind and path of an audited event that changes the disk."""
    if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        changes = (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return ("open", os.fsdecode(arguments[0])) if changes else None
    if event == "os.mkdir":
        place = os.fsdecode(arguments[0])
        return None if os.path.isdir(place) else ("mkdir", place)
    return ("rename", os.fsdecode(arguments[1])) if event == "os.rename" else None


def _unlike_one_sentence(outcome: Outcome, reason: str) -> str:
    """What is wrong with the end of a run whose disk fails; empty for one sentence with the reason."""
    if outcome.kind != "refused":
        return f"{outcome.kind}: {outcome.said}"
    return "" if reason in outcome.said else f"another reason: {outcome.said}"


def _fill_disks(
    disk: Path,
    whole: Path,
    demonstrations: Path,
    expected: dict[str, bytes],
    share: float,
    tally: Tally,
) -> None:
    """Run on disks of graded size, then enlarge them and continue."""
    page = os.sysconf("SC_PAGE_SIZE")
    pages = sum(-(-file.stat().st_size // page) for file in whole.rglob("*") if file.is_file())
    trials = max(2, round(SIZES * share))
    for trial in range(trials):
        size = page * max(2, pages * (trial + 1) // (trials + 1))
        _mount(disk, size)
        try:
            run = disk / "run"
            outcome = attempt(partial(whole_run, run, demonstrations, report=True), whole.with_suffix(".log"))
            wrong = _unlike_one_sentence(outcome, os.strerror(errno.ENOSPC))
            if not wrong:
                _mount(disk, _ENOUGH_BYTES, "remount")
                wrong = continued(run, demonstrations, expected, report=True)
            tally.add("full disk", f"a disk of {size // 1024} KiB", wrong)
        finally:
            subprocess.run(["umount", str(disk)], check=True)


def _mount(place: Path, size: int, *options: str) -> bool:
    """Mount a file system in memory; whether that is allowed."""
    words = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *options]), "tmpfs", str(place)]
    return subprocess.run(words, check=False, capture_output=True).returncode == 0
