"""Evaluation of policies by the true returns of rollouts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from drex.agents.policies.acting import Policy
from drex.agents.rollouts.collect import Advance, collect_on
from drex.envs.data.trajectories import Trajectories
from drex.evaluation.statistics import summarize
from drex.ranges import Count, Range, check_ranges


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """Evaluation of policies."""

    episodes: Annotated[int, Range(2)] = 20
    """Evaluation episodes per policy."""
    environments: Count = 20
    """Parallel environments."""

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True, eq=False)
class PolicyEvaluation:
    """Episodes of one evaluated policy.

    Args:
        returns: (episodes,) true returns; NaN if unknown.
        trajectories: the episodes.
    """

    returns: npt.NDArray[np.float64]
    trajectories: Trajectories

    def summary(self) -> dict[str, Any]:
        """Mean, deviation, best, 95% interval of the mean, episodes, mean length; ``None`` if unknown."""
        return summarize(self.returns) | {"length": float(self.trajectories.lengths.mean())}


def evaluate_policy(
    policy: Policy, task: str, settings: EvaluationSettings, *, seed: int, progress: Advance | None = None
) -> PolicyEvaluation:
    """Roll a policy out on a task and read its true returns.

    Args:
        policy: maps (n, *observation shape) to (n, *action shape).
        task: a gymnasium id.
        settings: numbers of episodes and of environments.
        seed: of the environments.
        progress: called with 1 at the end of each episode.

    Raises:
        UserError: an action is NaN or infinite.
    """
    count = min(settings.environments, settings.episodes)
    trajectories, true_returns = collect_on(
        task, policy, settings.episodes, seed=seed, environments=count, progress=progress
    )
    return PolicyEvaluation(true_returns.values_for_evaluation(), trajectories)
