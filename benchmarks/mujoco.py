"""D-REX and its baselines on MuJoCo: one JSON file per run, a table of all runs and a summary.

``python -m benchmarks mujoco`` makes the missing results, several runs in parallel; a killed run resumes.
``--paper-demos DIR`` adds the demonstrations published with D-REX (not part of this repository).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import tyro

from benchmarks.runner import ControlledOptions, Experiment, read_results, run_and_show, shown_name

TASKS = ("HalfCheetah-v5", "Hopper-v5", "Walker2d-v5", "Ant-v5", "Swimmer-v5")
PAPER_TASKS = ("HalfCheetah", "Hopper")


@dataclass(frozen=True, kw_only=True)
class Options(ControlledOptions):
    """Run D-REX and its baselines on MuJoCo where results are missing, and print the table."""

    tasks: tuple[str, ...] = TASKS
    """Tasks with bundled demonstrations."""
    paper_demos: Path | None = None
    """Folder with drex-paper-HalfCheetah-v2.npz and drex-paper-Hopper-v2.npz."""


def experiments(options: Options) -> Iterator[Experiment]:
    """Every run that the options ask for."""
    for seed in options.seeds:
        controls = options.controls(seed)
        if options.paper_demos is not None:
            for task in PAPER_TASKS:
                file = options.paper_demos / f"drex-paper-{task}-v2.npz"
                yield Experiment(f"{task}-v5-paper-demonstrations", f"{task}-v5", seed, controls, file)
        for task in options.tasks:
            yield Experiment(task, task, seed, controls)


def row(facts: dict[str, Any]) -> str:
    """One result as a row of the table."""
    policy, controls, demonstrator = facts["policy"], facts["controls"], facts["demonstrator"]
    low, high = policy["interval"]
    wins = policy["mean"] > max(demonstrator["best"], facts["bc"]["mean"])
    cells = [
        shown_name(facts).replace("-paper-demonstrations", " (paper's)"),
        facts["seed"],
        f"{demonstrator['mean']:.0f} / {demonstrator['best']:.0f}",
        f"{facts['bc']['mean']:.0f}",
        f"**{policy['mean']:.0f}** [{low:.0f}, {high:.0f}]",
        *(
            f"{controls[name]['mean']:.0f}" if name in controls else ""
            for name in ("constant", "shuffled_labels")
        ),
        f"{facts['reward']['kendall_tau']:.2f}",
        "yes" if wins else "no",
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def table(folder: Path) -> str:
    """The results as a markdown table, one row per run."""
    head = (
        "| task | seed | demonstrations' mean / best | clone | D-REX [95%] | constant reward | "
        "shuffled labels | Kendall tau | above best and clone |\n|---|---|---|---|---|---|---|---|---|"
    )
    return "\n".join([head, *map(row, read_results(folder))])


def summary(folder: Path) -> str:
    """The results as a short markdown table: one row for each set of demonstrations, means over seeds."""
    head = (
        "| task | seeds | demonstrations' mean / best | clone | constant reward | shuffled labels | "
        "**D-REX** (lowest to highest seed) |\n|---|---|---|---|---|---|---|"
    )
    runs: dict[str, list[dict[str, Any]]] = {}
    for facts in read_results(folder):
        runs.setdefault(facts["name"], []).append(facts)
    return "\n".join([head, *map(_summary_row, runs.values())])


def _summary_row(seeds: Sequence[dict[str, Any]]) -> str:
    demonstrator, returns = seeds[0]["demonstrator"], [facts["policy"]["mean"] for facts in seeds]
    controls = [facts["controls"] for facts in seeds]
    cells = [
        seeds[0]["name"].replace("-paper-demonstrations", " (paper's)"),
        str(len(seeds)),
        f"{demonstrator['mean']:.0f} / {demonstrator['best']:.0f}",
        f"{fmean(facts['bc']['mean'] for facts in seeds):.0f}",
        *(
            f"{fmean(means):.0f}" if means else ""
            for means in (
                [found[name]["mean"] for found in controls if name in found]
                for name in ("constant", "shuffled_labels")
            )
        ),
        f"**{fmean(returns):.0f}** ({min(returns):.0f} to {max(returns):.0f})",
    ]
    return "| " + " | ".join(cells) + " |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for and print the table."""
    options = tyro.cli(Options, args=arguments, description=__doc__)
    run_and_show("mujoco", experiments(options), options, table)


if __name__ == "__main__":
    main()
