"""Ensembles of convolutional reward networks, by default those published for Atari."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from drex.envs.data.stacked_frames import Observations
from drex.errors import UserError
from drex.ranges import Count

Convolution = tuple[Count, Count, Count]
"""Channels, kernel size in pixels, stride."""

PUBLISHED_CONVOLUTIONS: tuple[Convolution, ...] = ((32, 7, 3), (16, 5, 2), (16, 3, 1), (16, 3, 1))
"""D-REX's Atari network (appendix, and the authors' code), followed by 64 hidden units."""

IMAGES_AT_ONCE = 256
"""Images in memory at a time, unless a gradient step draws more."""

_SLOPE = 0.01


def fitting(convolutions: tuple[Convolution, ...], shape: tuple[int, ...]) -> tuple[Convolution, ...]:
    """The published convolutions without the last ones, where images are too small for those; else the given.

    Args:
        convolutions: of the settings.
        shape: (stack, height, width) of the images.
    """
    fit = len(convolutions)
    while convolutions == PUBLISHED_CONVOLUTIONS and _left(convolutions[:fit], min(shape[1:])) < 1:
        fit -= 1
    return convolutions[:fit]


def _left(convolutions: tuple[Convolution, ...], side: int) -> int:
    """Pixels of a side after the convolutions; less than 1 if the kernels do not fit."""
    for _, kernel, stride in convolutions:
        side = (side - kernel) // stride + 1
    return side


@dataclass(frozen=True, kw_only=True)
class ImageLayers:
    """The input and the convolutions of a network."""

    shape: tuple[int, int, int]
    """(stack, height, width) of the images."""
    convolutions: tuple[Convolution, ...] = PUBLISHED_CONVOLUTIONS
    """Channels, kernel size in pixels and stride of each layer."""
    mask_top: int = 0
    """Rows at the top that are set to 0, to hide a score."""
    mask_bottom: int = 0
    """Rows at the bottom that are set to 0."""

    def __post_init__(self) -> None:
        height, top, bottom = self.shape[1], self.mask_top, self.mask_bottom
        if min(top, bottom) < 0 or top + bottom >= height:
            where, found = "reward.mask_top, reward.mask_bottom", f"{top} and {bottom}"
            raise UserError(where, expected=f"0 or more rows, fewer than {height} together", found=found)
        if any(min(layer) < 1 for layer in self.convolutions) or min(self.remaining) < 1:
            expected = f"positive numbers, and kernels that fit into {self.shape[1:]} pixels"
            found = str([list(layer) for layer in self.convolutions])
            raise UserError("reward.convolutions", expected=expected, found=found)

    @property
    def remaining(self) -> tuple[int, int]:
        """Height and width after the last convolution; less than 1 if the kernels do not fit."""
        return _left(self.convolutions, self.shape[1]), _left(self.convolutions, self.shape[2])

    def parameter_shapes(self, members: int, hidden_sizes: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """Shape of every parameter of an ensemble, by name."""
        shapes: dict[str, tuple[int, ...]] = {}
        channels = self.shape[0]
        for layer, (outputs, kernel, _) in enumerate(self.convolutions):
            shapes[f"kernels.{layer}"] = (members, outputs, channels, kernel, kernel)
            shapes[f"kernel_biases.{layer}"] = (members, outputs)
            channels = outputs
        sizes = [channels * math.prod(self.remaining), *hidden_sizes, 1]
        for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
            shapes[f"weights.{layer}"] = (members, fan_in, fan_out)
            shapes[f"biases.{layer}"] = (members, 1, fan_out)
        return shapes


class EnsembleCNN(torch.nn.Module):
    """``members`` convolutional networks of one shape, leaky ReLU after every layer but the last.

    Args:
        image: input and convolutions.
        members: networks in the ensemble.
        hidden_sizes: units in each hidden layer after the convolutions.
        generator: of the initial weights, distributed as in ``torch.nn.Conv2d`` and ``Linear``.
    """

    def __init__(
        self, image: ImageLayers, *, members: int, hidden_sizes: tuple[int, ...], generator: torch.Generator
    ) -> None:
        super().__init__()
        self.image, self.members, self.hidden_sizes = image, members, hidden_sizes
        self.kernels = torch.nn.ParameterList()
        self.kernel_biases = torch.nn.ParameterList()
        self.weights = torch.nn.ParameterList()
        self.biases = torch.nn.ParameterList()
        bound = 0.0
        for name, shape in image.parameter_shapes(members, hidden_sizes).items():
            part = name.split(".")[0]
            if part in ("kernels", "weights"):  # the bias follows and has the same range
                bound = 1.0 / math.sqrt(math.prod(shape[2:]) if part == "kernels" else shape[1])
            values = torch.empty(shape).uniform_(-bound, bound, generator=generator)
            getattr(self, part).append(torch.nn.Parameter(values))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(members or 1, n, stack, height, width) in 0 to 255 to (members, n).

        One convolution per member, on channels-last memory: at 3 members of 256 images on one core, grouped
        convolutions took 1.9 times as long forward and 3.3 times as long with gradients.
        """
        seen = [self._masked(images) for images in inputs]
        hidden = torch.stack([self._convolved(seen[i % len(seen)], i) for i in range(self.members)])
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = torch.baddbmm(bias, hidden, weight)
            if layer < last:
                hidden = torch.nn.functional.leaky_relu(hidden, _SLOPE, inplace=True)
        return hidden.squeeze(-1)

    def _masked(self, images: torch.Tensor) -> torch.Tensor:
        """Images from 0 to 1, the masked rows 0."""
        # The memory format is changed on bytes: a quarter of the memory of floats.
        images = images.contiguous(memory_format=torch.channels_last).float() / 255.0
        images[:, :, : self.image.mask_top] = 0.0
        images[:, :, images.shape[2] - self.image.mask_bottom :] = 0.0
        return images

    def _convolved(self, hidden: torch.Tensor, member: int) -> torch.Tensor:
        """(n, features) of one member."""
        layers = zip(self.image.convolutions, self.kernels, self.kernel_biases, strict=True)
        for (_, _, stride), kernels, biases in layers:
            hidden = torch.nn.functional.conv2d(hidden, kernels[member], biases[member], stride=stride)
            hidden = torch.nn.functional.leaky_relu(hidden, _SLOPE, inplace=True)
        return hidden.flatten(1)


class ImageInputs:
    """The images of all steps, indexed like a tensor of features.

    Args:
        images: (steps, stack, height, width), read only when indexed.
        device: of the tensors.
    """

    def __init__(self, images: Observations, *, device: torch.device) -> None:
        self._images, self.device = images, device

    @property
    def shape(self) -> tuple[int, ...]:
        """(steps, stack, height, width)."""
        return self._images.shape

    def __getitem__(self, steps: torch.Tensor) -> torch.Tensor:
        """(*steps' shape, stack, height, width) uint8."""
        index: Any = steps.cpu().numpy()
        return torch.as_tensor(self._images[index], device=self.device)

    def sample(self) -> Iterator[torch.Tensor]:
        """At most 20,000 steps, evenly spaced, in chunks: enough for means and standard deviations."""
        count = len(self._images)
        chosen = torch.linspace(0, count - 1, min(20_000, count)).round().long()
        return (self[chunk] for chunk in chosen.split(IMAGES_AT_ONCE))
