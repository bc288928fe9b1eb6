"""The gradient of PPO's loss at the networks' outputs, in closed form (Schulman et al. 2017, equation 9).

On a small minibatch, autograd takes more time for the loss than for a network of two layers of 256. The
closed form is the same gradient in fewer calls; ``tests/test_ppo.py`` compares both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium
import torch

from drex.agents.policies.discrete_actions import divergence, log_probability_and_entropy

Minibatch = dict[str, torch.Tensor]
"""``actions`` (n, actions), and (n,) each: ``values``, ``log_probs``, ``advantages`` (already normalized) and
``returns``; with a KL penalty also ``clone_outputs``, shaped as the outputs."""


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Coefficients of PPO's loss in one update."""

    clip: float
    """Clipping of the probability ratio."""
    value_clip: float | None
    """Clipping of the change of a value since the rollout, in the reward's unit; ``None``: no clipping."""
    ent_coef: float
    """Weight of the entropy bonus."""
    vf_coef: float
    """Weight of the squared error of the values."""
    kl_penalty: float
    """Weight of the KL penalty to the clone."""


class MinibatchStats(NamedTuple):
    """Logged quantities, (n,) each; averaged once per update instead of once per gradient step."""

    gain: torch.Tensor
    log_ratio: torch.Tensor
    entropy: torch.Tensor
    value_error: torch.Tensor

    def approximate_kl(self) -> torch.Tensor:
        """(n,) estimates, not negative, of the KL divergence from the policy at the rollout."""
        return self.log_ratio.expm1() - self.log_ratio

    @classmethod
    def of_critic(cls, errors: torch.Tensor) -> MinibatchStats:
        """Of a minibatch on which only the value network is trained."""
        nothing = torch.zeros_like(errors)
        return cls(nothing, nothing, nothing, errors)


class PolicyGradient(NamedTuple):
    """The gradients of the policy loss, then (n,) each the fields of ``MinibatchStats``."""

    at_outputs: torch.Tensor
    at_log_std: torch.Tensor | None
    gain: torch.Tensor
    log_ratio: torch.Tensor
    entropy: torch.Tensor


def policy_gradient(
    space: gymnasium.Space[Any],
    outputs: torch.Tensor,
    log_std: torch.Tensor | None,
    *,
    batch: Minibatch,
    loss: LossWeights,
) -> PolicyGradient:
    """The gradient of the policy loss at the network's outputs: means (n, actions) or logits (n, logits).

    ``log_std`` (actions,): logarithms of the standard deviations of Box actions; ``None`` for others.
    """
    if log_std is None:
        return _gradient_of_choices(space, outputs, batch, loss)
    # Calls dominate the time here; an operation with a Python number takes twice one between tensors.
    precision = log_std.neg().exp_()
    deviations = torch.sub(batch["actions"], outputs).mul_(precision)
    squares = deviations.square()
    spread = (log_std + _HALF_LOG_TAU).sum()
    log_ratio = torch.add(batch["log_probs"] + spread, squares.sum(dim=1), alpha=0.5).neg_()
    gain, at_log_prob = _clipped_gain(log_ratio, batch["advantages"], loss)
    gradient = (deviations * at_log_prob[:, None]).mul_(precision)
    at_log_std = at_log_prob @ squares - at_log_prob.sum()
    if loss.ent_coef:
        at_log_std -= loss.ent_coef
    if loss.kl_penalty:
        left = torch.sub(outputs, batch["clone_outputs"]).mul_(precision.square())
        gradient.add_(left, alpha=2.0 * loss.kl_penalty / len(outputs))
    entropy = (spread + 0.5 * len(log_std)).expand(len(outputs))
    return PolicyGradient(gradient, at_log_std, gain, log_ratio, entropy)


def _gradient_of_choices(
    space: gymnasium.Space[Any], outputs: torch.Tensor, batch: Minibatch, loss: LossWeights
) -> PolicyGradient:
    """``policy_gradient`` for Discrete, MultiDiscrete and MultiBinary actions, by autograd on the logits."""
    with torch.enable_grad():
        logits = outputs.detach().requires_grad_()
        log_prob, entropy = log_probability_and_entropy(space, logits, batch["actions"])
        log_ratio = log_prob.detach() - batch["log_probs"]
        gain, at_log_prob = _clipped_gain(log_ratio, batch["advantages"], loss)
        # Has the gradient of the loss at the logits, though not its value.
        stand_in = (log_prob * at_log_prob).sum() - loss.ent_coef * entropy.mean()
        if loss.kl_penalty:
            stand_in = stand_in + loss.kl_penalty * divergence(space, logits, batch["clone_outputs"]).mean()
        (gradient,) = torch.autograd.grad(stand_in, logits)
    return PolicyGradient(gradient, None, gain, log_ratio, entropy.detach())


def value_gradient(
    values: torch.Tensor, batch: Minibatch, loss: LossWeights
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradient of the value loss at ``values`` (n,), and the errors (n,) whose mean square it is."""
    if loss.value_clip is None:
        errors = values - batch["returns"]
        return errors * (2.0 * loss.vf_coef / len(errors)), errors
    moved = values - batch["values"]
    errors = batch["values"] + moved.clamp(-loss.value_clip, loss.value_clip) - batch["returns"]
    free = moved.abs() <= loss.value_clip
    return errors * free * (2.0 * loss.vf_coef / len(errors)), errors


def log_probabilities(
    space: gymnasium.Space[Any], outputs: torch.Tensor, log_std: torch.Tensor | None, actions: torch.Tensor
) -> torch.Tensor:
    """(n,) log-probability of actions, (n, action entries), from means (Box) or logits (others)."""
    if log_std is None:
        return log_probability_and_entropy(space, outputs, actions)[0]
    deviations = (actions - outputs) * (-log_std).exp()
    return -0.5 * deviations.square().sum(dim=1) - (log_std + _HALF_LOG_TAU).sum()


def standardized(advantages: torch.Tensor, batch_size: int) -> torch.Tensor:
    """(n,) advantages, standardized within each minibatch of consecutive rows."""
    whole = len(advantages) // batch_size * batch_size
    parts = []
    for rows in (advantages[:whole].view(-1, batch_size), advantages[whole:].view(1, -1)):
        if rows.shape[1] > 1:
            std, mean = torch.std_mean(rows, dim=1, keepdim=True)
            rows = (rows - mean) / (std + 1e-8)
        parts.append(rows.flatten())
    return torch.cat(parts)


def averages(seen: Sequence[MinibatchStats], last_epoch: int, loss: LossWeights) -> dict[str, float]:
    """Scalars of an update as stable-baselines3 logs them: means over minibatches of their means.

    The KL divergence is averaged over the ``last_epoch`` last minibatches.
    """
    if not seen:
        return {}
    counts = torch.tensor([len(part.gain) for part in seen])
    weights = (1.0 / (counts * len(seen))).repeat_interleave(counts).to(seen[0].gain.device)
    whole = MinibatchStats(*(torch.cat(parts) for parts in zip(*seen, strict=True)))
    clipped = (whole.log_ratio.expm1().abs() > loss.clip).float()
    last = seen[len(seen) - last_epoch :] or seen[-1:]
    kl = torch.stack([part.approximate_kl().mean() for part in last]).mean()
    end = seen[-1]
    final = (
        -end.gain.mean() - loss.ent_coef * end.entropy.mean() + loss.vf_coef * end.value_error.square().mean()
    )
    rows = (-whole.gain, whole.value_error.square(), -whole.entropy, clipped)
    numbers = torch.stack([*(row @ weights for row in rows), kl, final]).tolist()
    names = ("policy_gradient_loss", "value_loss", "entropy_loss", "clip_fraction", "approx_kl", "loss")
    return dict(zip(names, numbers, strict=True))


def _clipped_gain(
    log_ratio: torch.Tensor, advantages: torch.Tensor, loss: LossWeights
) -> tuple[torch.Tensor, torch.Tensor]:
    """(n,) the clipped objective, and the gradient of the loss at the log-probability."""
    ratio = log_ratio.exp()
    free = advantages * ratio
    gain = torch.minimum(free, advantages * ratio.clamp(1.0 - loss.clip, 1.0 + loss.clip))
    # Where it is clipped, the objective does not depend on the policy.
    return gain, (gain == free).mul(free).mul_(-1.0 / len(free))


_HALF_LOG_TAU = 0.5 * math.log(2.0 * math.pi)
