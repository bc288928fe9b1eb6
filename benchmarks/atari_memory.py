"""What a million steps of Atari take on disk and in memory: ``python -m benchmarks atari_memory``.

Plays Breakout by uniform actions under the default preset's noise schedule, with more games a level to reach
the steps, keeps them as a run does, and goes on with what a run does with them. Every stage is a process of
its own, since peaks of memory outlive what caused them. One JSON file goes to results/atari-memory/;
``python -m benchmarks readme`` puts the table into benchmarks/README.md. It needs Linux, and room for 15 GB.

Resident memory is the kernel's own high-water mark of the process. It counts pages of mapped files that are
in memory, though the kernel may take those back at any time; of the rest, the anonymous memory, a thread
samples the peak.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import tyro

from benchmarks.runner import RESULTS, machine, read_results, versions
from drex.agents.behavioral_cloning import clone
from drex.agents.policies.acting import uniform
from drex.envs.make import make_environments, task_spaces
from drex.errors import UserError
from drex.presets.presets import default
from drex.rankings.noisy_rollouts import NoisyRollouts, rank_by_noise
from drex.rankings.settings import NoiseRanking
from drex.rewards.learned_reward import load_reward
from drex.rewards.learning import learn_reward
from drex.rewards.normalize import normalize_reward

TASK = "ALE/Breakout-v5"
STEPS_A_GAME = 160
"""A little less than uniform play lasts (170), so that there are no fewer steps than asked for."""
BYTES_A_STEP = 7300
"""Most that a step may take on disk."""
RESIDENT_BYTES = 2e9
"""Most that a stage may have in memory."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure disk use and memory of many Atari steps, and print the table."""

    steps: int = 1_000_000
    """Steps to play; slightly more are played."""
    seed: int = 0
    """Random seed of games and learning."""
    gradient_steps: int = 20
    """Gradient steps of the reward and of the clone."""
    cloned_share: float = 0.002
    """Held-out share of the steps for the clone."""
    runs: Path = Path("runs/benchmarks")
    """Parent of a temporary folder; a killed measurement resumes from it."""
    results: Path = RESULTS / "atari-memory"
    """Folder of the result."""
    table: bool = False
    """Only print the table of the existing results."""

    def command(self) -> str:
        """The command line as a reader would type it."""
        words = ("steps", "seed", "gradient_steps", "cloned_share")
        shown = [f"--{word.replace('_', '-')} {getattr(self, word)}" for word in words]
        return " ".join(["python -m benchmarks atari_memory", *shown])


Stage = Callable[[Options, Path], dict[str, Any]]
"""Works in a folder, and gives facts about what it did."""


def collect_and_save(options: Options, folder: Path) -> dict[str, Any]:
    """Noisy rollouts, from the first reset to the file."""
    noise = cast("NoiseRanking", default(TASK).ranking)
    games = math.ceil(options.steps / STEPS_A_GAME / len(noise.levels))
    environments = make_environments(TASK, noise.environments, seed=options.seed)
    actor = uniform(environments.action_space, seed=options.seed)
    schedule = replace(noise, episodes_per_level=games)
    rollouts = rank_by_noise(actor, environments, schedule, seed=options.seed)
    rollouts.save(folder)
    observations, size = rollouts.trajectories.observations, (folder / "rollouts.npz").stat().st_size
    return {
        "steps": len(observations),
        "games": len(rollouts.trajectories),
        "frames": len(getattr(observations, "frames")),  # noqa: B009 (stacked, as all images are)
        "bytes_on_disk": size,
        "bytes_a_step": round(size / len(observations), 1),
    }


def learn(options: Options, folder: Path) -> dict[str, Any]:
    """Load the rollouts and train the preset's reward ensemble on them, for a few gradient steps."""
    settings = default(TASK)
    gap = cast("NoiseRanking", settings.ranking).minimum_gap
    ranked = NoisyRollouts.load(folder).ranked(minimum_gap=gap)
    quick = replace(settings.reward, gradient_steps=options.gradient_steps)
    learn_reward(ranked, quick, seed=options.seed).save(folder / "reward")
    return {"gradient_steps": options.gradient_steps, "pairs": len(ranked.preferences)}


def set_anchor(options: Options, folder: Path) -> dict[str, Any]:
    """Load rollouts and reward, and normalize the reward on every step."""
    settings = default(TASK)
    gap = cast("NoiseRanking", settings.ranking).minimum_gap
    ranked = NoisyRollouts.load(folder).ranked(minimum_gap=gap)
    gamma = cast("float", settings.learner.gamma)
    normalize_reward(load_reward(folder / "reward"), ranked, settings.normalization, gamma=gamma)
    return {"scored_steps": len(ranked.trajectories.observations)}


def clone_all(options: Options, folder: Path) -> dict[str, Any]:
    """Load the rollouts and clone all of them, for a few gradient steps."""
    settings, (observation_space, action_space, _) = default(TASK), task_spaces(TASK)
    clone(
        NoisyRollouts.load(folder).trajectories,
        observation_space,
        action_space,
        policy_settings=settings.policy,
        settings=replace(settings.bc, gradient_steps=options.gradient_steps, held_out=options.cloned_share),
        seed=options.seed,
    )
    return {"gradient_steps": options.gradient_steps}


STAGES: dict[str, Stage] = {
    "collect": collect_and_save,
    "learn": learn,
    "normalization": set_anchor,
    "clone": clone_all,
}
WORDS = {
    "collect": "collecting and saving {steps:,} steps",
    "learn": "loading, then {gradient_steps} gradient steps of the reward on {pairs:,} pairs",
    "normalization": "loading, then normalizing the reward on all {scored_steps:,} steps",
    "clone": "loading, then {gradient_steps} gradient steps of behavioral cloning",
}


def measure(options: Options) -> dict[str, Any]:
    """Run every stage, each in a fresh process, and write the result.

    Raises:
        UserError: a system without Linux's account of memory, or a folder left behind by another command.
    """
    if not sys.platform.startswith("linux"):
        raise UserError("atari_memory", expected="Linux, for its /proc/self/status", found=sys.platform)
    load = os.getloadavg()[0]
    folder = (options.runs / "atari-memory").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    told = folder / "command.txt"
    if told.exists() and told.read_text() != options.command():
        raise UserError(str(told), expected=options.command(), found=told.read_text(), do="remove the folder")
    told.write_text(options.command())
    stages = {name: _in_a_process(name, options, folder) for name in STAGES}
    facts = {
        "task": TASK,
        "command": options.command(),
        "seed": options.seed,
        "stages": stages,
        "limits": {"bytes_a_step": BYTES_A_STEP, "resident_bytes": RESIDENT_BYTES},
        "load_at_start": round(load, 2),
        "machine": machine(),
        "versions": versions(),
    }
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / f"steps-{options.steps}.json").write_text(json.dumps(facts, indent=1) + "\n")
    shutil.rmtree(folder)
    return facts


def _in_a_process(name: str, options: Options, folder: Path) -> dict[str, Any]:
    """The facts of a stage and its memory; a finished stage is not repeated."""
    answer = folder / f"{name}.json"
    if not answer.exists():
        _run(name, options, folder)
    facts: dict[str, Any] = json.loads(answer.read_text())
    print(f"{name}: {json.dumps(facts)}", flush=True)
    return facts


def _run(name: str, options: Options, folder: Path) -> None:
    words = json.dumps(asdict(options), default=str)
    program = "from benchmarks.atari_memory import work; work()"
    # Frames spill beside the file, not into a /tmp that may be small or lie in memory.
    surroundings = os.environ | {"TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-c", program, name, str(folder), words],
        check=True,
        env=surroundings,
        cwd=Path(__file__).parent.parent,
    )


def work() -> None:
    """What the process of a stage does, told by its arguments: name, folder, and options as JSON."""
    name, folder, words = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    options = Options(**words | {"runs": Path(words["runs"]), "results": Path(words["results"])})
    began = time.perf_counter()
    with _AnonymousMemory() as anonymous:
        facts = STAGES[name](options, folder)
    facts |= {
        "peak_resident_bytes": _memory("VmHWM"),
        "peak_anonymous_bytes": anonymous.peak,
        "processor_seconds": round(time.process_time(), 1),
        "seconds": round(time.perf_counter() - began, 1),
    }
    (folder / f"{name}.json").write_text(json.dumps(facts))


def _memory(kind: str) -> int:
    """Bytes of this process, as the kernel counts them."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{kind}:")).split()[1]) * 1024


class _AnonymousMemory:
    """The most that 50 looks a second saw of the memory that is no file's, while it is open."""

    def __init__(self) -> None:
        self.peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _AnonymousMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.peak = max(self.peak, _memory("RssAnon"))
            if self._done.wait(0.02):
                return


def table(results: Path) -> str:
    """Markdown table of all results in the folder."""
    lines = ["| what | measured | limit |", "|---|---|---|"]
    for facts in read_results(results):
        lines += rows(facts)
    return "\n".join(lines)


def rows(facts: dict[str, Any]) -> list[str]:
    """One result as rows of the table: disk, then the memory of each stage."""
    made, limits = facts["stages"]["collect"], facts["limits"]
    what = f"on disk: {made['steps']:,} steps of {made['games']:,} games, {made['frames']:,} frames"
    size = f"**{made['bytes_on_disk'] / 1e9:.3g} GB**, {made['bytes_a_step']:,.0f} bytes a step"
    reached = _reached(made["bytes_a_step"] <= limits["bytes_a_step"])
    lines = [f"| {what} | {size} | {limits['bytes_a_step']:,} bytes a step, {reached} |"]
    for name, stage in facts["stages"].items():
        peak, anonymous = stage["peak_resident_bytes"], stage["peak_anonymous_bytes"]
        measured = f"**{peak / 1e9:.2f} GB** resident, at most {anonymous / 1e9:.2f} GB of it anonymous"
        reached = _reached(peak <= limits["resident_bytes"])
        limit = f"{limits['resident_bytes'] / 1e9:g} GB, {reached}"
        lines.append(f"| {WORDS[name].format(**stage)} | {measured} | {limit} |")
    return lines


def _reached(kept: bool) -> str:
    return "reached" if kept else "not reached"


if __name__ == "__main__":
    chosen = tyro.cli(Options, prog="benchmarks atari_memory", description=__doc__)
    if not chosen.table:
        measure(chosen)
    print(table(chosen.results))
