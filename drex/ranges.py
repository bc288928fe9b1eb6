"""Ranges of settings: declared in a field's annotation, checked when the settings are made.

``gamma: Share = 0.99`` is a number from 0 to 1. A field is named by its class, ``PPOSettings.gamma``, since
settings do not know what holds them; ``located`` puts the path of an option or a JSON key in its place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from numbers import Real
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args, get_origin, get_type_hints

from drex.errors import UserError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True)
class Range:
    """The finite numbers that a field may hold.

    Args:
        low: the lowest.
        high: the highest.
        above: whether ``low`` itself is left out.
        below: whether ``high`` itself is left out.
        nan: whether NaN is allowed, for what is unknown.
    """

    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    below: bool = False
    nan: bool = False

    def check(self, where: str, value: float) -> None:
        """Refuse a number outside.

        Raises:
            UserError: the number is not in the range, infinite, or NaN.
        """
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
"""What every library here takes as a seed, with room for a stream beside each environment."""
Seed = Annotated[int, SEEDS]


def check_ranges(settings: DataclassInstance) -> None:
    """Refuse settings with a number out of its range; tuples are checked item by item.

    Raises:
        UserError: names the class and the field.
    """
    for name, hint in _hints(type(settings)).items():
        _check(f"{type(settings).__name__}.{name}", getattr(settings, name), hint)


def refuse_unread(settings: DataclassInstance, name: str, *, read_by: str) -> None:
    """Refuse a field that differs from its default, where nothing would read it.

    Args:
        settings: that hold the field.
        name: of the field.
        read_by: what alone reads it.

    Raises:
        UserError: the field differs from its default.
    """
    default = next(field.default for field in fields(settings) if field.name == name)
    found = getattr(settings, name)
    if found != default:
        where = f"{type(settings).__name__}.{name}"
        raise UserError(where, expected=f"{default}, since {read_by} alone reads it", found=str(found))


@contextmanager
def located(paths: Mapping[str, str]) -> Iterator[None]:
    """Name settings that are refused inside by their path, ``learner.gamma``, instead of by their class.

    Args:
        paths: what stands before the fields of each class, by its name; see ``paths_of``.
    """
    try:
        yield
    except UserError as mistake:
        owner, dot, rest = mistake.where.partition(".")
        if not dot or owner not in paths:
            raise
        raise UserError(
            paths[owner] + rest, expected=mistake.expected, found=mistake.found, do=mistake.do
        ) from None


def paths_of(settings: DataclassInstance, prefix: str = "") -> dict[str, str]:
    """What stands before the fields of each class that these settings are composed of, by its name."""
    found = {type(settings).__name__: prefix}
    for field in fields(settings):
        value = getattr(settings, field.name)
        if is_dataclass(value) and not isinstance(value, type):
            found |= paths_of(value, f"{prefix}{field.name}.")
    return found


@cache
def _hints(cls: type[DataclassInstance]) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)


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
        for option in get_args(hint):  # of a union; a Literal's are values, which hold no range
            _check(where, value, option)
