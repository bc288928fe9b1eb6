"""Runs many ``drex run`` commands in parallel, resumably; each leaves one JSON file."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from drex.errors import UserError
from drex.sweeps.processes import Program, run_side_by_side

RESULTS = Path(__file__).parent / "results"
DREX = (sys.executable, "-c", "import sys; from drex.cli.main import main; sys.exit(main())")
"""The command ``drex`` of this Python."""
CONTROLS = ("--controls", "constant", "shuffled_labels")
VERSIONS = ("torch", "numpy", "stable-baselines3", "gymnasium", "envpool", "mujoco", "ale-py")
STALE = {
    label: "2026-11-26: made before rollout_policy auto; noise went into the greedy clone"
    for label in (
        "Breakout-v5-small-from-scratch-seed0",
        "Breakout-v5-small-seed0",
        "SpaceInvaders-v5-small-seed0",
    )
} | {
    f"Hopper-v5-as-preset-seed{seed}": "2026-11-26: made with Hopper's own preset, before the one default"
    for seed in (0, 1, 2)
}
"""Results made with other settings than their command has today: since when, and why they stay. Tables mark
them; ``python -m benchmarks stale`` finds them."""


def check_names(option: str, asked: Iterable[str], known: Iterable[str]) -> None:
    """Raise a ``UserError`` if an option names what there is not."""
    if unknown := set(asked) - set(known):
        raise UserError(option, expected=f"names among {', '.join(known)}", found=", ".join(sorted(unknown)))


@dataclass(frozen=True, kw_only=True)
class PartOptions:
    """Options shared by the benchmarks that leave one JSON file a part."""

    only: tuple[str, ...] = ()
    """Names of parts to measure again; empty: those without a result."""
    results: Path
    """Folder of the results."""
    table: bool = False
    """Only print the table of the existing results."""

    def due(self, names: Iterable[str]) -> list[str]:
        """The parts to measure; UserError for an unknown one."""
        check_names("--only", self.only, names)
        self.results.mkdir(parents=True, exist_ok=True)
        return [
            name
            for name in names
            if (name in self.only if self.only else not (self.results / f"{name}.json").exists())
        ]

    def write(self, name: str, command: str, facts: Mapping[str, Any], began: float) -> float:
        """Write what a part measured, begun at this ``time.perf_counter()``; the seconds that it took."""
        seconds = round(time.perf_counter() - began, 1)
        where = {"seconds": seconds, "machine": machine(), "versions": versions()}
        written = {"name": name, "command": command, **facts, **where}
        (self.results / f"{name}.json").write_text(json.dumps(written, indent=1) + "\n")
        return seconds


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options shared by all benchmarks of ``drex run``."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of whole runs: clone, rollouts, reward and PPO."""
    runs: Path = Path("runs/benchmarks")
    """Parent of the run folders, in a folder named after the benchmark."""
    jobs: int = 2
    """Parallel runs, with equal shares of the CPU cores."""
    table: bool = False
    """Only print the table of the existing results."""


@dataclass(frozen=True, kw_only=True)
class ControlledOptions(RunOptions):
    """The same for benchmarks that also train the baselines."""

    control_seeds: tuple[int, ...] = (0,)
    """Seeds for which the baselines are trained."""

    def controls(self, seed: int) -> tuple[str, ...]:
        """The options that train the baselines for this seed."""
        return CONTROLS if seed in self.control_seeds else ()


@dataclass(frozen=True)
class Experiment:
    """One run.

    Args:
        name: what is tried; with the seed it names run folder and result.
        task: a gymnasium id.
        seed: of the run.
        options: further words of the command line.
        demos: file of demonstrations; ``None`` takes the bundled ones.
    """

    name: str
    task: str
    seed: int
    options: tuple[str, ...] = ()
    demos: Path | None = None

    @property
    def label(self) -> str:
        """Names the run folder and the result file."""
        return f"{self.name}-seed{self.seed}"

    def shown(self) -> str:
        """The command line as a reader would type it."""
        demos = () if self.demos is None else ("--demos", self.demos.name)
        return shlex.join(["drex", "run", self.task, "--seed", str(self.seed), *demos, *self.options])

    def words(self, runs: Path) -> list[str]:
        """The words after ``drex``, resuming what a kill has left."""
        demos = [] if self.demos is None else ["--demos", str(self.demos)]
        run_dir = ["--run-dir", str(runs / self.label), "--quiet", "--resume"]
        return ["run", self.task, "--seed", str(self.seed), *demos, *self.options, *run_dir]


def run_and_show(
    name: str, asked: Iterable[Experiment], options: RunOptions, table: Callable[[Path], str]
) -> None:
    """Run what has no result yet, unless only the table is asked for, and print the table.

    Args:
        name: of the benchmark, whose results lie in the folder of this name.
        asked: every run that the options ask for.
        options: of the command line.
        table: makes the table from the folder of results.
    """
    results = RESULTS / name
    if not options.table:
        run_all(list(asked), results=results, runs=options.runs / name, jobs=options.jobs)
    print(table(results))


def read_results(folder: Path, pattern: str = "*.json") -> list[dict[str, Any]]:
    """What was found, a dictionary a file, in the order of their names."""
    return [json.loads(file.read_text()) for file in sorted(folder.glob(pattern))]


def shown_name(facts: dict[str, Any]) -> str:
    """A result's name for a table, marked where its settings are no longer those of its command."""
    older = f"{facts['name']}-seed{facts['seed']}" in STALE
    return f"{facts['name']} (older settings)" if older else str(facts["name"])


def run_all(experiments: Sequence[Experiment], *, results: Path, runs: Path, jobs: int) -> None:
    """Run the experiments that have no result of this command yet, ``jobs`` at a time."""
    waiting = {one.label: one for one in experiments if not _has_result(one, results)}
    programs = [
        Program(label, (*DREX, *one.words(runs)), runs / f"{label}.log") for label, one in waiting.items()
    ]
    for program, status in run_side_by_side(programs, jobs):
        one = waiting[program.name]
        if status is None:
            print(f"started {one.label}: {one.shown()}", flush=True)
        else:
            _finish(one, status, results, runs)


def _has_result(one: Experiment, results: Path) -> bool:
    file = results / f"{one.label}.json"
    return file.exists() and json.loads(file.read_text())["command"] == one.shown()


def _finish(one: Experiment, status: int, results: Path, runs: Path) -> None:
    if status:
        print(f"{one.label} failed with status {status}; see {runs / one.label}.log", flush=True)
        return
    evaluation, config = (
        json.loads((runs / one.label / file).read_text()) for file in ("evaluation.json", "config.json")
    )
    evaluation.pop("predicted_and_true")  # a point for every episode
    results.mkdir(parents=True, exist_ok=True)
    facts = {"name": one.name, "command": one.shown(), "settings": config["settings"]}
    facts |= {"machine": machine()} | evaluation
    (results / f"{one.label}.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(f"finished {one.label}: mean return {evaluation['policy']['mean']:.0f}", flush=True)


def machine() -> dict[str, Any]:
    """Processor and core count; nothing that names the host."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if "model name" in line), model)
    return {"cpu": model, "cores": os.cpu_count()}


def versions() -> dict[str, str]:
    """Of Python and of what most figures depend on, where it is installed."""
    found = {"python": platform.python_version()}
    for name in VERSIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # an optional one
    return found
