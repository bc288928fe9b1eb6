"""Ranges of settings: declared in a field's annotation, checked when the settings are made.

``gamma: Share = 0.99`` is a number from 0 to 1. Errors name a field by its class, ``PPOSettings.gamma``;
``located`` replaces the class by the path of an option or a JSON key.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, partial
from numbers import Real
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args, get_origin, get_type_hints

from drex.errors import UserError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True)
class Range:
    """The finite numbers that a field may hold.

    Args:
        low: lower bound.
        high: upper bound.
        above: exclude ``low``.
        below: exclude ``high``.
        nan: allow NaN, for an unknown value.
    """

    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    below: bool = False
    nan: bool = False

    def check(self, where: str, value: float) -> None:
        """Raise a ``UserError`` if the number is out of range, infinite, or NaN."""
        inside = self.low <= value <= self.high and abs(value) < math.inf
        edge = (self.above and value == self.low) or (self.below and value == self.high)
        if not (inside and not edge) and not (self.nan and value != value):
            raise UserError(where, expected=str(self), found=str(value))

    def __str__(self) -> str:
        if self.low == -math.inf:
            return "a finite number"
        if self.high == math.inf:
            return f"above {self.low}" if self.above else f"at least {self.low}"
        if self.above:
            return f"above {self.low}, " + (f"below {self.high}" if self.below else f"up to {self.high}")
        return f"from {self.low} to " + (f"below {self.high}" if self.below else f"{self.high}")


Count = Annotated[int, Range(1)]
Positive = Annotated[float, Range(0, above=True)]
NotNegative = Annotated[float, Range(0)]
Share = Annotated[float, Range(0, 1)]
SEEDS = Range(0, 2**30 - 1)
"""Seeds that every library accepts, with room for one stream per environment."""
Seed = Annotated[int, SEEDS]


def check_ranges(settings: DataclassInstance) -> None:
    """Raise a ``UserError`` for the first number out of its range; tuples are checked item by item."""
    for name, hint in _hints(type(settings)).items():
        _check(f"{type(settings).__name__}.{name}", getattr(settings, name), hint)


def refuse_unread(settings: DataclassInstance, name: str, *, read_by: str) -> None:
    """Raise a ``UserError`` if a field that only ``read_by`` reads differs from its default."""
    default = next(field.default for field in fields(settings) if field.name == name)
    found = getattr(settings, name)
    if found != default:
        where = f"{type(settings).__name__}.{name}"
        raise UserError(where, expected=f"{default}, since {read_by} alone reads it", found=str(found))


@contextmanager
def located(paths: Mapping[str, str]) -> Iterator[None]:
    """In errors raised inside, replace the class of a field by its path: ``learner.gamma``.

    Args:
        paths: prefix of the fields of each class, by the name of the class; see ``paths_of``.
    """
    try:
        yield
    except UserError as error:
        head, dot, rest = error.where.partition(".")
        if not dot or head not in paths:
            raise
        raise UserError(paths[head] + rest, expected=error.expected, found=error.found, do=error.do) from None


def paths_of(settings: DataclassInstance, prefix: str = "") -> dict[str, str]:
    """The prefix of the fields of each class in these settings, by the name of the class."""
    found = {type(settings).__name__: prefix}
    for field in fields(settings):
        value = getattr(settings, field.name)
        if is_dataclass(value) and not isinstance(value, type):
            found |= paths_of(value, f"{prefix}{field.name}.")
    return found


_hints = cache(partial(get_type_hints, include_extras=True))


def _check(where: str, value: object, hint: Any) -> None:  # noqa: ANN401 (a type annotation is any object)
    if get_origin(hint) is Annotated:
        for range_ in hint.__metadata__:
            if isinstance(range_, Range) and isinstance(value, Real) and not isinstance(value, bool):
                range_.check(where, cast("float", value))
        _check(where, value, hint.__origin__)
    elif isinstance(value, tuple) and get_origin(hint) is tuple:
        items = get_args(hint)
        for place, item in enumerate(value):
            _check(where, item, items[0] if items[-1] is Ellipsis else items[min(place, len(items) - 1)])
    else:
        for option in get_args(hint):  # of a union, or the values of a Literal, which have no range
            _check(where, value, option)
