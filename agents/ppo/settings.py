"""Settings of PPO on a reward."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from drex.errors import UserError
from drex.ranges import Count, NotNegative, Positive, Range, Share, check_ranges, refuse_unread


@dataclass(frozen=True, kw_only=True)
class PPOSettings:
    """PPO on the learned reward (Schulman et al. 2017), started from the clone."""

    environment_steps: Count = 1_000_000
    """Environment steps of training, over all environments."""
    environments: Count = 16
    """Parallel environments."""
    rollout_steps: Count = 128
    """Steps of each environment per rollout."""
    batch_size: Count = 256
    """Transitions per gradient step."""
    epochs: Count = 10
    """PPO epochs: passes over each rollout."""
    learning_rate: Positive = 3e-4
    """Adam's learning rate at the start."""
    final_learning_rate: NotNegative = 0.0
    """Adam's learning rate at the end, reached linearly."""
    clip_range: Positive = 0.2
    """Clipping range of the probability ratio at the start."""
    final_clip_range: NotNegative | None = None
    """Clipping range at the end, reached linearly; None keeps that of the start."""
    gamma: Share | None = None
    """Discount factor per step. None: 0.99, or 0.98 where no ranked episode terminated: then nothing but the
    next steps' rewards is at stake."""
    gae_lambda: Share | None = None
    """Lambda of generalized advantage estimation. None: 0.95, or 0.92 where no ranked episode terminated."""
    ent_coef: NotNegative = 0.0
    """Coefficient of the entropy bonus."""
    vf_coef: NotNegative = 0.5
    """Coefficient of the value loss."""
    max_grad_norm: Positive = 0.5
    """Gradient clipping norm."""
    start_from: Literal["clone", "scratch"] = "clone"
    """Initial weights: the clone's, or random ones."""
    initial_std: Positive | None = None
    """Initial standard deviation of Box actions, in their own unit; None keeps the clone's, or 1 from
    scratch."""
    kl_penalty: NotNegative | None = None
    """Initial coefficient of the KL penalty to the clone, which decays linearly to 0 over kl_decay: for Box
    actions the squared distance of the means in standard deviations. None: 0.03, so that what keeps an
    episode going is not unlearned at first; 0 where no ranked episode terminated, or from scratch."""
    kl_decay: Annotated[float, Range(0, 1, above=True)] = 0.5
    """Share of the training over which the KL penalty decays to 0."""
    normalize_observations: bool = False
    """Normalize observations (not images) by their running mean and standard deviation; from scratch only,
    since a clone normalizes by its demonstrations."""
    critic_warmup_rollouts: Annotated[int, Range(0)] = 8
    """Initial rollouts that train the value network only."""
    checkpoint_steps: Count = 100_000
    """Environment steps between checkpoints; environments restart there, so that resuming is exact."""

    def __post_init__(self) -> None:
        check_ranges(self)
        rollout = self.environments * self.rollout_steps
        if self.batch_size > rollout:
            raise self._wrong("batch_size", f"at most environments × rollout_steps = {rollout}")
        if self.start_from == "scratch" and self.kl_penalty:
            raise self._wrong("kl_penalty", "0 when starting from scratch")
        if self.start_from == "scratch" and self.critic_warmup_rollouts:
            refuse_unread(self, "critic_warmup_rollouts", read_by="training from the clone")
        if self.start_from == "clone" and self.normalize_observations:
            expected = "false when starting from the clone, which normalizes by its demonstrations"
            raise self._wrong("normalize_observations", expected)

    def _wrong(self, name: str, expected: str) -> UserError:
        found = str(getattr(self, name)).lower()
        return UserError(f"PPOSettings.{name}", expected=expected, found=found)

    def fitted(self, *, terminates: bool) -> PPOSettings:
        """The settings with what is None chosen by whether episodes of the task can terminate."""
        clone = self.start_from == "clone"
        rule: dict[str, Any] = {
            "gamma": 0.99 if terminates else 0.98,
            "gae_lambda": 0.95 if terminates else 0.92,
            "kl_penalty": 0.03 if terminates and clone else 0.0,
        }
        return replace(self, **{name: value for name, value in rule.items() if getattr(self, name) is None})

    @property
    def training_steps(self) -> int:
        """Environment steps of training, in whole rollouts."""
        return self.segments()[-1]

    @property
    def starts_from_clone(self) -> bool:
        """Whether the initial weights are the clone's, if there is a clone."""
        return self.start_from == "clone"

    @classmethod
    def fast_from_scratch(cls, **changes: Any) -> PPOSettings:
        """Settings for the least wall time from random weights to a return, on dense rewards.

        On HalfCheetah, with two networks of 128-128 ReLU, a mean return of 2000 took 112,000 steps, against
        272,000 with unnormalized observations and 64-64 tanh (one seed each): ``python -m benchmarks
        throughput --only ppo_time_to_return``.
        """
        return cls(**{**_FAST_FROM_SCRATCH, **changes})

    def segments(self) -> list[int]:
        """Environment steps at which each segment ends: whole rollouts, about ``checkpoint_steps`` apart."""
        rollout = self.environments * self.rollout_steps
        rollouts = math.ceil(self.environment_steps / rollout)
        each = max(1, round(self.checkpoint_steps / rollout))
        return [min(end, rollouts) * rollout for end in range(each, rollouts + each, each)]


_FAST_FROM_SCRATCH: dict[str, Any] = {
    "rollout_steps": 64,
    "final_learning_rate": 3e-4,
    "gamma": 0.98,
    "gae_lambda": 0.92,
    "start_from": "scratch",
    "initial_std": 0.2,
    "normalize_observations": True,
    "critic_warmup_rollouts": 0,
}
