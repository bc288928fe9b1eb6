"""Speed: every figure is the ratio of two programs, run alternately on the same machine.

``python -m benchmarks throughput`` makes the missing results; ``--only NAME ...`` repeats the named
experiments. Each leaves one JSON file in results/throughput/; ``python -m benchmarks readme``
puts the table into benchmarks/README.md, which says how each figure is measured.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import statistics
import time
from pathlib import Path
from pkgutil import iter_modules

import tyro

from benchmarks import throughput_experiments
from benchmarks.runner import RESULTS, PartOptions, machine, read_results, versions
from benchmarks.throughput_experiments.comparison import Comparison, Experiments


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(PartOptions):
    """Measure the missing speed comparisons, and print the table."""

    repeats: int = 5
    """Repeats of each side."""
    results: Path = RESULTS / "throughput"
    """Folder of the results."""


def all_experiments() -> Experiments:
    """The experiments of every module in ``throughput_experiments``, by name."""
    found: Experiments = {}
    for module in iter_modules(throughput_experiments.__path__, f"{throughput_experiments.__name__}."):
        listed: Experiments = getattr(importlib.import_module(module.name), "EXPERIMENTS", {})
        if twice := set(listed) & set(found):
            raise ValueError(f"two experiments of one name: {', '.join(twice)}")
        found |= listed
    return found


def measure(options: Options, experiments: Experiments) -> None:
    """Run the experiments asked for, one JSON file each.

    Raises:
        UserError: an unknown name.
    """
    due = options.due(experiments)
    import torch

    for name in due:
        torch.set_num_threads(1)  # faster for small networks, on both sides: see the experiment of that name
        load, began = os.getloadavg()[0], time.perf_counter()
        comparison = experiments[name](options.repeats)
        command = f"python -m benchmarks throughput --only {name} --repeats {options.repeats}"
        ratios = {name: getattr(comparison, name) for name in ("ratio", "spread", "reached")}
        facts = dataclasses.asdict(comparison) | ratios | {"load_at_start": round(load, 2)}
        seconds = options.write(name, command, facts, began)
        print(f"{name}: {comparison.ratio:.2f} in {seconds:.0f} s", flush=True)


def table(results: Path) -> str:
    """Markdown table of all results in the folder."""
    lines = ["| what | here | against | ratio (lowest to highest) | target |", "|---|---|---|---|---|"]
    for facts in read_results(results):
        fields = {field.name: facts[field.name] for field in dataclasses.fields(Comparison)}
        lines.append(row(Comparison(**fields)))
    return "\n".join(lines)


def row(comparison: Comparison) -> str:
    """One comparison as a row of the table."""
    ours, against = (
        f"{shown(statistics.median(values), comparison.unit)}: {words}"
        for values, words in (
            (comparison.ours_values, comparison.ours),
            (comparison.against_values, comparison.against),
        )
    )
    low, high = comparison.spread
    repeats = len(comparison.ours_values)
    ratio = f"**{comparison.ratio:.2f}** ({low:.2f} to {high:.2f}, {repeats} repeat{'s' * (repeats > 1)})"
    target = f"{comparison.target:g}, {'reached' if comparison.reached else 'not reached'}"
    return f"| {comparison.what} | {ours} | {against} | {ratio} | {target} |"


def shown(value: float, unit: str) -> str:
    """A value with its unit; the inverse of an inverse, so that seconds are shown as seconds."""
    if unit.startswith("1/"):
        value, unit = 1.0 / value, unit.removeprefix("1/")
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


if __name__ == "__main__":
    chosen = tyro.cli(Options, prog="benchmarks throughput")
    if not chosen.table:
        print(", ".join(f"{key} {value}" for key, value in (machine() | versions()).items()), flush=True)
        measure(chosen, all_experiments())
    print(table(chosen.results))
