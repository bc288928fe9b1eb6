"""Statistics of returns: means, intervals, and agreement of learned and true returns."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau, pearsonr


def summarize(returns: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Mean, standard deviation, best, 95% interval and number of returns; ``None`` if one is unknown."""
    known = len(returns) > 0 and bool(np.isfinite(returns).all())
    if not known:
        return {"mean": None, "std": None, "best": None, "interval": None, "episodes": len(returns)}
    return {
        "mean": float(returns.mean()),
        "std": float(returns.std(ddof=1)) if len(returns) > 1 else None,
        "best": float(returns.max()),
        "interval": bootstrap_interval(returns) if len(returns) > 1 else None,
        "episodes": len(returns),
    }


def bootstrap_interval(
    values: npt.NDArray[np.float64], *, resamples: int = 10_000, seed: int = 0
) -> list[float]:
    """95% percentile bootstrap interval of the mean, [low, high]."""
    draws = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    return [float(bound) for bound in np.percentile(values[draws].mean(axis=1), [2.5, 97.5])]


def agreement(
    predicted: npt.NDArray[np.float64], returns: npt.NDArray[np.float64]
) -> dict[str, float | None]:
    """Kendall's tau and Pearson correlation of learned and true returns, (episodes,); ``None`` if unknown."""
    if not np.isfinite(returns).all() or len(returns) < 2 or np.ptp(predicted) == 0 or np.ptp(returns) == 0:
        return {"kendall_tau": None, "pearson": None}
    return {
        "kendall_tau": float(kendalltau(predicted, returns).statistic),
        "pearson": float(pearsonr(predicted, returns).statistic),
    }
