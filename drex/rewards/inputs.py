"""Inputs of reward networks, vectors or images, and the networks for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3.common.utils import get_device

from drex.envs.data.stacked_frames import are_images
from drex.envs.data.trajectories import Trajectories
from drex.errors import UserError
from drex.rewards.cnn import EnsembleCNN, ImageInputs, ImageLayers
from drex.rewards.mlp import EnsembleMLP, as_tensor, options_of, transition_features
from drex.rewards.settings import RewardSettings

StepInputs: TypeAlias = torch.Tensor | ImageInputs
"""(steps, features), or the images of all steps."""


def step_inputs(
    trajectories: Trajectories, settings: RewardSettings, device: str
) -> tuple[StepInputs, npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The networks' input at every step, and the shift and spread, (features,), that standardised it.

    Raises:
        UserError: settings that do not fit images, or observations other than images.
    """
    images, ahead = are_images(trajectories.observations), trajectories.next_observations()
    top, bottom = settings.mask_top, settings.mask_bottom
    if images:
        single = settings.inputs in (("observations",), ("next_observations",))
        if settings.standardize_inputs or not single:
            expected = "observations or next_observations alone, not standardised, where those are images"
            found = f"{', '.join(settings.inputs)}, standardize_inputs {settings.standardize_inputs}"
            raise UserError("reward.inputs", expected=expected, found=found)
        chosen = trajectories.observations if settings.inputs == ("observations",) else ahead
        return (
            ImageInputs(chosen, device=get_device(device)),
            np.zeros(0, np.float32),
            np.zeros(0, np.float32),
        )
    if top + bottom:
        where, found = "reward.mask_top, reward.mask_bottom", f"{top} and {bottom}"
        raise UserError(where, expected="0 for observations that are no images", found=found)
    features: npt.NDArray[np.float32] = transition_features(
        settings.inputs,
        as_tensor(np.asarray(trajectories.observations)),
        as_tensor(trajectories.actions),
        as_tensor(np.asarray(ahead)),
        action_options=options_of(trajectories.actions),
    ).numpy()
    if settings.inputs in (("observations",), ("actions",)):
        features = features.copy()  # so that a network that works in place does not change the trajectories
    if not settings.standardize_inputs:
        width = features.shape[1]
        return torch.as_tensor(features), np.zeros(width, np.float32), np.ones(width, np.float32)
    shift, spread = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
    return torch.as_tensor((features - shift) / spread), shift, spread


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
            convolutions=settings.convolutions,
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
