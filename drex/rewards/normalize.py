"""Normalization of a learned reward: offset and scale by named rules, without the true reward.

Preferences determine neither. Where episodes can terminate, a high offset makes every step a cost, so that
the policy terminates at once; with a very low one, standing still suffices. The scale sets the range of PPO's
values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt

from drex.envs.data.trajectories import Trajectories
from drex.errors import UserError
from drex.ranges import NotNegative, Range, check_ranges, refuse_unread
from drex.rewards.learned_reward import LearnedReward
from drex.rewards.settings import Squash


@dataclass(frozen=True, kw_only=True)
class RewardNormalization:
    """Named rules for offset and scale."""

    offset: Literal["survival", "mean", "percentile", "network", "zero"] = "survival"
    """Reward that becomes 0. mean, percentile: of the rewards of the ranked steps. survival: the percentile
    if any ranked episode terminated, so that nearly every step is worth surviving, else the mean. network:
    the output 0 of the networks (T-REX as published). zero: the standardized, squashed reward itself (a
    sigmoid rewards survival: Atari as published)."""
    percentile: Annotated[float, Range(0, 100)] = 5.0
    """Offsets survival and percentile only: the percentile that becomes 0."""
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
        if self.offset not in ("survival", "percentile"):
            refuse_unread(self, "percentile", read_by="offset survival or percentile")


def normalize_reward(
    reward: LearnedReward, trajectories: Trajectories, settings: RewardNormalization, *, gamma: float
) -> LearnedReward:
    """Set offset and scale on the ranked trajectories; ``gamma`` is PPO's discount factor per step.

    Raises:
        UserError: a control cost for actions other than real numbers.
    """
    cost = settings.control_cost
    if cost and not np.issubdtype(trajectories.actions.dtype, np.floating):
        where, expected = "normalization.control_cost", "0 for actions that are no real numbers"
        found = f"{cost} for actions of {trajectories.actions.dtype}"
        raise UserError(where, expected=expected, found=found)
    plain = reward.with_fields(
        offset=0.0, scale=1.0, pessimism=settings.pessimism, control_cost=cost, squash=settings.squash
    )
    steps = plain.per_step(trajectories).astype(np.float64)
    can_end = bool(trajectories.terminated.any())
    if settings.offset == "zero":
        offset = 0.0
    elif settings.offset == "network":
        offset = -float(np.divide(reward.fields.member_mean, reward.fields.member_std).mean())
    elif settings.offset == "percentile" or (settings.offset == "survival" and can_end):
        offset = float(np.percentile(steps, settings.percentile))
    else:
        offset = float(steps.mean())
    if settings.scale == "none":
        return plain.with_fields(offset=offset)
    steps -= offset
    spread = steps if settings.scale == "step" else discounted_returns(steps, trajectories.lengths, gamma)
    return plain.with_fields(offset=offset, scale=1.0 / max(float(spread.std()), 1e-8))


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
