"""Making one environment of a task: by id or by the user's own factory, wrapped, and seen as one flat Box.

Observations that are no Box (Dict, Tuple, Discrete, MultiDiscrete, MultiBinary) are flattened at this door,
by gymnasium's own wrappers, into float32: entries in the order of ``gymnasium.spaces.utils.flatten`` (a Dict
by its keys' alphabet, a Tuple by position), each Discrete entry as one number an option, 1 where it is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from gymnasium.wrappers import FlattenObservation, TimeLimit, TransformObservation

from drex.envs.checked import CheckedEnv
from drex.envs.task_names import factory_of, read_task_name, wrapper_of
from drex.errors import UserError

NARROWEST, WIDEST = 0.1, 100.0
"""Sides of a Box of actions: networks put out numbers near 1, and Adam moves them by thousandths a step. With
narrower sides the least standard deviation of a clone covers half the Box; with wider ones a clone does not
reach what it imitates (a smooth policy is cloned to 0.1% of the width at 1, to 1% at 100)."""


def build_environment(task: str, **more: Any) -> gymnasium.Env[Any, Any]:
    """Make one environment of a task.

    Args:
        task: a name as ``task_name`` gives.
        more: further keyword arguments, such as ``render_mode``.

    Raises:
        UserError: it cannot be made, or its observations cannot be flattened.
        TypeError: the task's maker does not take one of ``more``.
    """
    recipe = read_task_name(task)
    try:
        factory = factory_of(recipe.maker)
        arguments = recipe.kwargs | more
        environment = gymnasium.make(recipe.maker, **arguments) if factory is None else factory(**arguments)
    except (gymnasium.error.Error, ImportError) as reason:
        raise UserError(
            f"task {task!r}", expected="an environment that gymnasium can make", found=str(reason)
        ) from reason
    except TypeError as reason:
        if more or not recipe.kwargs:
            raise
        raise UserError(
            f"task {task!r}", expected="keyword arguments that it takes", found=str(reason)
        ) from reason
    _check_is_environment(f"task {task!r}", environment)
    for name in recipe.wrappers:
        environment = wrapper_of(name)(environment)
        _check_is_environment(f"wrapper {name!r}", environment)
    return CheckedEnv(_flat(task, environment), task)


def horizon_of(environment: gymnasium.Env[Any, Any]) -> int | None:
    """Steps after which an episode is cut off; ``None`` where nothing known here limits them."""
    if environment.spec is not None and environment.spec.max_episode_steps is not None:
        return environment.spec.max_episode_steps
    layer = environment
    while isinstance(layer, gymnasium.Wrapper):
        if isinstance(layer, TimeLimit):
            return int(layer._max_episode_steps)
        layer = layer.env
    return None


def check_actions(task: str, space: gymnasium.Space[Any]) -> None:
    """Refuse actions that no policy here can take.

    Raises:
        UserError: not a bounded Box (n,) of floats, Discrete, MultiDiscrete (n,) or MultiBinary (n,); one
            that does not count from 0; or a Box whose sides are far from what networks put out.
    """
    if isinstance(space, Box):
        _check_box(task, space)
        return
    usable = isinstance(space, (Discrete, MultiDiscrete, MultiBinary)) and len(space.shape or ()) <= 1
    if not usable or np.any(getattr(space, "start", 0)):
        raise UserError(
            f"task {task!r}",
            expected="actions in a bounded Box (n,), or in Discrete, MultiDiscrete (n,) or MultiBinary (n,) "
            "from 0",
            found=str(space),
            do="translate them in a wrapper, see gymnasium.ActionWrapper",
        )


def _check_box(task: str, space: Box) -> None:
    if not space.is_bounded() or len(space.shape) != 1 or np.dtype(space.dtype).kind != "f":
        raise UserError(
            f"task {task!r}",
            expected="actions in a bounded Box (n,) of floats, since noise draws uniformly from it",
            found=str(space),
            do="bound, flatten or translate them in a wrapper, see gymnasium.wrappers.TransformAction",
        )
    widths = space.high.astype(np.float64) - space.low
    if widths.min() < NARROWEST or widths.max() > WIDEST:
        raise UserError(
            f"task {task!r}",
            expected=f"a Box of actions whose sides are {NARROWEST:g} to {WIDEST:g} wide",
            found=f"sides {widths.min():g} to {widths.max():g} wide",
            do="scale them in a wrapper, see gymnasium.wrappers.RescaleAction, and the demonstrations alike",
        )


def _flat(task: str, environment: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    space = environment.observation_space
    if isinstance(space, Box):
        return environment
    for place, leaf in _leaves(space, "observation"):
        if not isinstance(leaf, (Box, Discrete, MultiDiscrete, MultiBinary)):
            raise UserError(
                f"task {task!r}",
                expected="Box, Discrete, MultiDiscrete or MultiBinary observations, also in a Dict or Tuple",
                found=f"{place}: {leaf}",
                do="translate it in a wrapper, see gymnasium.wrappers.TransformObservation",
            )
        if isinstance(leaf, Box) and leaf.dtype == np.uint8 and len(leaf.shape) >= 2:
            raise UserError(
                f"task {task!r}",
                expected="no image inside a Dict or Tuple, whose flattening would lose its shape",
                found=f"{place}: Box {leaf.shape} uint8",
                do="encode or drop it in a wrapper, or let it be the whole observation",
            )
    flat = FlattenObservation(environment)
    bounds: Any = flat.observation_space
    single = Box(bounds.low.astype(np.float32), bounds.high.astype(np.float32), dtype=np.float32)
    return TransformObservation(flat, lambda seen: seen.astype(np.float32, copy=False), single)


def _leaves(space: gymnasium.Space[Any], place: str) -> Iterator[tuple[str, gymnasium.Space[Any]]]:
    """Every space that holds no other, with the way to it."""
    if isinstance(space, (Dict, Tuple)):
        inside = space.spaces.items() if isinstance(space, Dict) else enumerate(space.spaces)
        for key, value in inside:
            yield from _leaves(value, f"{place}[{key!r}]")
    else:
        yield place, space


def _check_is_environment(where: str, made: object) -> None:
    if not isinstance(made, gymnasium.Env):
        raise UserError(where, expected="a gymnasium environment", found=type(made).__name__)
