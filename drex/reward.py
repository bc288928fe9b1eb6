"""A learned reward: call it on transitions, save it, load it. Files are safetensors and JSON, no pickle."""

from __future__ import annotations

import dataclasses
import itertools
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
from drex.settings_json import settings_from_json, settings_to_json

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class RewardFacts:
    """What ``reward.json`` holds, beside the weights in ``reward.safetensors``."""

    format: int
    inputs: Inputs
    hidden_sizes: tuple[int, ...]
    members: int
    input_shift: tuple[float, ...]
    input_spread: tuple[float, ...]
    member_mean: tuple[float, ...]
    member_std: tuple[float, ...]
    offset: float
    scale: float
    pessimism: float
    control_cost: float


@dataclass(frozen=True, eq=False)
class LearnedReward:
    """An ensemble's reward: members standardised and averaged, minus the offset, times the scale.

    Called with (n, *obs), (n, *act), (n, *obs), (n,) it returns (n,) float32. The ranking loss leaves offset
    and scale free; ``reward_anchor.anchor`` sets them by a named rule.

    Args:
        network: (members or 1, n, features) to (members, n).
        inputs: the parts of a transition that the network sees.
        input_shift: (features,) subtracted from the inputs.
        input_spread: (features,) divides the inputs.
        member_mean: (members,) mean of each member on the ranked transitions.
        member_std: (members,) standard deviation of each member there.
        offset: subtracted from the averaged, standardised reward.
        scale: multiplies what remains.
        pessimism: standard deviations over members that are subtracted from their mean.
        control_cost: weight of the action's squared norm, subtracted likewise; Box actions alone have one.
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
        if self.control_cost:
            pooled = pooled - self.control_cost * np.square(actions.astype(np.float64)).sum(axis=1)
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

    def anchored(
        self, *, offset: float, scale: float, pessimism: float = 0.0, control_cost: float = 0.0
    ) -> LearnedReward:
        """The same ensemble with another offset, scale, pessimism and control cost."""
        return dataclasses.replace(
            self, offset=offset, scale=scale, pessimism=pessimism, control_cost=control_cost
        )

    def save(self, folder: str | Path) -> None:
        """Write ``reward.safetensors`` and ``reward.json`` into a folder, made where there is none.

        Raises:
            UserError: the network is one of your own, which ``load_reward`` could not build again.
        """
        network = self.network
        if type(network) is not EnsembleMLP:  # a subclass may compute something else from the same weights
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
        )
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        save_file(dict(network.state_dict()), place / "reward.safetensors")
        (place / "reward.json").write_text(json.dumps(settings_to_json(facts), indent=2) + "\n")


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
    if isinstance(described, dict) and described.get("format") != FORMAT:
        raise UserError(f"{where}: format", expected=str(FORMAT), found=str(described.get("format")))
    facts = settings_from_json(RewardFacts, described, where)
    _check_facts(facts, where)
    _check_weights(facts, weights, str(place / "reward.safetensors"))
    network = EnsembleMLP(
        len(facts.input_shift),
        members=facts.members,
        hidden_sizes=facts.hidden_sizes,
        generator=torch.Generator().manual_seed(0),
    )
    network.load_state_dict(weights)
    network.requires_grad_(False)
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
    )


def _check_facts(facts: RewardFacts, where: str) -> None:
    """Refuse facts that contradict each other or that nothing can be divided by."""
    for name in ("inputs", "input_shift"):
        if not getattr(facts, name):
            raise UserError(f"{where}: {name}", expected="at least one", found="none")
    if facts.members < 1 or any(size < 1 for size in facts.hidden_sizes):
        raise UserError(
            where,
            expected="positive members and hidden_sizes",
            found=f"{facts.members} and {list(facts.hidden_sizes)}",
        )
    wanted = {
        "input_spread": len(facts.input_shift),
        "member_mean": facts.members,
        "member_std": facts.members,
    }
    for name, length in wanted.items():
        if len(getattr(facts, name)) != length:
            raise UserError(
                f"{where}: {name}", expected=f"{length} numbers", found=str(len(getattr(facts, name)))
            )
    for name in ("input_spread", "member_std"):
        if min(getattr(facts, name)) <= 0:
            raise UserError(
                f"{where}: {name}", expected="positive numbers", found=str(min(getattr(facts, name)))
            )


def _check_weights(facts: RewardFacts, weights: dict[str, torch.Tensor], where: str) -> None:
    """Refuse weights of other shapes before a network of the described size is made."""
    sizes = [len(facts.input_shift), *facts.hidden_sizes, 1]
    wanted: dict[str, tuple[int, ...]] = {}
    for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        wanted[f"weights.{layer}"] = (facts.members, fan_in, fan_out)
        wanted[f"biases.{layer}"] = (facts.members, 1, fan_out)
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    for name in sorted(set(wanted) | set(found)):
        if wanted.get(name) != found.get(name):
            raise UserError(
                f"{where}: {name}",
                expected=str(wanted.get(name, "no such entry")),
                found=str(found.get(name, "none")),
            )
        if weights[name].dtype != torch.float32 or not torch.isfinite(weights[name]).all():
            raise UserError(
                f"{where}: {name}",
                expected="finite float32 numbers",
                found=f"{weights[name].dtype}, finite: {bool(torch.isfinite(weights[name]).all())}",
            )
