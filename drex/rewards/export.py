"""Export of a learned reward as one ``.pt2`` file of ``torch.export``, which torch runs without drex."""

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
from drex.envs.task_names import task_of_file
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
    """Write a reward, also one with a custom network, as a ``.pt2`` file that torch runs on the CPU.

    ``torch.export.load(file).module()`` maps tensors (n, *obs), (n, *act), (n, *obs), n at least 1, to (n,)
    rewards. Tensors have the dtypes of the spaces; discrete actions are int64.

    Args:
        reward: the reward.
        file: a new file whose name ends in ``.pt2``.
        observation_space: of the environments of ``make_environments``.
        action_space: likewise.

    Raises:
        UserError: another suffix, a file that exists or cannot be written, or spaces that do not fit the
            network.
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
        on_cpu, (observations, actions, observations.clone()), dynamic_shapes=[{0: count}] * 3, strict=False
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
        task: of the transitions; ``None`` takes that of the run, if it imports no code.

    Raises:
        UserError: no reward, or no run folder to take the task from; else as for ``export_reward``.
    """
    place = Path(folder)
    if REWARD.file(place).is_file():
        place = REWARD.folder(place)
    reward = load_reward(place)
    config = place.parent / CONFIG
    if task is None and config.is_file():
        task = task_of_file(str(read_json(config)["task"]), str(config), trusted=None)
    if task is None:
        expected = "a run folder around it, which names the task"
        raise UserError(str(place), expected=expected, found="none", do="add --task ENV")
    observation_space, action_space, _ = task_spaces(task)
    export_reward(reward, file, observation_space, action_space)


def _two(space: gymnasium.Space[Any]) -> torch.Tensor:
    """A batch of 2 elements of a space; from a batch of 1, the exporter would infer a constant n = 1."""
    dtype = np.dtype(space.dtype)
    # bool has no arithmetic, and torch lacks it for unsigned types of more than 8 bits
    if dtype.kind in "iub" and dtype != np.uint8:
        dtype = np.dtype(np.int64)
    return torch.from_numpy(np.zeros((2, *(space.shape or ())), dtype))


def _check_features(
    reward: LearnedReward, observations: torch.Tensor, actions: torch.Tensor, *, images: bool
) -> None:
    """Raise a ``UserError`` for spaces that do not fit the network."""
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
        expected = f"{wanted} numbers a transition in {', '.join(inputs)}"
        actual = f"{found}, of {math.prod(observations.shape[1:])} an observation"
        do = "give the spaces of the task that the reward was learned on"
        raise UserError("spaces", expected=expected, found=actual, do=do)
