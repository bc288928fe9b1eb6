"""Ablations: one part of the default removed at a time, on the development half of the suite.

``python -m benchmarks ablations`` makes the missing results and prints the table. The default's own row comes
from the results of ``python -m benchmarks suite``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import tyro

from benchmarks.runner import (
    RESULTS,
    Experiment,
    RunOptions,
    check_names,
    read_results,
    run_and_show,
    shown_name,
)
from benchmarks.suite import TASKS, score

PARTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "sampling-alone": ("noise into the sampling clone alone", ("--ranking.rollout-policy", "stochastic")),
    "greedy-alone": (
        "noise into the greedy clone alone, as published",
        ("--ranking.rollout-policy", "deterministic"),
    ),
    "uniform-alone": ("uniform noise alone, as published", ("--ranking.names", "uniform")),
    "all-kinds": ("every kind of noise ranked", ("--ranking.grade-margin", "2")),
    "no-actions": ("reward of the next observation alone", ("--reward.inputs", "next_observations")),
    "raw": ("no member with standardized inputs", ("--reward.input-scaling", "raw")),
    "standardized": ("all members with standardized inputs", ("--reward.input-scaling", "standardized")),
    "two-members": ("2 members instead of 6", ("--reward.members", "2")),
    "every-step": (
        "every step of 50-step snippets scored",
        (
            *("--reward.snippets.minimum-length", "50"),
            *("--reward.snippets.maximum-length", "50"),
            *("--reward.snippets.stride", "1"),
        ),
    ),
    "l2-0.01": ("L2 penalty of 0.01 instead of 0.03", ("--reward.l2", "0.01")),
    "offset-mean": ("the reward's zero at its mean", ("--normalization.offset", "mean")),
    "gamma-0.99": (
        "one discount for all tasks",
        ("--learner.gamma", "0.99", "--learner.gae-lambda", "0.95"),
    ),
    "no-penalty": ("no KL penalty to the clone", ("--learner.kl-penalty", "0")),
    "penalty": ("a KL penalty of 0.03 on all tasks", ("--learner.kl-penalty", "0.03")),
}
"""Name: the change in words, and the options that make it."""

DEVELOPMENT = tuple(task for task in TASKS if task.group == "development")


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions):
    """Run the ablations whose results are missing, and print the table."""

    only: tuple[str, ...] = tuple(PARTS)
    """Names of ablations."""
    tasks: tuple[str, ...] = tuple(task.id for task in DEVELOPMENT)
    """Ids of tasks of the development half."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of each."""


def experiments(options: Options) -> list[Experiment]:
    """Every run that the options ask for; the trained policy is compared, so nothing is judged."""
    check_names("--only", options.only, PARTS)
    check_names("--tasks", options.tasks, [task.id for task in DEVELOPMENT])
    return [
        Experiment(
            f"{part}-{task.name}",
            task.id,
            seed,
            (*task.options, *PARTS[part][1], "--selection.no-judge"),
            task.demonstrations,
        )
        for seed in options.seeds
        for part in options.only
        for task in DEVELOPMENT
        if task.id in options.tasks
    ]


def table(folder: Path) -> str:
    """The results as a markdown table: a row for each part, a column for each task, means over the seeds.

    Each entry is the mean true return of the trained policy, sampling; the default's has the same seeds.
    """
    default = {task.name: _by_seed(RESULTS / "suite", task.name) for task in DEVELOPMENT}
    rows = {
        words: {task.name: _by_seed(folder, f"{name}-{task.name}") for task in DEVELOPMENT}
        for name, (words, _) in PARTS.items()
    }
    seeds = {seed for row in rows.values() for cell in row.values() for seed in cell}
    named = {"the default": {name: _of(cell, seeds) for name, cell in default.items()}} | rows
    head = ["change", *(task.name.replace("-v", " v").split(" ")[0] for task in DEVELOPMENT), "mean score"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for words, cells in named.items():
        if any(cells.values()):
            lines.append(_row(words, cells, default))
    return "\n".join(lines)


def _row(
    words: str,
    cells: Mapping[str, dict[int, dict[str, Any]]],
    default: Mapping[str, dict[int, dict[str, Any]]],
) -> str:
    runs = [facts for cell in cells.values() for facts in cell.values()]
    older = max(shown_name(facts).removeprefix(facts["name"]) for facts in runs)
    shown, scores = [], []
    for task in DEVELOPMENT:
        found = list(cells[task.name].values())
        shown.append(f"{fmean(facts['trained']['mean'] for facts in found):.4g}" if found else "")
        ceiling = next((f for f in default[task.name].values() if "true_reward" in f["controls"]), None)
        known = [score(facts["trained"]["mean"], facts, ceiling) for facts in found if ceiling is not None]
        scores += [value for value in known if value is not None]
    complete = scores and all(shown)  # means over different tasks do not compare
    return "| " + " | ".join([words + older, *shown, f"{fmean(scores):.2f}" if complete else ""]) + " |"


def _of(found: dict[int, dict[str, Any]], seeds: set[int]) -> dict[int, dict[str, Any]]:
    return {seed: facts for seed, facts in found.items() if seed in seeds}


def _by_seed(folder: Path, name: str) -> dict[int, dict[str, Any]]:
    """What was found, by seed."""
    return {facts["seed"]: facts for facts in read_results(folder, f"{name}-seed*.json")}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for and print the table."""
    options = tyro.cli(Options, args=arguments, description=__doc__)
    run_and_show("ablations", experiments(options), options, table)


if __name__ == "__main__":
    main()
