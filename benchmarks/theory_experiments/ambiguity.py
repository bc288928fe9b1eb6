"""Experiment 2: unranked demonstrations leave a danger unseen; one ranked pair shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from benchmarks.theory_experiments.corridors import ambiguous_corridor
from benchmarks.theory_experiments.page import BLUE, GREEN, GREY, ORANGE, RED, panels, save
from drex.theory import unit_rewards, wilson_interval

LENGTH = 4
REWARDS = 20_000
DISCOUNTS = 1 - np.logspace(-0.5, -5, 10)


def run(seed: int, folder: Path) -> dict[str, Any]:
    """Solve the corridor for ever longer horizons and for 20,000 rewards, and draw what is left open."""
    gaps = []
    for discount in DISCOUNTS:
        corridor = ambiguous_corridor(LENGTH, float(discount))
        both = np.stack([corridor.true_weights, corridor.blind_weights])
        gaps.append(
            {
                "horizon": float(1 / (1 - discount)),
                "true_gap": corridor.gap(corridor.true_weights),
                "law": float(discount / (1 - discount) / 2),
                "blind_gap": corridor.gap(corridor.blind_weights),
                "demonstrations_optimal_under_both": bool(corridor.explains_demonstrations(both).all()),
            }
        )
    corridor = ambiguous_corridor(LENGTH, 0.95)
    rewards = unit_rewards(REWARDS, 3, np.random.default_rng(seed))
    explains = corridor.explains_demonstrations(rewards)
    right = corridor.ranks_resting_higher(rewards)
    results: dict[str, Any] = {
        "length": LENGTH,
        "gaps": gaps,
        "rewards": REWARDS,
        "explain_demonstrations": _share(int(explains.sum()), REWARDS),
        "of_these_call_reckless_better": _share(int((explains & ~right).sum()), int(explains.sum())),
        "after_one_ranked_pair_call_reckless_better": int((explains & right & ~right).sum()),
        "explain_demonstrations_and_ranked_pair": _share(int((explains & right).sum()), REWARDS),
    }
    figure, axes = panels(3, ratios=(1.2, 1, 1))
    _draw_corridor(axes[0])
    horizon = [row["horizon"] for row in gaps]
    axes[1].plot(horizon, [row["true_gap"] for row in gaps], "o", color=RED, ms=5, label="under R*, solved")
    axes[1].plot(horizon, [row["law"] for row in gaps], color=RED, lw=1, label="γ / (2(1−γ))")
    axes[1].plot(horizon, [abs(row["blind_gap"]) for row in gaps], "s-", color=BLUE, ms=4, label="under R̂: 0")
    axes[1].set_yscale("symlog", linthresh=0.1, linscale=0.4)
    axes[1].set(xscale="log", xlabel="horizon 1/(1−γ)", ylabel="J(resting) − J(reckless)", ylim=(-0.05, 3e5),
                title="Equal under R̂, without limit apart under R*")  # fmt: skip
    axes[1].legend(loc="upper left")
    apart = rewards[:, 1:] - rewards[:, :1]
    some = slice(0, 6000)
    for chosen, colour, label in (
        (~explains, "#d9d9d9", "does not explain the demonstrations"),
        (explains & ~right, RED, "explains them, calls reckless better"),
        (explains & right, GREEN, "explains them and the ranked pair"),
    ):
        axes[2].scatter(apart[some, 1][chosen[some]], apart[some, 0][chosen[some]], s=2, color=colour,
                        rasterized=True, linewidths=0, label=label)  # fmt: skip
    for weights, name, below in ((corridor.true_weights, "R*", -3), (corridor.blind_weights, "R̂", -12)):
        unit = weights / np.linalg.norm(weights)
        axes[2].plot(unit[2] - unit[0], unit[1] - unit[0], "o", color="black", ms=5)
        axes[2].annotate(name, (unit[2] - unit[0], unit[1] - unit[0]), (7, below), textcoords="offset points",
                         fontsize=11, fontweight="bold")  # fmt: skip
    axes[2].axhline(0, color="black", lw=0.8)
    axes[2].set(xlabel="goal − white", ylabel="red − white", xlim=(-2, 2), ylim=(-2, 2.9), aspect="equal",
                title="What demonstrations leave open")  # fmt: skip
    axes[2].legend(loc="upper center", markerscale=4, handletextpad=0.2)
    wrong = results["of_these_call_reckless_better"]
    results["figures"] = save(
        figure,
        folder,
        "unranked-demonstrations",
        claim="Demonstrations alone say nothing about what the demonstrator never meets; one ranked pair"
        " does",
        caption=f"Left: a corridor of {LENGTH} white cells to a goal, red cells below. The demonstration"
        " is optimal"
        " under the true R* = (white 0, red −½, goal ½) and under R̂ = (0, 0, 1), which does not see"
        " red. Middle:"
        " two policies that R̂ cannot tell apart, solved exactly at ten horizons. Right:"
        f" {REWARDS:,} rewards uniform on the unit sphere (6,000 drawn), the MDP solved under each, γ = 0.95:"
        f" {results['explain_demonstrations']['share']:.1%} make the demonstration optimal, and of these"
        f" {wrong['share']:.1%} (95 % interval {wrong['interval'][0]:.1%} to {wrong['interval'][1]:.1%})"
        " call the"
        " reckless policy better. The single ranked pair reckless < resting removes exactly those.",
    )
    return results


def _share(count: int, trials: int) -> dict[str, Any]:
    low, high = wilson_interval(np.array(float(count)), trials)
    return {"share": count / trials, "interval": [float(low), float(high)]}


def _draw_corridor(axis: Axes) -> None:
    for cell in range(LENGTH):
        axis.add_patch(Rectangle((cell, 1), 1, 1, facecolor="white", edgecolor=GREY))
        axis.add_patch(Rectangle((cell, 0), 1, 1, facecolor="#fddbc7", edgecolor=GREY))
    axis.add_patch(Rectangle((LENGTH, 1), 1, 1, facecolor="#a6dba0", edgecolor=GREY))
    axis.text(LENGTH + 0.5, 1.75, "goal", ha="center")
    axis.text(-0.05, 1.4, "start", fontsize=9, ha="right")
    axis.text(LENGTH - 0.5, 0.35, "red", ha="center")
    axis.annotate(
        "", (LENGTH + 0.6, 1.5), (0.75, 1.5), arrowprops={"arrowstyle": "->", "color": BLUE, "lw": 2}
    )
    axis.text(1.15, 1.6, "demonstration", color=BLUE)
    axis.plot(0.45, 1.62, "o", color=GREEN, ms=9)
    axis.text(0.02, 2.1, "resting: stays", color=GREEN)
    axis.annotate("", (0.45, 0.35), (0.45, 1.5), arrowprops={"arrowstyle": "->", "color": ORANGE, "lw": 2})
    axis.text(0.62, 0.42, "reckless: into red", color=RED)
    axis.set(xlim=(-0.8, LENGTH + 1.1), ylim=(-0.6, 2.7), aspect="equal", title="The corridor")
    axis.axis("off")
