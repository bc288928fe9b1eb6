"""Experiment 6: what a run's pairs are worth in independent half-spaces, and what they leave ambiguous."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.theory_experiments.miniature import LEVELS, miniature
from benchmarks.theory_experiments.page import BLUE, GREEN, GREY, ORANGE, panels, save
from drex.theory import RunAmbiguity, all_pairs, fit_linear_rewards, run_ambiguity

DIMENSIONS, RUNS = 8, 6
PAIRS = (4, 8, 16, 32, 64, 128, 256)
PER_LEVEL = (1, 2, 4)


def run(seed: int, folder: Path) -> dict[str, Any]:
    """Judge independent pairs (where the answer is known), single-use noise pairs, and all pairs of a run."""
    generator = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []

    def judge(
        kind: str, differences: np.ndarray, weights: np.ndarray | None, fresh: np.ndarray | None
    ) -> None:
        found = run_ambiguity(
            differences, weights, fresh=fresh, particles=200, repeats=3, seed=int(generator.integers(2**31))
        )
        rows.append(_row(kind, found))

    for _ in range(RUNS):
        normals = generator.standard_normal((max(PAIRS), DIMENSIONS))
        normals *= np.sign(normals[:, :1])
        for pairs in PAIRS:
            judge("independent pairs, true labels", normals[:pairs], None, None)
    small = miniature(RUNS, DIMENSIONS, generator, rollouts=1200)
    for index in range(RUNS):
        better, worse = _single_use(small.levels, generator)
        sums = small.sums[index]
        fresh = sums[better[-200:]] - sums[worse[-200:]]
        for pairs in PAIRS:
            differences = sums[better[:pairs]] - sums[worse[:pairs]]
            judge(
                "noise pairs, rollouts used once",
                differences,
                fit_linear_rewards(differences[None])[0],
                fresh,
            )
        for per_level in PER_LEVEL:
            few = slice(0, per_level * len(LEVELS))
            left, right = all_pairs(small.levels[few])
            differences = sums[few][left] - sums[few][right]
            judge("noise pairs, all of a run's", differences, fit_linear_rewards(differences[None])[0], fresh)
            flipped = differences * generator.choice([-1.0, 1.0], (len(differences), 1))
            judge("the same, coin-flip labels", flipped, fit_linear_rewards(flipped[None])[0], fresh)
    results: dict[str, Any] = {"dimensions": DIMENSIONS, "runs": RUNS, "rows": _means(rows)}
    results["figures"] = _draw(results, folder)
    return results


def _row(kind: str, found: RunAmbiguity) -> dict[str, Any]:
    return {
        "kind": kind,
        "pairs": found.pairs,
        "contradicted": found.contradicted / found.pairs,
        "effective_rank": found.effective_rank,
        "halvings": found.halvings,
        "independent_pairs": found.independent_pairs,
        "mean_angle_degrees": float(np.degrees(found.mean_angle)),
        "disagreement": found.disagreement,
    }


def _means(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean of every column over runs, and the geometric mean and range of the independent pairs."""
    means = []
    for kind, pairs in dict.fromkeys((row["kind"], row["pairs"]) for row in rows):
        same = [row for row in rows if (row["kind"], row["pairs"]) == (kind, pairs)]
        mean = {
            column: float(np.mean([row[column] for row in same])) for column in same[0] if column != "kind"
        }
        worth = np.array([row["independent_pairs"] for row in same])
        mean |= {"independent_pairs": float(np.exp(np.log(worth).mean())),
                 "least": float(worth.min()), "most": float(worth.max())}  # fmt: skip
        means.append({**mean, "kind": kind, "pairs": pairs})
    return means


def _single_use(levels: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    left, right = np.split(generator.permutation(len(levels)), 2)
    kept = np.abs(levels[left] - levels[right]) >= 0.3 - 1e-9
    left, right = left[kept], right[kept]
    swap = levels[left] > levels[right]
    return np.where(swap, right, left), np.where(swap, left, right)


def _draw(results: dict[str, Any], folder: Path) -> list[str]:
    figure, axes = panels(3, width=12.5)
    kinds = dict.fromkeys(row["kind"] for row in results["rows"])
    for kind, colour in zip(kinds, (BLUE, GREEN, ORANGE, GREY), strict=True):
        rows = [row for row in results["rows"] if row["kind"] == kind]
        pairs = [row["pairs"] for row in rows]
        worth = np.array([row["independent_pairs"] for row in rows])
        errors = np.array([worth - [row["least"] for row in rows], [row["most"] for row in rows] - worth])
        axes[0].errorbar(pairs, worth, errors, fmt="o-", ms=4, color=colour, capsize=2, label=kind)
        axes[1].plot(pairs, [row["mean_angle_degrees"] for row in rows], "o-", ms=4, color=colour)
        axes[2].plot(pairs, [row["disagreement"] for row in rows], "o-", ms=4, color=colour)
    axes[0].plot([4, 2000], [4, 2000], color="black", lw=0.8, ls="--")
    axes[0].set(yscale="log", ylabel="independent pairs they amount to", title="What pairs are worth")
    axes[1].set(ylabel="mean angle, degrees", ylim=(0, 90), title="Between two consistent rewards")
    axes[2].set(ylabel="chance", ylim=(0, 0.5), title="Two consistent rewards disagree on a fresh pair")
    for axis in axes:
        axis.set(xlabel="pairs given", xscale="log")
    axes[0].legend(loc="upper left")
    table = {(row["kind"], row["pairs"]): row for row in results["rows"]}
    whole = max((row for row in results["rows"] if "all of" in row["kind"]), key=lambda row: row["pairs"])
    blind = table[("the same, coin-flip labels", whole["pairs"])]
    known = table[("independent pairs, true labels", 64)]
    return save(
        figure,
        folder,
        "what-a-run-knows",
        claim="A run's pairs are worth a fraction of as many independent ones; and certainty is not truth",
        caption=f"Linear rewards in {DIMENSIONS} dimensions, {RUNS} runs (bars: all runs), shares"
        " measured by nested"
        " sampling. Blue: independent random pairs, where the answer is the number of pairs (dashed): 64"
        " are found"
        f" to be worth {known['independent_pairs']:.0f} ({known['least']:.0f} to {known['most']:.0f})."
        " Green: pairs"
        " of noisy rollouts of a cloned policy, each rollout used once. Orange: all pairs at least 0.3"
        " apart in"
        " noise among 1, 2 and 4 rollouts at each of 20 levels:"
        f" {whole['pairs']:,.0f} pairs are worth {whole['independent_pairs']:.0f} independent ones. Grey:"
        " the same"
        " pairs with labels that mean nothing pin a reward down even more sharply; what gives them away is"
        " the share"
        " of pairs that the fitted reward contradicts, which is left out of the half-spaces:"
        f" {blind['contradicted']:.0%}, against {whole['contradicted']:.0%} with noise labels. Fresh"
        " pairs: random"
        " directions for blue, fresh noisy rollouts for the others.",
    )
