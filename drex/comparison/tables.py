"""Tables of runs over seeds and tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from drex.comparison.runs import ComparedRun, Score
from drex.comparison.statistics import (
    STATISTICS,
    Estimate,
    Scores,
    estimate,
    interquartile_mean,
    probability_of_improvement,
)
from drex.evaluation.statistics import bootstrap_interval
from drex.report.tables import Table, number, percent

Estimates = Mapping[str, Mapping[str, Estimate]]
"""By policy and name of the statistic."""
SCALE = "0 uniform random, 1 the demonstrations' mean"


def strata(scores: Sequence[Score]) -> dict[str, dict[str, npt.NDArray[np.float64]]]:
    """By policy and task, the score of each run; returned policies first."""
    found: dict[str, dict[str, list[float]]] = {score.policy: {} for score in scores if score.returned}
    for score in scores:
        found.setdefault(score.policy, {}).setdefault(score.task, []).append(score.score)
    return {
        policy: {task: np.array(values) for task, values in tasks.items()} for policy, tasks in found.items()
    }


def estimates_of(policies: Mapping[str, Scores]) -> dict[str, dict[str, Estimate]]:
    """By policy with a run on every task, each statistic; over fewer tasks it would compare unlike things."""
    tasks = {task for scores in policies.values() for task in scores}
    return {
        policy: {name: estimate(scores, statistic) for name, statistic in STATISTICS.items()}
        for policy, scores in policies.items()
        if tasks == set(scores)
    }


def statistics_table(policies: Mapping[str, Scores], estimates: Estimates) -> Table:
    """Each statistic of each policy with its interval; blank for policies without estimates."""
    rows = []
    for policy, scores in policies.items():
        cells = [str(len(scores)), str(sum(map(len, scores.values())))]
        found = estimates.get(policy, {})
        cells += [_shown(found[name]) if name in found else "" for name in STATISTICS]
        rows.append((policy, *cells))
    return Table(f"Scores ({SCALE})", ("policy", "tasks", "runs", *STATISTICS), tuple(rows))


def improvement_table(policies: Mapping[str, Scores], ours: Sequence[str]) -> Table:
    """For each policy in ``ours``: the chance of a higher score than each other, or another of its runs."""
    rows = []
    for one in ours:
        for other, scores in policies.items():
            shared = [task for task in policies[one] if task in scores]
            related = len(ours) == 1 or other in ours or other.startswith(f"{one}: ")
            if other == one or not shared or not related:
                continue
            found = probability_of_improvement(
                {task: policies[one][task] for task in shared}, {task: scores[task] for task in shared}
            )
            interval = f"{percent(found.low)} to {percent(found.high)}"
            rows.append((one, other, str(len(shared)), percent(found.value), interval))
    columns = ("policy", "against", "tasks", "probability", "95% interval")
    return Table("Probability that a run ends above one of another policy", columns, tuple(rows))


def returns_table(runs: Sequence[ComparedRun], title: str) -> Table:
    """True returns over seeds of runs of one task; the interval is the bootstrap's, over seeds.

    Args:
        runs: of one task.
        title: of the table.
    """
    rows: dict[str, list[float]] = {}
    several = len({run.label for run in runs}) > 1
    for run in runs:
        for policy, value in run.returns(several=several).items():
            rows.setdefault(policy, []).append(value)
    largest = max(abs(value) for means in rows.values() for value in means)
    digits = 0 if largest >= 1000 else 1 if largest >= 100 else 2
    return Table(
        title,
        ("policy", "seeds", "mean", "95% interval", "interquartile mean", "lowest", "highest"),
        tuple((name, *_row(np.array(means), digits)) for name, means in rows.items()),
    )


def _row(means: npt.NDArray[np.float64], digits: int) -> tuple[str, ...]:
    def shown(value: float) -> str:
        return number(value, digits)

    low, high = bootstrap_interval(means)
    bounds = f"{shown(low)} to {shown(high)}" if len(means) > 1 else ""
    values = (means.mean(), interquartile_mean([means]), means.min(), means.max())
    mean, middle, lowest, highest = (shown(float(value)) for value in values)
    return str(len(means)), mean, bounds, middle, lowest, highest


def _shown(found: Estimate) -> str:
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"
