"""Settings of PPO on a reward."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from drex.errors import UserError


@dataclass(frozen=True, kw_only=True)
class PPOSettings:
    """PPO on the learned reward (Schulman et al. 2017), started from the clone."""

    environment_steps: int = 1_000_000
    """Steps of all environments together."""
    environments: int = 16
    """Environments stepped side by side."""
    rollout_steps: int = 128
    """Steps of each environment between two updates."""
    batch_size: int = 256
    """Transitions a gradient step."""
    epochs: int = 10
    """Passes over each rollout."""
    learning_rate: float = 3e-4
    """Adam's step size at the start."""
    final_learning_rate: float = 0.0
    """Adam's step size at the end; it falls linearly."""
    clip_range: float = 0.2
    """Clipping of the probability ratio at the start."""
    final_clip_range: float | None = None
    """Clipping at the end, reached linearly; None keeps it as at the start."""
    gamma: float = 0.99
    """Discount a step."""
    gae_lambda: float = 0.95
    """Decay of generalised advantage estimation a step."""
    ent_coef: float = 0.0
    """Weight of the entropy bonus."""
    vf_coef: float = 0.5
    """Weight of the value loss."""
    max_grad_norm: float = 0.5
    """Gradients of a larger norm are scaled down to it."""
    start_from: Literal["clone", "scratch"] = "clone"
    """Weights at the start: the cloned policy's, or random ones."""
    initial_std: float | None = None
    """Standard deviation of Box actions at the start, in the actions' own unit; None keeps the clone's
    own, or 1 from scratch."""
    kl_penalty: float = 0.0
    """Weight of the squared distance of the mean action from the clone's, in standard deviations; falls
    linearly to 0 over training."""
    normalize_observations: bool = False
    """Whether observations, no images, are standardised by all that training has seen so far. Only from
    scratch: a clone standardises by its demonstrations."""
    critic_warmup_rollouts: int = 8
    """Rollouts at the start on which only the value network learns, so that it cannot mislead the clone."""
    checkpoint_steps: int = 100_000
    """Environment steps between two checkpoints, where environments start anew so that resuming is exact."""

    def __post_init__(self) -> None:
        rollout = self.environments * self.rollout_steps
        if self.batch_size > rollout:
            raise UserError(
                "ppo.batch_size",
                expected=f"at most environments × rollout_steps = {rollout}",
                found=str(self.batch_size),
            )
        if self.start_from == "scratch" and self.kl_penalty:
            raise UserError(
                "ppo.kl_penalty",
                expected="0 when starting from scratch",
                found=str(self.kl_penalty),
            )
        if self.start_from == "clone" and self.normalize_observations:
            raise UserError(
                "ppo.normalize_observations",
                expected="false when starting from the clone, which standardises by its demonstrations",
                found="true",
            )

    @classmethod
    def fast_from_scratch(cls, **changes: Any) -> PPOSettings:
        """From random weights on a dense reward whose episodes never end early, least wall time to a return.

        Many environments and gradient steps on large minibatches, an eighth as many a step as RL Zoo's for
        HalfCheetah; little noise on the actions. On HalfCheetah, with two networks of 128-128 ReLU, a mean
        return of 2000 took 112,000 steps, where observations as they come and 64-64 tanh took 272,000 (a seed
        each). ``python -m benchmarks throughput --only ppo_time_to_return`` measures it.

        Args:
            changes: fields that are to differ.
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
