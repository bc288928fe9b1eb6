"""How an environment is named in one line, by which a run folder, a report or another process makes it again.

Hopper-v5                                      a gymnasium id
maze:Maze-v0                                   a gymnasium id that the module registers when imported
maze:Maze                                      a class or function of the module that makes an environment
maze:Maze{"size": 5}                           with keyword arguments, in JSON
maze:Maze{"size": 5}|maze:Sticky|maze:Noisy    with wrappers of the module, the innermost first
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium

from drex.errors import UserError

Factory = Callable[..., "gymnasium.Env[Any, Any]"]
"""Makes an environment; a class is one too."""


@dataclass(frozen=True)
class EnvironmentSpec:
    """What a task's name says.

    Args:
        maker: a gymnasium id, ``module:Id`` or ``module:factory``.
        kwargs: keyword arguments of ``gymnasium.make`` or of the factory, of what JSON can hold.
        wrappers: ``module:Wrapper`` each, the innermost first.
    """

    maker: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    wrappers: tuple[str, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether nothing is added to what the maker makes."""
        return not self.kwargs and not self.wrappers

    def name(self) -> str:
        """The one line; equal recipes have equal names."""
        kwargs = json.dumps(self.kwargs, sort_keys=True) if self.kwargs else ""
        return "|".join([self.maker + kwargs, *self.wrappers])


def task_name(
    task: str | Factory,
    *,
    kwargs: Mapping[str, Any] | None = None,
    wrappers: Sequence[str | Factory] = (),
) -> str:
    """Name an environment in one line, which everything here takes for a task.

    Args:
        task: a name, or a class or function that makes the environment.
        kwargs: keyword arguments for it, of what JSON can hold (tuples arrive as lists).
        wrappers: classes or functions that take an environment and return one, or their names
            ``module:Wrapper``; the innermost first, around any that ``task`` names already.

    Raises:
        UserError: a name that cannot be read, arguments that JSON cannot hold, or a class or function that no
            module holds by its name, such as a lambda.
    """
    recipe = read_task_name(task if isinstance(task, str) else _name_of("task", task))
    try:
        added = json.loads(json.dumps(dict(kwargs or {}), allow_nan=False))
    except (TypeError, ValueError) as reason:
        raise UserError("env_kwargs", expected="what JSON can hold", found=str(reason)) from reason
    names = [each if isinstance(each, str) else _name_of("wrapper", each) for each in wrappers]
    whole = EnvironmentSpec(recipe.maker, recipe.kwargs | added, (*recipe.wrappers, *names)).name()
    return read_task_name(whole).name()


def read_task_name(task: str) -> EnvironmentSpec:
    """What a name says; nothing is imported.

    Raises:
        UserError: it cannot be read.
    """
    starts = [place for place in (task.find("{"), task.find("|")) if place >= 0]
    maker, rest = (task[: min(starts)], task[min(starts) :]) if starts else (task, "")
    kwargs: Any = {}
    if rest.startswith("{"):
        try:
            kwargs, end = json.JSONDecoder().raw_decode(rest)
        except ValueError as reason:
            raise UserError(
                f"task {task!r}", expected="keyword arguments in JSON between braces", found=str(reason)
            ) from reason
        rest = rest[end:]
    before, *wrappers = (part.strip() for part in rest.split("|"))
    if before:
        raise UserError(f"task {task!r}", expected="|module:Wrapper after the arguments", found=before)
    if maker.count(":") > 1:
        raise UserError("task", expected="an id or module:id", found=repr(maker))
    for wrapper in wrappers:
        if wrapper.count(":") != 1:
            raise UserError(f"wrapper {wrapper!r}", expected="module:Wrapper", found=repr(wrapper))
    return EnvironmentSpec(maker.strip(), kwargs, tuple(wrappers))


def factory_of(maker: str) -> Factory | None:
    """The class or function that ``module:factory`` names; ``None`` if gymnasium shall make it by its id.

    Raises:
        ImportError: there is no such module.
    """
    if ":" not in maker:
        return None
    module, name = maker.split(":")
    held = importlib.import_module(module)
    if name in gymnasium.registry:
        return None
    return _attribute(held, name)


def wrapper_of(name: str) -> Factory:
    """The wrapper that ``module:Wrapper`` names.

    Raises:
        UserError: there is none.
    """
    module, attribute = name.split(":")
    try:
        found = _attribute(importlib.import_module(module), attribute)
    except ImportError as reason:
        raise UserError(
            f"wrapper {name!r}", expected="a module that can be imported", found=str(reason)
        ) from reason
    if found is None:
        raise UserError(
            f"wrapper {name!r}", expected=f"a class or function of {module}", found="none of this name"
        )
    return found


def _attribute(module: object, name: str) -> Factory | None:
    found: object = module
    for part in name.split("."):
        found = getattr(found, part, None)
    return found if callable(found) else None


def _name_of(role: str, thing: Factory) -> str:
    """``module:name`` of a class or function, from which any process can get it."""
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if module and name:
        try:
            if _attribute(importlib.import_module(module), name) is thing:
                return f"{module}:{name}"
        except ImportError:
            pass
    raise UserError(
        role,
        expected="a class or function that a module holds by its name, so that another process finds it",
        found=name or repr(thing),
        do="write it with def or class at the top of a module; arguments for a task go into env_kwargs",
    )
