"""D-REX on MuJoCo: every task and seed, controls beside them, one JSON file a run and one table.

``python -m benchmarks mujoco`` runs what has no result yet, several runs side by side; a killed one resumes.
``--paper-demos DIR`` adds the demonstrations that were published with D-REX (not part of this repository).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from benchmarks.runner import ControlledOptions, Experiment, read_results, run_and_show, shown_name

TASKS = ("HalfCheetah-v5", "Hopper-v5", "Walker2d-v5", "Ant-v5", "Swimmer-v5")
PAPER_TASKS = ("HalfCheetah", "Hopper")


@dataclass(frozen=True, kw_only=True)
class Options(ControlledOptions):
    """Run D-REX with its controls on MuJoCo, for what has no result yet, and print the table."""

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
    """The results as a markdown table, one row a run."""
    head = (
        "| demonstrations | seed | their mean / best | clone | D-REX [95%] | +1 a step | random rankings | "
        "tau | beats best and clone |\n|---|---|---|---|---|---|---|---|---|"
    )
    return "\n".join([head, *map(row, read_results(folder))])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for and print the table."""
    options = tyro.cli(Options, args=arguments, description=__doc__)
    run_and_show("mujoco", experiments(options), options, table)


if __name__ == "__main__":
    main()
