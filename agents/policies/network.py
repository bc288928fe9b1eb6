"""The network that is cloned and that PPO then trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

import gymnasium
import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from drex.agents.policies.nature_cnn import BytesCNN, Precision, extract_features
from drex.envs.data.stacked_frames import holds_images
from drex.ranges import Count, check_ranges

ACTIVATIONS: dict[str, type[torch.nn.Module]] = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}


@dataclass(frozen=True, kw_only=True)
class PolicySettings:
    """The network that is cloned and that PPO then trains.

    Images, (stack, height, width) uint8, first pass the Nature CNN (Mnih et al. 2015; three convolutions and
    512 features, which policy and value network share); the hidden layers follow.
    """

    policy_hidden_sizes: tuple[Count, ...] = (128, 128)
    """Units of each hidden layer of the policy."""
    value_hidden_sizes: tuple[Count, ...] = (64, 64)
    """Units of each hidden layer of the value network, which is not cloned."""
    activation: Literal["tanh", "relu"] = "tanh"
    """Activation function of every hidden layer."""
    image_precision: Precision = "single"
    """Images only: precision of the convolutions; bfloat16 takes half the time on processors that have it."""

    def __post_init__(self) -> None:
        check_ranges(self)


class StandardizedObservations(BaseFeaturesExtractor):
    """Observations minus their mean, over their standard deviation, clipped to ±10; both set by cloning."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, observation_space: gymnasium.Space[Any]) -> None:
        size = int(np.prod(cast("tuple[int, ...]", observation_space.shape)))
        super().__init__(observation_space, size)
        # stable-baselines3 divides every uint8 Box of three axes by 255, as an image.
        self._unit = 255.0 if is_image_space(observation_space) else 1.0
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def fit(self, observations: npt.NDArray[Any]) -> None:
        """Set mean and standard deviation from observations (n, *observation shape)."""
        flat = np.asarray(observations, np.float64).reshape(len(observations), -1)
        # An entry that is almost constant in the demonstrations must not blow up once the agent changes it.
        std = np.maximum(flat.std(axis=0), 1e-2)
        self.mean.copy_(torch.as_tensor(flat.mean(axis=0)))
        self.std.copy_(torch.as_tensor(std))

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """(n, *observation shape) to (n, features)."""
        numbers = observations.flatten(1)
        if self._unit != 1.0:
            numbers = numbers * self._unit
        return ((numbers - self.mean) / self.std).clamp(-10.0, 10.0)


def make_features(
    observation_space: gymnasium.Space[Any], image_precision: Precision = "single"
) -> BaseFeaturesExtractor:
    """The feature extractor for an observation space: Nature CNN (images) or standardization."""
    if holds_images(observation_space):
        return BytesCNN(cast("gymnasium.spaces.Box", observation_space), precision=image_precision)
    return StandardizedObservations(observation_space)


def policy_arguments(settings: PolicySettings) -> dict[str, Any]:
    """``policy_kwargs`` of stable-baselines3 for the network of these settings."""
    return {
        "net_arch": {"pi": list(settings.policy_hidden_sizes), "vf": list(settings.value_hidden_sizes)},
        "activation_fn": ACTIVATIONS[settings.activation],
        "features_extractor_class": make_features,
        "features_extractor_kwargs": {"image_precision": settings.image_precision},
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
        policy = ActorCriticPolicy(
            observation_space, action_space, lambda _: 0.0, **policy_arguments(settings)
        )
    start_at_the_center(policy)
    return policy


def start_at_the_center(policy: ActorCriticPolicy) -> None:
    """Let the mean action of an untrained policy be the center of its box: 0 may be far outside it."""
    space = policy.action_space
    if isinstance(space, gymnasium.spaces.Box):
        center = (space.low.astype(np.float64) + space.high) / 2.0
        with torch.no_grad():
            cast("torch.nn.Linear", policy.action_net).bias.copy_(torch.as_tensor(center).flatten())


def action_mean(policy: ActorCriticPolicy, observations: torch.Tensor) -> torch.Tensor:
    """Mean action (n, *action shape) for Box, concatenated logits (n, logits) of all choices for others."""
    features = extract_features(policy, observations, policy.pi_features_extractor)
    return cast(
        "torch.Tensor", policy.action_net(policy.mlp_extractor.forward_actor(cast("torch.Tensor", features)))
    )
