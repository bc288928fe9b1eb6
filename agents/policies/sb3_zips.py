"""Policies from stable-baselines3's zip files, without unpickling.

``PPO.load`` unpickles, which can run any code. Here the network is rebuilt from the shapes of its weights,
which torch loads with ``weights_only``, and from the zip's plain JSON. That is sufficient for the standard
networks of PPO, A2C, TRPO, SAC, TD3, DDPG and DQN. All others are refused.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import gymnasium
import torch
from stable_baselines3.common.policies import BasePolicy

from drex.agents.policies.network import make_features
from drex.agents.policies.saved import build_policy
from drex.agents.policies.saved_actor_critic import layer_sizes, load_weights
from drex.errors import UserError

Weights = dict[str, torch.Tensor]

_TAKEN_OVER = ("share_features_extractor", "normalize_images")
_UNREAD = (
    *("net_arch", "n_critics", "ortho_init", "log_std_init", "optimizer_class", "optimizer_kwargs"),
    *(":type:", ":serialized:"),  # of a value that is not plain: a type's name, and a pickle
)
"""Arguments that the weights imply or that only training reads."""


def load_zip(
    file: str | Path, observation_space: gymnasium.Space[Any], action_space: gymnasium.Space[Any]
) -> BasePolicy:
    """The policy that stable-baselines3 saved, for the spaces of a task.

    The zip does not include the statistics of ``VecNormalize``: observations are not normalized.

    Raises:
        UserError: no such file, no zip of stable-baselines3, a network that its weights do not determine, or
            other spaces.
    """
    described, weights = _read(Path(file))
    algorithm, infer = _family(str(file), described)
    arguments = _plain_arguments(str(file), described) | infer(weights)
    if any(name.endswith("features_extractor.cnn.0.weight") for name in weights):
        last = next(name for name in weights if name.endswith("features_extractor.linear.0.weight"))
        if arguments.get("features_extractor_class") is not make_features:
            arguments["features_extractor_kwargs"] = {"features_dim": len(weights[last])}
    if _was_transposed(described, observation_space):
        weights = _transposed(weights, observation_space)
    policy = build_policy(algorithm, observation_space, action_space, arguments, str(file))
    load_weights(policy, weights, str(file))
    return policy


def _was_transposed(described: dict[str, Any], space: gymnasium.Space[Any]) -> bool:
    """Whether stable-baselines3 moved the channels of the task's images to the front in training."""
    known = described.get("observation_space")
    seen = known.get("_shape") if isinstance(known, dict) else None
    shape = list(space.shape or ())
    return len(shape) == 3 and seen == [shape[2], *shape[:2]] != shape


def _transposed(weights: Weights, space: gymnasium.Space[Any]) -> Weights:
    """The weights of networks of flat images, with the inputs in the task's order: channels last."""
    height, width, channels = space.shape or ()
    count = height * width * channels
    order = torch.arange(count).reshape(channels, height, width).permute(1, 2, 0).flatten()

    def moved(name: str, part: torch.Tensor) -> torch.Tensor:
        first = re.search(r"(policy_net|value_net|latent_pi|mu|qf\d+|q_net|q_net_target)\.0\.weight$", name)
        if first is None or part.ndim != 2 or part.shape[1] < count:
            return part
        return torch.cat([part[:, order], part[:, count:]], dim=1)

    return {name: moved(name, part) for name, part in weights.items()}


def _read(file: Path) -> tuple[dict[str, Any], Weights]:
    expected = "a zip that stable-baselines3 saved"
    try:
        with zipfile.ZipFile(file) as archive:
            described = json.loads(archive.read("data"))
            weights = torch.load(io.BytesIO(archive.read("policy.pth")), "cpu", weights_only=True)
    except UnpicklingError as reason:
        raise _refused(str(file), "weights alone in policy.pth", "a pickle that would run code") from reason
    except Exception as reason:  # zip and torch fail in many ways on damaged bytes
        raise UserError(str(file), expected=expected, found=f"damage ({str(reason)[:200]})") from reason
    named = isinstance(weights, dict) and all(isinstance(part, torch.Tensor) for part in weights.values())
    whole = named and all(
        part.numel() * part.element_size() <= part.untyped_storage().nbytes() for part in weights.values()
    )
    if not isinstance(described, dict) or not whole:  # repeated numbers could take any memory
        raise UserError(str(file), expected=expected, found="other things by the same names")
    return described, dict(weights)


def _family(where: str, described: dict[str, Any]) -> tuple[str, Callable[[Weights], dict[str, Any]]]:
    """An algorithm with such a policy and its arguments from weights, by the module of the policy's class."""
    policy_class = described.get("policy_class")
    module = policy_class.get("__module__") if isinstance(policy_class, dict) else None
    if module not in _FAMILIES or described.get("use_sde"):
        found = "state-dependent exploration" if module in _FAMILIES else f"one of {module}"
        raise _refused(where, "a policy of PPO, A2C, TRPO, SAC, TD3, DDPG or DQN", found)
    return _FAMILIES[module]


def _plain_arguments(where: str, described: dict[str, Any]) -> dict[str, Any]:
    """The policy's arguments as far as the JSON holds them; it holds classes by name."""
    given = described.get("policy_kwargs") or {}
    found: dict[str, Any] = {}
    for name, value in given.items() if isinstance(given, dict) else ():
        if name in _TAKEN_OVER:
            found[name] = value
        elif name == "activation_fn":
            activation = re.fullmatch(r"<class 'torch\.nn\.modules\.activation\.(\w+)'>", str(value))
            found[name] = None if activation is None else getattr(torch.nn, activation[1], None)
            if found[name] is None:
                raise _refused(where, "an activation of torch", str(value))
        elif name == "features_extractor_class" and str(value).startswith("<function make_features at "):
            found[name] = make_features
        elif name == "features_extractor_kwargs" and set(value) <= {"features_dim", "image_precision"}:
            continue  # implied by the weights, or read in training only
        elif name not in _UNREAD and not (name == "use_sde" and value is False):
            raise _refused(where, "a network of stable-baselines3's own", f"{name} {value}")
    return found


def _refused(where: str, expected: str, found: str) -> UserError:
    return UserError(
        where,
        expected=f"{expected}, which can be read without running its pickled code",
        found=found,
        do="if you trust the file, load it in Python and call drex.record(model, ENV, FILE)",
    )


def _actor_critic(weights: Weights) -> dict[str, Any]:
    parts = {"pi": "mlp_extractor.policy_net", "vf": "mlp_extractor.value_net"}
    return {"net_arch": {name: layer_sizes(weights, part) for name, part in parts.items()}}


def _with_critics(weights: Weights, actor: list[int]) -> dict[str, Any]:
    critics = {name.split(".")[1] for name in weights if name.startswith("critic.qf")}
    sizes = {"pi": actor, "qf": layer_sizes(weights, "critic.qf0")[:-1]}
    return {"net_arch": sizes, "n_critics": len(critics)}  # DDPG is TD3 with one critic


_FAMILIES: dict[object, tuple[str, Callable[[Weights], dict[str, Any]]]] = {
    "stable_baselines3.common.policies": ("ppo", _actor_critic),
    "stable_baselines3.sac.policies": ("sac", lambda w: _with_critics(w, layer_sizes(w, "actor.latent_pi"))),
    "stable_baselines3.td3.policies": ("td3", lambda w: _with_critics(w, layer_sizes(w, "actor.mu")[:-1])),
    "stable_baselines3.dqn.policies": ("dqn", lambda w: {"net_arch": layer_sizes(w, "q_net.q_net")[:-1]}),
}
