"""Noise injection at graded levels (D-REX section 4.2), for many environments at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import gymnasium
import numpy as np
import numpy.typing as npt

from drex.agents.policies.acting import actions_at, clip_to_space
from drex.errors import UserError
from drex.ranges import Count, Share, check_ranges, refuse_unread

NoiseName = Literal["uniform", "sticky", "no_op"]
"""``uniform``: a uniform action; ``sticky``: one that is repeated for some steps; ``no_op``: zeros."""


@dataclass(frozen=True, kw_only=True)
class NoiseSchedule:
    """Kinds and levels of noise, and episodes of each."""

    levels: tuple[Share, ...] = tuple(round(0.05 * i, 2) for i in range(20))
    """Noise levels: the probability at each step that the whole action is replaced."""
    episodes_per_level: Count = 10
    """Episodes per noise level and kind of noise."""
    names: tuple[NoiseName, ...] = ("uniform",)
    """Kinds of noise; each is ranked within itself. uniform: a random action; sticky: a random action that
    is repeated for some steps; no_op: zeros."""
    hold_steps: Count = 8
    """Sticky noise only: mean number of steps for which an action is repeated."""

    def __post_init__(self) -> None:
        check_ranges(self)
        name = type(self).__name__
        if len(self.levels) < 2:
            raise UserError(f"{name}.levels", expected="two levels or more", found=str(self.levels))
        if set(self.names) - set(get_args(NoiseName)) or not self.names:
            raise UserError(f"{name}.names", expected=f"some of {get_args(NoiseName)}", found=str(self.names))
        if "sticky" not in self.names:
            refuse_unread(self, "hold_steps", read_by="sticky noise")

    def jobs(self) -> list[NoiseJob]:
        """One job per episode: every kind of noise, level and repeat."""
        return [
            NoiseJob(name, level, self.hold_steps)
            for name in self.names
            for level in self.levels
            for _ in range(self.episodes_per_level)
        ]


@dataclass(frozen=True)
class NoiseJob:
    """The noise of one episode."""

    name: NoiseName = "uniform"
    level: float = 0.0
    hold_steps: int = 8


class ActionNoise:
    """One episode's noise, planned ahead, since it does not depend on the policy's actions.

    Each step takes equally many numbers from the episode's random stream: results depend neither on the
    number of parallel environments nor on the steps planned at a time.

    ``sticky``: a burst lasts ``hold_steps`` steps on average and starts with probability ``level /
    (hold_steps · (1 − level) + level)`` on a step without noise, ``level`` on an episode's first step: then
    the share of replaced steps is the level in short episodes too. ``no_op``: zeros, clipped to the space.
    """

    def __init__(self, job: NoiseJob, space: gymnasium.Space[Any], generator: np.random.Generator) -> None:
        self._job, self._space, self._generator = job, space, generator
        self._held: npt.NDArray[Any] | None = None
        self._begun = False

    def plan(self, steps: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[Any]]:
        """(steps,) bool: which of the next steps are replaced, and (steps, *action shape): by what."""
        level, shape = self._job.level, self._space.shape or ()
        if level == 0.0 or self._job.name == "no_op":
            nothing = clip_to_space(np.zeros((steps, *shape), self._space.dtype), self._space)
            return self._generator.random(steps) < level, nothing
        draws = self._generator.random((steps, 2 + math.prod(shape)))
        drawn = actions_at(self._space, draws[:, 2:].reshape(steps, *shape))
        return self._hold(draws, drawn) if self._job.name == "sticky" else (draws[:, 0] < level, drawn)

    def _hold(
        self, draws: npt.NDArray[np.float64], drawn: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[Any]]:
        level, hold = self._job.level, self._job.hold_steps
        released = draws[:, 0] < 1.0 / hold
        start: npt.NDArray[np.float64] = np.full(len(draws), level / (hold * (1.0 - level) + level))
        if not self._begun:
            start[0] = level
        self._begun = True
        started = draws[:, 1] < start
        # A step of ``started`` is in a burst, one of ``released`` alone is not; others are as the one before.
        settled = _latest(started | released)
        held = np.where(settled >= 0, started[settled], self._held is not None)
        held_before = np.concatenate([[self._held is not None], held[:-1]])
        drawn_at = _latest(started & (released | ~held_before))
        actions = drawn[drawn_at]
        if self._held is not None:
            actions[drawn_at < 0] = self._held
        self._held = actions[-1] if held[-1] else None
        return held, actions


def _latest(events: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """(steps,) index of the last event up to each step, −1 before the first."""
    return np.maximum.accumulate(np.where(events, np.arange(len(events)), -1))


class BatchedActionNoise:
    """The noise of many environments, one masked copy per step."""

    _PLANNED = 128

    def __init__(self, space: gymnasium.Space[Any], count: int) -> None:
        shape = space.shape or ()
        self._noise: list[ActionNoise | None] = [None] * count
        self._replaced: npt.NDArray[np.bool_] = np.zeros((self._PLANNED, count), np.bool_)
        self._actions: npt.NDArray[Any] = np.zeros((self._PLANNED, count, *shape), space.dtype)
        self._mask = self._replaced.reshape(*self._replaced.shape, *(1 for _ in shape))
        self._step = 0

    def begin(self, environment: int, noise: ActionNoise | None) -> None:
        """From the next step on, inject this noise into the environment; ``None``: no noise."""
        self._noise[environment] = noise
        self._plan(environment)

    def inject(self, actions: npt.NDArray[Any]) -> None:
        """Replace actions (n, *action shape) in place where the noise replaces them."""
        if self._step == self._PLANNED:
            self._step = 0
            for environment in range(len(self._noise)):
                self._plan(environment)
        np.copyto(actions, self._actions[self._step], casting="same_kind", where=self._mask[self._step])
        self._step += 1

    def _plan(self, environment: int) -> None:
        ahead = slice(self._step, None)
        noise = self._noise[environment]
        if noise is None:
            self._replaced[ahead, environment] = False
        elif self._step < self._PLANNED:
            planned = noise.plan(self._PLANNED - self._step)
            self._replaced[ahead, environment], self._actions[ahead, environment] = planned
