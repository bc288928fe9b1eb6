"""Policies of whatever algorithm: as plain callables, and in the files of a run folder.

Actor-critic policies (PPO, A2C, TRPO) are those of ``saved_actor_critic``. Any other is written as
safetensors too, with the name of its algorithm and the arguments of its network in JSON.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import gymnasium
import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy

from drex.agents.policies.acting import Policy, deterministic, stochastic
from drex.agents.policies.algorithm_registry import ALGORITHMS
from drex.agents.policies.network import PolicySettings
from drex.agents.policies.saved_actor_critic import (
    FORMAT,
    load_policy,
    load_weights,
    read_weights,
    save_policy,
)
from drex.envs.data.stacked_frames import holds_images
from drex.errors import UserError
from drex.files.atomic import read_json_object, write_json


def as_callable(policy: BasePolicy, *, seed: int | None) -> Policy:
    """A policy as a plain callable.

    Args:
        policy: of any algorithm of stable-baselines3.
        seed: of the actions that it samples, in a random stream of their own; ``None`` takes its most likely
            action. DQN, TD3 and their kin have no randomness and act the same either way.
    """
    if isinstance(policy, ActorCriticPolicy):
        return deterministic(policy) if seed is None else stochastic(policy, seed=seed)
    stream = torch.Generator().manual_seed(0 if seed is None else seed).get_state()

    def act(observations: npt.NDArray[Any]) -> npt.NDArray[Any]:
        nonlocal stream
        with torch.random.fork_rng(devices=[]):  # stable-baselines3 samples from torch's own stream
            torch.set_rng_state(stream)
            actions, _ = policy.predict(observations, deterministic=seed is None)
            stream = torch.get_rng_state()
        return np.asarray(actions)

    return act


def save_trained(model: BaseAlgorithm, settings: PolicySettings, folder: Path) -> None:
    """Write ``policy.safetensors`` and ``policy.json``, and beside them stable-baselines3's ``policy.zip``.

    Args:
        model: the trained algorithm.
        settings: of its network, if it is the one that is cloned.
        folder: that holds none of these yet.
    """
    if isinstance(model.policy, ActorCriticPolicy):
        save_policy(model.policy, settings, folder)
    else:
        names = [name for name, known in ALGORITHMS.items() if known.class_name == type(model).__name__]
        weights = {name: part.detach().cpu().clone() for name, part in model.policy.state_dict().items()}
        save_file(weights, folder / "policy.safetensors")
        # What trained it is a class, which JSON has no word for, and no part of how it acts.
        shaping = {k: v for k, v in model.policy_kwargs.items() if not k.startswith("optimizer_")}
        facts: dict[str, Any] = {"format": FORMAT, "algorithm": names[0], "arguments": shaping}
        write_json(folder / "policy.json", facts)
    model.save(folder / "policy.zip")


def load_trained(
    folder: str | Path, observation_space: gymnasium.Space[Any], action_space: gymnasium.Space[Any]
) -> BasePolicy:
    """Read a policy that ``save_trained`` or ``save_policy`` wrote, for the spaces of its task.

    Raises:
        UserError: a file is missing or unreadable, of another format, or does not fit the spaces; or the
            library of its algorithm is not installed.
    """
    place = Path(folder)
    facts = read_json_object(place / "policy.json")
    if "algorithm" not in facts:
        return load_policy(place, observation_space, action_space)
    if facts.get("format") != FORMAT or facts["algorithm"] not in ALGORITHMS:
        raise UserError(
            str(place / "policy.json"),
            expected=f"format {FORMAT} and one of {', '.join(ALGORITHMS)}",
            found=f"{facts.get('format')} and {facts['algorithm']!r}",
        )
    weights = read_weights(place)
    policy = build_policy(
        facts["algorithm"],
        observation_space,
        action_space,
        facts.get("arguments"),
        str(place / "policy.json"),
    )
    load_weights(policy, weights, str(place / "policy.safetensors"))
    return policy


def build_policy(
    algorithm: str,
    observation_space: gymnasium.Space[Any],
    action_space: gymnasium.Space[Any],
    arguments: Any,  # noqa: ANN401 (what a JSON file holds)
    where: str,
) -> BasePolicy:
    """An untrained policy of an algorithm.

    Raises:
        UserError: arguments that its class does not take, or spaces that it cannot see or act in.
    """
    algorithm_class = ALGORITHMS[algorithm].load()
    network = "CnnPolicy" if holds_images(observation_space) else "MlpPolicy"
    try:
        with torch.random.fork_rng(devices=[]):
            made: Any = algorithm_class.policy_aliases[network](
                observation_space, action_space, lambda _: 0.0, **dict(arguments)
            )
    except (AssertionError, NotImplementedError, TypeError, ValueError) as reason:
        raise UserError(
            where,
            expected=f"a network of {algorithm.upper()} for {observation_space} and {action_space}",
            found=str(reason) or type(reason).__name__,
        ) from reason
    made.set_training_mode(False)
    return cast("BasePolicy", made)
