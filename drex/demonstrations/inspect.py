"""Summary of a demonstration file, with warnings."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from drex.demonstrations.load_and_save import Demonstrations
from drex.envs.data.stacked_frames import Observations, StackedFrames
from drex.envs.data.trajectories import Trajectories
from drex.errors import printable

_UNUSUAL = 300.0
"""Median standard deviation of observations, or its inverse, from which their unit is unusual."""
_FAR = 10_000
"""Mean of a coordinate in standard deviations from which float32 rounds its changes away."""
_ROUNDED = 1e6
"""Value of a coordinate that never changes from which float32 may have rounded its changes away."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """Summary of demonstrations, without their true returns.

    Args:
        source: file or other origin.
        task: name of the task, ``None`` where unknown.
        episodes: number of episodes.
        steps: number of steps in all episodes.
        lengths: steps in the shortest, the median and the longest episode.
        terminated: number of terminated episodes.
        knows_last_observations: whether last observations are known.
        observation: shape and dtype of one observation.
        action: shape and dtype of one action.
        action_range: minimum and maximum entry of all actions.
        repeated_actions: share of steps, 0 to 1, whose action equals the previous one of the episode.
        warnings: one sentence each.
    """

    source: str
    task: str | None
    episodes: int
    steps: int
    lengths: tuple[int, float, int]
    terminated: int
    knows_last_observations: bool
    observation: str
    action: str
    action_range: tuple[float, float]
    repeated_actions: float
    warnings: tuple[str, ...]

    def lines(self) -> list[str]:
        """One fact per line, the warnings last."""
        shortest, median, longest = self.lengths
        low, high = self.action_range
        last = "known" if self.knows_last_observations else "unknown"
        lines = [
            f"file          {self.source}",
            f"task          {self.task or 'not named'}",
            f"episodes      {self.episodes}, {self.terminated} terminated",
            f"steps         {self.steps}, {shortest} to {longest} per episode, median {median:g}",
            f"observations  {self.observation}, last ones {last}",
            f"actions       {self.action}, from {low:g} to {high:g}, {self.repeated_actions:.1%} repeated",
            *(f"warning: {warning}" for warning in self.warnings),
        ]
        return [printable(line) for line in lines]


def describe(demonstrations: Demonstrations) -> Description:
    """Summary of demonstrations, with the warnings of ``data_warnings``; true returns are not read."""
    trajectories = demonstrations.trajectories
    observations, actions, lengths = trajectories.observations, trajectories.actions, trajectories.lengths
    flat = actions.reshape(len(actions), -1)
    follows = np.ones(len(actions), dtype=np.bool_)
    follows[trajectories.starts] = False
    repeats = np.append(False, (flat[1:] == flat[:-1]).all(axis=1))[follows]
    return Description(
        source=demonstrations.source,
        task=demonstrations.task,
        episodes=len(trajectories),
        steps=len(observations),
        lengths=(int(lengths.min()), float(np.median(lengths)), int(lengths.max())),
        terminated=int(trajectories.terminated.sum()),
        knows_last_observations=trajectories.last_observations is not None,
        observation=f"{observations.shape[1:]} {observations.dtype}",
        action=f"{actions.shape[1:]} {actions.dtype}",
        action_range=(float(actions.min()), float(actions.max())),
        repeated_actions=float(repeats.mean()) if len(repeats) else 0.0,
        warnings=data_warnings(trajectories),
    )


def data_warnings(trajectories: Trajectories) -> tuple[str, ...]:
    """Likely problems of cloning or reward learning, one sentence each."""
    actions = trajectories.actions.reshape(len(trajectories.actions), -1)
    steps, lengths = len(actions), trajectories.lengths
    constant = np.flatnonzero((actions == actions[0]).all(axis=0))
    extreme = _extreme_share(actions)
    unmarked = len(lengths) > 1 and not trajectories.terminated.any()
    same_length = bool((lengths == lengths[0]).all())
    repeats = _repeated_episodes(trajectories)
    sentences = {
        f"only {steps} steps: cloning needs about 1000 or more": steps < 1000,
        f"constant actions, coordinates {constant.tolist()}: nothing to clone there": len(constant) > 0,
        f"{extreme:.1%} of the action entries lie on the least or greatest value of their coordinate: "
        "clipped, or driven hard from end to end": extreme > 0.01,
        f"{repeats} of {len(lengths)} episodes repeat an earlier one: which count twice": (repeats > 0),
        "observations look already normalised: the policy must see them normalised in the same way": (
            _looks_normalised(trajectories.observations)
        ),
        f"all episodes are {lengths[0]} steps long and none is marked as terminated: right only if the task "
        "ends at a time limit alone": unmarked and same_length,
        "episodes differ in length and none is marked as terminated: add `terminated` or name the task's "
        "time limit": unmarked and not same_length,
    }
    return (*unit_warnings(trajectories), *(sentence for sentence, holds in sentences.items() if holds))


def unit_warnings(trajectories: Trajectories) -> tuple[str, ...]:
    """Observations in units that networks cannot learn from, one sentence each; none for images."""
    if isinstance(trajectories.observations, StackedFrames) or trajectories.observations.dtype.kind != "f":
        return ()
    vectors = trajectories.observations.reshape(len(trajectories.observations), -1).astype(np.float64)
    mean, deviation = np.abs(vectors.mean(axis=0)), vectors.std(axis=0)
    varies = deviation > 1e-7 * mean
    usual = float(np.median(deviation[varies])) if varies.any() else 1.0
    far = np.flatnonzero((mean > _FAR * deviation) & (varies | (mean > _ROUNDED)))
    sentences = {
        f"observations change by about {usual:.0e}: rescale them to about 1 in a wrapper": (
            not 1 / _UNUSUAL < usual < _UNUSUAL
        ),
        f"observations, coordinates {far.tolist()}, change by less than a {_FAR:,}th of their value: "
        "subtract their origin in a wrapper": len(far) > 0,
    }
    return tuple(sentence for sentence, holds in sentences.items() if holds)


def _repeated_episodes(trajectories: Trajectories) -> int:
    """Number of episodes with the observations and actions of an earlier one, by hash."""
    seen: set[bytes] = set()
    for start, end in zip(trajectories.starts, trajectories.ends, strict=True):
        content = hashlib.sha256(np.ascontiguousarray(trajectories.actions[start:end]).tobytes())
        content.update(np.ascontiguousarray(trajectories.observations[start:end]).tobytes())
        seen.add(content.digest())
    return len(trajectories) - len(seen)


def _extreme_share(actions: npt.NDArray[Any]) -> float:
    """Share of entries on an extreme of their coordinate that occurs more than once, as after clipping."""
    if actions.dtype.kind != "f":
        return 0.0
    least, greatest = actions.min(axis=0), actions.max(axis=0)
    counts = np.stack([(actions == least).sum(axis=0), (actions == greatest).sum(axis=0)])
    counts[:, least == greatest] = 0  # constant: another warning
    return float(counts[counts > 1].sum() / actions.size)


def _looks_normalised(observations: Observations) -> bool:
    """Float images in [0, 1], or vectors of which nearly all coordinates have mean 0 and deviation 1."""
    if observations.dtype.kind != "f" or isinstance(observations, StackedFrames):
        return False
    if observations.ndim > 2:
        return bool(observations.min() >= 0 and observations.max() <= 1)
    vectors = observations.reshape(len(observations), -1).astype(np.float64)
    deviation = vectors.std(axis=0)
    varies = deviation > 1e-6
    usual = (np.abs(vectors.mean(axis=0)) < 0.25) & (np.abs(deviation - 1) < 0.25)
    return bool(varies.any() and usual[varies].mean() >= 0.9)
