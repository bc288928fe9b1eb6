"""Reliability: what is done to runs, files and environments, and how much of it is withstood.

``python -m benchmarks reliability`` makes the missing results; ``--only NAME ...`` repeats the named parts.
Each leaves one JSON file in results/reliability/; ``python -m benchmarks readme`` puts the table into
docs/reliability.md. Linux only: trials run in forked processes.
"""

from __future__ import annotations

import dataclasses
import importlib
import time
from pathlib import Path

import tyro

from benchmarks.reliability_experiments.measured import Part
from benchmarks.runner import RESULTS, PartOptions, read_results

PARTS = ("kills", "disk", "files", "environments", "attacks", "many_runs", "same_weights")
"""Modules of ``reliability_experiments``, in the order of the table."""
_SHOWN_FAILURES = 50


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(PartOptions):
    """Try what is missing, and print the table."""

    share: float = 1.0
    """Share of the trials to make; 1 makes all."""
    results: Path = RESULTS / "reliability"
    """Folder of the results."""


def part(name: str) -> Part:
    """The function that makes the trials of a part."""
    module = importlib.import_module(f"benchmarks.reliability_experiments.{name}")
    found: Part = module.measure
    return found


def measure(options: Options) -> None:
    """Make the trials asked for, one JSON file a part.

    Raises:
        UserError: an unknown name.
    """
    due = options.due(PARTS)
    import torch
    import torch._dynamo  # imported by the first optimizer, which takes seconds in every forked process

    torch.set_num_threads(1)  # of two threads, one would be missing in a forked process
    for name in due:
        began = time.perf_counter()
        measured = part(name)(options.share)
        command = f"python -m benchmarks reliability --only {name}"
        shown = {"failures": measured.failures[:_SHOWN_FAILURES], "held": measured.held}
        seconds = options.write(name, command, dataclasses.asdict(measured) | shown, began)
        print(f"{name}: {measured.held} of {measured.tried} held in {seconds:.0f} s", flush=True)
        for failure in measured.failures[:_SHOWN_FAILURES]:
            print(f"  {failure}", flush=True)


def table(results: Path) -> str:
    """Markdown table of all results in the folder."""
    found = {facts["name"]: facts for facts in read_results(results)}
    lines = ["| what | command | trials | held | trials by kind | further |", "|---|---|---|---|---|---|"]
    for facts in (found[name] for name in PARTS if name in found):
        kinds = ", ".join(f"{name} {count:,}" for name, count in facts["counts"].items())
        further = ", ".join(f"{name} {value:,.4g}" for name, value in facts["facts"].items())
        trials = f"{facts['tried']:,} | **{facts['held']:,}**"
        lines.append(f"| {facts['what']} | `{facts['command']}` | {trials} | {kinds} | {further} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Try what the command line asks for, and print the table."""
    options = tyro.cli(Options, args=arguments, prog="benchmarks reliability")
    if not options.table:
        measure(options)
    print(table(options.results))


if __name__ == "__main__":
    main()
