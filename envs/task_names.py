"""Names of environments in one line, from which another process can make them again.

Hopper-v5                                      a gymnasium id
maze:Maze-v0                                   a gymnasium id that the module registers when imported
maze:Maze                                      a class or function of the module that makes an environment
maze:Maze{"size": 5}                           with keyword arguments, in JSON
maze:Maze{"size": 5}|maze:Sticky|maze:Noisy    with wrappers of the module, the innermost first
maze:Maze|maze:Sticky{"share": 0.2}            with a wrapper's keyword arguments, in JSON
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium

from drex.errors import UserError

Factory = Callable[..., "gymnasium.Env[Any, Any]"]
"""A class or function that makes an environment."""


@dataclass(frozen=True)
class Maker:
    """What makes an environment or wraps one.

    Args:
        maker: a gymnasium id, ``module:Id``, ``module:factory`` or ``module:Wrapper``.
        kwargs: its keyword arguments, JSON values.
    """

    maker: str
    kwargs: dict[str, Any] = field(default_factory=dict)

    def name(self) -> str:
        """The name with its arguments; equal makers have equal names."""
        return self.maker + (json.dumps(self.kwargs, sort_keys=True) if self.kwargs else "")


@dataclass(frozen=True)
class EnvironmentSpec(Maker):
    """The parts of a task's name.

    Args:
        maker: of the environment.
        kwargs: of ``gymnasium.make`` or of the factory.
        wrappers: around it, the innermost first.
    """

    wrappers: tuple[Maker, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether there are neither arguments nor wrappers."""
        return not self.kwargs and not self.wrappers

    @property
    def imports_code(self) -> bool:
        """Whether making the environment imports a module that the name gives."""
        return ":" in self.maker.removeprefix("ale_py:") or bool(self.wrappers)

    def name(self) -> str:
        """The name in one line; equal specs have equal names."""
        return "|".join([super().name(), *(wrapper.name() for wrapper in self.wrappers)])


def task_name(
    task: str | Factory, *, kwargs: Mapping[str, Any] | None = None, wrappers: Sequence[str | Factory] = ()
) -> str:
    """The name of an environment in one line, which is accepted as a task everywhere.

    Args:
        task: a name, or a class or function that makes the environment.
        kwargs: keyword arguments for it, JSON values (tuples become lists).
        wrappers: classes or functions that take an environment and return one, or their names
            ``module:Wrapper`` or ``module:Wrapper{"name": value}`` with arguments; the innermost first,
            around those in ``task``.

    Raises:
        UserError: a name that cannot be read, arguments that JSON cannot hold, or a class or function that no
            module holds by its name, such as a lambda.
    """
    spec = read_task_name(task if isinstance(task, str) else _name_of("task", task))
    try:
        added = json.loads(json.dumps(dict(kwargs or {}), allow_nan=False))
    except (TypeError, ValueError) as reason:
        raise UserError("env_kwargs", expected="what JSON can hold", found=str(reason)) from reason
    names = [each if isinstance(each, str) else _name_of("wrapper", each) for each in wrappers]
    named = EnvironmentSpec(spec.maker, spec.kwargs | added, spec.wrappers).name()
    return read_task_name("|".join([named, *names])).name()


def read_task_name(task: str) -> EnvironmentSpec:
    """The parts of a task's name, without importing anything; UserError if it cannot be read."""
    where = f"task {task!r}"
    made, rest = _read_maker(task, where)
    if made.maker.count(":") > 1:
        raise UserError("task", expected="an id or module:id", found=repr(made.maker))
    wrappers = []
    while rest:
        wrapper, rest = _read_maker(rest.removeprefix("|"), where)
        if wrapper.maker.count(":") != 1:
            raise UserError(
                f"wrapper {wrapper.maker!r}", expected="module:Wrapper", found=repr(wrapper.maker)
            )
        wrappers.append(wrapper)
    return EnvironmentSpec(made.maker, made.kwargs, tuple(wrappers))


def _read_maker(text: str, where: str) -> tuple[Maker, str]:
    """The maker at the beginning of a name, and the rest, which is empty or begins with ``|``."""
    maker = re.split("[{|]", text, maxsplit=1)[0]
    rest = text[len(maker) :]
    kwargs: dict[str, Any] = {}
    if rest.startswith("{"):
        try:
            kwargs, end = json.JSONDecoder().raw_decode(rest)
        except ValueError as reason:
            expected = "keyword arguments in JSON between braces"
            raise UserError(where, expected=expected, found=str(reason)) from reason
        rest = rest[end:].lstrip()
        if rest and not rest.startswith("|"):
            raise UserError(where, expected="|module:Wrapper after the arguments", found=rest)
    return Maker(maker.strip(), kwargs), rest


def task_of_file(task: str, where: str, *, trusted: str | None) -> str:
    """The task that a file names; code that it names is imported only if the user names the same task.

    Raises:
        UserError: the file names code and the user does not, or the user names another task.
    """
    if trusted is None and read_task_name(task).imports_code:
        do = "if you trust that code, add --task with this name"
        raise UserError(where, expected="a registered gymnasium id", found=task, do=do)
    if trusted is not None and task_name(trusted) != task:
        raise UserError(where, expected=f"the task {task_name(trusted)}", found=task)
    return task


def factory_of(maker: str) -> Factory | None:
    """The class or function ``module:factory``; ``None`` for a gymnasium id, ImportError for no module."""
    if ":" not in maker:
        return None
    module, name = maker.split(":")
    imported = importlib.import_module(module)  # may register the id
    return None if name in gymnasium.registry else _attribute(imported, name)


def wrapped(environment: gymnasium.Env[Any, Any], wrapper: Maker) -> gymnasium.Env[Any, Any]:
    """The environment in this wrapper; UserError if there is none, or if it takes other arguments."""
    (module, attribute), where = wrapper.maker.split(":"), f"wrapper {wrapper.maker!r}"
    try:
        factory = _attribute(importlib.import_module(module), attribute)
    except ImportError as reason:
        raise UserError(where, expected="a module that can be imported", found=str(reason)) from reason
    if factory is None:
        raise UserError(where, expected=f"a class or function of {module}", found="none of this name")
    try:
        inspect.signature(factory).bind(environment, **wrapper.kwargs)
    except TypeError as reason:
        expected = f'its arguments in JSON, as in {wrapper.maker}{{"name": 1.0}}'
        raise UserError(f"wrapper {wrapper.name()!r}", expected=expected, found=str(reason)) from reason
    except ValueError:  # a callable without a signature
        pass
    return factory(environment, **wrapper.kwargs)


def _attribute(module: object, name: str) -> Factory | None:
    found: object = module
    for part in name.split("."):
        found = getattr(found, part, None)
    return found if callable(found) else None


def _name_of(role: str, thing: Factory) -> str:
    """``module:name`` of a class or function, by which any process can import it."""
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if module and name:
        with contextlib.suppress(ImportError):
            if _attribute(importlib.import_module(module), name) is thing:
                return f"{module}:{name}"
    expected = "a class or function that a module holds by its name, so that another process finds it"
    advice = "write it with def or class at the top of a module; arguments for a task go into env_kwargs"
    raise UserError(role, expected=expected, found=name or repr(thing), do=advice)
