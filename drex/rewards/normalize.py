"""Normalization of a learned reward: offset and scale by named rules, without the true reward.

Preferences determine neither. Where episodes can terminate, a high offset makes every step a cost, so that
the policy terminates at once; with a very low one, it never does. Whether terminating is a failure or the
goal shows in the ranking: noise shortens the episodes of a walker, and lengthens those of a swing-up. The
scale sets the range of PPO's values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt

from drex.errors import UserError
from drex.ranges import NotNegative, Range, check_ranges, refuse_unread
from drex.rankings.preferences import RankedTrajectories
from drex.rewards.learned_reward import LearnedReward
from drex.rewards.settings import Squash


@dataclass(frozen=True, kw_only=True)
class RewardNormalization:
    """Named rules for offset and scale."""

    offset: Literal["ending", "mean", "percentile", "network", "zero"] = "ending"
    """Reward that becomes 0. mean, percentile: of the rewards of the ranked steps. ending: the percentile
    where the better of two ranked episodes is mostly the longer one, so that nearly every step is worth
    surviving; 100 minus the percentile where it is mostly the shorter one, so that terminating pays; else the
    mean. network: the output 0 of the networks (T-REX as published). zero: the standardized, squashed reward
    itself (a sigmoid rewards survival: Atari as published)."""
    percentile: Annotated[float, Range(0, 100)] = 5.0
    """Offsets ending and percentile only: the percentile that becomes 0."""
    scale: Literal["return", "step", "none"] = "return"
    """Quantity with standard deviation 1 on the ranked trajectories. return: the discounted return from each
    step. step: the reward of a step. none: no scaling."""
    squash: Squash = "none"
    """Bound on the standardized reward of a step, before offset and scale. none; sigmoid: 0 to 1 (published
    for Atari); tanh: -1 to 1."""
    pessimism: NotNegative = 0.0
    """Standard deviations over the ensemble that are subtracted from its mean."""
    control_cost: NotNegative = 0.0
    """Coefficient of the squared norm of a Box action, subtracted from the standardized reward of its step.
    It is prior knowledge, not learned (published: 0.1 HalfCheetah, 0.001 Hopper)."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.offset == "network" and self.squash != "none":
            where, expected = "RewardNormalization.offset", "another rule with a squash"
            raise UserError(where, expected=expected, found="network", do="use zero")
        if self.offset not in ("ending", "percentile"):
            refuse_unread(self, "percentile", read_by="offset ending or percentile")


MOSTLY = 0.2
"""Excess of pairs whose better episode is longer (or shorter), as a share of all pairs, from which length
counts as a sign of quality."""


def survival(ranked: RankedTrajectories) -> float:
    """From -1 to 1: weighted share of pairs whose better episode is longer, minus that of shorter ones.

    0 if no ranked episode terminated: then lengths are the task's.
    """
    lengths, pairs = ranked.trajectories.lengths, ranked.preferences
    if not ranked.trajectories.terminated.any():
        return 0.0
    signs = np.sign(lengths[pairs.better] - lengths[pairs.worse])
    return float(np.average(signs, weights=pairs.weight))


def normalize_reward(
    reward: LearnedReward, ranked: RankedTrajectories, settings: RewardNormalization, *, gamma: float
) -> LearnedReward:
    """Set offset and scale on the ranked trajectories; ``gamma`` is PPO's discount factor per step.

    Raises:
        UserError: a control cost for actions other than real numbers.
    """
    trajectories, cost = ranked.trajectories, settings.control_cost
    if cost and not np.issubdtype(trajectories.actions.dtype, np.floating):
        where, expected = "normalization.control_cost", "0 for actions that are no real numbers"
        found = f"{cost} for actions of {trajectories.actions.dtype}"
        raise UserError(where, expected=expected, found=found)
    plain = reward.with_fields(
        offset=0.0, scale=1.0, pessimism=settings.pessimism, control_cost=cost, squash=settings.squash
    )
    steps = plain.per_step(trajectories).astype(np.float64)
    offset = _offset(reward, steps, ranked, settings)
    if settings.scale == "none":
        return plain.with_fields(offset=offset)
    steps -= offset
    spread = steps if settings.scale == "step" else discounted_returns(steps, trajectories.lengths, gamma)
    return plain.with_fields(offset=offset, scale=1.0 / max(float(spread.std()), 1e-8))


def _offset(
    reward: LearnedReward,
    steps: npt.NDArray[np.float64],
    ranked: RankedTrajectories,
    settings: RewardNormalization,
) -> float:
    """The offset by the rule of the settings; ``steps`` are the rewards of all ranked steps."""
    if settings.offset == "zero":
        return 0.0
    if settings.offset == "network":
        return -float(np.divide(reward.fields.member_mean, reward.fields.member_std).mean())
    if settings.offset == "percentile":
        return float(np.percentile(steps, settings.percentile))
    longer = survival(ranked) if settings.offset == "ending" else 0.0
    if longer > MOSTLY:
        return float(np.percentile(steps, settings.percentile))
    if longer < -MOSTLY:
        return float(np.percentile(steps, 100.0 - settings.percentile))
    return float(steps.mean())


def discounted_returns(
    rewards: npt.NDArray[np.float64], lengths: npt.NDArray[np.int64], gamma: float
) -> npt.NDArray[np.float64]:
    """(steps,) discounted sum of rewards from each step to the end of its episode."""
    returns = rewards.copy()
    last_steps = set((np.cumsum(lengths) - 1).tolist())
    for step in range(len(returns) - 2, -1, -1):
        if step not in last_steps:
            returns[step] += gamma * returns[step + 1]
    return returns
