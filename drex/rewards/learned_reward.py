"""A learned reward: call it on transitions, save it, load it. Files are safetensors and JSON, no pickle."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from stable_baselines3.common.utils import get_device

from drex.envs.data.stacked_frames import are_images
from drex.envs.data.trajectories import Trajectories
from drex.errors import UserError
from drex.files.dataclass_json import settings_from_json, settings_to_json
from drex.rewards.cnn import EnsembleCNN
from drex.rewards.mlp import EnsembleMLP, Inputs, transition_features
from drex.rewards.reward_json import FORMAT, RewardFacts, build_network
from drex.rewards.settings import Squash

_IMAGES_AT_ONCE = 256
_BYTES_AT_ONCE = 2**26


@dataclass(frozen=True, eq=False)
class LearnedReward:
    """An ensemble's reward: members standardised, averaged and squashed, minus the offset, times the scale.

    Called with (n, *obs), (n, *act), (n, *obs), (n,) it returns (n,) float32. The ranking loss leaves offset
    and scale free; ``normalize.normalize_reward`` sets them by a named rule.

    Args:
        network: (members or 1, n, features) to (members, n); images come as (members or 1, n, stack, height,
            width) uint8.
        inputs: the parts of a transition that the network sees.
        input_shift: (features,) subtracted from the inputs; (0,) for images, which are seen as they are.
        input_spread: (features,) divides the inputs.
        member_mean: (members,) mean of each member on the ranked transitions.
        member_std: (members,) standard deviation of each member there.
        offset: subtracted from the averaged, standardised, squashed reward.
        scale: multiplies what remains.
        pessimism: standard deviations over members that are subtracted from their mean.
        control_cost: weight of the action's squared norm, subtracted likewise; Box actions alone have one.
        squash: bounds the averaged, standardised reward.
        action_options: of each choice that an action makes, where the network sees such; () for Box actions.
    """

    network: torch.nn.Module
    inputs: Inputs
    input_shift: npt.NDArray[np.float32]
    input_spread: npt.NDArray[np.float32]
    member_mean: npt.NDArray[np.float64]
    member_std: npt.NDArray[np.float64]
    offset: float = 0.0
    scale: float = 1.0
    pessimism: float = 0.0
    control_cost: float = 0.0
    squash: Squash = "none"
    action_options: tuple[int, ...] = ()

    def member_rewards(
        self, observations: npt.NDArray[Any], actions: npt.NDArray[Any], next_observations: npt.NDArray[Any]
    ) -> npt.NDArray[np.float64]:
        """(members, n): each member's standardised reward, before offset and scale."""
        device = next((weights.device for weights in self.network.parameters()), torch.device("cpu"))
        chunks: Iterable[torch.Tensor]
        if are_images(observations):
            images = next_observations if "next_observations" in self.inputs else observations
            chunks = torch.as_tensor(images).split(_IMAGES_AT_ONCE)
        else:
            features = transition_features(
                self.inputs, observations, actions, next_observations, action_options=self.action_options
            )
            chunks = torch.as_tensor((features - self.input_shift) / self.input_spread).split(65536)
        with torch.no_grad():
            scores = torch.cat([self.network(chunk[None].to(device)) for chunk in chunks], dim=1)
        raw: npt.NDArray[np.float64] = scores.cpu().double().numpy()
        return (raw - self.member_mean[:, None]) / self.member_std[:, None]

    def __call__(
        self,
        observations: npt.NDArray[Any],
        actions: npt.NDArray[Any],
        next_observations: npt.NDArray[Any],
        terminated: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.float32]:
        """Score ``n`` transitions."""
        members = self.member_rewards(observations, actions, next_observations)
        pooled: npt.NDArray[np.float64] = members.mean(axis=0)
        if self.pessimism:
            pooled = pooled - self.pessimism * members.std(axis=0)
        if self.squash != "none":
            pooled = np.tanh(pooled) if self.squash == "tanh" else 0.5 + 0.5 * np.tanh(0.5 * pooled)
        if self.control_cost:
            pooled = pooled - self.control_cost * np.square(actions.astype(np.float64)).sum(axis=1)
        return ((pooled - self.offset) * self.scale).astype(np.float32)

    def per_step(self, trajectories: Trajectories) -> npt.NDArray[np.float32]:
        """(steps,) reward of every step of the trajectories; of images, few are in memory at a time."""
        observations, ahead = trajectories.observations, trajectories.next_observations()
        terminated = trajectories.terminated_steps()
        each = max(
            1, _BYTES_AT_ONCE // max(1, math.prod(observations.shape[1:]) * observations.dtype.itemsize)
        )
        parts = [slice(start, start + each) for start in range(0, len(observations), each)]
        return np.concatenate(
            [self(observations[p], trajectories.actions[p], ahead[p], terminated[p]) for p in parts]
        )

    def returns(self, trajectories: Trajectories) -> npt.NDArray[np.float64]:
        """(episodes,) sum of rewards of each episode."""
        return np.add.reduceat(self.per_step(trajectories).astype(np.float64), trajectories.starts)

    def rescaled(
        self,
        *,
        offset: float,
        scale: float,
        pessimism: float = 0.0,
        control_cost: float = 0.0,
        squash: Squash = "none",
    ) -> LearnedReward:
        """The same ensemble with another offset, scale, pessimism, control cost and squash."""
        return dataclasses.replace(
            self,
            offset=offset,
            scale=scale,
            pessimism=pessimism,
            control_cost=control_cost,
            squash=squash,
        )

    def on(self, device: str) -> LearnedReward:
        """The same reward, its network copied to ``"cpu"``, ``"cuda"`` or what ``"auto"`` finds.

        It takes and gives arrays as before.
        """
        return dataclasses.replace(self, network=copy.deepcopy(self.network).to(get_device(device)))

    def save(self, folder: str | Path) -> None:
        """Write ``reward.safetensors`` and ``reward.json`` into a folder, made where there is none.

        Raises:
            UserError: the network is one of your own, which ``load_reward`` could not build again.
        """
        network = self.network
        # A subclass may compute something else from the same weights.
        if type(network) is not EnsembleMLP and type(network) is not EnsembleCNN:
            raise UserError(
                "saving a reward",
                expected="a network of drex, which load_reward can build again",
                found=f"an own network, {type(network).__name__}",
                do="save its weights yourself",
            )
        facts = RewardFacts(
            format=FORMAT,
            inputs=self.inputs,
            hidden_sizes=network.hidden_sizes,
            members=network.members,
            input_shift=tuple(self.input_shift.tolist()),
            input_spread=tuple(self.input_spread.tolist()),
            member_mean=tuple(self.member_mean.tolist()),
            member_std=tuple(self.member_std.tolist()),
            offset=self.offset,
            scale=self.scale,
            pessimism=self.pessimism,
            control_cost=self.control_cost,
            squash=self.squash,
            action_options=self.action_options,
            image=network.image if isinstance(network, EnsembleCNN) else None,
        )
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        weights = {name: tensor.cpu() for name, tensor in network.state_dict().items()}
        save_file(weights, place / "reward.safetensors")
        (place / "reward.json").write_text(json.dumps(settings_to_json(facts), indent=2) + "\n")

    def export(
        self,
        file: str | Path,
        observation_space: gymnasium.Space[Any],
        action_space: gymnasium.Space[Any],
    ) -> None:
        """Write the whole reward as one ``.pt2`` file that torch runs without drex, on the CPU.

        ``torch.export.load(file).module()`` then takes tensors of observations, actions and next observations
        and gives what calling the reward gives, to the last digits of single precision. Tensors have the
        spaces' dtypes; choices are int64. Networks of your own are exported as well.

        Args:
            file: a new file whose name ends in ``.pt2``.
            observation_space: of the transitions, as ``make_environments`` gives it.
            action_space: likewise.

        Raises:
            UserError: another suffix, a file that exists or cannot be written, or spaces of which the network
                sees more or fewer numbers than it was made for.
        """
        from drex.rewards.export import export_reward

        export_reward(self, file, observation_space, action_space)


def load_reward(folder: str | Path) -> LearnedReward:
    """Read a reward that ``LearnedReward.save`` wrote.

    Raises:
        UserError: a file is missing or unreadable, of another format, or holds what no reward can be made of.
    """
    place = Path(folder)
    try:
        described = json.loads((place / "reward.json").read_text())
        weights = load_file(place / "reward.safetensors")
    except (OSError, ValueError, RecursionError, SafetensorError) as reason:
        raise UserError(
            str(place), expected="reward.json and reward.safetensors", found=str(reason)
        ) from reason
    where = str(place / "reward.json")
    if isinstance(described, dict) and described.get("format") not in range(1, FORMAT + 1):
        raise UserError(
            f"{where}: format",
            expected=f"at most {FORMAT}",
            found=str(described.get("format")),
            do="update drex",
        )
    facts = settings_from_json(RewardFacts, described, where)
    network = build_network(facts, weights, facts_file=where, weights_file=str(place / "reward.safetensors"))
    return LearnedReward(
        network=network,
        inputs=facts.inputs,
        input_shift=np.array(facts.input_shift, np.float32),
        input_spread=np.array(facts.input_spread, np.float32),
        member_mean=np.array(facts.member_mean),
        member_std=np.array(facts.member_std),
        offset=facts.offset,
        scale=facts.scale,
        pessimism=facts.pessimism,
        control_cost=facts.control_cost,
        squash=facts.squash,
        action_options=facts.action_options,
    )
