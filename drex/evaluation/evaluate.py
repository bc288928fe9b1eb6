"""Evaluating policies: rollouts whose true returns are opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from drex.agents.policies.acting import Policy
from drex.agents.rollouts.collect import Progress, collect
from drex.envs.data.trajectories import Trajectories
from drex.envs.make import make_environments
from drex.evaluation.statistics import summarize
from drex.ranges import Count, Range, check_ranges


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """How policies are evaluated."""

    episodes: Annotated[int, Range(2)] = 20
    """Evaluation episodes per policy."""
    environments: Count = 20
    """Parallel environments."""

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True, eq=False)
class PolicyEvaluation:
    """Evaluation of one policy.

    Args:
        returns: (episodes,) true returns; NaN where unknown.
        lengths: (episodes,) steps.
        trajectories: the episodes themselves.
    """

    returns: npt.NDArray[np.float64]
    lengths: npt.NDArray[np.int64]
    trajectories: Trajectories

    def summary(self) -> dict[str, Any]:
        """Mean, deviation, best, 95% interval of the mean, episodes and mean length; unknowns are null."""
        return summarize(self.returns) | {"length": float(self.lengths.mean())}


def evaluate_policy(
    policy: Policy, task: str, settings: EvaluationSettings, *, seed: int, progress: Progress | None = None
) -> PolicyEvaluation:
    """Roll a policy out and open its true returns."""
    environments = make_environments(task, min(settings.environments, settings.episodes), seed=seed)
    trajectories, sealed = collect(policy, environments, settings.episodes, seed=seed, progress=progress)
    environments.close()
    return PolicyEvaluation(sealed.values_for_evaluation(), trajectories.lengths, trajectories)
