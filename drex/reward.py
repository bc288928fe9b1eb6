"""A learned reward: call it on transitions, save it, load it. Files are safetensors and JSON, no pickle."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from drex.envs.trajectories import Trajectories
from drex.errors import UserError
from drex.reward_networks import EnsembleMLP, Inputs, transition_features

FORMAT = 1


@dataclass(frozen=True, eq=False)
class LearnedReward:
    """An ensemble's reward: members standardised and averaged, minus the offset, times the scale.

    Called with (n, *obs), (n, *act), (n, *obs), (n,) it returns (n,) float32. The ranking loss leaves offset
    and scale free; ``reward_anchor.anchor`` sets them by a named rule.

    Args:
        network: (members or 1, n, features) to (members, n).
        inputs: the parts of a transition that the network sees.
        hidden_sizes: of the network, for saving.
        input_shift: (features,) subtracted from the inputs.
        input_spread: (features,) divides the inputs.
        member_mean: (members,) mean of each member on the ranked transitions.
        member_std: (members,) standard deviation of each member there.
        offset: subtracted from the averaged, standardised reward.
        scale: multiplies what remains.
        pessimism: standard deviations over members that are subtracted from their mean.
    """

    network: torch.nn.Module
    inputs: Inputs
    hidden_sizes: tuple[int, ...]
    input_shift: npt.NDArray[np.float32]
    input_spread: npt.NDArray[np.float32]
    member_mean: npt.NDArray[np.float64]
    member_std: npt.NDArray[np.float64]
    offset: float = 0.0
    scale: float = 1.0
    pessimism: float = 0.0

    def members(
        self, observations: npt.NDArray[Any], actions: npt.NDArray[Any], next_observations: npt.NDArray[Any]
    ) -> npt.NDArray[np.float64]:
        """(members, n): each member's standardised reward, before offset and scale."""
        features = transition_features(self.inputs, observations, actions, next_observations)
        inputs = torch.as_tensor((features - self.input_shift) / self.input_spread)
        with torch.no_grad():
            raw = (
                torch.cat([self.network(chunk[None]) for chunk in inputs.split(65536)], dim=1)
                .double()
                .numpy()
            )
        return (raw - self.member_mean[:, None]) / self.member_std[:, None]

    def __call__(
        self,
        observations: npt.NDArray[Any],
        actions: npt.NDArray[Any],
        next_observations: npt.NDArray[Any],
        terminated: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.float32]:
        """Score ``n`` transitions."""
        members = self.members(observations, actions, next_observations)
        pooled: npt.NDArray[np.float64] = members.mean(axis=0)
        if self.pessimism:
            pooled = pooled - self.pessimism * members.std(axis=0)
        return ((pooled - self.offset) * self.scale).astype(np.float32)

    def per_step(self, trajectories: Trajectories) -> npt.NDArray[np.float32]:
        """(steps,) reward of every step of the trajectories."""
        return self(
            trajectories.observations,
            trajectories.actions,
            trajectories.next_observations(),
            trajectories.terminated_steps(),
        )

    def returns(self, trajectories: Trajectories) -> npt.NDArray[np.float64]:
        """(episodes,) sum of rewards of each episode."""
        return np.add.reduceat(self.per_step(trajectories).astype(np.float64), trajectories.starts)

    def anchored(self, *, offset: float, scale: float, pessimism: float = 0.0) -> LearnedReward:
        """The same ensemble with another offset, scale and pessimism."""
        return dataclasses.replace(self, offset=offset, scale=scale, pessimism=pessimism)

    def save(self, folder: Path) -> None:
        """Write ``reward.safetensors`` and ``reward.json``."""
        save_file(dict(self.network.state_dict()), folder / "reward.safetensors")
        facts = {
            "format": FORMAT,
            "inputs": list(self.inputs),
            "hidden_sizes": list(self.hidden_sizes),
            "members": len(self.member_mean),
            "input_shift": self.input_shift.tolist(),
            "input_spread": self.input_spread.tolist(),
            "member_mean": self.member_mean.tolist(),
            "member_std": self.member_std.tolist(),
            "offset": self.offset,
            "scale": self.scale,
            "pessimism": self.pessimism,
        }
        (folder / "reward.json").write_text(json.dumps(facts, indent=2) + "\n")


def load_reward(folder: str | Path) -> LearnedReward:
    """Read a reward that ``LearnedReward.save`` wrote.

    Raises:
        UserError: a file is missing, unreadable or of another format.
    """
    place = Path(folder)
    try:
        facts = json.loads((place / "reward.json").read_text())
        weights = load_file(place / "reward.safetensors")
    except (OSError, ValueError, SafetensorError) as reason:
        raise UserError(
            str(place), expected="reward.json and reward.safetensors", found=str(reason)
        ) from reason
    if facts.get("format") != FORMAT:
        raise UserError(
            f"{place / 'reward.json'}: format", expected=str(FORMAT), found=str(facts.get("format"))
        )
    shift = np.array(facts["input_shift"], np.float32)
    network = EnsembleMLP(
        len(shift),
        members=facts["members"],
        hidden_sizes=tuple(facts["hidden_sizes"]),
        generator=torch.Generator().manual_seed(0),
    )
    network.load_state_dict(weights)
    network.requires_grad_(False)
    return LearnedReward(
        network=network,
        inputs=tuple(facts["inputs"]),
        hidden_sizes=tuple(facts["hidden_sizes"]),
        input_shift=shift,
        input_spread=np.array(facts["input_spread"], np.float32),
        member_mean=np.array(facts["member_mean"]),
        member_std=np.array(facts["member_std"]),
        offset=facts["offset"],
        scale=facts["scale"],
        pessimism=facts["pessimism"],
    )
