"""Figures of a comparison: statistics with intervals, performance profiles, and the scores of each task."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from drex.comparison.statistics import STATISTICS, Scores, performance_profile
from drex.comparison.tables import SCALE, Estimates

_COLORS = (
    "tab:blue",
    "tab:orange",
    "tab:green",
    "tab:red",
    "tab:purple",
    "tab:brown",
    "tab:gray",
    "tab:olive",
)
CAPTIONS = {
    "statistics": "Statistics over tasks and seeds, with 95% stratified bootstrap intervals. 1, the line, is "
    "the demonstrations' mean.",
    "profiles": "Share of runs above each score, with pointwise 95% intervals: further right is better.",
    "tasks": "Score of every run; a bar is the mean of a task.",
}


def draw(policies: Mapping[str, Scores], estimates: Estimates) -> dict[str, Figure]:
    """All figures by name; those over tasks are of the policies with estimates."""
    whole = {policy: policies[policy] for policy in estimates}
    found = {"statistics": _statistics(estimates), "profiles": _profiles(whole)} if whole else {}
    return found | {"tasks": _tasks(policies)}


def _statistics(policies: Estimates) -> Figure:
    figure = Figure(figsize=(9.5, 1.4 + 0.35 * len(policies)), dpi=120, layout="constrained")
    every = figure.subplots(1, len(STATISTICS), sharey=True, squeeze=False)[0]
    for axes, name in zip(every, STATISTICS, strict=True):
        estimates = [of_policy[name] for of_policy in policies.values()]
        for row, found in enumerate(estimates):
            color = _COLORS[row % len(_COLORS)]
            axes.barh(row, found.high - found.low, left=found.low, height=0.5, color=color, alpha=0.35)
            axes.plot([found.value] * 2, [row - 0.25, row + 0.25], color=color, linewidth=2)
        axes.axvline(1.0, color="0.3", linewidth=1)
        low, high = min(1.0, *(e.low for e in estimates)), max(1.0, *(e.high for e in estimates))
        axes.set_xlim(low - 0.05 * (high - low) - 1e-3, high + 0.05 * (high - low) + 1e-3)
        axes.set_title(name, fontsize=10)
        axes.grid(alpha=0.25, axis="x")
    every[0].set_yticks(range(len(policies)), list(policies))
    every[0].invert_yaxis()
    figure.supxlabel(f"score: {SCALE}", fontsize=9)
    return figure


def _profiles(policies: Mapping[str, Scores]) -> Figure:
    values = np.concatenate([task for scores in policies.values() for task in scores.values()])
    low, high = min(0.0, float(values.min())), max(1.0, float(values.max()))
    thresholds = np.unique(np.concatenate([np.linspace(low - 0.1, high + 0.1, 201), values]))
    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    for row, (policy, scores) in enumerate(policies.items()):
        color = _COLORS[row % len(_COLORS)]
        share, lower, upper = performance_profile(scores, thresholds)
        axes.plot(thresholds, share, color=color, label=policy)
        axes.fill_between(thresholds, lower, upper, color=color, alpha=0.15, linewidth=0)
    axes.axvline(1.0, color="0.3", linewidth=1)
    axes.set_xscale("symlog", linthresh=2.0)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel=f"score: {SCALE}", ylabel="share of runs above", ylim=(-0.02, 1.02))
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)
    return figure


def _tasks(policies: Mapping[str, Scores]) -> Figure:
    tasks = list(dict.fromkeys(task for scores in policies.values() for task in scores))
    height = 1.5 + len(tasks) * (0.15 + 0.07 * len(policies))
    figure = Figure(figsize=(9.5, height), dpi=120, layout="constrained")
    axes = figure.subplots()
    for place, (policy, scores) in enumerate(policies.items()):
        offset = 0.8 * ((place + 0.5) / len(policies) - 0.5)
        color, label = _COLORS[place % len(_COLORS)], policy
        for row, task in enumerate(tasks):
            if task not in scores:
                continue
            found = scores[task]
            axes.plot(
                found, [row + offset] * len(found), "o", color=color, markersize=4, alpha=0.7, label=label
            )
            height = 0.4 / len(policies)
            axes.plot([found.mean()] * 2, [row + offset - height, row + offset + height], color=color)
            label = ""
    for score in (0.0, 1.0):
        axes.axvline(score, color="0.3", linewidth=1)
    axes.set_xscale("symlog", linthresh=1.0)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_yticks(range(len(tasks)), [task if len(task) <= 36 else f"{task[:35]}…" for task in tasks])
    axes.invert_yaxis()
    axes.grid(alpha=0.25, axis="x")
    axes.set_xlabel(f"score: {SCALE}")
    axes.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
    return figure
