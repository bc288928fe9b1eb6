"""``python -m benchmarks atari_parity``: scores at equal steps of drex's and of another PPO.

PPO on Breakout's true reward with RL Zoo's hyperparameters: drex's algorithm on its environments, and
stable-baselines3's on its own. Both policies are evaluated alike, on whole games in unclipped score. A killed
training continues from its last checkpoint, with new games. Each training leaves one JSON file in
results/atari-parity/. ``--table`` prints their table, ``--picture`` draws their curves.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from matplotlib.figure import Figure
from stable_baselines3 import PPO as StablePPO
from stable_baselines3.common.callbacks import BaseCallback

from benchmarks.runner import RESULTS, check_names, machine, read_results
from benchmarks.throughput_experiments import atari
from drex.agents.policies.acting import stochastic
from drex.agents.rollouts.collect import collect
from drex.envs.make import make_environments, usable_cores
from drex.envs.vector.true_reward_ledger import take_true_return

MAKERS: dict[str, Callable[..., StablePPO]] = {
    "ours": atari.our_ppo,
    "ours-bfloat16": partial(atari.our_ppo, precision="bfloat16"),
    "stable-baselines3": atari.their_ppo,
}
"""What can be trained, by name."""

LATEST_GAMES = 100
"""Games of training whose mean score is a point of the curve."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train on Breakout's true reward with drex and with stable-baselines3, and compare the scores."""

    steps: int = 300_000
    """Environment steps of each training."""
    seeds: tuple[int, ...] = (0, 1)
    """Seeds; one training of each side per seed."""
    sides: tuple[str, ...] = ("ours", "stable-baselines3")
    """Sides: ours, ours-bfloat16 or stable-baselines3."""
    piece: int = 20_480
    """Steps between two checkpoints."""
    games: int = 30
    """Games in the final evaluation of each policy."""
    threads: int = 0
    """Torch threads; 0: one per usable core."""
    runs: Path = Path("runs/atari-parity")
    """Folder of the checkpoints."""
    results: Path = field(default=RESULTS / "atari-parity")
    """Folder of the results."""
    table: bool = False
    """Only print the table of the existing results."""
    picture: Path | None = None
    """Where to draw the curves of all results, as PNG."""


class _Scores(BaseCallback):
    """Notes the unclipped score of every whole game, however training cuts it into lives."""

    def __init__(self) -> None:
        super().__init__()
        self.scores: list[float] = []

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "true_return" in info:
                self.scores.append(float(take_true_return(info).values_for_evaluation()[0]))
            elif "episode" in info:  # the monitor stands below the wrappers that clip and end lives
                self.scores.append(float(info["episode"]["r"]))
        return True


def main(options: Options) -> None:
    """Train what has no result yet, a seed of each side at a time."""
    check_names("--sides", options.sides, MAKERS)
    torch.set_num_threads(options.threads or usable_cores())
    options.results.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        for side in options.sides:
            file = options.results / f"{side}-seed{seed}.json"
            if not options.table and not (
                file.exists() and json.loads(file.read_text())["steps"] >= options.steps
            ):
                facts = train_and_judge(side, seed, options)
                file.write_text(json.dumps(facts, indent=1) + "\n")
    print(table(options.results))
    if options.picture is not None:
        draw(options.results).savefig(options.picture)


def train_and_judge(side: str, seed: int, options: Options) -> dict[str, Any]:
    """One training in pieces, continued where a kill has left it, and its policy judged."""
    place = options.runs / f"{side}-seed{seed}"
    place.mkdir(parents=True, exist_ok=True)
    model, curve, seconds = _started(side, seed, place)
    watch = _Scores()
    while model.num_timesteps < options.steps:
        began = time.perf_counter()
        model.learn(
            min(options.piece, options.steps - model.num_timesteps), callback=watch, reset_num_timesteps=False
        )
        seconds += time.perf_counter() - began
        latest = watch.scores[-LATEST_GAMES:]
        mean = statistics.fmean(latest) if latest else float("nan")
        curve.append([model.num_timesteps, mean])
        print(f"{side} seed {seed}: {model.num_timesteps} steps, {mean:.1f} points a game", flush=True)
        _keep(model, curve, seconds, place)
    environments = make_environments(atari.TASK, min(8, options.games), seed=10_000 + seed)
    _, returns = collect(stochastic(model.policy, seed=seed), environments, options.games, seed=seed)
    environments.close()
    judged = returns.values_for_evaluation()
    return {
        "side": side,
        "seed": seed,
        "steps": model.num_timesteps,
        "seconds": round(seconds, 1),
        "mean_score": float(judged.mean()),
        "std": float(judged.std()),
        "games": len(judged),
        "curve": curve,
        "machine": machine(),
    }


def _started(side: str, seed: int, place: Path) -> tuple[StablePPO, list[list[float]], float]:
    """A fresh algorithm or the checkpoint on fresh environments, with its curve and seconds so far."""
    fresh = MAKERS[side](seed=seed)
    facts = place / "progress.json"
    if not facts.exists():
        return fresh, [], 0.0
    known = json.loads(facts.read_text())
    model = type(fresh).load(place / known["checkpoint"], env=fresh.env)
    return model, known["curve"], known["seconds"]


def _keep(model: StablePPO, curve: list[list[float]], seconds: float, place: Path) -> None:
    """The checkpoint first, then the file that names it, so that a kill leaves the last whole one."""
    name = f"model-{model.num_timesteps}.zip"
    model.save(place / name)
    unfinished = place / "progress.json.unfinished"
    unfinished.write_text(json.dumps({"checkpoint": name, "curve": curve, "seconds": seconds}))
    os.replace(unfinished, place / "progress.json")
    for old in place.glob("model-*.zip"):
        if old.name != name:
            old.unlink()


def table(results: Path) -> str:
    """Markdown table of all results in the folder, then each side's mean and its error over seeds."""
    lines = [
        "| side | seed | steps | score of whole games | latest training games | steps/s |",
        "|---|---|---|---|---|---|",
    ]
    everything = read_results(results)
    for facts in everything:
        score = f"{facts['mean_score']:.1f} ± {facts['std']:.1f} ({facts['games']} games)"
        rate = facts["steps"] / facts["seconds"]
        row = [
            facts["side"],
            facts["seed"],
            facts["steps"],
            score,
            f"{facts['curve'][-1][1]:.1f}",
            f"{rate:.0f}",
        ]
        lines.append("| " + " | ".join(map(str, row)) + " |")
    for side, found in _by_side(everything).items():
        scores = np.array([facts["mean_score"] for facts in found])
        if len(scores) > 1:
            error = scores.std(ddof=1) / np.sqrt(len(scores))
            mean = f"**{scores.mean():.1f}**, standard error over seeds {error:.1f}"
            latest = statistics.fmean(facts["curve"][-1][1] for facts in found)
            lines.append(f"| {side} | all {len(scores)} | | {mean} | {latest:.1f} | |")
    return "\n".join(lines)


def draw(results: Path) -> Figure:
    """The latest games of training against steps: every seed thin, each side's mean thick."""
    figure = Figure(figsize=(7, 4), dpi=110, layout="constrained")
    axes = figure.subplots()
    for number, (side, found) in enumerate(_by_side(read_results(results)).items()):
        curves = [np.array(facts["curve"]).T for facts in found]
        for steps, scores in curves:
            axes.plot(steps, scores, color=f"C{number}", linewidth=0.8, alpha=0.5)
        common = curves[0][0]
        common = common[common <= min(steps[-1] for steps, _ in curves)]
        mean = np.mean([np.interp(common, *curve) for curve in curves], axis=0)
        axes.plot(
            common, mean, color=f"C{number}", linewidth=2.5, label=f"{side}, mean of {len(found)} seeds"
        )
    axes.set(
        xlabel="environment steps",
        ylabel=f"score, mean of the latest {LATEST_GAMES} games",
        title="PPO on Breakout's true reward, equal settings and steps",
    )
    axes.legend()
    axes.grid(alpha=0.3)
    return figure


def _by_side(results: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    sides: dict[str, list[dict[str, Any]]] = {}
    for facts in results:
        sides.setdefault(facts["side"], []).append(facts)
    return sides


if __name__ == "__main__":
    main(tyro.cli(Options, prog="benchmarks atari_parity"))
