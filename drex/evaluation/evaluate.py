"""Evaluation of policies by the true returns of rollouts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from drex.agents.policies.acting import Policy
from drex.agents.rollouts.collect import Progress, collect
from drex.envs.data.trajectories import Trajectories
from drex.envs.make import make_environments
from drex.errors import UserError
from drex.evaluation.statistics import summarize


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """Evaluation of policies."""

    episodes: int = 20
    """Episodes per policy."""
    environments: int = 20
    """Environments stepped in parallel."""

    def __post_init__(self) -> None:
        if self.episodes < 2 or self.environments < 1:
            raise UserError(
                "evaluation",
                expected="two episodes or more",
                found=f"{self.episodes} in {self.environments} environments",
            )


@dataclass(frozen=True, eq=False)
class PolicyEvaluation:
    """Episodes of one evaluated policy.

    Args:
        returns: (episodes,) true returns; NaN where unknown.
        lengths: (episodes,) steps.
        trajectories: the episodes.
    """

    returns: npt.NDArray[np.float64]
    lengths: npt.NDArray[np.int64]
    trajectories: Trajectories

    def summary(self) -> dict[str, Any]:
        """Mean, deviation, best, 95% interval of the mean, episodes, mean length; unknowns are null."""
        return summarize(self.returns) | {"length": float(self.lengths.mean())}


def evaluate_policy(
    policy: Policy, task: str, settings: EvaluationSettings, *, seed: int, progress: Progress | None = None
) -> PolicyEvaluation:
    """Roll a policy out and read its true returns."""
    environments = make_environments(task, min(settings.environments, settings.episodes), seed=seed)
    trajectories, sealed = collect(policy, environments, settings.episodes, seed=seed, progress=progress)
    environments.close()
    return PolicyEvaluation(sealed.values_for_evaluation(), trajectories.lengths, trajectories)
