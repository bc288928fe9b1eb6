"""Inputs of reward networks, vectors or images, and the networks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3.common.utils import get_device

from drex.envs.data.stacked_frames import are_images
from drex.envs.data.trajectories import Trajectories
from drex.errors import UserError
from drex.rewards.cnn import EnsembleCNN, ImageInputs, ImageLayers, fitting
from drex.rewards.fields import scale_inputs
from drex.rewards.mlp import EnsembleMLP, as_tensor, options_of, transition_features
from drex.rewards.settings import RewardSettings, Scaling, raw_members


@dataclass(frozen=True, eq=False)
class VectorInputs:
    """The features of all steps, indexed by the steps of each member, scaled for each member.

    Args:
        features: (steps, features).
        shift: (features,) mean, subtracted from the inputs of standardized members; 0 if there are none.
        spread: (features,) standard deviation, by which they are divided.
        scaling: which members' inputs are scaled.
    """

    features: torch.Tensor
    shift: torch.Tensor
    spread: torch.Tensor
    scaling: Scaling

    @property
    def shape(self) -> tuple[int, ...]:
        """(steps, features)."""
        return tuple(self.features.shape)

    def __getitem__(self, steps: torch.Tensor) -> torch.Tensor:
        """(members, n, features) inputs at the steps (members, n) of each member."""
        return self._scaled(self.features[steps], len(steps))

    def chunks(self, members: int, at_once: int) -> Iterator[torch.Tensor]:
        """(members or 1, n, features) inputs of all steps, in order, so many at a time."""
        return (self._scaled(chunk, members) for chunk in self.features.split(at_once))

    def _scaled(self, features: torch.Tensor, members: int) -> torch.Tensor:
        raw = raw_members(self.scaling, members)
        return scale_inputs(features, self.shift, self.spread, members=members, raw=raw)


StepInputs: TypeAlias = VectorInputs | ImageInputs
"""The features, or the images, of all steps."""


def step_inputs(trajectories: Trajectories, settings: RewardSettings, device: str) -> StepInputs:
    """The networks' input at every step.

    Raises:
        UserError: settings that do not fit images, or observations other than images.
    """
    images, ahead = are_images(trajectories.observations), trajectories.next_observations()
    inputs, top, bottom = settings.inputs_of(images=images), settings.mask_top, settings.mask_bottom
    if images:
        if inputs not in (("observations",), ("next_observations",)):
            expected, found = (
                "observations or next_observations alone, where those are images",
                ", ".join(inputs),
            )
            raise UserError("reward.inputs", expected=expected, found=found)
        if settings.input_scaling == "standardized":
            expected = "raw or both, where observations are images, which networks scale themselves"
            raise UserError("reward.input_scaling", expected=expected, found="standardized")
        chosen = trajectories.observations if inputs == ("observations",) else ahead
        return ImageInputs(chosen, device=get_device(device))
    if top + bottom:
        where, found = "reward.mask_top, reward.mask_bottom", f"{top} and {bottom}"
        raise UserError(where, expected="0 for observations that are no images", found=found)
    features: npt.NDArray[np.float32] = transition_features(
        inputs,
        as_tensor(np.asarray(trajectories.observations)),
        as_tensor(trajectories.actions),
        as_tensor(np.asarray(ahead)),
        action_options=options_of(trajectories.actions),
    ).numpy()
    if inputs in (("observations",), ("actions",)):
        features = features.copy()  # so that a network that works in place does not change the trajectories
    shift, spread = np.zeros(features.shape[1], np.float32), np.ones(features.shape[1], np.float32)
    if settings.input_scaling != "raw":
        shift, spread = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
        # A feature that was always the same has no scale: a later change would count a million times.
        spread[features.min(axis=0) == features.max(axis=0)] = 1.0
    return VectorInputs(
        torch.as_tensor(features),
        torch.as_tensor(shift),
        torch.as_tensor(spread),
        settings.input_scaling,
    )


def make_network(
    shape: tuple[int, ...],
    settings: RewardSettings,
    *,
    seed: int,
    network: Callable[[Any], torch.nn.Module] | None,
) -> torch.nn.Module:
    """The ensemble of the settings, or a custom network.

    Args:
        shape: (features,), or (stack, height, width) of images.
        settings: of the ensemble.
        seed: of the weights.
        network: maps the number of features, or the shape of images, to a custom network.

    Raises:
        UserError: a custom network of another form, or convolutions or masks that do not fit the images.
    """
    images = len(shape) == 3
    if network is None:
        members, hidden_sizes = settings.members, settings.hidden_sizes
        generator = torch.Generator().manual_seed(seed)
        if not images:
            return EnsembleMLP(shape[0], members=members, hidden_sizes=hidden_sizes, generator=generator)
        layers = ImageLayers(
            shape=(shape[0], shape[1], shape[2]),
            convolutions=fitting(settings.convolutions, shape),
            mask_top=settings.mask_top,
            mask_bottom=settings.mask_bottom,
        )
        return EnsembleCNN(layers, members=members, hidden_sizes=hidden_sizes, generator=generator)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = network(tuple(shape) if images else shape[0])
    _check_network(net, shape)
    return net


def _check_network(network: torch.nn.Module, shape: tuple[int, ...]) -> None:
    """Raise a ``UserError`` for a custom network whose output for two inputs has another shape."""
    members = int(getattr(network, "members", 1))
    with torch.no_grad():
        dtype = torch.uint8 if len(shape) == 3 else torch.float32
        found = tuple(network(torch.zeros(members, 2, *shape, dtype=dtype)).shape)
    if found != (members, 2):
        expected = f"an answer of shape (members, n) = ({members}, 2) to {(members, 2, *shape)}"
        raise UserError("network", expected=expected, found=str(found))
