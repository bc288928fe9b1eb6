"""Settings of the ranking: by noise (D-REX), or the user's (T-REX)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from drex.agents.rollouts.noise import NoiseName, NoiseSchedule
from drex.ranges import Count, Range, Share, check_ranges
from drex.rankings.preferences import MINIMUM_GAP


@dataclass(frozen=True, kw_only=True)
class NoiseRanking(NoiseSchedule):
    """Ranking by noise (D-REX): rollouts of the clone under noise, more noise being worse."""

    names: tuple[NoiseName, ...] = ("uniform", "sticky")
    """Kinds of noise; each is ranked within itself. uniform: a random action; sticky: a random action that
    is repeated for some steps; no_op: zeros."""
    episodes_per_level: Count = 3
    """Episodes per rollout policy, noise level and kind of noise."""
    minimum_gap: Share = MINIMUM_GAP
    """Minimum difference of two noise levels whose rollouts are compared."""
    grade_margin: Annotated[float, Range(0, 2)] = 0.15
    """Kinds of noise are compared by how well held-out episodes show their level (rank correlation). One that
    is below the best by more than this margin is not ranked; 2 ranks all."""
    rollout_policy: Literal["both", "stochastic", "deterministic", "auto"] = "both"
    """Policy that the noise is injected into: the sampling clone, or the greedy one. both: each of them,
    ranked within itself, so that the reward does not mistake the jitter of one clone for noise; the greedy
    clone is left out where its rollouts look like more noise than none. auto: the greedy clone, unless its
    episode lengths differ from the demonstrations' (Mann-Whitney p < 0.01) in the direction of a random
    policy and the sampling clone's mean length is closer."""
    environments: Count = 16
    """Parallel environments."""


@dataclass(frozen=True, kw_only=True)
class UserRanking:
    """How the user's ranking of the demonstrations is used (T-REX)."""

    clone_share: Annotated[float, Range(0, 1, above=True)] = 0.25
    """Share of the demonstrations that are cloned, best first by their share of comparisons won. Ties at the
    threshold are cloned too; of tiers, the best whole ones."""
    noise: NoiseRanking | None = None
    """Noisy rollouts of the clone, ranked by noise and learned from too; each ranking has half of the weight.
    """

    def __post_init__(self) -> None:
        check_ranges(self)
