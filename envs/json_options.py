"""Options that are typed as JSON: keyword arguments of classes that drex does not know."""

from __future__ import annotations

import json
from typing import Any

from drex.errors import UserError


def json_object(text: str, where: str) -> dict[str, Any]:
    """The object that an option holds.

    Args:
        text: what was typed.
        where: the option, for the sentence of an error.

    Raises:
        UserError: it is no JSON object.
    """
    try:
        found = json.loads(text)
    except ValueError as reason:
        raise UserError(where, expected="a JSON object", found=str(reason)) from reason
    if not isinstance(found, dict):
        raise UserError(where, expected="a JSON object", found=text)
    return found
