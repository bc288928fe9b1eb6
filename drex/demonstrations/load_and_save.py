"""Files of demonstrations in and out, and what can be said of them before anything is learned.

Our own is one npz file (``drex.formats`` reads those of others), read without pickle. ``steps`` counts all
steps of all episodes, laid end to end:

=====================  ================================================================================
``observations``       (steps, *observation shape) numbers: what the agent saw before each action
``actions``            (steps, *action shape) numbers: what it did
``lengths``            (episodes,) positive whole numbers: steps in each episode
``rewards``            optional (steps,): the true reward of each step, for judging alone; NaN where unknown
``terminated``         optional (episodes,) bool: true where it ended by itself, false where cut off
``last_observations``  optional (episodes, *observation shape): what was seen after each last action
``format``             optional integer, absent means 1: this format's number; newer ones are refused
``task``               optional string: the task's name
``about``              optional string, a JSON object: how the demonstrations were made
=====================  ================================================================================

Stacked images keep each frame once; such a file is of format 2 and holds, in place of ``observations`` and
``last_observations``:

=====================  ================================================================================
``frames``             (stored, height, width) uint8
``stacks``             (steps, stack) whole numbers: which frames the agent saw before each action
``last_stacks``        optional (episodes, stack): which it saw after each last action
=====================  ================================================================================

Numbers are integers or floats of at most 64 bits. Other arrays are ignored with a line in the log. The
demonstrations published with D-REX have this layout with the first four fields alone.
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
from drex.demonstrations.validation import check_fits_space
from drex.envs.data.trajectories import Trajectories
from drex.envs.data.true_returns import TrueReturns
from drex.errors import UserError

_logger = logging.getLogger("drex")


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """What is learned from, and beside it, sealed, what it was worth.

    Args:
        trajectories: observations and actions, no rewards inside.
        true_returns: one an episode, for judging alone; NaN where the rewards are unknown.
        source: the file, or another name for where they came from.
        about: how they were made; empty where unknown.
        task: name of the task that they were made on; ``None`` where unknown.
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
    """Read and check demonstrations of any format; dtypes stay as they are, in native byte order.

    With an ``action_space`` that is a Box of floats, actions are clipped to its bounds with one line in the
    log, since environments clip what they are sent and the published demonstrations are unclipped samples.
    Without one they are left as they are. Integers outside a space are refused.

    Where the file has no ``terminated``, an episode shorter than ``horizon`` counts as ended by itself and
    one that reaches it as cut off; without a horizon all count as cut off.

    Args:
        path: an npz or HDF5 file, the folder of a Minari dataset or of an imitation dataset,
            or the name of a dataset in Minari's cache; ``docs/demonstrations.md`` describes them.
        observation_space: what the observations must fit: shape, float or integer, range of integers.
        action_space: what the actions must fit, likewise.
        horizon: the task's time limit in steps.
        task: the task they shall be used for; a file that names another is logged, not refused, because
            versions of a task share their demonstrations.
        format_name: the format, one of ``npz``, ``minari``, ``imitation``, ``d4rl``; ``None``
            recognises it.

    Raises:
        UserError: naming file, field, what was expected and what was found.
    """
    source = os.fspath(path)
    fields = registry.read(path, format_name)
    terminated = fields.terminated
    if terminated is None:
        terminated = fields.lengths < (0 if horizon is None else horizon)
    trajectories = Trajectories(
        fields.observations, fields.actions, fields.lengths, terminated, fields.last_observations
    )
    if fields.rewards is None:
        returns = TrueReturns.unknown(len(trajectories))
    else:
        returns = TrueReturns(np.add.reduceat(fields.rewards, trajectories.starts), fields.rewards)
    return fit_to_task(
        Demonstrations(trajectories, returns, source, fields.about, fields.task),
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
        check_fits_space(given.observations, observation_space, f"{source}: observations")
        if given.last_observations is not None:
            check_fits_space(given.last_observations, observation_space, f"{source}: last_observations")
    actions = given.actions
    if action_space is not None:
        check_fits_space(actions, action_space, f"{source}: actions")
        if isinstance(action_space, spaces.Box) and actions.dtype.kind == "f":
            actions = _clip(actions, action_space, source)
    if task is not None and demonstrations.task is not None and demonstrations.task != task:
        _logger.warning("%s: task: expected %s, found %s", source, task, demonstrations.task)
    if horizon is not None and given.lengths.max() > horizon:
        _logger.warning(
            "%s: lengths: expected at most %d, the task's time limit, found %d",
            source,
            horizon,
            given.lengths.max(),
        )
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
    """Write a file that ``load_demonstrations`` gives back unchanged, at once or not at all.

    Args:
        path: the npz file; replaced if it exists.
        trajectories: what to save.
        rewards: (steps,) true reward of each step, kept for judging; NaN where unknown.
        task: the task's name.
        about: how they were made; whatever JSON can hold (tuples come back as lists).
        map_frames: leave stacked frames uncompressed, so that loading reads them in place: for many steps.

    Raises:
        UserError: loading would refuse the file, or the place cannot be written to.
    """
    arrays: dict[str, npt.NDArray[Any]] = {
        "actions": trajectories.actions,
        "lengths": trajectories.lengths,
        "terminated": trajectories.terminated,
    }
    if rewards is not None:
        arrays["rewards"] = np.asarray(rewards)
    if task:
        arrays["task"] = np.asarray(task)
    if about:
        try:
            arrays["about"] = np.asarray(json.dumps(dict(about), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise UserError(f"{os.fspath(path)}: about", expected="JSON", found=str(error)) from error
    npz.write_with_observations(
        Path(path),
        arrays,
        trajectories.observations,
        last_observations=trajectories.last_observations,
        map_frames=map_frames,
    )


def _clip(actions: npt.NDArray[Any], space: spaces.Box, source: str) -> npt.NDArray[Any]:
    outside = (actions < space.low) | (actions > space.high)
    if not outside.any():
        return actions
    _logger.warning(
        "%s: actions: clipped to the action space: %d of %d entries lay outside, from %g to %g",
        source,
        outside.sum(),
        outside.size,
        actions.min(),
        actions.max(),
    )
    clipped: npt.NDArray[Any] = np.clip(actions, space.low, space.high)
    return clipped.astype(actions.dtype, copy=False)


def convert_demonstrations(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    source_format: str | None = None,
    target_format: str | None = None,
) -> Demonstrations:
    """Write in one format what is read from another: equal arrays, and what is unknown stays unknown.

    Kept are observations, actions, rewards, lengths, which episodes ended by themselves, last observations,
    task and text. Left behind is what no part of learning reads: infos, seeds, the spaces' names and bounds.

    Args:
        source: a file or folder, or the name of a dataset in Minari's cache.
        target: a file or folder that does not exist.
        source_format: its format, one of ``npz``, ``minari``, ``imitation``, ``d4rl``;
            ``None`` recognises it.
        target_format: likewise; ``None`` takes it from the ending, ``.npz``, ``.hdf5`` or ``.h5``.

    Returns:
        What was written, read again.

    Raises:
        UserError: the source is not sound, or the target exists or cannot be written to.
    """
    registry.write(target, registry.read(source, source_format), target_format)
    return load_demonstrations(target, format_name=target_format)
