"""The algorithms of stable-baselines3 and sb3-contrib that can train a policy."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import gymnasium
from stable_baselines3.common.base_class import BaseAlgorithm

from drex.errors import UserError

SB3Name = Literal["a2c", "trpo", "sac", "td3", "ddpg", "tqc", "dqn", "qrdqn"]
"""Every algorithm but PPO, which drex implements itself."""


@dataclass(frozen=True)
class Algorithm:
    """One algorithm of a library.

    Args:
        module: its module.
        class_name: its class.
        actions: its type of action space; ``None`` for every supported one.
        takes_clone: whether its policy is the actor-critic network that is cloned.
        environments: parallel environments by default.
    """

    module: str
    class_name: str
    actions: type[gymnasium.Space[Any]] | None
    takes_clone: bool = False
    environments: int = 1

    def acts_in(self, space: gymnasium.Space[Any]) -> bool:
        """Whether it supports this action space."""
        return self.actions is None or isinstance(space, self.actions)

    def load(self) -> type[BaseAlgorithm]:
        """Its class; UserError if the library is not installed."""
        try:
            return cast("type[BaseAlgorithm]", getattr(importlib.import_module(self.module), self.class_name))
        except ImportError as reason:
            where, expected = f"algorithm {self.class_name}", f"{self.module} to be installed"
            advice = f"pip install {self.module.replace('_', '-')}"
            raise UserError(where, expected=expected, found="no such module", do=advice) from reason


_BOX, _DISCRETE = gymnasium.spaces.Box, gymnasium.spaces.Discrete

ALGORITHMS: Mapping[str, Algorithm] = {
    "ppo": Algorithm("stable_baselines3", "PPO", None, takes_clone=True),
    "a2c": Algorithm("stable_baselines3", "A2C", None, takes_clone=True, environments=8),
    "trpo": Algorithm("sb3_contrib", "TRPO", None, takes_clone=True, environments=8),
    "sac": Algorithm("stable_baselines3", "SAC", _BOX),
    "td3": Algorithm("stable_baselines3", "TD3", _BOX),
    "ddpg": Algorithm("stable_baselines3", "DDPG", _BOX),
    "tqc": Algorithm("sb3_contrib", "TQC", _BOX),
    "dqn": Algorithm("stable_baselines3", "DQN", _DISCRETE),
    "qrdqn": Algorithm("sb3_contrib", "QRDQN", _DISCRETE),
}
"""Every algorithm by its name on the command line."""
