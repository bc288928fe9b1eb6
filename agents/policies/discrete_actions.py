"""Discrete, MultiDiscrete and MultiBinary actions as independent categorical choices.

A Discrete action is one choice, a MultiDiscrete action one choice per entry, and a MultiBinary action one
choice of two per entry, with the logits 0 and the network's output. Log-probabilities, entropies and
divergences of independent choices add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import torch
from gymnasium.spaces import Discrete, MultiBinary, MultiDiscrete


def choices(space: gymnasium.Space[Any], logits: torch.Tensor) -> list[torch.Tensor]:
    """The logits of each choice, (n, options) each, from a policy's concatenated logits (n, logits)."""
    if isinstance(space, Discrete):
        return [logits]
    if isinstance(space, MultiDiscrete):
        return list(logits.split(space.nvec.tolist(), dim=1))
    if isinstance(space, MultiBinary):
        return [torch.stack([torch.zeros_like(yes), yes], dim=1) for yes in logits.unbind(dim=1)]
    raise TypeError(f"no choices in {space}")


def as_actions(space: gymnasium.Space[Any], chosen: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """(n, *action shape) from the index chosen in each choice, (n,) each."""
    if isinstance(space, Discrete):
        return np.asarray(chosen[0])
    return np.stack(chosen, axis=1).astype(space.dtype, copy=False)


def log_probability_and_entropy(
    space: gymnasium.Space[Any], logits: torch.Tensor, actions: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability of actions (n,) or (n, choices), and entropy, in nats; (n,) each."""
    indices = actions.long().reshape(len(logits), -1)
    each = [options.log_softmax(dim=1) for options in choices(space, logits)]
    log_prob = [each[entry].gather(1, indices[:, entry : entry + 1]).flatten() for entry in range(len(each))]
    return _sum(log_prob), _sum([-(log_probs.exp() * log_probs).sum(dim=1) for log_probs in each])


def divergence(space: gymnasium.Space[Any], logits: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """(n,) Kullback-Leibler divergence KL(reference, policy) of the action distributions, in nats."""
    pairs = zip(choices(space, logits), choices(space, reference), strict=True)
    each = [(ours.log_softmax(dim=1), theirs.log_softmax(dim=1)) for ours, theirs in pairs]
    return _sum([(theirs.exp() * (theirs - ours)).sum(dim=1) for ours, theirs in each])


def _sum(each: Sequence[torch.Tensor]) -> torch.Tensor:
    return each[0] if len(each) == 1 else torch.stack(list(each)).sum(dim=0)
