"""The table of runs that differ in their seeds alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import trim_mean

from drex.evaluation.statistics import bootstrap_interval
from drex.report.finished_run import METHODS
from drex.report.tables import Table, evaluated_policies, number


def seeds_table(evaluations: Sequence[Mapping[str, Any]]) -> Table:
    """True returns over seeds: each row a policy, with statistics of its mean return in each run.

    The interval is the bootstrap's, over seeds.
    """
    rows: dict[str, list[float]] = {}
    for evaluation in evaluations:
        for name, found in evaluated_policies(evaluation, "returned policy"):
            if found["mean"] is not None:
                rows.setdefault(name, []).append(found["mean"])
    method, task = METHODS[evaluations[0]["method"]], evaluations[0]["task"]
    return Table(
        f"True return over seeds: {method} on {task}",
        ("policy", "seeds", "mean", "95% interval", "interquartile mean", "lowest", "highest"),
        tuple((name, *_row(np.array(means))) for name, means in rows.items()),
    )


def _row(means: npt.NDArray[np.float64]) -> tuple[str, ...]:
    digits = 0 if np.abs(means).max() >= 100 else 2

    def shown(value: float) -> str:
        return number(value, digits)

    low, high = bootstrap_interval(means)
    bounds = f"{shown(low)} to {shown(high)}" if len(means) > 1 else ""
    values = (means.mean(), trim_mean(means, 0.25), means.min(), means.max())
    mean, middle, lowest, highest = (shown(float(value)) for value in values)
    return str(len(means)), mean, bounds, middle, lowest, highest
