"""Figures of a run: noise, ranking, learned and true return, PPO, reward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from drex.files.run_layout import CONTROLS, TRAINED, control_stage
from drex.report.finished_run import Curve, FinishedRun
from drex.report.image_figures import attention, frames_highest_and_lowest

_NOISE = {
    "uniform": ("tab:blue", "o", "uniform actions"),
    "sticky": ("tab:orange", "s", "sticky uniform actions"),
    "no_op": ("tab:green", "^", "zero actions"),
}
_NOTE: dict[str, Any] = {"fontsize": 8, "color": "0.35"}


def noise_and_return(run: FinishedRun) -> Figure | None:
    """Mean true return against noise level, for each noise; episode length if returns are unknown."""
    points = run.evaluation.get("noise", [])
    if not points:
        return None
    known = all(point["return"]["mean"] is not None for point in points)
    figure, axes = _figure()
    for noise_name in dict.fromkeys(point["name"] for point in points):
        curve = sorted((p for p in points if p["name"] == noise_name), key=lambda p: float(p["level"]))
        levels = [point["level"] for point in curve]
        means = np.array([point["return"]["mean"] if known else point["length"] for point in curve])
        colour, marker, label = _NOISE.get(noise_name, (None, "o", noise_name))
        label = f"clone, noise: {label}"
        axes.plot(levels, means, marker=marker, markersize=4, color=colour, label=label)
        if known:
            spread = np.array([point["return"]["std"] or 0.0 for point in curve])
            axes.fill_between(levels, means - spread, means + spread, color=colour, alpha=0.2, linewidth=0)
    if known:
        _reference_lines(axes, run)
    what = "True return per episode" if known else "Steps per episode (true returns unknown)"
    axes.set(xlabel="noise level: probability that an action is replaced", ylabel=what)
    title = f"{what} against noise (band: ±1 standard deviation)" if known else what
    axes.set_title(f"{title}\n{run.title}", fontsize=11)
    axes.legend(fontsize=8)
    return figure


def predicted_and_true(run: FinishedRun) -> Figure | None:
    """Learned against true return of ranked rollouts, demonstrations, clone and final policy."""
    points = run.evaluation.get("predicted_and_true", {})
    ranked = points.get("ranked", [])
    rollouts = ranked[len(ranked) - len(run.noise) :]  # after the demonstrations of the user's ranking
    known = [true for _, true in (*rollouts, *points.get("policy", []))]
    if not known or None in known:
        return None
    figure, axes = _figure()
    _scatter_ranked(figure, axes, rollouts, run.noise)
    for name, label, colour, marker, size in (
        ("bc", "greedy clone", "tab:cyan", "D", 22),
        ("demonstrations", "demonstrations", "black", "X", 60),
        ("policy", "final policy", "tab:red", "*", 70),
    ):
        both = points.get(name, [])
        true, predicted = [y for _, y in both], [x for x, _ in both]
        if both and None not in true:
            style: dict[str, Any] = {"color": colour, "label": label, "edgecolors": "white"}
            axes.scatter(true, predicted, s=size, marker=marker, **style)
        elif both:
            label = f"{label} (true return unknown)"
            axes.axhline(float(np.mean(predicted)), color=colour, linestyle=":", label=label)
    best = run.evaluation["demonstrator"]["best"]
    if best is not None:
        low, high = axes.get_xlim()
        high = max(high, best + 0.05 * (high - low))
        axes.axvspan(best, high, color="gold", alpha=0.15, linewidth=0, label="beyond the best demonstration")
        axes.set_xlim(low, high)
    tau = run.evaluation["reward"]["kendall_tau"]
    title = "Kendall tau unknown" if tau is None else f"Kendall tau of ranked trajectories {tau:.2f}"
    axes.set(xlabel="true return per episode", ylabel="learned return per episode")
    axes.set_title(f"Learned against true return; {title}\n{run.title}", fontsize=11)
    axes.legend(fontsize=8, loc="best")
    return figure


def ranking_and_reward(run: FinishedRun) -> Figure | None:
    """Learned return of each demonstration against its win rate in the user's ranking."""
    ranking = run.evaluation.get("ranking", {})
    points = ranking.get("user", [])
    if not points:
        return None
    figure, axes = _figure()
    shares = [100 * point["win_rate"] for point in points]
    axes.scatter(shares, [point["predicted"] for point in points], s=40, marker="X", color="black")
    for share, point in zip(shares, points, strict=True):
        place = (share, point["predicted"])
        axes.annotate(str(point["episode"]), place, xytext=(4, 4), textcoords="offset points", **_NOTE)
    axes.set_xlabel("win rate of the demonstration, one win and one loss added (%)")
    axes.set_ylabel("learned return of the demonstration")
    title = f"Learned return against {ranking['source']}, labelled by episode number"
    axes.set_title(f"{title}\n{run.title}", fontsize=11)
    return figure


def learning_curve(run: FinishedRun) -> Figure | None:
    """Learned reward per step, and true return for evaluation, over the environment steps of the policy."""
    learned = run.scalars.get("rollout/learned_reward_per_step", [])
    true = run.scalars.get("eval/true_return", [])
    if not learned:
        return None
    algorithm = run.config.get("settings", {}).get("learner", {}).get("name", "ppo").upper()
    figure = Figure(figsize=(7.0, 6.0), dpi=120, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    _line(upper, learned, color="tab:purple", label="learned reward")
    upper.set(ylabel="learned reward per step")
    upper.set_title(f"{algorithm} on the learned reward\n{run.title}", fontsize=11)
    if true:
        _line(lower, true, color="tab:red", label="training episodes (sampling policy)", marker=".")
        _reference_lines(lower, run)
        lower.legend(fontsize=8)
    else:
        lower.text(0.5, 0.5, "true return unknown", ha="center", transform=lower.transAxes, **_NOTE)
    for name in run.evaluation.get("controls", {}):
        curve = run.scalars.get(f"{control_stage(TRAINED, name).name}/eval/true_return", [])
        if curve:
            _line(lower, curve, linestyle="--", label=CONTROLS.get(name, name))
            lower.legend(fontsize=8)
    lower.set(xlabel="environment steps", ylabel="true return (evaluation only)")
    return figure


def reward_training(run: FinishedRun) -> Figure | None:
    """Loss and accuracy of the reward on training and held-out pairs."""
    if not run.scalars.get("reward/loss"):
        return None
    figure = Figure(figsize=(9.0, 3.8), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2)
    pairs = (("", "tab:blue", "training pairs"), ("held_out_", "tab:orange", "held-out pairs"))
    for axes, name, factor in ((left, "loss", 1), (right, "accuracy", 100)):
        for prefix, colour, label in pairs:
            curve = [(step, factor * value) for step, value in run.scalars.get(f"reward/{prefix}{name}", [])]
            if curve:
                _line(axes, curve, color=colour, label=label)
    left.set(xlabel="gradient steps", ylabel="Bradley-Terry loss (nats per pair)", yscale="log")
    right.axhline(50, color="0.6", linestyle=":", label="chance")
    right.set(xlabel="gradient steps", ylabel="snippet pair accuracy (%)", ylim=(None, 101))
    figure.suptitle(f"Learning the reward: {run.title}", fontsize=11)
    for axes in (left, right):
        axes.legend(fontsize=8)
    return figure


FIGURES: Mapping[str, Callable[[FinishedRun], Figure | None]] = {
    "noise_and_return": noise_and_return,
    "predicted_and_true": predicted_and_true,
    "ranking_and_reward": ranking_and_reward,
    "learning_curve": learning_curve,
    "reward_training": reward_training,
    "frames_highest_and_lowest": frames_highest_and_lowest,
    "attention": attention,
}
"""All figures by name; ``None`` without data."""


def draw_figures(run: FinishedRun) -> dict[str, Figure]:
    """The figures for which the run has data."""
    drawn = {name: draw(run) for name, draw in FIGURES.items()}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.0, 4.8), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.25)
    return figure, axes


def _line(axes: Axes, curve: Curve, **style: Any) -> None:
    axes.plot([step for step, _ in curve], [value for _, value in curve], **style)
    axes.grid(alpha=0.25)


def _reference_lines(axes: Axes, run: FinishedRun) -> None:
    """Best and mean of the demonstrator and mean of uniform random actions, if known."""
    demonstrator, random = run.evaluation["demonstrator"], run.evaluation.get("random") or {}
    for value, style, label in (
        (demonstrator["best"], "-", "best demonstration"),
        (demonstrator["mean"], "--", "mean of demonstrations"),
        (random.get("mean"), ":", "uniform random actions"),
    ):
        if value is not None:
            axes.axhline(value, color="0.3", linewidth=1, linestyle=style, label=f"{label}: {value:.0f}")


def _scatter_ranked(
    figure: Figure, axes: Axes, ranked: list[tuple[float, float]], noise: list[tuple[str, float]]
) -> None:
    """Noisy rollouts, coloured by their noise level."""
    mapped = None
    style: dict[str, Any] = {"s": 20, "vmin": 0.0, "vmax": 1.0, "cmap": "viridis_r"}
    for noise_name in dict(noise):
        _, marker, label = _NOISE.get(noise_name, (None, "o", noise_name))
        rows = [index for index, (its_name, _) in enumerate(noise) if its_name == noise_name]
        mapped = axes.scatter(
            [ranked[row][1] for row in rows],
            [ranked[row][0] for row in rows],
            c=[noise[row][1] for row in rows],
            marker=marker,
            label=f"ranked rollouts: {label}",
            **style,
        )
    if mapped is not None:
        figure.colorbar(mapped, ax=axes, label="noise level")
