"""Evaluation of policies by their true returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from drex.agents.policies.acting import Policy
from drex.agents.rollouts.collect import Advance, collect_on
from drex.envs.data.trajectories import Trajectories
from drex.errors import UserError
from drex.evaluation.statistics import summarize


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """How policies are evaluated."""

    episodes: int = 20
    """Episodes of each policy."""
    environments: int = 20
    """Environments stepped side by side."""

    def __post_init__(self) -> None:
        if self.episodes < 2 or self.environments < 1:
            raise UserError(
                "evaluation",
                expected="two episodes or more",
                found=f"{self.episodes} in {self.environments} environments",
            )


@dataclass(frozen=True, eq=False)
class PolicyEvaluation:
    """The evaluation episodes of one policy.

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
    policy: Policy, task: str, settings: EvaluationSettings, *, seed: int, progress: Advance | None = None
) -> PolicyEvaluation:
    """Roll a policy out on a task and read its true returns.

    Args:
        policy: maps (n, *observation shape) to (n, *action shape).
        task: a gymnasium id.
        settings: how many episodes.
        seed: of the environments.
        progress: called with 1 at the end of each episode.

    Raises:
        UserError: the policy acts by NaN or infinity.
    """
    trajectories, true_returns = collect_on(
        task,
        policy,
        settings.episodes,
        seed=seed,
        environments=min(settings.environments, settings.episodes),
        progress=progress,
    )
    return PolicyEvaluation(true_returns.values_for_evaluation(), trajectories.lengths, trajectories)
