"""Evaluation of policies by the true returns of rollouts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from drex.agents.policies.acting import Policy
from drex.agents.rollouts.collect import Advance, collect_on, enough_episodes
from drex.envs.data.trajectories import Trajectories
from drex.evaluation.statistics import summarize
from drex.ranges import Count, Range, check_ranges

_EPISODES = 20
_STEPS = 20_000


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """Evaluation of policies."""

    episodes: Annotated[int, Range(2)] | None = None
    """Evaluation episodes per policy. None: 20, and more of short ones, up to 100 or 20,000 steps if they are
    as long as the demonstrations."""
    environments: Count = 20
    """Parallel environments."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def fitted(self, length: float) -> EvaluationSettings:
        """With a number of episodes.

        Args:
            length: mean steps of a demonstration.
        """
        if self.episodes is not None:
            return self
        return replace(self, episodes=enough_episodes(_STEPS, least=_EPISODES, length=length))


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
        settings: numbers of episodes (``None``: 20) and of environments.
        seed: of the environments.
        progress: called with 1 at the end of each episode.

    Raises:
        UserError: an action is NaN or infinite.
    """
    episodes = _EPISODES if settings.episodes is None else settings.episodes
    count = min(settings.environments, episodes)
    trajectories, true_returns = collect_on(
        task, policy, episodes, seed=seed, environments=count, progress=progress
    )
    return PolicyEvaluation(true_returns.values_for_evaluation(), trajectories)
