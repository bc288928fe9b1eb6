"""A learned reward as one file that runs without drex: anchored, standardised, its members' mean and all.

The file is what ``torch.export`` writes (``.pt2``): a graph of tensor operations and the weights. A program
that has torch alone runs it::

    reward = torch.export.load("reward.pt2").module()
    rewards = reward(observations, actions, next_observations)

with (n, *observation shape), (n, *action shape), (n, *observation shape) in, for any n from 1, and (n,) out.
"""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

from drex.envs.data.stacked_frames import holds_images
from drex.envs.make import task_spaces
from drex.errors import UserError
from drex.files.atomic import read_json, refuse_existing
from drex.files.run_layout import CONFIG, REWARD
from drex.rewards.fields import RewardModule
from drex.rewards.learned_reward import LearnedReward, load_reward
from drex.rewards.mlp import transition_features

SUFFIX = ".pt2"


def export_reward(
    reward: LearnedReward,
    file: str | Path,
    observation_space: gymnasium.Space[Any],
    action_space: gymnasium.Space[Any],
) -> None:
    """Write the whole reward as one ``.pt2`` file that torch runs without drex, on the CPU.

    ``torch.export.load(file).module()`` then takes tensors of observations, actions and next observations and
    computes what the reward computes. Tensors have the spaces' dtypes; choices are int64. Custom networks are
    exported as well.

    Args:
        reward: to write.
        file: a new file whose name ends in ``.pt2``.
        observation_space: of the transitions, as ``make_environments`` gives it.
        action_space: likewise.

    Raises:
        UserError: another suffix, a file that exists or cannot be written, or spaces of which the network
            sees more or fewer numbers than it was made for.
    """
    place = Path(file)
    if place.suffix != SUFFIX:
        raise UserError(str(place), expected=f"a name that ends in {SUFFIX}", found=repr(place.suffix))
    refuse_existing(place)
    observations, actions = _two(observation_space), _two(action_space)
    _check_features(reward, observations, actions, images=holds_images(observation_space))
    on_cpu = RewardModule(copy.deepcopy(reward.network).cpu().requires_grad_(False), reward.fields)
    count = torch.export.Dim("n", min=1)
    exported = torch.export.export(
        on_cpu,
        (observations, actions, observations.clone()),
        dynamic_shapes=[{0: count}] * 3,
        strict=False,
    )
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        torch.export.save(exported, place)
    except OSError as reason:
        raise UserError(str(place), expected="a file that can be written", found=str(reason)) from reason


def export_from_folder(folder: str | Path, file: str | Path, *, task: str | None = None) -> None:
    """Export the reward of a run folder, or of any folder that ``LearnedReward.save`` wrote.

    Args:
        folder: of the run or of the reward.
        file: as for ``export_reward``.
        task: whose transitions are scored; ``None`` takes that of the run.

    Raises:
        UserError: no reward there, or no run that tells the task; else as for ``export_reward``.
    """
    place = Path(folder)
    if REWARD.file(place).is_file():
        place = REWARD.folder(place)
    reward = load_reward(place)
    config = place.parent / CONFIG
    if task is None and config.is_file():
        task = str(read_json(config)["task"])
    if task is None:
        raise UserError(
            str(place),
            expected="a run folder around it, which names the task",
            found="none",
            do="add --task ENV",
        )
    observation_space, action_space, _ = task_spaces(task)
    export_reward(reward, file, observation_space, action_space)


def _two(space: gymnasium.Space[Any]) -> torch.Tensor:
    """Two elements of a space, as tensors; with one, the exporter would take n to be 1 for ever."""
    dtype = np.dtype(space.dtype)
    # bool has no place in arithmetic, and unsigned numbers of more than 8 bits none in torch
    if dtype.kind in "iub" and dtype != np.uint8:
        dtype = np.dtype(np.int64)
    return torch.from_numpy(np.zeros((2, *(space.shape or ())), dtype))


def _check_features(
    reward: LearnedReward, observations: torch.Tensor, actions: torch.Tensor, *, images: bool
) -> None:
    """Refuse spaces of which the network sees more or fewer numbers than it was made for."""
    inputs, options = reward.fields.inputs, reward.fields.action_options
    if "actions" in inputs and bool(options) == actions.is_floating_point():
        expected = f"choices among {options}" if options else "real numbers"
        raise UserError("action space", expected=expected, found=str(actions.dtype).removeprefix("torch."))
    if images:
        image, shape = getattr(reward.network, "image", None), tuple(observations.shape[1:])
        if reward.fields.of_images and (image is None or image.shape == shape):
            return
        expected = "no images" if image is None else f"images {image.shape}"
        raise UserError("observation space", expected=expected, found=f"images {shape}")
    features = transition_features(inputs, observations, actions, observations, action_options=options)
    wanted, found = len(reward.fields.input_shift), features.shape[1]
    if found != wanted:
        raise UserError(
            "spaces",
            expected=f"{wanted} numbers a transition in {', '.join(inputs)}",
            found=f"{found}, of {math.prod(observations.shape[1:])} an observation",
            do="give the spaces of the task that the reward was learned on",
        )
