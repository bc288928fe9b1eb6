"""Making one environment of a task, by id or by the user's factory, wrapped and flattened.

Observations that are no Box (Dict, Tuple, Discrete, MultiDiscrete, MultiBinary) are flattened into float32 by
gymnasium's wrappers, in the order of ``gymnasium.spaces.utils.flatten``: a Dict by its sorted keys, a Tuple
by position, each Discrete entry one-hot.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from gymnasium.wrappers import FlattenObservation, TimeLimit, TransformObservation

from drex.envs.checked import CheckedEnv
from drex.envs.task_names import factory_of, read_task_name, wrapped
from drex.errors import UserError

NARROWEST, WIDEST = 0.1, 100.0
"""Sides of a Box of actions: networks' outputs are near 1, and Adam moves them by thousandths per step. With
narrower sides the minimum standard deviation of a clone covers half the Box; with wider ones cloning is less
exact (a smooth policy is cloned to 0.1% of the width at 1, to 1% at 100)."""


def build_environment(task: str, **more: Any) -> gymnasium.Env[Any, Any]:
    """Make one environment of a task.

    Args:
        task: a name from ``task_name``.
        more: further keyword arguments, such as ``render_mode``.

    Raises:
        UserError: it cannot be made, or its observations cannot be flattened.
        TypeError: the task's maker does not take one of ``more``.
    """
    spec = read_task_name(task)
    try:
        factory, arguments = factory_of(spec.maker), spec.kwargs | more
        environment = gymnasium.make(spec.maker, **arguments) if factory is None else factory(**arguments)
    except (gymnasium.error.Error, ImportError) as reason:
        raise _wrong(task, "an environment that gymnasium can make", str(reason)) from reason
    except TypeError as reason:
        if more or not (spec.kwargs or "required" in str(reason)):
            raise
        raise _wrong(task, "keyword arguments that it takes", str(reason)) from reason
    _check_is_environment(f"task {task!r}", environment)
    for wrapper in spec.wrappers:
        environment = wrapped(environment, wrapper)
        _check_is_environment(f"wrapper {wrapper.name()!r}", environment)
    return CheckedEnv(_flat(task, environment), task)


def _wrong(task: str, expected: str, found: str, do: str = "") -> UserError:
    return UserError(f"task {task!r}", expected=expected, found=found, do=do)


def horizon_of(environment: gymnasium.Env[Any, Any]) -> int | None:
    """Steps after which an episode is truncated; ``None`` without a known limit."""
    if environment.spec is not None and environment.spec.max_episode_steps is not None:
        return environment.spec.max_episode_steps
    layer = environment
    while isinstance(layer, gymnasium.Wrapper):
        if isinstance(layer, TimeLimit):
            return int(layer._max_episode_steps)
        layer = layer.env
    return None


def check_actions(task: str, space: gymnasium.Space[Any]) -> None:
    """Refuse action spaces that no policy supports.

    Raises:
        UserError: not a bounded Box (n,) of floats, Discrete, MultiDiscrete (n,) or MultiBinary (n,); one
            that does not count from 0; or a Box whose sides are too narrow or too wide.
    """
    if isinstance(space, Box):
        _check_box(task, space)
        return
    usable = isinstance(space, (Discrete, MultiDiscrete, MultiBinary)) and len(space.shape or ()) <= 1
    if not usable or np.any(getattr(space, "start", 0)):
        spaces = "a bounded Box (n,), or in Discrete, MultiDiscrete (n,) or MultiBinary (n,) from 0"
        advice = "translate them in a wrapper, see gymnasium.ActionWrapper"
        raise _wrong(task, f"actions in {spaces}", str(space), advice)


def _check_box(task: str, space: Box) -> None:
    if not space.is_bounded() or len(space.shape) != 1 or np.dtype(space.dtype).kind != "f":
        expected = "actions in a bounded Box (n,) of floats, since noise draws uniformly from it"
        advice = "bound, flatten or translate them in a wrapper, see gymnasium.wrappers.TransformAction"
        raise _wrong(task, expected, str(space), advice)
    widths = space.high.astype(np.float64) - space.low
    if widths.min() < NARROWEST or widths.max() > WIDEST:
        expected = f"a Box of actions whose sides are {NARROWEST:g} to {WIDEST:g} wide"
        advice = "scale them in a wrapper, see gymnasium.wrappers.RescaleAction, and the demonstrations alike"
        raise _wrong(task, expected, f"sides {widths.min():g} to {widths.max():g} wide", advice)


def _flat(task: str, environment: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    space = environment.observation_space
    if isinstance(space, Box) and space.shape:
        return environment
    for place, leaf in _leaves(space, "observation"):
        if not isinstance(leaf, (Box, Discrete, MultiDiscrete, MultiBinary)):
            expected = "Box, Discrete, MultiDiscrete or MultiBinary observations, also in a Dict or Tuple"
            advice = "translate it in a wrapper, or drop it by gymnasium.wrappers.FilterObservation"
            raise _wrong(task, expected, f"{place}: {leaf}", advice)
        if isinstance(leaf, Box) and leaf.dtype == np.uint8 and len(leaf.shape) >= 2:
            expected = "no image inside a Dict or Tuple, whose flattening would lose its shape"
            advice = "encode or drop it in a wrapper, or let it be the whole observation"
            raise _wrong(task, expected, f"{place}: Box {leaf.shape} uint8", advice)
    flat = FlattenObservation(environment)
    bounds: Any = flat.observation_space
    single = Box(bounds.low.astype(np.float32), bounds.high.astype(np.float32), dtype=np.float32)
    return TransformObservation(flat, lambda seen: seen.astype(np.float32, copy=False), single)


def _leaves(space: gymnasium.Space[Any], place: str) -> Iterator[tuple[str, gymnasium.Space[Any]]]:
    """Every space without subspaces, with its place."""
    if isinstance(space, (Dict, Tuple)):
        inside = space.spaces.items() if isinstance(space, Dict) else enumerate(space.spaces)
        for key, value in inside:
            yield from _leaves(value, f"{place}[{key!r}]")
    else:
        yield place, space


def _check_is_environment(where: str, made: object) -> None:
    if not isinstance(made, gymnasium.Env):
        raise UserError(where, expected="a gymnasium environment", found=type(made).__name__)
