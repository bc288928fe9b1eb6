"""The Bradley-Terry loss over snippet returns (T-REX section 3, D-REX section 4.2)."""

from __future__ import annotations

from collections.abc import Callable

import torch

from drex.rewards.inputs import StepInputs
from drex.rewards.settings import RewardSettings
from drex.rewards.snippets import SnippetBatch, SnippetPairs, batch_snippets


def preference_loss(
    network: Callable[[torch.Tensor], torch.Tensor],
    inputs: StepInputs,
    draws: list[SnippetPairs],
    settings: RewardSettings,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Bradley-Terry loss summed over members, and the share of pairs ordered correctly, () each.

    Args:
        network: (members, n, features) to (members, n).
        inputs: (steps, features) of all trajectories, or the images of all steps.
        draws: the snippets and pairs of each member; a step in several snippets is encoded once.
        settings: for the snippet return and the label noise.
    """
    batch = batch_snippets(draws)
    return _bradley_terry(_encode(network, inputs, torch.as_tensor(batch.steps)), batch, settings)


def _encode(
    network: Callable[[torch.Tensor], torch.Tensor], inputs: StepInputs, steps: torch.Tensor
) -> torch.Tensor:
    """(members, n) rewards of the steps (members, n)."""
    return network(inputs[steps]).cpu()


def _bradley_terry(
    rewards: torch.Tensor, batch: SnippetBatch, settings: RewardSettings
) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of all members' pairs, and the share ordered correctly."""
    begins, counts = torch.as_tensor(batch.begins), torch.as_tensor(batch.counts)
    better, worse = torch.as_tensor(batch.better), torch.as_tensor(batch.worse)
    weights = torch.as_tensor(batch.weight)
    # Double precision: a snippet's return is a small difference of two long sums.
    sums = torch.nn.functional.pad(rewards.double().flatten().cumsum(0), (1, 0))
    returns = sums[begins + counts] - sums[begins]
    if settings.snippet_return == "mean":
        returns = returns / counts * settings.snippets.maximum_length
    margins = (returns[better] - returns[worse]).to(rewards.dtype)
    losses = torch.nn.functional.softplus(-margins)
    if settings.label_noise:
        # (1 − p)·softplus(−m) + p·softplus(m), since softplus(m) = softplus(−m) + m
        losses = losses + settings.label_noise * margins
    right = (margins.detach() > 0).sum() / max(len(margins), 1)
    return (losses * weights).sum(), right
