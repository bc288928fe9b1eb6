"""Ablations: one choice of the default preset changed at a time.

``python -m benchmarks ablations`` makes the missing results and prints the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from benchmarks.runner import RESULTS, Experiment, RunOptions, read_results, run_and_show, shown_name

EVERY_STEP = (
    *("--reward.snippets.minimum-length", "50"),
    *("--reward.snippets.maximum-length", "50"),
    *("--reward.snippets.stride", "1"),
    *("--reward.l2", "0.01"),
)
"""Short snippets with every step scored, the default."""
FEW_STEPS = (
    *("--reward.snippets.minimum-length", "200"),
    *("--reward.snippets.maximum-length", "200"),
    *("--reward.snippets.stride", "20"),
    *("--reward.l2", "0.03"),
)
"""Long snippets with few steps scored, as on HalfCheetah."""

CHOICES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "hopper-offset-mean": ("Hopper-v5", "offset: zero at the mean", ("--normalization.offset", "mean")),
    "hopper-offset-25": (
        "Hopper-v5",
        "offset: zero at the 25th percentile",
        ("--normalization.offset", "percentile", "--normalization.percentile", "25"),
    ),
    "hopper-offset-minimum": (
        "Hopper-v5",
        "offset: zero at the minimum",
        ("--normalization.offset", "percentile", "--normalization.percentile", "0"),
    ),
    "hopper-from-scratch": ("Hopper-v5", "PPO from random weights", ("--learner.start-from", "scratch")),
    "cheetah-every-step": ("HalfCheetah-v5", "every step of 50-step snippets scored, L2 0.01", EVERY_STEP),
    "cheetah-own-std": (
        "HalfCheetah-v5",
        "PPO starts with the clone's standard deviation",
        ("--learner.initial-std", "None"),
    ),
    "cheetah-penalty": (
        "HalfCheetah-v5",
        "KL penalty of 0.01 to the clone, decaying to 0",
        ("--learner.kl-penalty", "0.01"),
    ),
    "cheetah-deterministic-rollouts": (
        "HalfCheetah-v5",
        "noise injected into the greedy clone, as published",
        ("--ranking.rollout-policy", "deterministic"),
    ),
    "cheetah-from-scratch": (
        "HalfCheetah-v5",
        "PPO from random weights",
        ("--learner.start-from", "scratch"),
    ),
    "walker-no-penalty": (
        "Walker2d-v5",
        "no KL penalty to the clone",
        ("--learner.kl-penalty", "0"),
    ),
} | {
    f"{name}-few-steps": (task, "every 20th step of 200-step snippets scored, L2 0.03", FEW_STEPS)
    for name, task in {
        "hopper": "Hopper-v5",
        "walker": "Walker2d-v5",
        "ant": "Ant-v5",
        "swimmer": "Swimmer-v5",
    }.items()
}
"""Name: task, the change in words, and the options that make it."""


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions):
    """Run the ablations whose results are missing, and print the table."""

    only: tuple[str, ...] = tuple(CHOICES)
    """Names of ablations."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of each."""


def table(folder: Path) -> str:
    """The results as a markdown table: for each task the preset, from the main results, then each choice."""
    rows = [
        "| task | change | seeds | true return of each seed | mean episode length |",
        "|---|---|---|---|---|",
    ]
    shown: set[str] = set()
    for name, (task, words, _) in CHOICES.items():
        found = _results(folder, name)
        if not found:
            continue
        if task not in shown:
            preset = {
                seed: facts for seed, facts in _results(RESULTS / "mujoco", task).items() if seed in found
            }
            rows.append(_row(task, "as preset", preset))
            shown.add(task)
        rows.append(_row(task, words, found))
    return "\n".join(rows)


def _results(folder: Path, name: str) -> dict[int, dict[str, Any]]:
    """What was found, by seed."""
    return {facts["seed"]: facts for facts in read_results(folder, f"{name}-seed*.json")}


def _row(task: str, words: str, results: dict[int, dict[str, Any]]) -> str:
    seeds = ", ".join(map(str, results))
    returns = ", ".join(f"{facts['policy']['mean']:.0f}" for facts in results.values())
    length = np.mean([facts["policy"]["length"] for facts in results.values()])
    older = {shown_name(facts).removeprefix(facts["name"]) for facts in results.values()}
    words += max(older)
    return f"| {task} | {words} | {seeds} | {returns} | {length:.0f} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for and print the table."""
    options = tyro.cli(Options, args=arguments, description=__doc__)
    asked = [
        Experiment(name, CHOICES[name][0], seed, CHOICES[name][2])
        for seed in options.seeds
        for name in options.only
    ]
    run_and_show("ablations", asked, options, table)


if __name__ == "__main__":
    main()
