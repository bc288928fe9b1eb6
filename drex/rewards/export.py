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
from drex.rewards.learned_reward import LearnedReward, load_reward
from drex.rewards.mlp import EnsembleMLP

SUFFIX = ".pt2"


def export_reward(
    reward: LearnedReward,
    file: str | Path,
    observation_space: gymnasium.Space[Any],
    action_space: gymnasium.Space[Any],
) -> None:
    """Write a reward for transitions of these spaces; see ``LearnedReward.export``."""
    place = Path(file)
    if place.suffix != SUFFIX:
        raise UserError(str(place), expected=f"a name that ends in {SUFFIX}", found=repr(place.suffix))
    refuse_existing(place)
    graph = RewardGraph(reward, images=holds_images(observation_space))
    observations, actions = _two(observation_space), _two(action_space)
    _check_features(graph, reward, observations, actions)
    count = torch.export.Dim("n", min=1)
    exported = torch.export.export(
        graph,
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
        file: as for ``LearnedReward.export``.
        task: whose transitions are scored; ``None`` takes that of the run.

    Raises:
        UserError: no reward there, or no run that tells the task; else as for ``LearnedReward.export``.
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


class RewardGraph(torch.nn.Module):
    """``LearnedReward.__call__`` in tensors: the same operations in the same order and precision.

    Args:
        reward: whose numbers are given; its network is copied to the CPU.
        images: whether observations are images, which networks see as they are.
    """

    shift: torch.Tensor
    spread: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, reward: LearnedReward, *, images: bool) -> None:
        super().__init__()
        self.network = copy.deepcopy(reward.network).cpu().requires_grad_(False)
        self.images, self._inputs, self._options = images, reward.inputs, reward.action_options
        self._offset, self._scale = reward.offset, reward.scale
        self._pessimism, self._control_cost = reward.pessimism, reward.control_cost
        self._squash = reward.squash
        if not images:
            self.register_buffer("shift", torch.from_numpy(reward.input_shift.copy()))
            self.register_buffer("spread", torch.from_numpy(reward.input_spread.copy()))
        self.register_buffer("mean", torch.from_numpy(reward.member_mean[:, None].copy()))
        self.register_buffer("std", torch.from_numpy(reward.member_std[:, None].copy()))

    def forward(
        self, observations: torch.Tensor, actions: torch.Tensor, next_observations: torch.Tensor
    ) -> torch.Tensor:
        """(n, *obs), (n, *act), (n, *obs) to (n,) float32."""
        if self.images:
            seen = next_observations if "next_observations" in self._inputs else observations
        else:
            seen = (self.features(observations, actions, next_observations) - self.shift) / self.spread
        members = (self.network(seen[None]).double() - self.mean) / self.std
        pooled = members.mean(dim=0)
        if self._pessimism:
            pooled = pooled - self._pessimism * members.std(dim=0, unbiased=False)
        if self._squash != "none":
            pooled = torch.tanh(pooled) if self._squash == "tanh" else 0.5 + 0.5 * torch.tanh(0.5 * pooled)
        if self._control_cost:
            pooled = pooled - self._control_cost * actions.double().square().sum(dim=1)
        paid: torch.Tensor = ((pooled - self._offset) * self._scale).float()
        return paid

    def features(
        self, observations: torch.Tensor, actions: torch.Tensor, next_observations: torch.Tensor
    ) -> torch.Tensor:
        """``transition_features`` in tensors: (n, features) float32."""
        if self._options and "actions" in self._inputs:
            chosen = actions.reshape(actions.shape[0], -1)
            actions = torch.cat(
                [
                    chosen[:, entry : entry + 1] == torch.arange(options)
                    for entry, options in enumerate(self._options)
                ],
                dim=1,
            )
        parts = {"observations": observations, "actions": actions, "next_observations": next_observations}
        return torch.cat([parts[name].float().flatten(1) for name in self._inputs], dim=1)


def _two(space: gymnasium.Space[Any]) -> torch.Tensor:
    """Two elements of a space, as tensors; with one, the exporter would take n to be 1 for ever."""
    kind = np.dtype(space.dtype)
    # bool has no place in arithmetic, and unsigned numbers of more than 8 bits none in torch
    if kind.kind in "iub" and kind != np.uint8:
        kind = np.dtype(np.int64)
    return torch.from_numpy(np.zeros((2, *(space.shape or ())), kind))


def _check_features(
    graph: RewardGraph, reward: LearnedReward, observations: torch.Tensor, actions: torch.Tensor
) -> None:
    """Refuse spaces of which the network sees more or fewer numbers than it was made for."""
    if "actions" in reward.inputs and bool(reward.action_options) == actions.is_floating_point():
        kind = f"choices among {reward.action_options}" if reward.action_options else "real numbers"
        raise UserError("action space", expected=kind, found=str(actions.dtype).removeprefix("torch."))
    if graph.images:
        image, shape = getattr(reward.network, "image", None), tuple(observations.shape[1:])
        if not isinstance(reward.network, EnsembleMLP) and (image is None or image.shape == shape):
            return
        expected = "no images" if image is None else f"images {image.shape}"
        raise UserError("observation space", expected=expected, found=f"images {shape}")
    wanted, found = len(reward.input_shift), graph.features(observations, actions, observations).shape[1]
    if found != wanted:
        raise UserError(
            "spaces",
            expected=f"{wanted} numbers a transition in {', '.join(reward.inputs)}",
            found=f"{found}, of {math.prod(observations.shape[1:])} an observation",
            do="give the spaces of the task that the reward was learned on",
        )
