"""Policies as plain callables: greedy, sampling and uniform random."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3.common.policies import ActorCriticPolicy

from drex.agents.policies.discrete_actions import as_actions, choices
from drex.agents.policies.inference import inference

Policy = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
"""Anything that acts: (n, *observation shape) to (n, *action shape)."""


def clip_to_space(actions: npt.NDArray[Any], space: gymnasium.Space[Any]) -> npt.NDArray[Any]:
    """Box actions clipped to their bounds; others as they are."""
    return np.clip(actions, space.low, space.high) if isinstance(space, gymnasium.spaces.Box) else actions


def deterministic(policy: ActorCriticPolicy) -> Policy:
    """Greedy: the mode of the action distribution. Weights may change in place but not move to a device."""
    infer, space = inference(policy), policy.action_space

    def act(observations: npt.NDArray[Any]) -> npt.NDArray[Any]:
        outputs = infer(observations)
        if isinstance(space, gymnasium.spaces.Box):
            return clip_to_space(outputs, space)
        logits = choices(space, torch.from_numpy(outputs))
        return as_actions(space, [options.argmax(dim=1).numpy() for options in logits])

    return act


def stochastic(policy: ActorCriticPolicy, *, seed: int) -> Policy:
    """Sampling: draws from the action distribution, with a random stream of this seed."""
    infer, space, generator = inference(policy), policy.action_space, np.random.default_rng(seed)

    def act(observations: npt.NDArray[Any]) -> npt.NDArray[Any]:
        outputs = infer(observations)
        if isinstance(space, gymnasium.spaces.Box):
            actions = generator.standard_normal(outputs.shape, dtype=np.float32)
            actions *= np.exp(policy.log_std.detach().cpu().numpy())
            actions += outputs
            return clip_to_space(actions, space)
        options = [each.numpy() for each in choices(space, torch.from_numpy(outputs))]
        return as_actions(
            space, [(each + generator.gumbel(size=each.shape)).argmax(axis=1) for each in options]
        )

    return act


def uniform(action_space: gymnasium.Space[Any], *, seed: int) -> Policy:
    """Uniform random actions."""
    generator = np.random.default_rng(seed)
    return lambda observations: uniform_actions(action_space, len(observations), generator)


def uniform_actions(
    space: gymnasium.Space[Any], count: int, generator: np.random.Generator
) -> npt.NDArray[Any]:
    """(count, *action shape) drawn uniformly from a bounded Box or from choices."""
    # Single precision is faster for a Box and accurate enough; for choices its bias would be 1 in 2²⁴.
    precision = np.float32 if isinstance(space, gymnasium.spaces.Box) else np.float64
    return actions_at(space, generator.random((count, *(space.shape or ())), dtype=precision))


def actions_at(space: gymnasium.Space[Any], shares: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Actions (n, *action shape) at shares in [0, 1) of a Box's width, or of the options of each choice."""
    if isinstance(space, gymnasium.spaces.Box):
        return np.asarray(space.low + shares * (space.high - space.low), np.float32)
    if isinstance(space, gymnasium.spaces.Discrete):
        return np.asarray(space.start + (shares * space.n).astype(np.int64))
    if isinstance(space, gymnasium.spaces.MultiDiscrete):
        return (shares * space.nvec).astype(space.dtype)
    if isinstance(space, gymnasium.spaces.MultiBinary):
        return (shares * 2.0).astype(space.dtype)
    raise TypeError(f"no uniform actions for {space}")
