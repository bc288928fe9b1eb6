"""Observations standardized by their running mean and standard deviation, for training from scratch."""

from __future__ import annotations

from typing import cast

import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import ActorCriticPolicy

from drex.agents.policies.network import StandardizedObservations

_LEAST_STD = 1e-2
"""As in ``StandardizedObservations.fit``."""


class RunningNormalization(BaseCallback):
    """Updates the policy's mean and standard deviation of observations between rollouts, never within one.

    The statistics are part of the policy, so that a run continued from a checkpoint is not changed.
    """

    def __init__(self) -> None:
        super().__init__()
        self._unseen: torch.Tensor | None = None

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        observations = torch.as_tensor(self.locals["rollout_buffer"].observations, dtype=torch.float64)
        self._unseen = observations.flatten(0, 1).flatten(1)

    def _on_rollout_start(self) -> None:
        """Merge the moments of the last rollout into those of all before it."""
        if self._unseen is None:
            return
        policy = cast("ActorCriticPolicy", self.model.policy)
        extractor = cast("StandardizedObservations", policy.features_extractor)
        share = len(self._unseen) / self.num_timesteps
        mean, variance = extractor.mean.double().cpu(), extractor.std.double().cpu().square()
        new_mean, new_variance = self._unseen.mean(dim=0), self._unseen.var(dim=0, unbiased=False)
        merged = (1.0 - share) * variance + share * new_variance
        merged += share * (1.0 - share) * (new_mean - mean).square()
        extractor.mean.copy_((1.0 - share) * mean + share * new_mean)
        extractor.std.copy_(merged.sqrt().clamp(min=_LEAST_STD))
        self._unseen = None

    _on_training_end = _on_rollout_start
