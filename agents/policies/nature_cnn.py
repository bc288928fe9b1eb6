"""A faster implementation of stable-baselines3's Nature CNN (Mnih et al. 2015).

The factor 1/255 is folded into the first layer's weights, which saves two passes over the images;
nonlinearities are in place; channels are last in memory. On two CPU cores a gradient step takes 0.6 to 0.7 of
the time, and 0.4 in bfloat16 on processors that support it (``benchmarks/throughput_experiments/atari.py``).
Names and shapes of the parameters are unchanged.
"""

from __future__ import annotations

from typing import Literal, cast

import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, NatureCNN

Precision = Literal["single", "bfloat16"]
"""Precision of the network's products; weights, sums over minibatches and the optimizer are single."""


def fastest_precision() -> Precision:
    """bfloat16 if this machine's processor supports it, else single; presets store it in the settings."""
    computes = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bfloat16" if computes else "single"


class BytesCNN(NatureCNN):
    """Three convolutions and a linear layer on uint8 images.

    Args:
        observation_space: (channels, height, width) uint8, at least 36×36.
        features_dim: number of output features.
        precision: ``"bfloat16"`` has 8 significant bits, enough for pixels. It is faster on processors that
            support it (``avx512_bf16`` or ``amx_bf16`` among Linux's CPU flags) and slower on others.
    """

    def __init__(
        self, observation_space: spaces.Box, features_dim: int = 512, *, precision: Precision = "single"
    ) -> None:
        super().__init__(observation_space, features_dim)
        self._half = precision == "bfloat16"
        for module in self.modules():
            if isinstance(module, torch.nn.ReLU):
                module.inplace = True

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """(n, channels, height, width), bytes or floats from 0 to 1, to (n, features) single."""
        first, rest = cast("torch.nn.Conv2d", self.cnn[0]), self.cnn[1:]
        weight, images = first.weight, observations
        if images.dtype == torch.uint8:
            weight = weight * (1.0 / 255.0)
            images = images.to(torch.bfloat16 if self._half else torch.float32)  # bytes are exact in both
        with torch.autocast(observations.device.type, dtype=torch.bfloat16, enabled=self._half):
            seen = torch.nn.functional.conv2d(images, weight, first.bias, first.stride)
            features = self.linear(rest(seen))
        return cast("torch.Tensor", features.float())


def extract_features(
    policy: ActorCriticPolicy, observations: torch.Tensor, extractor: BaseFeaturesExtractor | None = None
) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
    """``policy.extract_features``, faster for a Nature CNN on uint8 images."""
    shared = extractor or (policy.features_extractor if policy.share_features_extractor else None)
    if isinstance(shared, NatureCNN) and observations.dtype == torch.uint8:
        observations = observations.contiguous(memory_format=torch.channels_last)
        if isinstance(shared, BytesCNN):
            return cast("torch.Tensor", shared(observations))
    return policy.extract_features(observations, extractor)
