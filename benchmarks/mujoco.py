"""D-REX on MuJoCo: every task and seed, controls beside them, one JSON file a run and one table.

``python -m benchmarks.mujoco`` runs what has no result yet, several runs side by side; a killed one resumes.
``--paper-demos DIR`` adds the demonstrations that were published with D-REX (not part of this repository).
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

RESULTS = Path(__file__).parent / "results" / "mujoco"
TASKS = ("HalfCheetah-v5", "Hopper-v5", "Walker2d-v5", "Ant-v5", "Swimmer-v5")
PAPER_TASKS = ("HalfCheetah", "Hopper")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Run D-REX with its controls on MuJoCo, for what has no result yet, and print the table."""

    tasks: tuple[str, ...] = TASKS
    """Tasks with bundled demonstrations."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Each seed draws everything anew: clone, rollouts, reward and PPO."""
    control_seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds that also train the controls."""
    paper_demos: Path | None = None
    """Folder with drex-paper-HalfCheetah-v2.npz and drex-paper-Hopper-v2.npz."""
    runs: Path = Path("runs/benchmarks/mujoco")
    """Where the run folders go."""
    jobs: int = 2
    """Runs side by side, one CPU core each."""
    table: bool = False
    """Only print the table of the results that are there."""


@dataclass(frozen=True)
class Experiment:
    """One run: a task, its demonstrations and a seed."""

    name: str
    task: str
    seed: int
    demos: Path | None
    controls: bool

    def command(self, runs: Path) -> list[str]:
        """The ``drex`` command line that makes the run."""
        words = [
            "drex",
            "run",
            self.task,
            "--seed",
            str(self.seed),
            "--run-dir",
            str(runs / self.label),
            "--quiet",
        ]
        if self.demos is not None:
            words += ["--demos", str(self.demos)]
        if self.controls:
            words += ["--controls", "alive", "random_rankings"]
        return [*words, "--resume"]

    @property
    def label(self) -> str:
        """Names the run folder and the result file."""
        return f"{self.name}-seed{self.seed}"


def experiments(options: Options) -> Iterator[Experiment]:
    """Every run that the options ask for."""
    for seed in options.seeds:
        controls = seed in options.control_seeds
        if options.paper_demos is not None:
            for task in PAPER_TASKS:
                file = options.paper_demos / f"drex-paper-{task}-v2.npz"
                yield Experiment(f"{task}-v5-paper-demonstrations", f"{task}-v5", seed, file, controls)
        for task in options.tasks:
            yield Experiment(task, task, seed, None, controls)


def run_all(options: Options) -> None:
    """Run the experiments without a result, ``options.jobs`` at a time."""
    waiting = [one for one in experiments(options) if not (RESULTS / f"{one.label}.json").exists()]
    running: list[tuple[Experiment, subprocess.Popen[bytes]]] = []
    # One core a run: threads of two runs on one core would only wait for each other.
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    while waiting or running:
        while waiting and len(running) < options.jobs:
            one = waiting.pop(0)
            words = one.command(options.runs)
            options.runs.mkdir(parents=True, exist_ok=True)
            log = (options.runs / f"{one.label}.log").open("ab")
            arguments = [
                sys.executable,
                "-c",
                "import sys; from drex.cli import main; sys.exit(main())",
                *words[1:],
            ]
            running.append((one, subprocess.Popen(arguments, stdout=log, stderr=log, env=environment)))
            print(f"started {' '.join(words)}", flush=True)
        time.sleep(1.0)
        for entry in [pair for pair in running if pair[1].poll() is not None]:
            running.remove(entry)
            _finish(entry[0], entry[1].returncode, options.runs)


def _finish(one: Experiment, status: int, runs: Path) -> None:
    if status:
        print(f"{one.label} failed with status {status}; see {runs / one.label}.log", flush=True)
        return
    evaluation = json.loads((runs / one.label / "evaluation.json").read_text())
    for points in ("predicted_and_true", "noise"):
        evaluation.pop(points)
    shown = one.command(Path("runs"))
    if one.demos is not None:
        shown[shown.index("--demos") + 1] = one.demos.name
    RESULTS.mkdir(parents=True, exist_ok=True)
    facts = {"command": " ".join(shown), "machine": machine()} | evaluation
    (RESULTS / f"{one.label}.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(f"{one.label}: D-REX {evaluation['policy']['mean']:.0f}", flush=True)


def machine() -> dict[str, Any]:
    """Processor and core count; nothing that names the host."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [
            line.split(":", 1)[1].strip()
            for line in information.read_text().splitlines()
            if "model name" in line
        ]
        model = names[0] if names else model
    return {"cpu": model, "cores": os.cpu_count()}


def table(folder: Path = RESULTS) -> str:
    """The results as a markdown table, one row a run."""
    rows = [
        "| task | seed | demonstrations mean / best | clone | D-REX mean [95%] | deterministic | +1 a step | "
        "random rankings | Kendall tau | beats best and clone |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for file in sorted(folder.glob("*.json")):
        facts = json.loads(file.read_text())
        policy, controls = facts["policy"], facts["controls"]
        low, high = policy["interval"]
        wins = policy["mean"] > max(facts["demonstrator"]["best"], facts["bc"]["mean"])
        cells = [
            file.stem.rsplit("-seed", 1)[0],
            str(facts["seed"]),
            f"{facts['demonstrator']['mean']:.0f} / {facts['demonstrator']['best']:.0f}",
            f"{facts['bc']['mean']:.0f}",
            f"**{policy['mean']:.0f}** [{low:.0f}, {high:.0f}]",
            f"{facts['policy_deterministic']['mean']:.0f}",
            *(
                f"{controls[name]['mean']:.0f}" if name in controls else ""
                for name in ("alive", "random_rankings")
            ),
            f"{facts['reward']['kendall_tau']:.2f}",
            "yes" if wins else "no",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for and print the table."""
    options = tyro.cli(Options, args=arguments, description=__doc__)
    if not options.table:
        run_all(options)
    print(table())


if __name__ == "__main__":
    main()
