"""Policies: the one network that is cloned and then trained, and policies as plain callables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

import gymnasium
import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

Policy = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
"""Anything that acts: (n, *observation shape) to (n, *action shape)."""

ACTIVATIONS: dict[str, type[torch.nn.Module]] = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}


@dataclass(frozen=True, kw_only=True)
class PolicySettings:
    """The network that is cloned and that PPO then trains."""

    policy_hidden_sizes: tuple[int, ...] = (128, 128)
    """Units in each hidden layer of the policy."""
    value_hidden_sizes: tuple[int, ...] = (64, 64)
    """Units in each hidden layer of the value network, which cloning leaves untouched."""
    activation: Literal["tanh", "relu"] = "tanh"
    """Nonlinearity of every hidden layer."""


class StandardizedObservations(BaseFeaturesExtractor):
    """Observations minus their mean, over their standard deviation, clipped to ±10; both set by cloning."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, observation_space: gymnasium.Space[Any]) -> None:
        size = int(np.prod(cast("tuple[int, ...]", observation_space.shape)))
        super().__init__(observation_space, size)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def fit(self, observations: npt.NDArray[Any]) -> None:
        """Take mean and standard deviation from (n, *observation shape)."""
        flat = np.asarray(observations, np.float64).reshape(len(observations), -1)
        # An entry that hardly moves in the demonstrations must not blow up once the agent moves it.
        std = np.maximum(flat.std(axis=0), 1e-2)
        self.mean.copy_(torch.as_tensor(flat.mean(axis=0)))
        self.std.copy_(torch.as_tensor(std))

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """(n, *observation shape) to (n, features)."""
        return ((observations.flatten(1) - self.mean) / self.std).clamp(-10.0, 10.0)


def policy_arguments(settings: PolicySettings) -> dict[str, Any]:
    """``policy_kwargs`` that make stable-baselines3 build the network of these settings."""
    return {
        "net_arch": {"pi": list(settings.policy_hidden_sizes), "vf": list(settings.value_hidden_sizes)},
        "activation_fn": ACTIVATIONS[settings.activation],
        "features_extractor_class": StandardizedObservations,
    }


def make_policy(
    observation_space: gymnasium.Space[Any],
    action_space: gymnasium.Space[Any],
    settings: PolicySettings,
    *,
    seed: int,
) -> ActorCriticPolicy:
    """An untrained actor-critic policy of stable-baselines3, on the CPU."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ActorCriticPolicy(observation_space, action_space, lambda _: 0.0, **policy_arguments(settings))


def action_mean(policy: ActorCriticPolicy, observations: torch.Tensor) -> torch.Tensor:
    """Mean action (Box), (n, *action shape), or action logits (Discrete), (n, actions)."""
    features = policy.extract_features(observations, policy.pi_features_extractor)
    return cast(
        "torch.Tensor", policy.action_net(policy.mlp_extractor.forward_actor(cast("torch.Tensor", features)))
    )


def clip_to_space(actions: npt.NDArray[Any], space: gymnasium.Space[Any]) -> npt.NDArray[Any]:
    """Box actions clipped to their bounds; others as they are."""
    return np.clip(actions, space.low, space.high) if isinstance(space, gymnasium.spaces.Box) else actions


def deterministic(policy: ActorCriticPolicy) -> Policy:
    """The policy's most likely action, as a plain callable."""

    def act(observations: npt.NDArray[Any]) -> npt.NDArray[Any]:
        with torch.no_grad():
            mean = action_mean(
                policy, torch.as_tensor(np.asarray(observations, np.float32), device=policy.device)
            )
            if isinstance(policy.action_space, gymnasium.spaces.Box):
                return clip_to_space(mean.cpu().numpy(), policy.action_space)
            return mean.argmax(dim=1).cpu().numpy()

    return act


def stochastic(policy: ActorCriticPolicy, *, seed: int) -> Policy:
    """The policy's sampled action, as a plain callable with its own random stream."""
    generator = np.random.default_rng(seed)

    def act(observations: npt.NDArray[Any]) -> npt.NDArray[Any]:
        with torch.no_grad():
            mean = action_mean(
                policy, torch.as_tensor(np.asarray(observations, np.float32), device=policy.device)
            )
            if isinstance(policy.action_space, gymnasium.spaces.Box):
                std = policy.log_std.exp().cpu().numpy()
                noise = generator.standard_normal(mean.shape, dtype=np.float32)
                return clip_to_space(mean.cpu().numpy() + std * noise, policy.action_space)
            gumbel = generator.gumbel(size=mean.shape)
            return np.asarray((mean.cpu().numpy() + gumbel).argmax(axis=1))

    return act


def uniform(action_space: gymnasium.Space[Any], *, seed: int) -> Policy:
    """Uniform random actions, as a plain callable."""
    generator = np.random.default_rng(seed)

    def act(observations: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return uniform_actions(action_space, len(observations), generator)

    return act


def uniform_actions(
    space: gymnasium.Space[Any], count: int, generator: np.random.Generator
) -> npt.NDArray[Any]:
    """(count, *action shape) drawn uniformly from a bounded Box or a Discrete space."""
    if isinstance(space, gymnasium.spaces.Box):
        # Twice as fast on one action as Generator.uniform, and noise draws one action at a time.
        share = generator.random((count, *space.shape), dtype=np.float32)
        return np.asarray(space.low + share * (space.high - space.low), np.float32)
    if isinstance(space, gymnasium.spaces.Discrete):
        return generator.integers(space.start, space.start + space.n, count)
    raise TypeError(f"no uniform actions for {space}")
