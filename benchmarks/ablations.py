"""What each choice of the default preset is worth: one choice changed at a time, all else equal.

``python -m benchmarks ablations`` runs what has no result yet and prints the table.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from benchmarks.runner import RESULTS, Experiment, run_all

CHOICES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "hopper-default": ("Hopper-v5", "as preset: 5th percentile is zero", ()),
    "hopper-offset-mean": ("Hopper-v5", "offset: mean is zero", ("--anchor.offset", "mean")),
    "hopper-offset-median": (
        "Hopper-v5",
        "offset: median is zero",
        ("--anchor.offset", "percentile", "--anchor.percentile", "50"),
    ),
    "hopper-offset-25": (
        "Hopper-v5",
        "offset: 25th percentile is zero",
        ("--anchor.offset", "percentile", "--anchor.percentile", "25"),
    ),
    "hopper-offset-minimum": (
        "Hopper-v5",
        "offset: minimum is zero",
        ("--anchor.offset", "percentile", "--anchor.percentile", "0"),
    ),
    "hopper-from-scratch": (
        "Hopper-v5",
        "PPO from random weights",
        ("--ppo.start-from", "scratch"),
    ),
    "cheetah-default": ("HalfCheetah-v5", "as preset: the stochastic clone is disturbed", ()),
    "cheetah-deterministic-rollouts": (
        "HalfCheetah-v5",
        "the deterministic clone is disturbed, as published",
        ("--rollout-policy", "deterministic"),
    ),
    "cheetah-from-scratch": ("HalfCheetah-v5", "PPO from random weights", ("--ppo.start-from", "scratch")),
    "walker-default": ("Walker2d-v5", "as preset: a falling penalty on leaving the clone", ()),
    "walker-no-penalty": ("Walker2d-v5", "no penalty on leaving the clone", ("--ppo.leaving-penalty", "0")),
}
"""Name: task, what is changed, and the words that change it."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Run the ablations that have no result yet and print the table."""

    only: tuple[str, ...] = tuple(CHOICES)
    """Names of ablations."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of each."""
    runs: Path = Path("runs/benchmarks/ablations")
    """Where the run folders go."""
    jobs: int = 2
    """Runs side by side, each on a CPU core of its own; at most as many as there are."""
    table: bool = False
    """Only print the table of the results that are there."""


def table(folder: Path) -> str:
    """The results as a markdown table, one row a choice."""
    rows = ["| task | choice | true return, a seed each | mean episode length |", "|---|---|---|---|"]
    for name, (task, words, _) in CHOICES.items():
        found = [json.loads(file.read_text())["policy"] for file in sorted(folder.glob(f"{name}-seed*.json"))]
        if found:
            returns = ", ".join(f"{policy['mean']:.0f}" for policy in found)
            length = np.mean([policy["length"] for policy in found])
            rows.append(f"| {task} | {words} | {returns} | {length:.0f} |")
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for and print the table."""
    options = tyro.cli(Options, args=arguments, description=__doc__)
    asked = [
        Experiment(name, CHOICES[name][0], seed, CHOICES[name][2])
        for seed in options.seeds
        for name in options.only
    ]
    results = RESULTS / "ablations"
    if not options.table:
        run_all(asked, results=results, runs=options.runs, jobs=options.jobs)
    print(table(results))


if __name__ == "__main__":
    main()
