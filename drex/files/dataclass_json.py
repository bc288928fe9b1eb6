"""Settings to JSON and back, checked field by field.

Settings are dataclasses of int, float, str, bool, None, ``Literal``, tuples, other such dataclasses, and
unions of these. In a union of several dataclasses, the key ``"class"`` of the JSON object names the class; no
field can have this name, since it is a Python keyword.
"""

from __future__ import annotations

import difflib
import json
import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from drex.errors import UserError
from drex.ranges import located

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"

AnySettings = TypeVar("AnySettings", bound="DataclassInstance")

_TAG = "class"


def settings_to_json(settings: DataclassInstance) -> dict[str, JSON]:
    """The settings as a JSON object: one key per field, nested settings as objects, tuples as lists.

    Raises:
        UserError: a value that its field's type does not allow, or a number that is not finite.
        TypeError: a field's type is not supported.
    """
    return _encode_fields(settings, f"{type(settings).__name__}: ")


def settings_from_json(cls: type[AnySettings], values: Mapping[str, JSON], where: str) -> AnySettings:
    """The settings of a JSON object (of ``where``); absent keys take the default, integers fit float fields.

    Raises:
        UserError: an unknown key, an absent key without default, a value of another type, or one that the
            settings refuse.
        TypeError: a field's type is not supported.
    """
    if not isinstance(values, Mapping):
        raise _wrong(where, [cls], values)
    return _decode_fields(cls, values, f"{where}: ")


def refuse_unknown_keys(values: Mapping[str, Any], known: Sequence[str], prefix: str) -> None:
    """Raise a ``UserError`` for the first key that is not known; ``prefix`` is what errors name it after."""
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            advice = f"did you mean {near[0]}?" if near else ""
            expected = f"only the fields {', '.join(known)}"
            raise UserError(f"{prefix}{key}", expected=expected, found="an unknown key", do=advice)


def _encode_fields(settings: DataclassInstance, prefix: str) -> dict[str, JSON]:
    hints = get_type_hints(type(settings))
    names = _settable(type(settings))
    return {name: _encode(getattr(settings, name), hints[name], prefix + name) for name in names}


def _encode(value: object, hint: Any, where: str) -> JSON:  # noqa: ANN401 (a type annotation is any object)
    options = _options(hint, where)
    classes = _classes(options)
    if is_dataclass(value) and not isinstance(value, type):
        if type(value) not in classes:
            raise _wrong(where, options, value)
        encoded = _encode_fields(value, f"{where}.")
        return {_TAG: type(value).__name__, **encoded} if len(classes) > 1 else encoded
    if isinstance(value, tuple):
        items = _item_hints(options, value, where)
        return [_encode(item, kind, f"{where}.{i}") for i, (item, kind) in enumerate(items)]
    return _scalar(value, options, where)


def _decode_fields(cls: type[AnySettings], values: Mapping[str, JSON], prefix: str) -> AnySettings:
    hints, known = get_type_hints(cls), _settable(cls)
    refuse_unknown_keys(values, list(known), prefix)
    for name, field in known.items():
        if name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise UserError(prefix + name, expected="a value, since there is no default", found="none")
    decoded = {name: _decode(value, hints[name], prefix + name) for name, value in values.items()}
    with located({cls.__name__: prefix}):
        return cls(**decoded)


def _decode(value: JSON, hint: Any, where: str) -> object:  # noqa: ANN401
    options = _options(hint, where)
    if isinstance(value, Mapping):
        classes = {option.__name__: option for option in _classes(options)}
        if not classes:
            raise _wrong(where, options, value)
        if len(classes) == 1:
            return _decode_fields(next(iter(classes.values())), value, f"{where}.")
        name = value.get(_TAG)
        if not isinstance(name, str) or name not in classes:
            found = "none" if name is None else json.dumps(name, default=repr)
            raise UserError(f"{where}.{_TAG}", expected=f"one of {', '.join(classes)}", found=found)
        rest = {key: item for key, item in value.items() if key != _TAG}
        return _decode_fields(classes[name], rest, f"{where}.")
    if isinstance(value, list | tuple):
        items = _item_hints(options, value, where)
        return tuple(_decode(item, kind, f"{where}.{i}") for i, (item, kind) in enumerate(items))
    return _scalar(value, options, where)


def _options(hint: Any, where: str) -> list[Any]:  # noqa: ANN401
    """The members of a union, or the one type; floats last, so that ``float | int`` keeps an int."""
    options = list(get_args(hint)) if get_origin(hint) in (Union, types.UnionType) else [hint]
    for option in options:
        plain = option in (int, float, str, bool, type(None)) or get_origin(option) in (Literal, tuple)
        if not (plain or (isinstance(option, type) and is_dataclass(option))):
            raise TypeError(f"{where}: settings cannot hold {option!r}")
    if sum(get_origin(option) is tuple for option in options) > 1:
        raise TypeError(f"{where}: two kinds of tuple in {hint!r} are alike in JSON; use a tuple of unions")
    return sorted(options, key=lambda option: option is float)


def _classes(options: list[Any]) -> list[Any]:
    return [option for option in options if is_dataclass(option)]


def _item_hints(options: list[Any], values: Sequence[Any], where: str) -> list[tuple[Any, Any]]:
    """Each item of a list or tuple with its type, by the one tuple type among the options."""
    hints = next((get_args(option) for option in options if get_origin(option) is tuple), None)
    if hints and hints[-1] is Ellipsis:
        hints = hints[:1] * len(values)
    if hints is None or len(hints) != len(values):
        raise _wrong(where, options, values)
    return list(zip(values, hints, strict=True))


def _scalar(value: object, options: list[Any], where: str) -> bool | int | float | str | None:
    for option in options:
        if get_origin(option) is Literal:
            for allowed in get_args(option):
                if type(value) is type(allowed) and value == allowed:
                    return value  # type: ignore[return-value]  # one of the Literal's own plain values
        elif option is float and isinstance(value, int | float) and not isinstance(value, bool):
            # 1e400 is read as infinity; an integer of that size cannot be converted
            if abs(value) < math.inf and not (isinstance(value, int) and value.bit_length() > 1023):
                return float(value)
        elif option in (int, str, bool, type(None)) and isinstance(value, option):
            if option is int and isinstance(value, bool):  # a bool is an int in Python
                continue
            return value  # type: ignore[no-any-return]  # option, one of four types, is Any to mypy
    raise _wrong(where, options, value)


def _settable(cls: type[DataclassInstance]) -> dict[str, Field[Any]]:
    return {field.name: field for field in fields(cls) if field.init}


def _wrong(where: str, options: list[Any], value: object) -> UserError:
    expected = " or ".join(map(_describe, options))
    return UserError(where, expected=expected, found=json.dumps(value, default=repr))


def _describe(option: Any) -> str:  # noqa: ANN401
    if get_origin(option) is Literal:
        return " or ".join(json.dumps(allowed) for allowed in get_args(option))
    if get_origin(option) is tuple:
        return f"a list as in {option}"
    if is_dataclass(option):
        return f"the fields of {getattr(option, '__name__', option)}"
    words = {int: "an integer", float: "a finite number", str: "a string", bool: "true or false"}
    return words.get(option, "null")
