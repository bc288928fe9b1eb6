"""JSON that a user typed or a file holds, read in one place so that every error names where it came from."""

from __future__ import annotations

import json
from typing import Any

from drex.errors import UserError


def parse_json(text: str | bytes, where: str, *, expected: str = "JSON") -> Any:  # noqa: ANN401
    """The value that a JSON text holds.

    Args:
        text: typed or read from a file.
        where: the option or the file, for the sentence of an error.
        expected: what should have been there, likewise.

    Raises:
        UserError: it is no JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as reason:
        raise UserError(where, expected=expected, found=f"other text ({reason})") from reason


def json_object(text: str | bytes, where: str) -> dict[str, Any]:
    """The JSON object that a text holds.

    Raises:
        UserError: it is no JSON, or JSON of another type.
    """
    expected = "a JSON object"
    value = parse_json(text, where, expected=expected)
    if not isinstance(value, dict):
        raise UserError(where, expected=expected, found=f"JSON of type {type(value).__name__}")
    return value
