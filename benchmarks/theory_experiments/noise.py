"""Experiment 5: noise degrades a policy on average, not always, and not one that is worse than random."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.theory_experiments.corridors import precarious_corridor
from benchmarks.theory_experiments.page import BLUE, GREEN, GREY, ORANGE, RED, panels, save
from drex.theory import (
    expected_returns,
    flawed_policies,
    largest_rise,
    noisy_returns,
    optimal_policies,
    random_mdps,
    share_ranked_right,
    wilson_interval,
)

Floats = NDArray[np.float64]
COUNT = 4000
LEVELS = np.linspace(0, 1, 21)
FAMILIES = {
    "every state reachable": (None, BLUE),
    "3 next states": (3, GREEN),
    "deterministic": (1, ORANGE),
}
QUALITIES = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])


@dataclass(frozen=True)
class Degradation:
    """J(ε) of a family's policies, 0 uniform and 1 optimal: (mdps, levels)."""

    returns: Floats

    @property
    def quality(self) -> Floats:
        """How far the policy itself is from uniform (0) to optimal (1), below 0 if worse: (mdps,)."""
        return self.returns[:, 0]


def run(seed: int, folder: Path) -> dict[str, Any]:
    """Solve 20 states x 21 noise levels for thousands of MDPs and policies, and draw when J(ε) falls."""
    generator = np.random.default_rng(seed)
    found = {name: _degradation(generator, branching) for name, (branching, _) in FAMILIES.items()}
    mdp, policy, rewards = precarious_corridor(6, 6, 0.99)
    example = noisy_returns(mdp, policy, rewards, levels=LEVELS)[0] * (1 - mdp.discount)
    results: dict[str, Any] = {
        "mdps_per_family": COUNT,
        "levels": LEVELS.tolist(),
        "families": {name: _judge(family) for name, family in found.items()},
        "precarious_corridor": example.tolist(),
    }
    results["figures"] = _draw(results, found, folder)
    return results


def _degradation(generator: np.random.Generator, branching: int | None) -> Degradation:
    seeds = generator.integers(2**31, size=2)
    mdps = random_mdps(COUNT, 20, 4, features=4, branching=branching, discount=0.95, seed=int(seeds[0]))
    rewards = mdps.linear_rewards(generator.standard_normal((COUNT, 4)))
    competence = generator.uniform(0, 1, COUNT)
    policies = flawed_policies(mdps, rewards, competence=competence, seed=int(seeds[1]))
    returns = noisy_returns(mdps, policies, rewards, levels=LEVELS)
    best = expected_returns(mdps, optimal_policies(mdps, rewards), rewards)[:, None]
    return Degradation((returns - returns[:, -1:]) / (best - returns[:, -1:]))


def _judge(family: Degradation) -> dict[str, Any]:
    better, accuracy = family.quality > 0, share_ranked_right(family.returns, LEVELS)
    mean = family.returns[better].mean(0)
    return {
        "better_than_uniform": float(better.mean()),
        "mean_curve_when_better": mean.tolist(),
        "mean_curve_monotone": bool(np.all(np.diff(mean) < 0)),
        "label_accuracy_when_better": float(accuracy[better].mean()),
        "label_accuracy_when_worse": float(accuracy[~better].mean()),
        "all_better": _rises(family.returns[better]),
        "by_quality": [
            {"from": float(low), "to": float(high), "label_accuracy": float(accuracy[inside].mean()),
             **_rises(family.returns[inside])}
            for low, high in pairwise(QUALITIES)
            for inside in [(family.quality > low) & (family.quality <= high + 1e-9)]
        ],
    }  # fmt: skip


def _rises(returns: Floats) -> dict[str, Any]:
    rise = largest_rise(returns)
    rows: dict[str, Any] = {"mdps": len(rise)}
    for name, limit in (("not_monotone", 1e-9), ("rises_by_a_tenth", 0.1)):
        count = int((rise > limit).sum())
        low, high = wilson_interval(np.array(float(count)), len(rise))
        rows[name] = count / len(rise)
        rows[f"{name}_interval"] = [float(low), float(high)]
    return rows


def _draw(results: dict[str, Any], found: dict[str, Degradation], folder: Path) -> list[str]:
    figure, axes = panels(4, width=14.5)
    for name, (_, colour) in FAMILIES.items():
        values = found[name].returns[found[name].quality > 0]
        axes[0].plot(LEVELS, values.mean(0), color=colour, label=name)
        axes[0].fill_between(LEVELS, *np.quantile(values, [0.1, 0.9], axis=0), color=colour, alpha=0.13, lw=0)
    axes[0].axhline(0, color=GREY, lw=1, ls="--")
    axes[0].set(xlabel="noise level ε", ylabel="J(ε): 0 uniform, 1 optimal", title="It falls on average")
    axes[0].legend(loc="upper right")
    middle = (QUALITIES[:-1] + QUALITIES[1:]) / 2
    for name, (_, colour) in FAMILIES.items():
        rows = results["families"][name]["by_quality"]
        for column, style in (("not_monotone", "o-"), ("rises_by_a_tenth", "s:")):
            share = np.array([row[column] for row in rows])
            errors = np.abs(np.array([row[f"{column}_interval"] for row in rows]).T - share)
            axes[1].errorbar(middle, share, errors, fmt=style, ms=4, color=colour)
    axes[1].plot([], [], "o-", color=GREY, label="J rises somewhere")
    axes[1].plot([], [], "s:", color=GREY, label="by a tenth of its range")
    axes[1].set(xlabel="quality of the policy: 0 uniform, 1 optimal", ylabel="share of MDPs", ylim=(0, None),
                title="…not in every MDP")  # fmt: skip
    axes[1].legend(loc="upper right")
    axes[2].plot(LEVELS, results["precarious_corridor"], "o-", ms=3.5, color=RED)
    axes[2].axhline(results["precarious_corridor"][-1], color=GREY, lw=1, ls="--")
    axes[2].text(
        1.0, results["precarious_corridor"][-1] + 0.04, "uniform", ha="right", fontsize=8, color=GREY
    )
    axes[2].set(xlabel="noise level ε", ylabel="(1−γ) J(ε)", title="Some noise worse than all noise")
    for name, (_, colour) in FAMILIES.items():
        family = found[name]
        shown = slice(0, 1200)
        axes[3].scatter(family.quality[shown], share_ranked_right(family.returns[shown], LEVELS), s=4,
                        alpha=0.4, color=colour, linewidths=0, rasterized=True)  # fmt: skip
    axes[3].axhline(0.5, color=GREY, lw=1, ls="--")
    axes[3].axvline(0, color=GREY, lw=1, ls="--")
    axes[3].set(xlabel="quality of the policy: 0 uniform, 1 optimal", ylabel="level pairs ranked right",
                title="Worse than uniform: labels turn round", xlim=(-1.2, 1.02))  # fmt: skip
    hard = results["families"]["deterministic"]
    return save(
        figure,
        folder,
        "noise-degrades",
        claim="More noise, less return: on average, and only if the policy is better than random",
        caption=f"J(ε) solved exactly at 21 noise levels for {COUNT:,} random MDPs of each of three"
        " families (20 states,"
        " 4 actions, γ = 0.95; colours as in the first panel). Policies take the optimal action in some"
        " states and a"
        " fixed random one in the others, 0 to 100 % of them. First: mean and 10 to 90 % of those better"
        " than uniform."
        " Second: share of MDPs in which J rises anywhere, 95 % Wilson intervals; over all policies"
        " better than uniform"
        f" {hard['all_better']['not_monotone']:.0%} of deterministic MDPs,"
        f" {hard['all_better']['rises_by_a_tenth']:.0%} by a tenth of the range of J. Third: an MDP built"
        " against the"
        " assumption: with a little noise the walk passes a door and falls off the cliff behind it, pure"
        " noise never"
        " gets there. Fourth: pairs of levels at least 0.3 apart are ranked right in"
        f" {hard['label_accuracy_when_better']:.1%} of deterministic MDPs when the policy is better than"
        " uniform, in"
        f" {hard['label_accuracy_when_worse']:.1%} when it is worse: there D-REX learns the opposite.",
    )
