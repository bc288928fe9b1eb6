"""Policies of any algorithm: as plain callables, and in the files of a run folder.

Actor-critic policies (PPO, A2C, TRPO) are saved by ``saved_actor_critic``. All others are written as
safetensors too, with the name of their algorithm and the arguments of their network in JSON.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any, cast

import gymnasium
import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy

from drex.agents.policies.acting import Policy, deterministic, stochastic
from drex.agents.policies.algorithm_registry import ALGORITHMS
from drex.agents.policies.network import PolicySettings
from drex.agents.policies.saved_actor_critic import (
    FORMAT,
    load_policy,
    load_weights,
    save_policy,
)
from drex.envs.data.stacked_frames import holds_images
from drex.errors import UserError
from drex.files.atomic import read_json_object, write_json
from drex.files.weights import read_weights, write_weights


def as_callable(policy: BasePolicy, *, seed: int | None) -> Policy:
    """A policy of stable-baselines3 as a plain callable that samples with this seed, or greedy (``None``)."""
    if isinstance(policy, ActorCriticPolicy):
        return deterministic(policy) if seed is None else stochastic(policy, seed=seed)
    stream = torch.Generator().manual_seed(0 if seed is None else seed).get_state()

    def act(observations: npt.NDArray[Any]) -> npt.NDArray[Any]:
        nonlocal stream
        with torch.random.fork_rng(devices=[]):  # stable-baselines3 samples from torch's global stream
            torch.set_rng_state(stream)
            actions, _ = policy.predict(observations, deterministic=seed is None)
            stream = torch.get_rng_state()
        return np.asarray(actions)

    return act


def save_trained(model: BaseAlgorithm, settings: PolicySettings, folder: Path) -> None:
    """Write ``policy.safetensors``, ``policy.json`` and stable-baselines3's ``policy.zip`` into a folder."""
    if isinstance(model.policy, ActorCriticPolicy):
        save_policy(model.policy, settings, folder)
    else:
        names = [name for name, known in ALGORITHMS.items() if known.class_name == type(model).__name__]
        write_weights(folder / "policy.safetensors", model.policy.state_dict())
        # The optimizer's class does not fit into JSON and does not affect how the policy acts.
        shaping = {k: v for k, v in model.policy_kwargs.items() if not k.startswith("optimizer_")}
        write_json(folder / "policy.json", {"format": FORMAT, "algorithm": names[0], "arguments": shaping})
    with open(folder / "policy.zip", "wb") as file:  # given a path without permission, it takes another one
        model.save(file)


def write_zip_of(policy: BasePolicy, trained: Path, file: Path) -> None:
    """Write a policy as a zip of stable-baselines3: that of a trained model, with the policy's own weights.

    Args:
        policy: with the network of the trained model.
        trained: its ``policy.zip``, which is copied without being unpickled.
        file: the new zip.
    """
    weights = io.BytesIO()
    torch.save({name: part.detach().cpu() for name, part in policy.state_dict().items()}, weights)
    with zipfile.ZipFile(trained) as source, zipfile.ZipFile(file, "w") as copy:
        for name in source.namelist():
            copy.writestr(name, weights.getvalue() if name == "policy.pth" else source.read(name))


def load_trained(
    folder: str | Path, observation_space: gymnasium.Space[Any], action_space: gymnasium.Space[Any]
) -> BasePolicy:
    """Read a policy that ``save_trained`` or ``save_policy`` wrote, for the spaces of its task.

    Raises:
        UserError: a file is missing or unreadable, of another format, or does not fit the spaces; or the
            library of its algorithm is not installed.
    """
    place = Path(folder)
    facts, where = read_json_object(place / "policy.json"), str(place / "policy.json")
    if "algorithm" not in facts:
        return load_policy(place, observation_space, action_space)
    algorithm = facts["algorithm"]
    if facts.get("format") != FORMAT or algorithm not in ALGORITHMS:
        expected = f"format {FORMAT} and one of {', '.join(ALGORITHMS)}"
        raise UserError(where, expected=expected, found=f"{facts.get('format')} and {algorithm!r}")
    weights = read_weights(place / "policy.safetensors")
    policy = build_policy(algorithm, observation_space, action_space, facts.get("arguments"), where)
    load_weights(policy, weights, str(place / "policy.safetensors"))
    return policy


def build_policy(
    algorithm: str,
    observation_space: gymnasium.Space[Any],
    action_space: gymnasium.Space[Any],
    arguments: Any,  # noqa: ANN401 (what a JSON file holds)
    where: str,
) -> BasePolicy:
    """An untrained policy of an algorithm; UserError for arguments or spaces that its class does not take."""
    algorithm_class = ALGORITHMS[algorithm].load()
    network = "CnnPolicy" if holds_images(observation_space) else "MlpPolicy"
    try:
        with torch.random.fork_rng(devices=[]):
            made: Any = algorithm_class.policy_aliases[network](
                observation_space, action_space, lambda _: 0.0, **dict(arguments)
            )
    except (AssertionError, NotImplementedError, TypeError, ValueError) as reason:
        expected = f"a network of {algorithm.upper()} for {observation_space} and {action_space}"
        raise UserError(where, expected=expected, found=str(reason) or type(reason).__name__) from reason
    made.set_training_mode(False)
    return cast("BasePolicy", made)
