"""Trajectories: observations and actions without rewards (D-REX section 3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from drex.envs.data.stacked_frames import Observations, StackedFrames, join_stacks
from drex.errors import UserError


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Episodes laid end to end, without rewards: nothing is learned from the true reward.

    Args:
        observations: (steps, *observation shape), before each action; stacked images as ``StackedFrames``,
            which are indexed like an array.
        actions: (steps, *action shape), as sent to the environment (Box: clipped to its bounds).
        lengths: (episodes,) int64, steps in each episode, all positive, summing to ``steps``.
        terminated: (episodes,) bool, false where the episode was truncated.
        last_observations: (episodes, *observation shape), after the last action of each episode; ``None``
            where unknown. With ``StackedFrames`` they are stacks of the same frames.

    Raises:
        UserError: shapes disagree, lengths do not add up, or a floating-point array holds NaN or infinity.
    """

    observations: Observations
    actions: npt.NDArray[Any]
    lengths: npt.NDArray[np.int64]
    terminated: npt.NDArray[np.bool_]
    last_observations: Observations | None = None

    def __post_init__(self) -> None:
        steps, episodes, lengths = len(self.observations), len(self.lengths), self.lengths
        if episodes == 0 or steps == 0:
            found = f"{episodes} episodes, {steps} steps"
            raise UserError("trajectories", expected="at least one episode of one step", found=found)
        if len(self.actions) != steps:
            expected = f"{steps} steps, as many as observations"
            raise UserError("actions", expected=expected, found=f"{len(self.actions)}")
        if lengths.ndim != 1 or not np.issubdtype(lengths.dtype, np.integer) or (lengths < 1).any():
            found = f"{lengths.dtype} {lengths.shape} with minimum {lengths.min()}"
            raise UserError("lengths", expected="a vector of positive integers", found=found)
        if int(lengths.sum()) != steps:
            expected = f"a sum of {steps}, the number of observations"
            raise UserError("lengths", expected=expected, found=f"{int(lengths.sum())}")
        if self.terminated.shape != (episodes,) or self.terminated.dtype != np.bool_:
            found = f"{self.terminated.shape} {self.terminated.dtype}"
            raise UserError("terminated", expected=f"({episodes},) bool", found=found)
        last, shape = self.last_observations, (episodes, *self.observations.shape[1:])
        if last is not None and last.shape != shape:
            raise UserError("last_observations", expected=f"{shape}", found=f"{last.shape}")
        frames = [getattr(array, "frames", None) for array in (self.observations, last)]
        if last is not None and frames[0] is not frames[1]:
            expected, found = "stacks of the same frames as observations", "observations without these frames"
            raise UserError("last_observations", expected=expected, found=found)
        for name in ("observations", "actions", "last_observations"):
            array = getattr(self, name)
            if array is not None and np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
                step = int(np.argwhere(~np.isfinite(array))[0, 0])
                raise UserError(name, expected="finite numbers", found=f"NaN or infinity at index {step}")

    @property
    def ends(self) -> npt.NDArray[np.int64]:
        """(episodes,) index one past the last step of each episode."""
        return np.cumsum(self.lengths)

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """(episodes,) index of the first step of each episode."""
        return self.ends - self.lengths

    @property
    def episode_of_step(self) -> npt.NDArray[np.int64]:
        """(steps,) index of the episode of each step."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self.lengths)

    def __repr__(self) -> str:
        return (
            f"Trajectories({len(self)} episodes, {len(self.observations)} steps, "
            f"observations {self.observations.shape[1:]} {self.observations.dtype}, "
            f"actions {self.actions.shape[1:]} {self.actions.dtype}, {int(self.terminated.sum())} terminated)"
        )

    def next_observations(self) -> Observations:
        """(steps, *observation shape) after each action; stacked frames remain stacked frames.

        Where the last observation of an episode is unknown, its last row repeats the one before.
        """
        last, last_steps = self.last_observations, self.ends - 1
        if isinstance(self.observations, StackedFrames):
            last_rows = last.rows if isinstance(last, StackedFrames) else None
            rows = _moved_on(self.observations.rows, last_steps, last_rows)
            return StackedFrames(self.observations.frames, rows)
        return _moved_on(self.observations, last_steps, None if last is None else np.asarray(last))

    def terminated_steps(self) -> npt.NDArray[np.bool_]:
        """(steps,) bool: true on the step that terminated its episode."""
        flags = np.zeros(len(self.observations), dtype=np.bool_)
        flags[self.ends - 1] = self.terminated
        return flags

    def select(self, episodes: Sequence[int] | npt.NDArray[np.int64]) -> Trajectories:
        """The episodes of these indices, in this order."""
        chosen = np.asarray(episodes, dtype=np.int64)
        starts, ends = self.starts, self.ends
        steps = np.concatenate([np.zeros(0, np.int64), *(np.arange(starts[e], ends[e]) for e in chosen)])
        return Trajectories(
            self.observations.take(steps, axis=0),
            self.actions[steps],
            self.lengths[chosen],
            self.terminated[chosen],
            None if self.last_observations is None else self.last_observations.take(chosen, axis=0),
        )

    @staticmethod
    def from_episodes(episodes: Iterable[Mapping[str, npt.ArrayLike]]) -> Trajectories:
        """Join single episodes.

        Args:
            episodes: mappings with ``observations``, (steps + 1, *observation shape), or (steps, ...) if the
                last observation is unknown; ``actions``, (steps, *action shape); and ``terminated``, false
                if the episode was truncated. Other entries are ignored.

        Raises:
            UserError: an entry is missing, or shapes disagree within an episode or between two.
        """
        return Trajectories.concatenate([_one_episode(*item) for item in enumerate(episodes)])

    @staticmethod
    def concatenate(parts: Sequence[Trajectories]) -> Trajectories:
        """All episodes of all parts, in order, with last observations if every part has them.

        Raises:
            UserError: no parts, or parts of different shapes.
        """
        if not parts:
            raise UserError("trajectories", expected="at least one episode", found="none")
        for part in parts:
            for name in ("observations", "actions"):
                first, other = getattr(parts[0], name).shape[1:], getattr(part, name).shape[1:]
                if other != first:
                    raise UserError(name, expected=f"{first} a step, as in the first part", found=str(other))
        if all(isinstance(part.observations, StackedFrames) for part in parts):
            observations, last_observations = _join_stacked(parts)
        else:
            lasts = [part.last_observations for part in parts]
            known = [np.asarray(last) for last in lasts if last is not None]
            observations = np.concatenate([np.asarray(part.observations) for part in parts])
            last_observations = np.concatenate(known) if len(known) == len(lasts) else None
        return Trajectories(
            observations,
            np.concatenate([part.actions for part in parts]),
            np.concatenate([part.lengths for part in parts]),
            np.concatenate([part.terminated for part in parts]),
            last_observations,
        )


def _one_episode(index: int, episode: Mapping[str, npt.ArrayLike]) -> Trajectories:
    where = f"episode {index}"
    for name in ("observations", "actions", "terminated"):
        if name not in episode:
            raise UserError(f"{where}: {name}", expected="an entry of this name", found=", ".join(episode))
    observations, actions = np.asarray(episode["observations"]), np.asarray(episode["actions"])
    steps, terminated = len(actions), np.asarray(episode["terminated"])
    if len(observations) not in (steps, steps + 1):
        expected = f"{steps} or {steps + 1} rows beside {steps} actions"
        raise UserError(f"{where}: observations", expected=expected, found=str(len(observations)))
    if terminated.shape != () or terminated.dtype != np.bool_:
        found = f"{terminated.shape} {terminated.dtype}"
        raise UserError(f"{where}: terminated", expected="true or false", found=found)
    last = observations[steps:] if len(observations) > steps else None
    return Trajectories(observations[:steps], actions, np.array([steps]), terminated[None], last)


def _moved_on(
    seen: npt.NDArray[Any], last_steps: npt.NDArray[np.int64], last: npt.NDArray[Any] | None
) -> npt.NDArray[Any]:
    """(steps, ...): the row after each; at an episode's last step ``last``, or the row itself."""
    following = np.empty_like(seen)
    following[:-1] = seen[1:]
    following[last_steps] = seen[last_steps] if last is None else last
    return following


def _join_stacked(parts: Sequence[Trajectories]) -> tuple[Observations, Observations | None]:
    """Observations and last observations of all parts, over one set of frames."""
    stacks = [part.observations for part in parts]
    lasts = [part.last_observations for part in parts]
    if any(last is None for last in lasts):
        return join_stacks([stack for stack in stacks if isinstance(stack, StackedFrames)]), None
    joined = join_stacks([stack for stack in [*stacks, *lasts] if isinstance(stack, StackedFrames)])
    steps, frames = sum(map(len, stacks)), joined.frames
    return StackedFrames(frames, joined.rows[:steps]), StackedFrames(frames, joined.rows[steps:])
