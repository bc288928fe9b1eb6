"""Trials in processes of their own, so that a crash, a hang or lasting damage harms no other trial."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from drex.errors import UserError

Kind = Literal["done", "refused", "raised", "hung", "died"]
Trial = Callable[[], Any]
_ADDRESS_SPACE = 16 * 2**30  # far above every budget: it protects the machine


@dataclass(frozen=True)
class Outcome:
    """How one trial ended.

    Args:
        kind: ``done``; ``refused`` by a UserError; ``raised`` anything else, an exit included; ``hung``, so
            that the time limit ended it; ``died`` without a word.
        said: the error, or what the process that hung or died had printed.
        found: what a trial that is done returned.
        memory: bytes by which the trial's peak exceeds what its process held before.
    """

    kind: Kind
    said: str = ""
    found: Any = None
    memory: int = 0


def attempt(trial: Trial, log: Path, *, seconds: float = 300.0) -> Outcome:
    """The outcome of one trial."""
    return next(attempts([trial], log, seconds=seconds))


def attempts(trials: Sequence[Trial], log: Path, *, seconds: float, batch: int = 50) -> Iterator[Outcome]:
    """The outcome of each trial, in order; a process makes a batch of them, or until one hangs or dies.

    Args:
        trials: each returns a value that JSON has.
        log: file for what the processes print.
        seconds: after which a trial counts as hung.
        batch: most trials of one process.
    """
    left = list(trials)
    while left:
        here, there = Pipe(duplex=False)
        process = start(lambda: _make(left[:batch], there), log)  # noqa: B023 (called before it changes)
        there.close()
        try:
            for _ in range(min(batch, len(left))):
                outcome = _receive(here, log, seconds)
                del left[0]
                yield outcome
                if outcome.kind in ("hung", "died"):
                    break
        finally:
            here.close()
            end(process)


def start(work: Callable[[], object], log: Path) -> int:
    """Start work in a process of its own, without waiting; its number."""
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        status = 1
        try:
            _print_to(log)
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    return process


def end(process: int) -> int:
    """Kill a process if it still runs; its exit status, negative for a signal."""
    os.kill(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _print_to(log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(descriptor, stream.fileno())


def _make(trials: Sequence[Trial], there: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for trial in trials:
        there.send_bytes(json.dumps(_outcome(trial)).encode())


def _outcome(trial: Trial) -> dict[str, Any]:
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak
    before = _bytes_of("VmRSS")
    found, said = None, ""
    try:
        found, kind = trial(), "done"
    except UserError as error:
        kind, said = "refused", str(error)
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        kind = "raised"
        said = f"{type(error).__name__}: {error} ({Path(place.filename).name}, line {place.lineno})"
    return {"kind": kind, "said": said[:2000], "found": found, "memory": _bytes_of("VmHWM") - before}


def _bytes_of(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) * 1024


def _receive(here: Connection, log: Path, seconds: float) -> Outcome:
    try:
        if here.poll(seconds):
            return Outcome(**json.loads(here.recv_bytes()))
    except EOFError:
        return Outcome("died", _printed(log))
    return Outcome("hung", _printed(log))


def _printed(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]
