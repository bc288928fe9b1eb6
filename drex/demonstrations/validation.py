"""Validation of demonstrations, for all formats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from gymnasium import Space, spaces

from drex.envs.data.stacked_frames import Observations, StackedFrames
from drex.envs.json_options import json_object
from drex.errors import UserError

FORMAT = 2
"""Newest supported format. Files without ``frames`` are of format 1."""
REQUIRED = ("observations", "actions", "lengths")
OPTIONAL = ("rewards", "terminated", "last_observations", "format", "task", "about")
AnyArray = TypeVar("AnyArray", npt.NDArray[Any], Observations)
STACKED = ("frames", "stacks", "last_stacks")
"""In place of ``observations`` and ``last_observations``, for images that share frames."""


@dataclass(frozen=True, eq=False)
class DemonstrationFields:
    """The fields of a file of demonstrations; absent ones are ``None`` (``about``: empty).

    Args:
        observations: (steps, *observation shape), finite.
        actions: (steps, *action shape), finite.
        lengths: (episodes,) positive, summing to steps.
        rewards: (steps,), NaN where unknown.
        terminated: (episodes,) bool.
        last_observations: (episodes, *observation shape), of the observations' dtype.
        task: name of the task.
        about: how they were made.
    """

    observations: Observations
    actions: npt.NDArray[Any]
    lengths: npt.NDArray[np.int64]
    rewards: npt.NDArray[np.float64] | None
    terminated: npt.NDArray[np.bool_] | None
    last_observations: Observations | None
    task: str | None
    about: dict[str, Any]


def check_fields(
    given: Mapping[str, npt.NDArray[Any]], source: str, *, field_names: Mapping[str, str] | None = None
) -> DemonstrationFields:
    """Check all that does not depend on the environment.

    Lengths may be floats with integer values, as spreadsheets and MATLAB write them.

    Args:
        given: by field name, ``REQUIRED`` and any of ``OPTIONAL``, or ``STACKED`` in place of observations.
        source: name of the file, for errors.
        field_names: the file's other names of fields, for errors.

    Raises:
        UserError: naming source, field, what was expected and what was found.
    """
    where = {name: f"{source}: {(field_names or {}).get(name, name)}" for name in REQUIRED + OPTIONAL}
    _check_format(given.get("format"), where["format"])
    arrays: dict[str, Any] = {**given, **_stacked(given, source)}
    for name in REQUIRED:
        if name not in arrays:
            present = ", ".join(sorted(arrays)) or "none of the format's arrays"
            raise UserError(where[name], expected="an array of this name", found=present)
    observations = check_numbers(arrays["observations"], where["observations"])
    actions = check_numbers(arrays["actions"], where["actions"])
    steps = len(observations)
    check_shape(actions, (steps, *actions.shape[1:]), where["actions"], "as many steps as observations")
    lengths = _lengths(arrays["lengths"], steps, where["lengths"])
    rewards = arrays.get("rewards")
    if rewards is not None:
        check_shape(rewards, (steps,), where["rewards"], "one a step")
        rewards = check_numbers(rewards, where["rewards"], allow_nan=True).astype(np.float64)
    terminated = arrays.get("terminated")
    if terminated is not None:
        check_shape(terminated, lengths.shape, where["terminated"], "one an episode")
        if terminated.dtype != np.bool_:
            raise UserError(where["terminated"], expected="bool", found=str(terminated.dtype))
    last = arrays.get("last_observations")
    if last is not None:
        place, shape = where["last_observations"], (len(lengths), *observations.shape[1:])
        check_shape(last, shape, place, "one an episode, each shaped as observations")
        if last.dtype != observations.dtype:
            raise UserError(place, expected=f"{observations.dtype} as observations", found=str(last.dtype))
        last = check_numbers(last, place)
    task, text = _text(arrays.get("task"), where["task"]), _text(arrays.get("about"), where["about"])
    about = {} if text is None else json_object(text, where["about"])
    return DemonstrationFields(observations, actions, lengths, rewards, terminated, last, task, about)


def in_form_of(array: Observations, space: Space[Any]) -> Observations:
    """Observations (steps, *shape) in the form of an environment's Box, where that changes no value.

    Integers within a Box of floats become floats, except bytes, which may be pixels; option numbers of a
    flattened Discrete become one-hot, and single numbers get an axis of their own. Everything else is
    returned as it is.
    """
    if not isinstance(space, spaces.Box) or np.dtype(space.dtype).kind != "f":
        return array
    if isinstance(array, StackedFrames):
        return array
    if array.ndim == 1 and array.dtype.kind in "iu" and len(space.shape) == 1:
        options = space.shape[0]
        one_hot = (space.low == 0).all() and (space.high == 1).all() and options > 1
        if one_hot and array.min() >= 0 and array.max() < options:
            rows: npt.NDArray[Any] = np.eye(options, dtype=space.dtype)
            return rows[array]
    if array.ndim == 1 and space.shape == (1,):
        array = array[:, None]
    if array.dtype.kind in "iu" and array.dtype != np.uint8 and array.shape[1:] == space.shape:
        floats = array.astype(space.dtype)
        inside = (floats >= space.low) & (floats <= space.high)
        if (inside & (floats.astype(array.dtype) == array)).all():
            return floats
    return array


def check_fits_space(array: Observations, space: Space[Any], where: str) -> None:
    """Check shape, kind of number (float or integer) and, for integers, range of (steps, *shape) by a space.

    Floats outside a Box pass: observation bounds are rarely exact, and actions are clipped later.

    Raises:
        UserError: the array does not fit, or the space is not Box, Discrete, MultiDiscrete or MultiBinary.
    """
    space_type = type(space).__name__
    if not isinstance(space, (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)):
        expected = "an environment of Box, Discrete, MultiDiscrete or MultiBinary spaces"
        raise UserError(where, expected=expected, found=space_type)
    shape, is_float = array.shape[1:], array.dtype.kind == "f"
    if shape != space.shape or is_float != (np.dtype(space.dtype).kind == "f"):
        expected = f"{space.shape} {space.dtype} a step, the environment's {space_type}"
        advice = "are these demonstrations of this environment?"
        raise UserError(where, expected=expected, found=f"{shape} {array.dtype}", do=advice)
    if is_float:
        return
    low, high = _integer_bounds(space)
    bounds = np.iinfo(array.dtype)
    if (low <= bounds.min).all() and (high >= bounds.max).all():
        return  # nothing can be outside, so that no image need be read
    array = np.asarray(array)
    outside = np.argwhere((array < low) | (array > high))
    if len(outside):
        at = tuple(outside[0])
        least, most = np.broadcast_to(low, array.shape)[at], np.broadcast_to(high, array.shape)[at]
        expected = f"integers from {least} to {most}, the environment's {space_type}"
        raise UserError(where, expected=expected, found=f"{array[at]} in row {at[0]}")


def _stacked(given: Mapping[str, npt.NDArray[Any]], source: str) -> dict[str, StackedFrames]:
    """Observations and last observations of a file with frames; empty for other files."""
    present = [name for name in STACKED[:2] if name in given]
    if not present or "observations" in given:
        return {}
    missing = set(STACKED[:2]) - set(present)
    if missing:
        raise UserError(f"{source}: {missing.pop()}", expected=f"an array beside {present[0]}", found="none")
    frames = given["frames"]
    if frames.dtype != np.uint8 or frames.ndim != 3:
        found = f"{frames.dtype} {frames.shape}"
        raise UserError(f"{source}: frames", expected="uint8 (stored, height, width)", found=found)
    names = {"observations": "stacks", "last_observations": "last_stacks"}
    try:
        return {field: StackedFrames(frames, given[name]) for field, name in names.items() if name in given}
    except UserError as error:
        raise UserError(f"{source}: {error.where}", expected=error.expected, found=error.found) from error


def check_shape(array: Observations, shape: tuple[int, ...], where: str, why: str) -> None:
    """Refuse an array of another shape; ``why`` explains the shape in the error."""
    if array.shape != shape:
        raise UserError(where, expected=f"shape {shape}, {why}", found=f"shape {array.shape}")


def check_numbers(array: AnyArray, where: str, *, allow_nan: bool = False) -> AnyArray:
    """Refuse all but integers or floats of at most 64 bits, no rows, infinity, and NaN unless allowed."""
    if array.dtype.kind not in "fiu" or array.dtype.itemsize > 8:
        raise UserError(where, expected="integers or floats of at most 64 bits", found=str(array.dtype))
    if array.ndim == 0 or array.size == 0:
        raise UserError(where, expected="one row a step, at least one", found=f"shape {array.shape}")
    if array.dtype.kind != "f" or isinstance(array, StackedFrames):
        return array
    wrong = np.isinf(array) if allow_nan else ~np.isfinite(array)
    if wrong.any():
        at = tuple(np.argwhere(wrong)[0])
        found = "NaN" if np.isnan(array[at]) else "infinity"
        raise UserError(where, expected="finite numbers", found=f"{found} in row {at[0]}")
    return array


def _integer_bounds(space: Space[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    if isinstance(space, spaces.Box):
        return space.low, space.high
    if isinstance(space, spaces.Discrete):
        return np.asarray(space.start), np.asarray(space.start + space.n - 1)
    if isinstance(space, spaces.MultiDiscrete):
        return np.asarray(space.start), np.asarray(space.start + space.nvec - 1)
    return np.asarray(0), np.asarray(1)


def _check_format(number: npt.NDArray[Any] | None, where: str) -> None:
    if number is None:
        return
    if number.shape != () or number.dtype.kind not in "iu" or int(number) < 1:
        raise UserError(where, expected="one positive integer", found=_brief(number))
    if int(number) > FORMAT:
        raise UserError(where, expected=f"at most {FORMAT}", found=f"{int(number)}", do="update drex")


def _lengths(lengths: npt.NDArray[Any], steps: int, where: str) -> npt.NDArray[np.int64]:
    if lengths.ndim != 1 or lengths.size == 0:
        raise UserError(where, expected="a vector, one length an episode", found=f"shape {lengths.shape}")
    if lengths.dtype.kind not in "fiu":
        raise UserError(where, expected="integers", found=str(lengths.dtype))
    unfit = ~((lengths >= 1) & (lengths == np.floor(lengths)))  # NaN is unfit too
    if unfit.any():
        at = int(np.argmax(unfit))
        raise UserError(where, expected="positive integers", found=f"{lengths[at]} in row {at}")
    # Compared before summing, so that no sum overflows.
    if lengths.max() > steps or int(lengths.sum(dtype=np.float64)) != steps:
        found = f"{lengths.sum(dtype=np.float64):.0f} over {len(lengths)} episodes"
        raise UserError(where, expected=f"a sum of {steps}, the number of observations", found=found)
    if lengths.max() == 1:
        expected = "at least one episode of two steps or more, since windows of several steps are ranked"
        raise UserError(where, expected=expected, found=f"{len(lengths)} episodes of one step each")
    return lengths.astype(np.int64)


def _text(array: npt.NDArray[Any] | None, where: str) -> str | None:
    if array is None:
        return None
    if array.shape != () or array.dtype.kind != "U":
        raise UserError(where, expected="one string", found=_brief(array))
    return str(array.item())


def _brief(array: npt.NDArray[Any]) -> str:
    shown = f": {array}" if array.size == 1 and array.dtype.kind in "fiub" else ""
    return f"{array.dtype} of shape {array.shape}{shown}"
