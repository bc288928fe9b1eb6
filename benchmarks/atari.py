"""D-REX on Atari from bundled demonstrations, at the preset for two cores: JSON files and one table.

``python -m benchmarks atari`` makes the missing results; a killed run resumes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from benchmarks.runner import ControlledOptions, Experiment, read_results, run_and_show, shown_name
from drex.demonstrations.bundled import bundled_tasks
from drex.envs.atari.options import is_atari

VARIANTS: dict[str, tuple[str, ...]] = {
    "as-preset": (),
    "any-start": ("--reward.snippets.no-better-starts-no-earlier",),
    "from-scratch": ("--learner.start-from", "scratch"),
    "greedy-rollouts": ("--ranking.rollout-policy", "deterministic"),
}
"""Variants and their options: snippets compared regardless of their start steps; PPO from random weights;
noise injected into the greedy clone even if it is stuck."""


@dataclass(frozen=True, kw_only=True)
class Options(ControlledOptions):
    """Run D-REX and its baselines on Atari where results are missing, and print the table."""

    tasks: tuple[str, ...] = tuple(task for task in bundled_tasks() if is_atari(task))
    """Games with bundled demonstrations."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of whole runs: clone, rollouts, reward and PPO."""
    preset: str = "small"
    """Preset: small, default or paper."""
    variants: tuple[str, ...] = ("as-preset",)
    """Some of as-preset, any-start, from-scratch and greedy-rollouts."""
    jobs: int = 1
    """Parallel runs, one CPU core each; at most the number of cores."""


def experiments(options: Options) -> Iterator[Experiment]:
    """Every run that the options ask for."""
    for seed in options.seeds:
        controls = options.controls(seed)
        for task in options.tasks:
            for variant in options.variants:
                changed = "" if variant == "as-preset" else f"-{variant}"
                name = f"{task.removeprefix('ALE/')}-{options.preset}{changed}"
                words = ("--preset", options.preset, *VARIANTS[variant], *controls)
                yield Experiment(name, task, seed, words)


def row(facts: dict[str, Any]) -> str:
    """One result as a row of the table."""
    policy, controls, demonstrator = facts["policy"], facts["controls"], facts["demonstrator"]
    clones = [facts[name]["mean"] for name in ("bc", "bc_stochastic") if name in facts]
    beaten = {
        "average": policy["mean"] > demonstrator["mean"],
        "best": policy["mean"] > demonstrator["best"],
        "clone": policy["mean"] > max(clones),
    }
    cells = [
        shown_name(facts).replace("-v5", ""),
        facts["seed"],
        f"{demonstrator['mean']:.1f} / {demonstrator['best']:.0f}",
        " / ".join(f"{mean:.1f}" for mean in clones),
        f"**{policy['mean']:.1f}** [{policy['interval'][0]:.1f}, {policy['interval'][1]:.1f}]",
        f"{(facts.get('trained_deterministic') or facts['policy_deterministic'])['mean']:.1f}",
        *(
            f"{controls[name]['mean']:.1f}" if name in controls else ""
            for name in ("constant", "shuffled_labels")
        ),
        f"{facts['random']['mean']:.1f}",
        f"{facts['reward']['kendall_tau']:.2f}",
        ", ".join(name for name, above in beaten.items() if above) or "nothing",
        f"{sum(facts['seconds'].values()) / 60:.0f}",
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def table(folder: Path) -> str:
    """The results as two markdown tables, one row per run: policies, and the clone under noise."""
    results = read_results(folder)
    head = (
        "| game, preset | seed | demonstrations' mean / best | greedy clone / sampling clone | D-REX [95%] | "
        "greedy policy | constant reward | shuffled labels | uniform random | Kendall tau | D-REX is above "
        "| minutes |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|---|"
    )
    return "\n".join([head, *map(row, results), "", *noise_table(results)])


def noise_table(results: Sequence[dict[str, Any]]) -> list[str]:
    """Mean score and mean steps per game of the clone at every level of uniform noise."""
    levels = sorted({point["level"] for facts in results for point in facts["noise"]})
    lines = [
        "| clone's score (steps per game) at noise level | " + " | ".join(map(str, levels)) + " |",
        "|---" * (len(levels) + 1) + "|",
    ]
    for facts in results:
        found = {point["level"]: point for point in facts["noise"]}
        cells = [
            f"{found[level]['return']['mean']:.1f} ({found[level]['length']:.0f})" if level in found else ""
            for level in levels
        ]
        source = facts.get("ranking", {}).get("rollout_policy") or {"chosen": "deterministic"}
        sampled = ", sampling clone" if source["chosen"] == "stochastic" else ""
        label = f"{shown_name(facts).replace('-v5', '')}, seed {facts['seed']}{sampled}"
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for and print the table."""
    options = tyro.cli(Options, args=arguments, description=__doc__)
    run_and_show("atari", experiments(options), options, table)


if __name__ == "__main__":
    main()
