"""The walk of ``tiny_environments`` as users bring theirs: by factory, wrapped, with other spaces.

The best return is 30 with every kind of action: forward at each step, and never tipping over.
"""

from __future__ import annotations

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete
from tiny_environments import HORIZON, Walk


def walk(*, horizon: int = HORIZON) -> gymnasium.Env:
    return gymnasium.wrappers.TimeLimit(Walk(), horizon)


def discrete_walk() -> gymnasium.Env:
    return gymnasium.wrappers.TimeLimit(Walk(discrete=True), HORIZON)


class Needy(Walk):
    """A walk that cannot be made without an argument."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope


class Place(gymnasium.ObservationWrapper):
    """A walk that observes a single number."""

    def __init__(self) -> None:
        super().__init__(walk())
        self.observation_space = Box(-np.inf, np.inf, (), np.float32)

    def observation(self, seen):
        return seen[0]


def in_a_dict(environment: gymnasium.Env) -> gymnasium.Env:
    """Observations {tilt, leaning, place}: 0 upright, 1 left, 2 right; the place goes before the tilt."""
    space = Dict(
        {
            "tilt": Box(-np.inf, np.inf, (1,), np.float32),
            "leaning": Discrete(3),
            "place": Box(-np.inf, np.inf, (1,), np.float64),
        }
    )

    def as_dict(seen):
        leaning = 0 if abs(seen[1]) < 0.2 else 1 if seen[1] < 0 else 2
        return {"tilt": seen[1:], "leaning": leaning, "place": seen[:1].astype(np.float64)}

    return gymnasium.wrappers.TransformObservation(environment, as_dict, space)


class Steps(gymnasium.ActionWrapper):
    """MultiDiscrete actions: back, stand or forward; left, stay or right."""

    def __init__(self, environment: gymnasium.Env) -> None:
        super().__init__(environment)
        self.action_space = MultiDiscrete([3, 3])

    def action(self, action):
        return np.asarray(action, np.float32) - 1.0


class Buttons(gymnasium.ActionWrapper):
    """MultiBinary actions: the buttons forward, back, left and right."""

    def __init__(self, environment: gymnasium.Env) -> None:
        super().__init__(environment)
        self.action_space = MultiBinary(4)

    def action(self, action):
        forward, back, left, right = np.asarray(action, np.float32)
        return np.array([forward - back, right - left], np.float32)
