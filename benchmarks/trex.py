"""T-REX on twelve episodes of a learner's history, ranked by training time; one JSON file per run.

``python -m benchmarks trex`` makes the missing results, several runs in parallel; a killed run resumes. The
demonstrations are in ``benchmarks/data``, with the command that made them and rewards for evaluation only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from benchmarks.runner import Experiment, RunOptions, read_results, run_and_show, shown_name

TASK = "Hopper-v5"
HISTORY = Path(__file__).parent / "data" / f"{TASK}-history.npz"
VARIANTS: dict[str, tuple[str, ...]] = {
    "as-preset": (),
    "from-scratch": ("--learner.start-from", "scratch"),
    "beside-noise": ("--mix-noise",),
    "paper": ("--preset", "paper"),
}
"""Variants and their options: PPO from random weights; noisy rollouts of the clone as a second ranking; the
published protocol."""


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions):
    """Run T-REX on a learner's history where results are missing, and print the table."""

    variants: tuple[str, ...] = ("as-preset",)
    """Some of as-preset, from-scratch, beside-noise and paper."""


def experiments(options: Options) -> Iterator[Experiment]:
    """Every run that the options ask for."""
    for variant in options.variants:
        for seed in options.seeds:
            words = ("--method", "trex", *VARIANTS[variant])
            yield Experiment(f"{TASK}-{variant}", TASK, seed, words, HISTORY)


def row(facts: dict[str, Any]) -> str:
    """One result as a row of the table."""
    policy, demonstrator, reward = facts["policy"], facts["demonstrator"], facts["reward"]
    low, high = policy["interval"]
    held_out = reward["held_out_accuracy"]
    cells = [
        shown_name(facts).removeprefix(f"{TASK}-").replace("-", " "),
        facts["seed"],
        f"{demonstrator['mean']:.0f} / {demonstrator['best']:.0f}",
        "none" if facts["bc"] is None else f"{facts['bc']['mean']:.0f}",
        f"**{policy['mean']:.0f}** [{low:.0f}, {high:.0f}]",
        f"{reward['pair_accuracy']:.0%}",
        "unknown" if held_out is None else f"{held_out:.0%} ({reward['held_out_pairs']} comparisons)",
        "yes" if facts["beats_best_demonstration"] else "no",
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def table(folder: Path) -> str:
    """The results as a markdown table, one row per run."""
    head = (
        "| variant | seed | demonstrations' mean / best | clone of the best quarter | T-REX [95%] | "
        "training pair accuracy | held-out pair accuracy | above best |\n|---|---|---|---|---|---|---|---|"
    )
    return "\n".join([head, *map(row, read_results(folder))])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for and print the table."""
    options = tyro.cli(Options, args=arguments, description=__doc__)
    run_and_show("trex", experiments(options), options, table)


if __name__ == "__main__":
    main()
