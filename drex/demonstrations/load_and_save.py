"""Loading and saving of demonstrations.

drex's format is one npz file without pickles (``demonstrations.formats`` reads others). ``steps`` counts the
steps of all episodes, laid end to end:

=====================  ================================================================================
``observations``       (steps, *observation shape) numbers: before each action
``actions``            (steps, *action shape) numbers
``lengths``            (episodes,) positive integers: steps in each episode
``rewards``            optional (steps,): the true reward of each step, for evaluation; NaN where unknown
``terminated``         optional (episodes,) bool: false where the episode was truncated
``last_observations``  optional (episodes, *observation shape): after each last action
``format``             optional integer, default 1: number of the format; newer ones are refused
``task``               optional string: the task's name
``about``              optional string, a JSON object: how the demonstrations were made
=====================  ================================================================================

Files of stacked images store each frame once; they are of format 2 and hold, in place of ``observations`` and
``last_observations``:

=====================  ================================================================================
``frames``             (stored, height, width) uint8
``stacks``             (steps, stack) integers: rows of the frames before each action
``last_stacks``        optional (episodes, stack): those after each last action
=====================  ================================================================================

Numbers are integers or floats of at most 64 bits. Other arrays are ignored with a line in the log. The
demonstrations published with D-REX have the first four fields.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import Space, spaces

from drex.demonstrations.formats import npz, registry
from drex.demonstrations.validation import DemonstrationFields, check_fits_space, in_form_of
from drex.envs.data.trajectories import Trajectories
from drex.envs.data.true_returns import TrueReturns
from drex.errors import UserError

_logger = logging.getLogger("drex")


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """Trajectories of a demonstrator, and their true returns.

    Args:
        trajectories: observations and actions, without rewards.
        true_returns: one per episode, for evaluation only; NaN where unknown.
        source: the file, or another name of their origin.
        about: how they were made; empty where unknown.
        task: name of the task; ``None`` where unknown.
    """

    trajectories: Trajectories
    true_returns: TrueReturns
    source: str
    about: dict[str, Any] = field(default_factory=dict)
    task: str | None = None

    def __post_init__(self) -> None:
        episodes, returns = len(self.trajectories), len(self.true_returns)
        if returns != episodes:
            raise UserError(f"{self.source}: true returns", expected=f"{episodes}", found=f"{returns}")


def load_demonstrations(
    path: str | os.PathLike[str],
    *,
    observation_space: Space[Any] | None = None,
    action_space: Space[Any] | None = None,
    horizon: int | None = None,
    task: str | None = None,
    format_name: str | None = None,
) -> Demonstrations:
    """Read and check demonstrations of any format; dtypes are unchanged, in native byte order.

    Actions of a float Box are clipped to its bounds, as in the environment, with one line in the log (the
    published demonstrations are unclipped samples). Integers outside a space are refused.

    Without ``terminated`` in the file, an episode counts as terminated if it is shorter than ``horizon``, and
    otherwise, or without a horizon, as truncated.

    Args:
        path: an npz or HDF5 file, the folder of a Minari dataset or of an imitation dataset,
            or the name of a dataset in Minari's cache; ``docs/demonstrations.md`` describes them.
        observation_space: checked for shape, float or integer, and range of integers; ``None``: not checked.
        action_space: likewise; ``None``: neither checked nor clipped.
        horizon: the task's time limit in steps.
        task: the task of the run; a file that names another is logged, not refused, since versions of a task
            share their demonstrations.
        format_name: one of ``npz``, ``minari``, ``imitation``, ``d4rl``; ``None`` recognizes it.

    Raises:
        UserError: naming file, field, what was expected and what was found.
    """
    fields = registry.read(path, format_name)
    terminated, lengths = fields.terminated, fields.lengths
    if terminated is None:
        terminated = lengths < (0 if horizon is None else horizon)
    seen, last = fields.observations, fields.last_observations
    trajectories = Trajectories(seen, fields.actions, lengths, terminated, last)
    if fields.rewards is None:
        returns = TrueReturns.unknown(len(trajectories))
    else:
        returns = TrueReturns(np.add.reduceat(fields.rewards, trajectories.starts), fields.rewards)
    return fit_to_task(
        Demonstrations(trajectories, returns, os.fspath(path), fields.about, fields.task),
        observation_space=observation_space,
        action_space=action_space,
        horizon=horizon,
        task=task,
    )


def fit_to_task(
    demonstrations: Demonstrations,
    *,
    observation_space: Space[Any] | None = None,
    action_space: Space[Any] | None = None,
    horizon: int | None = None,
    task: str | None = None,
) -> Demonstrations:
    """The demonstrations, checked against a task and clipped to its actions; see ``load_demonstrations``.

    Raises:
        UserError: observations or actions that do not fit the spaces.
    """
    source, given = demonstrations.source, demonstrations.trajectories
    if observation_space is not None:
        last = given.last_observations
        seen = in_form_of(given.observations, observation_space)
        fitted = None if last is None else in_form_of(last, observation_space)
        given = replace(given, observations=seen, last_observations=fitted)
        check_fits_space(seen, observation_space, f"{source}: observations")
        if fitted is not None:
            check_fits_space(fitted, observation_space, f"{source}: last_observations")
    actions = given.actions
    if action_space is not None:
        check_fits_space(actions, action_space, f"{source}: actions")
        if isinstance(action_space, spaces.Box) and actions.dtype.kind == "f":
            actions = _clip(actions, action_space, source)
    if task is not None and demonstrations.task is not None and demonstrations.task != task:
        _logger.warning("%s: task: expected %s, found %s", source, task, demonstrations.task)
    longest = given.lengths.max()
    if horizon is not None and longest > horizon:
        warning = "%s: lengths: expected at most %d, the task's time limit, found %d"
        _logger.warning(warning, source, horizon, longest)
    return replace(demonstrations, trajectories=replace(given, actions=actions))


def save_demonstrations(
    path: str | os.PathLike[str],
    trajectories: Trajectories,
    *,
    rewards: npt.ArrayLike | None = None,
    task: str | None = None,
    about: Mapping[str, Any] | None = None,
    map_frames: bool = False,
) -> None:
    """Write an npz file atomically, which ``load_demonstrations`` reads back unchanged.

    Args:
        path: the npz file; replaced if it exists.
        trajectories: what to save.
        rewards: (steps,) true reward of each step, for evaluation; NaN where unknown.
        task: the task's name.
        about: how they were made; JSON values (tuples become lists).
        map_frames: leave stacked frames uncompressed, to be mapped when loaded: for many steps.

    Raises:
        UserError: loading would refuse the file, or the place cannot be written to.
    """
    try:
        facts = json.loads(json.dumps(dict(about or {}), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise UserError(f"{os.fspath(path)}: about", expected="JSON", found=str(error)) from error
    fields = DemonstrationFields(
        trajectories.observations,
        trajectories.actions,
        trajectories.lengths,
        None if rewards is None else np.asarray(rewards),
        trajectories.terminated,
        trajectories.last_observations,
        task or None,
        facts,
    )
    npz.write(Path(path), fields, map_frames=map_frames)


def _clip(actions: npt.NDArray[Any], space: spaces.Box, source: str) -> npt.NDArray[Any]:
    outside = (actions < space.low) | (actions > space.high)
    if not outside.any():
        return actions
    warning = "%s: actions: clipped to the action space: %d of %d entries lay outside, from %g to %g"
    _logger.warning(warning, source, outside.sum(), outside.size, actions.min(), actions.max())
    clipped: npt.NDArray[Any] = np.clip(actions, space.low, space.high)
    return clipped.astype(actions.dtype, copy=False)


def convert_demonstrations(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    source_format: str | None = None,
    target_format: str | None = None,
) -> Demonstrations:
    """Convert demonstrations from one format to another, with equal arrays; unknown fields remain unknown.

    All fields of ``validation.DemonstrationFields`` are converted; infos, seeds and spaces are not.

    Args:
        source: a file or folder, or the name of a dataset in Minari's cache.
        target: a file or folder that does not exist.
        source_format: one of ``npz``, ``minari``, ``imitation``, ``d4rl``; ``None`` recognizes it.
        target_format: likewise; ``None`` takes it from the ending, ``.npz``, ``.hdf5`` or ``.h5``.

    Returns:
        The demonstrations, read from the target.

    Raises:
        UserError: the source is not valid, or the target exists or cannot be written to.
    """
    registry.write(target, registry.read(source, source_format), target_format)
    return load_demonstrations(target, format_name=target_format)
