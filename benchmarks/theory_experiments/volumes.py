"""Experiment 3: how fast ranked pairs cut the space of rewards: three kinds of pairs, each beside its law."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.stats import t as student

from benchmarks.theory_experiments.miniature import Miniature, miniature
from benchmarks.theory_experiments.page import BY_DIMENSION, panels, save
from drex.theory import (
    chance_of_no_contradiction,
    share_with_independent_sides,
    share_with_true_labels,
    shares_by_adding_pairs,
    survivors_by_rejection,
    unit_rewards,
    wilson_interval,
)

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Row = dict[str, Any]
DIMENSIONS = (2, 4, 8, 16)
TRIALS = 2_000_000
CHUNK = 250_000
NOISE_TRIALS = 50_000
INDEPENDENT = (1, 2, 4, 6, 8, 10, 12, 14, 16)
LABELLED = (1, 2, 4, 8, 16, 32, 64, 128)
NESTED = {2: (128, 256), 4: (64, 128), 8: (16, 32, 64), 16: (16, 32, 48)}
NOISY = (1, 2, 4, 8, 16, 32, 64)
SETS = 400
REJECTED = {d: tuple(k for k in LABELLED if share_with_true_labels(k, d) > 5e-6) for d in DIMENSIONS}
POINTS = len(DIMENSIONS) * len(INDEPENDENT) + sum(map(len, [*REJECTED.values(), *NESTED.values()]))
JOINT = 1 - 0.05 / POINTS


def run(seed: int, folder: Path) -> dict[str, Any]:
    """Measure the three curves and the chance of contradiction, draw them, and return every point."""
    seeds = np.random.SeedSequence(seed).spawn(4)
    curves = {
        "independent_sides": _independent(np.random.default_rng(seeds[0])),
        "true_labels": _labelled(np.random.default_rng(seeds[1])),
        "noise": _noise(np.random.default_rng(seeds[2])),
    }
    lawful = curves["independent_sides"] + curves["true_labels"]
    results: dict[str, Any] = {
        "points_with_law": len(lawful),
        "joint_level": JOINT,
        "joint_intervals_missing_their_law": sum(not _contains(row, "joint_interval") for row in lawful),
        "pointwise_intervals_missing_their_law": sum(not _contains(row, "interval") for row in lawful),
        "expected_pointwise_misses": 0.05 * len(lawful),
        "noise_points": len(curves["noise"]),
        "noise_intervals_missing_their_law": sum(
            not _contains(row, "joint_interval") for row in curves["noise"]
        ),
        "curves": curves,
        "contradiction": _contradictions(np.random.default_rng(seeds[3])),
    }
    results["figures"] = _draw(results, folder)
    return results


def _contains(row: Row, interval: str) -> bool:
    # the noise law is itself an average over rewards: its own error is allowed for
    slack = 4 * row.get("law_error", 0.0)
    return bool(row[interval][0] - slack <= row["law"] <= row[interval][1] + slack)


def _counted(kind: Row, count: int, trials: int, law: float) -> Row:
    rows = [wilson_interval(np.array(float(count)), trials, level) for level in (0.95, JOINT)]
    intervals = [[float(low), float(high)] for low, high in rows]
    return {**kind, "method": "rejection", "share": count / trials, "law": law, "trials": trials,
            "interval": intervals[0], "joint_interval": intervals[1]}  # fmt: skip


def _independent(generator: np.random.Generator) -> list[Row]:
    rows = []
    for dimensions in DIMENSIONS:
        counts = np.zeros(max(INDEPENDENT) + 1, np.int64)
        for _ in range(TRIALS // CHUNK):
            rewards = unit_rewards(CHUNK, dimensions, generator)

            def agree(alive: Integers, rewards: Floats = rewards) -> NDArray[np.bool_]:
                normals = generator.standard_normal((len(alive), rewards.shape[1]))
                return np.asarray((normals * rewards[alive]).sum(1) > 0)

            counts += survivors_by_rejection(rewards, max(INDEPENDENT), agree)
        for pairs in INDEPENDENT:
            law = float(share_with_independent_sides(pairs))
            rows.append(_counted({"dimensions": dimensions, "pairs": pairs}, int(counts[pairs]), TRIALS, law))
    return rows


def _labelled(generator: np.random.Generator) -> list[Row]:
    rows = []
    for dimensions in DIMENSIONS:
        last = max(REJECTED[dimensions])
        counts = np.zeros(last + 1, np.int64)
        for _ in range(TRIALS // CHUNK):
            rewards, true = (unit_rewards(CHUNK, dimensions, generator) for _ in range(2))

            def agree(alive: Integers, rewards: Floats = rewards, true: Floats = true) -> NDArray[np.bool_]:
                normals = generator.standard_normal((len(alive), rewards.shape[1]))
                ours, labels = (normals * rewards[alive]).sum(1), (normals * true[alive]).sum(1)
                return np.asarray(ours * labels > 0)

            counts += survivors_by_rejection(rewards, last, agree)
        for pairs in REJECTED[dimensions]:
            law = share_with_true_labels(pairs, dimensions)
            rows.append(_counted({"dimensions": dimensions, "pairs": pairs}, int(counts[pairs]), TRIALS, law))
        rows += _nested(dimensions, generator)
    return rows


def _nested(dimensions: int, generator: np.random.Generator) -> list[Row]:
    normals = generator.standard_normal((SETS, max(NESTED[dimensions]), dimensions))
    true = unit_rewards(SETS, dimensions, generator)
    normals *= np.sign(np.einsum("skd,sd->sk", normals, true))[..., None]
    shares = np.concatenate(  # in batches that fit the processor's cache
        [shares_by_adding_pairs(part, particles=200, seed=int(generator.integers(2**31)))
         for part in np.array_split(normals, SETS // 10)]
    )  # fmt: skip
    rows = []
    for pairs in NESTED[dimensions]:
        mean, error = float(shares[:, pairs].mean()), float(shares[:, pairs].std(ddof=1) / np.sqrt(SETS))
        widths = [error * float(student.ppf(0.5 + level / 2, SETS - 1)) for level in (0.95, JOINT)]
        rows.append(
            {"dimensions": dimensions, "pairs": pairs, "method": "nested", "share": mean, "sets": SETS,
             "law": share_with_true_labels(pairs, dimensions),
             "median_share": float(np.median(shares[:, pairs])),
             "populations_died_out": float((shares[:, pairs] == 0).mean()),
             "interval": [max(mean - widths[0], 0.0), mean + widths[0]],
             "joint_interval": [max(mean - widths[1], 0.0), mean + widths[1]]}
        )  # fmt: skip
    return rows


def _noise(generator: np.random.Generator) -> list[Row]:
    rows = []
    for dimensions in DIMENSIONS:
        small = miniature(8, dimensions, generator, rollouts=2000)
        counts = np.zeros(max(NOISY) + 1, np.int64)
        accuracies, true_accuracies = [], []
        for index in range(len(small.true)):
            pool = _pool(small, index, generator)
            rewards = unit_rewards(NOISE_TRIALS, dimensions, generator)

            def agree(alive: Integers, rewards: Floats = rewards, pool: Floats = pool) -> NDArray[np.bool_]:
                drawn = pool[generator.integers(len(pool), size=len(alive))]
                return np.asarray((drawn * rewards[alive]).sum(1) > 0)

            counts += survivors_by_rejection(rewards, max(NOISY), agree)
            others = unit_rewards(NOISE_TRIALS, dimensions, generator)
            accuracies += [(part @ pool.T > 0).mean(1) for part in np.array_split(others, 20)]
            true_accuracies.append(float((pool @ small.true[index] > 0).mean()))
        accuracy = np.concatenate(accuracies)
        for pairs in NOISY:
            values = accuracy**pairs
            law = float(values.mean())
            total = NOISE_TRIALS * len(small.true)
            row = _counted({"dimensions": dimensions, "pairs": pairs}, int(counts[pairs]), total, law)
            row["law_error"] = float(values.std() / np.sqrt(len(values)))
            row["true_reward_survives"] = float((np.array(true_accuracies) ** pairs).mean())
            rows.append(row)
    return rows


def _pool(small: Miniature, index: int, generator: np.random.Generator) -> Floats:
    """An MDP's pairs, every rollout in one pair only: better minus worse feature sums, (pairs, features)."""
    order = generator.permutation(small.sums.shape[1])
    left, right = order[: len(order) // 2], order[len(order) // 2 :]
    gap = small.levels[right] - small.levels[left]
    differences = (small.sums[index, left] - small.sums[index, right]) * np.sign(gap)[:, None]
    return np.asarray(differences[np.abs(gap) >= 0.3 - 1e-9])


def _contradictions(generator: np.random.Generator, sets: int = 300) -> list[Row]:
    rows = []
    for dimensions in DIMENSIONS:
        for pairs in sorted(
            {dimensions, 3 * dimensions // 2, 2 * dimensions, 3 * dimensions, 4 * dimensions}
        ):
            fits = sum(_satisfiable(generator.standard_normal((pairs, dimensions))) for _ in range(sets))
            law = float(chance_of_no_contradiction(pairs, dimensions))
            low, high = wilson_interval(np.array(float(fits)), sets)
            rows.append({"dimensions": dimensions, "pairs": pairs, "sets": sets,
                         "share": fits / sets, "law": law,
                         "interval": [float(low), float(high)]})  # fmt: skip
    return rows


def _satisfiable(normals: Floats) -> bool:
    """Whether some reward has a positive margin on every pair: a linear programme."""
    pairs, dimensions = normals.shape
    found = linprog(
        np.append(np.zeros(dimensions), -1.0),
        A_ub=np.column_stack([-normals, np.ones(pairs)]),
        b_ub=np.zeros(pairs),
        bounds=[(-1, 1)] * dimensions + [(None, 1)],
    )
    return bool(-found.fun > 1e-9)


def _draw(results: dict[str, Any], folder: Path) -> list[str]:
    figure, axes = panels(4, width=14.5, height=4.0)
    titles = {
        "independent_sides": "Coin-flip sides: 2^-k",
        "true_labels": "One true reward's labels: E[(1 − θ/π)^k]",
        "noise": "Labels by noise: E[a(w)^k]",
    }
    for axis, (kind, title) in zip(axes, titles.items(), strict=False):
        for dimensions in DIMENSIONS:
            rows = sorted((r for r in results["curves"][kind] if r["dimensions"] == dimensions),
                          key=lambda row: row["pairs"])  # fmt: skip
            _curve(axis, rows, dimensions, kind)
        axis.set(yscale="log", xlabel="ranked pairs k", ylabel="share of rewards left", title=title)
        if kind != "independent_sides":
            axis.set_xscale("log", base=2)
            grid = np.arange(1, (256 if kind == "true_labels" else 64) + 1)
            axis.plot(grid, share_with_independent_sides(grid), ":", color="black", lw=1, label="2^-k")
        axis.set_ylim({"noise": 1e-6, "true_labels": 1e-11}.get(kind, 5e-6), 1.5)
        axis.legend(loc="lower left")
    for dimensions in DIMENSIONS:
        rows = [r for r in results["contradiction"] if r["dimensions"] == dimensions]
        x = np.array([r["pairs"] / dimensions for r in rows])
        errors = np.abs(np.array([r["interval"] for r in rows]).T - [r["share"] for r in rows])
        colour = BY_DIMENSION[dimensions]
        axes[3].errorbar(x, [r["share"] for r in rows], errors, fmt="o", ms=4, color=colour)
        grid = np.arange(dimensions, 4 * dimensions + 1)
        axes[3].plot(grid / dimensions, chance_of_no_contradiction(grid, dimensions), color=colour,
                     label=f"{dimensions} dimensions")  # fmt: skip
    axes[3].set(xlabel="pairs / dimensions", ylim=(0, 1.03), ylabel="sets that some reward satisfies",
                title="Coin-flip sides contradict each other")  # fmt: skip
    axes[3].legend(loc="upper right")
    return save(
        figure,
        folder,
        "ranked-pairs-cut-the-space",
        claim="Ranked pairs cut the space of rewards: by half each if their sides are coin flips, ever"
        " more slowly"
        " if one reward labels them",
        caption="Dots: measured share of unit-sphere rewards that agree with k pairs; lines: the laws."
        " Filled:"
        f" rejection, {TRIALS:,} rewards a curve; open: nested sampling with hit-and-run, {SETS} sets of"
        " pairs."
        f" Bars: intervals that hold for all {POINTS} points of the first two panels together with 95 %"
        " (Wilson,"
        f" Student's t): {results['joint_intervals_missing_their_law']} miss their law; of the {POINTS}"
        " pointwise"
        f" 95 % intervals {results['pointwise_intervals_missing_their_law']} do"
        f" ({results['expected_pointwise_misses']:.1f} expected). θ: angle to the true reward. Third"
        " panel: pairs of"
        f" noisy rollouts at least 0.3 apart in noise, drawn from 8 tabular MDPs a dimension,"
        f" {8 * NOISE_TRIALS:,} rewards; a(w): share of an MDP's pairs with which w agrees; dashes:"
        " chance that the"
        " true reward itself agrees with all k, as noise mislabels some. Right: sets of pairs with"
        " coin-flip sides"
        f" for which a linear programme finds a reward (300 sets a dot), on Wendel's law: beyond twice the"
        f" dimensions most have none, so that 2^-k is an average over mostly empty sets.",
    )


def _curve(axis: Axes, rows: list[Row], dimensions: int, kind: str) -> None:
    colour = BY_DIMENSION[dimensions]
    for method, fill in (("rejection", colour), ("nested", "white")):
        chosen = [r for r in rows if r["method"] == method and r["share"] > 0]
        if chosen:
            share = np.array([r["share"] for r in chosen])
            errors = np.abs(np.array([r["joint_interval"] for r in chosen]).T - share)
            axis.errorbar(
                [r["pairs"] for r in chosen], share, errors, fmt="o", ms=4.5, color=colour, mfc=fill, lw=1
            )
    if kind == "true_labels":
        grid = np.unique(np.round(np.logspace(0, np.log10(max(r["pairs"] for r in rows)), 60)))
        axis.plot(grid, [share_with_true_labels(float(k), dimensions) for k in grid], color=colour,
                  label=f"{dimensions} dimensions")  # fmt: skip
    else:
        axis.plot(
            [r["pairs"] for r in rows],
            [r["law"] for r in rows],
            color=colour,
            label=f"{dimensions} dimensions",
        )
    if kind == "noise":
        survive = [r["true_reward_survives"] for r in rows]
        axis.plot([r["pairs"] for r in rows], survive, "--", lw=1, color=colour)
