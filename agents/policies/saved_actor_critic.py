"""Actor-critic policies in files: weights as safetensors, settings as JSON. Nothing is unpickled."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import torch
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy

from drex.agents.policies.network import PolicySettings, make_policy
from drex.errors import UserError
from drex.files.atomic import read_json_object, write_json
from drex.files.dataclass_json import settings_from_json
from drex.files.weights import read_weights, write_weights

FORMAT = 1


def save_policy(policy: ActorCriticPolicy, settings: PolicySettings, folder: Path) -> None:
    """Write ``policy.safetensors`` and ``policy.json``."""
    write_weights(folder / "policy.safetensors", policy.state_dict())
    write_json(folder / "policy.json", {"format": FORMAT, "settings": dataclasses.asdict(settings)})


def load_policy(
    folder: str | Path, observation_space: gymnasium.Space[Any], action_space: gymnasium.Space[Any]
) -> ActorCriticPolicy:
    """Read a policy that ``save_policy`` wrote, for the spaces of its task.

    Raises:
        UserError: a file is missing or unreadable, of another format, or does not fit the spaces.
    """
    place = Path(folder)
    where = place / "policy.json"
    facts, weights = read_json_object(where), read_weights(place / "policy.safetensors")
    if facts.get("format") != FORMAT:
        raise UserError(f"{where}: format", expected=str(FORMAT), found=str(facts.get("format")))
    settings = settings_from_json(PolicySettings, facts.get("settings", {}), f"{where}: settings")
    for name, part in (("policy_hidden_sizes", "policy_net"), ("value_hidden_sizes", "value_net")):
        present, named = tuple(layer_sizes(weights, f"mlp_extractor.{part}")), getattr(settings, name)
        if present != named:  # before a network of any size is made
            expected = f"{present}, as the weights"
            raise UserError(f"{where}: settings: {name}", expected=expected, found=str(named))
    policy = make_policy(observation_space, action_space, settings, seed=0)
    load_weights(policy, weights, str(place / "policy.safetensors"))
    return policy


def layer_sizes(weights: Mapping[str, torch.Tensor], prefix: str) -> list[int]:
    """Outputs of each linear layer ``prefix.NUMBER``, in order."""
    numbered = {
        int(match[1]): len(part)
        for name, part in weights.items()
        if (match := re.fullmatch(re.escape(prefix) + r"\.(\d+)\.weight", name))
    }
    return [numbered[number] for number in sorted(numbered)]


def load_weights(policy: BasePolicy, weights: dict[str, torch.Tensor], where: str) -> None:
    """Load weights into a policy; UserError if names or shapes differ."""
    wanted = {name: tuple(tensor.shape) for name, tensor in policy.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if wanted != found:
        name = min(set(wanted.items()) ^ set(found.items()))[0]
        expected = str(wanted.get(name, "no such entry"))
        raise UserError(f"{where}: {name}", expected=expected, found=str(found.get(name, "none")))
    policy.load_state_dict(weights)
