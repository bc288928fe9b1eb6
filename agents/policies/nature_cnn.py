"""The Nature CNN (Mnih et al. 2015), the same network as stable-baselines3's, with less to do for it.

Images arrive as bytes and are scaled by folding 1/255 into the first layer's weights, which saves two passes
over the largest array there is; nonlinearities work in place; channels lie last in memory. On two
CPU cores a gradient step takes 0.6 to 0.7 of the time, and 0.4 in bfloat16 where the processor computes in it
(``benchmarks/throughput_experiments/atari.py``). Names and shapes of parameters are stable-baselines3's.
"""

from __future__ import annotations

from typing import Literal, cast

import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, NatureCNN

Precision = Literal["single", "bfloat16"]
"""Of the products inside the network; weights, sums over minibatches and the optimiser stay single."""


def fastest_precision() -> Precision:
    """bfloat16 where this machine's processor computes in it, else single.

    It is asked for once, where settings are chosen, and kept in them: a network that was trained in one
    precision is loaded in the same on every machine.
    """
    computes = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bfloat16" if computes else "single"


class BytesCNN(NatureCNN):
    """Three convolutions and a linear layer over images as bytes.

    Args:
        observation_space: (channels, height, width) uint8, at least 36×36.
        features_dim: features that come out.
        precision: ``"bfloat16"`` has 8 significant bits, enough for pixels. It pays on processors that
            compute in it (``avx512_bf16`` or ``amx_bf16`` among Linux's CPU flags) and costs on others.
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
    """``policy.extract_features``, the same numbers sooner where a Nature CNN sees bytes."""
    shared = extractor or (policy.features_extractor if policy.share_features_extractor else None)
    if isinstance(shared, NatureCNN) and observations.dtype == torch.uint8:
        observations = observations.contiguous(memory_format=torch.channels_last)
        if isinstance(shared, BytesCNN):
            return cast("torch.Tensor", shared(observations))
    return policy.extract_features(observations, extractor)
