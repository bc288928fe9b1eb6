"""JSON from options and files; errors name the option or the file."""

from __future__ import annotations

import json
from typing import Any

from drex.errors import UserError


def parse_json(text: str | bytes, where: str, *, expected: str = "JSON") -> Any:  # noqa: ANN401
    """The value of a JSON text; UserError, with ``where`` and ``expected``, if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as reason:
        raise UserError(where, expected=expected, found=f"other text ({reason})") from reason


def json_object(text: str | bytes, where: str) -> dict[str, Any]:
    """The JSON object in a text; UserError if it is not JSON, or JSON of another type."""
    expected = "a JSON object"
    value = parse_json(text, where, expected=expected)
    if not isinstance(value, dict):
        raise UserError(where, expected=expected, found=f"JSON of type {type(value).__name__}")
    return value
