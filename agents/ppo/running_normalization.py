"""Observations standardised by what training has seen so far, where there are no demonstrations to fit to."""

from __future__ import annotations

from typing import cast

import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import ActorCriticPolicy

from drex.agents.policies.network import StandardizedObservations

_LEAST_STD = 1e-2
"""As where it is fitted to demonstrations: an entry that hardly moves must not blow up once it does."""


class RunningNormalization(BaseCallback):
    """Refits the policy's mean and standard deviation of observations between two rollouts.

    Never within one: the probabilities that a rollout was sampled with are those that its update starts from.
    The policy carries all that is kept, so that a run continued from a checkpoint goes on as it would have.
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
        self._refit()

    def _on_training_end(self) -> None:
        self._refit()

    def _refit(self) -> None:
        """Merge the last rollout's moments into those of all before it."""
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
