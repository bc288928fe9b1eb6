"""Statistics of scores over tasks and seeds, with stratified bootstrap intervals (Agarwal et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.stats import trim_mean

Floats: TypeAlias = npt.NDArray[np.float64]
Scores: TypeAlias = Mapping[str, Floats]
"""By task: the score of each run, (seeds,)."""
Statistic: TypeAlias = "Callable[[list[Floats]], Floats]"
"""Of scores of each task, (..., seeds); a value for each leading index."""

RESAMPLES = 2_000


@dataclass(frozen=True)
class Estimate:
    """A statistic with the bounds of its 95% interval."""

    value: float
    low: float
    high: float


def mean(scores: list[Floats]) -> Floats:
    """Mean over tasks of the mean over seeds."""
    return np.asarray(np.mean([task.mean(axis=-1) for task in scores], axis=0))


def median(scores: list[Floats]) -> Floats:
    """Median over tasks of the mean over seeds."""
    return np.asarray(np.median([task.mean(axis=-1) for task in scores], axis=0))


def interquartile_mean(scores: list[Floats]) -> Floats:
    """Mean of the middle half of all runs."""
    return np.asarray(trim_mean(np.concatenate(scores, axis=-1), 0.25, axis=-1))


STATISTICS: dict[str, Statistic] = {
    "interquartile mean": interquartile_mean,
    "mean": mean,
    "median": median,
}
"""By name in tables."""


def estimate(scores: Scores, statistic: Statistic, *, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """A statistic with its percentile interval: runs are drawn anew within each task, tasks are kept.

    Args:
        scores: at least one run of at least one task.
        statistic: one of ``STATISTICS``.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    drawn = _resampled(scores, resamples, np.random.default_rng(seed))
    return _with_interval(float(statistic(list(scores.values()))), statistic(list(drawn.values())))


def probability_of_improvement(
    ours: Scores, theirs: Scores, *, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Chance that a run of ours has a higher score than one of theirs, mean over the tasks; ties count half.

    Args:
        ours: scores of one policy.
        theirs: scores of another, on the same tasks.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    rng = np.random.default_rng(seed)
    drawn = _improvement(_resampled(ours, resamples, rng), _resampled(theirs, resamples, rng))
    return _with_interval(float(_improvement(ours, theirs)), drawn)


def performance_profile(
    scores: Scores, thresholds: Floats, *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Floats, Floats, Floats]:
    """Share of runs above each threshold, mean over tasks, with the bounds of its pointwise 95% interval.

    Args:
        scores: at least one run of at least one task.
        thresholds: scores, (n,).
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        Share, lower and upper bound, each (n,).
    """

    def shares(each: Scores) -> Floats:
        of_tasks = [(task[..., None] > thresholds).mean(axis=-2) for task in each.values()]
        return np.asarray(np.mean(of_tasks, axis=0))

    drawn = shares(_resampled(scores, resamples, np.random.default_rng(seed)))
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    return shares(scores), low, high


def _improvement(ours: Scores, theirs: Scores) -> Floats:
    means = []
    for task, x in ours.items():
        difference = np.sign(x[..., :, None] - theirs[task][..., None, :])
        means.append((0.5 + 0.5 * difference).mean(axis=(-2, -1)))
    return np.asarray(np.mean(means, axis=0))


def _resampled(scores: Scores, resamples: int, rng: np.random.Generator) -> dict[str, Floats]:
    """Each task's runs drawn with replacement, (resamples, seeds)."""
    return {
        task: found[rng.integers(len(found), size=(resamples, len(found)))] for task, found in scores.items()
    }


def _with_interval(value: float, drawn: Floats) -> Estimate:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(value, float(low), float(high))
