"""A learned reward: calling, saving and loading. Files are safetensors and JSON, no pickle."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3.common.utils import get_device

from drex.envs.data.trajectories import Trajectories
from drex.errors import UserError
from drex.files.atomic import read_json_object, write_json
from drex.files.dataclass_json import settings_from_json, settings_to_json
from drex.files.weights import read_weights, write_weights
from drex.rewards.cnn import IMAGES_AT_ONCE, EnsembleCNN
from drex.rewards.fields import RewardFields, RewardModule
from drex.rewards.mlp import EnsembleMLP, as_tensor
from drex.rewards.reward_json import FORMAT, RewardFacts, build_network

VECTORS_AT_ONCE = 65536
_BYTES_AT_ONCE = 2**26


@dataclass(frozen=True, eq=False)
class LearnedReward:
    """An ensemble's reward, a function from (n, *obs), (n, *act), (n, *obs), (n,) to (n,) float32.

    Args:
        network: (members or 1, n, features) to (members, n); images come as (members or 1, n, stack, height,
            width) uint8.
        fields: standardization of the members, offset and scale.
    """

    network: torch.nn.Module
    fields: RewardFields

    @cached_property
    def module(self) -> RewardModule:
        """The reward on tensors, on the network's device."""
        return RewardModule(self.network, self.fields)

    def member_rewards(
        self, observations: npt.NDArray[Any], actions: npt.NDArray[Any], next_observations: npt.NDArray[Any]
    ) -> npt.NDArray[np.float64]:
        """(members, n): each member's standardised reward, before offset and scale."""
        parts = self._in_parts(observations, actions, next_observations)
        with torch.no_grad():
            scores = torch.cat([self.module.member_rewards(*part).cpu() for part in parts], dim=1)
        return cast("npt.NDArray[np.float64]", scores.numpy())

    def __call__(
        self,
        observations: npt.NDArray[Any],
        actions: npt.NDArray[Any],
        next_observations: npt.NDArray[Any],
        terminated: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.float32]:
        """Score ``n`` transitions."""
        parts = self._in_parts(observations, actions, next_observations)
        with torch.no_grad():
            rewards = torch.cat([self.module(*part).cpu() for part in parts])
        return cast("npt.NDArray[np.float32]", rewards.numpy())

    def _in_parts(self, *transitions: npt.NDArray[Any]) -> Iterator[tuple[torch.Tensor, ...]]:
        """Chunks of observations, actions and next observations, those in the input on its device."""
        images, read = self.fields.of_images, (*self.fields.inputs, "actions")
        at_once = IMAGES_AT_ONCE if images else VECTORS_AT_ONCE
        names, tensors = ("observations", "actions", "next_observations"), []
        for name, array in zip(names, transitions, strict=True):
            tensors.append(as_tensor(array, None if images or name == "actions" else np.float32))
        for part in zip(*(tensor.split(at_once) for tensor in tensors), strict=True):
            named = zip(names, part, strict=True)
            yield tuple(tensor.to(self.module.device) if name in read else tensor for name, tensor in named)

    def per_step(self, trajectories: Trajectories) -> npt.NDArray[np.float32]:
        """(steps,) reward of every step of the trajectories; few images are in memory at a time."""
        observations, actions = trajectories.observations, trajectories.actions
        ahead, terminated = trajectories.next_observations(), trajectories.terminated_steps()
        size = math.prod(observations.shape[1:]) * observations.dtype.itemsize
        each = max(1, _BYTES_AT_ONCE // max(1, size))
        parts = [slice(start, start + each) for start in range(0, len(observations), each)]
        return np.concatenate([self(observations[p], actions[p], ahead[p], terminated[p]) for p in parts])

    def returns(self, trajectories: Trajectories) -> npt.NDArray[np.float64]:
        """(episodes,) sum of rewards of each episode."""
        return np.add.reduceat(self.per_step(trajectories).astype(np.float64), trajectories.starts)

    def with_fields(self, **changes: Any) -> LearnedReward:
        """The same networks with other fields, such as ``offset`` and ``scale``."""
        return LearnedReward(self.network, dataclasses.replace(self.fields, **changes))

    def on(self, device: str) -> LearnedReward:
        """The same reward with a copy of the network on ``"cpu"``, ``"cuda"`` or ``"auto"``."""
        return LearnedReward(copy.deepcopy(self.network).to(get_device(device)), self.fields)

    def save(self, folder: str | Path) -> None:
        """Write ``reward.safetensors`` and ``reward.json`` into a folder, new or existing.

        Raises:
            UserError: a custom network, which ``load_reward`` cannot rebuild.
        """
        network = self.network
        # Subclasses are refused: they may have another forward pass.
        if type(network) is not EnsembleMLP and type(network) is not EnsembleCNN:
            expected = "a network of drex, which load_reward can rebuild"
            found, do = f"a custom network, {type(network).__name__}", "save its weights yourself"
            raise UserError("saving a reward", expected=expected, found=found, do=do)
        members, sizes = network.members, network.hidden_sizes
        image = network.image if isinstance(network, EnsembleCNN) else None
        facts = RewardFacts(
            format=FORMAT, hidden_sizes=sizes, members=members, image=image, **vars(self.fields)
        )
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        write_weights(place / "reward.safetensors", network.state_dict())
        write_json(place / "reward.json", settings_to_json(facts))


def load_reward(folder: str | Path) -> LearnedReward:
    """Read a reward that ``LearnedReward.save`` wrote.

    Raises:
        UserError: a file is missing or unreadable, of another format, or inconsistent.
    """
    where, weights_file = str(Path(folder) / "reward.json"), str(Path(folder) / "reward.safetensors")
    described = read_json_object(Path(where))
    weights = read_weights(Path(weights_file))
    number = described.get("format")
    if number not in range(1, FORMAT + 1):
        expected = f"at most {FORMAT}"
        raise UserError(f"{where}: format", expected=expected, found=str(number), do="update drex")
    facts = settings_from_json(RewardFacts, described, where)
    network = build_network(facts, weights, facts_file=where, weights_file=weights_file)
    return LearnedReward(network, facts.of_reward())
