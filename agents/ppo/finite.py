"""A training stops at the first number that is not finite; its last checkpoint is left as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from drex.errors import UserError


def check_rewards(rewards: npt.NDArray[Any]) -> None:
    """Raise a ``UserError`` at the first reward that is NaN or infinite.

    Args:
        rewards: (steps of the rollout, environments).
    """
    bad = np.argwhere(~np.isfinite(rewards))
    if len(bad):
        step, environment = (int(index) for index in bad[0])
        where = f"reward of environment {environment}, step {step} of PPO's rollout"
        raise UserError(where, expected="a finite number", found=str(rewards[step, environment]))


def check_weights(network: torch.nn.Module, *, steps: int) -> None:
    """Raise a ``UserError`` naming the first parameter that is no longer finite."""
    for name, weights in network.named_parameters():
        if not bool(torch.isfinite(weights).all()):
            where, advice = f"weights of PPO after {steps:,} steps: {name}", "lower the learning rate"
            raise UserError(where, expected="finite numbers", found="NaN or infinity", do=advice)
