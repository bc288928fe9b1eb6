"""Noise that makes any policy worse by degrees (D-REX section 4.2), for many environments at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import gymnasium
import numpy as np
import numpy.typing as npt

from drex.agents.policies import clip_to_space, uniform_actions
from drex.errors import UserError

NoiseKind = Literal["uniform", "held", "no_op"]
"""``uniform``: a fresh uniform action; ``held``: a uniform action held for some steps; ``no_op``: zeros."""


@dataclass(frozen=True, kw_only=True)
class NoiseSchedule:
    """Which disturbances, how strong, and how many episodes of each."""

    levels: tuple[float, ...] = tuple(round(0.05 * i, 2) for i in range(20))
    """Probability at each step that the whole action is replaced, from 0 (none) to 1."""
    episodes_per_level: int = 10
    """Episodes for every level of every kind."""
    kinds: tuple[NoiseKind, ...] = ("uniform",)
    """Disturbances; each is ranked within itself."""
    hold_steps: int = 8
    """Mean steps for which ``held`` repeats one random action."""

    def __post_init__(self) -> None:
        if len(self.levels) < 2 or not all(0.0 <= level <= 1.0 for level in self.levels):
            raise UserError("noise.levels", expected="two or more probabilities", found=str(self.levels))
        if self.episodes_per_level < 1 or self.hold_steps < 1:
            raise UserError(
                "noise",
                expected="at least 1 for episodes_per_level and hold_steps",
                found=f"{self.episodes_per_level} and {self.hold_steps}",
            )
        unknown = set(self.kinds) - set(get_args(NoiseKind))
        if unknown or not self.kinds:
            raise UserError("noise.kinds", expected=f"some of {get_args(NoiseKind)}", found=str(self.kinds))

    def jobs(self) -> list[NoiseJob]:
        """One job an episode, every kind, level and repeat."""
        return [
            NoiseJob(kind, level, self.hold_steps)
            for kind in self.kinds
            for level in self.levels
            for _ in range(self.episodes_per_level)
        ]


@dataclass(frozen=True)
class NoiseJob:
    """The disturbance of one episode."""

    kind: NoiseKind = "uniform"
    level: float = 0.0
    hold_steps: int = 8


class Disturbance:
    """One episode's disturbance, with its own random stream, so that results do not depend on batching.

    ``held`` starts a burst so often that the share of disturbed steps is the level: with bursts of
    ``hold_steps`` steps on average, a burst starts with probability ``level / (hold_steps · (1 − level) +
    level)`` a free step, and with probability ``level`` on an episode's first step, so that short episodes
    have their share too. ``no_op`` is the action nearest to zeros in the space.
    """

    def __init__(self, job: NoiseJob, space: gymnasium.Space[Any], generator: np.random.Generator) -> None:
        self._job, self._space, self._generator = job, space, generator
        self._held: npt.NDArray[Any] | None = None
        self._begun = False

    def __call__(self, action: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The action that is really taken in place of ``action``."""
        level = self._job.level
        if level == 0.0:
            return action
        if self._job.kind == "held":
            return self._hold(action)
        if self._generator.random() >= level:
            return action
        if self._job.kind == "no_op":
            return clip_to_space(np.zeros(action.shape, action.dtype), self._space)
        return self._random_action()

    def _random_action(self) -> npt.NDArray[Any]:
        return cast("npt.NDArray[Any]", uniform_actions(self._space, 1, self._generator)[0])

    def _hold(self, action: npt.NDArray[Any]) -> npt.NDArray[Any]:
        level, hold = self._job.level, self._job.hold_steps
        if self._held is not None and self._generator.random() < 1.0 / hold:
            self._held = None
        start = level / (hold * (1.0 - level) + level) if self._begun else level
        self._begun = True
        if self._held is None and self._generator.random() < start:
            self._held = self._random_action()
        return action if self._held is None else self._held
