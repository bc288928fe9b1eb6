"""Fields that other formats lack, as a JSON object in their files.

``{"drex": 1, "task": …, "about": {…}, "unknown": [...]}``. ``unknown`` names fields that are unknown but
required by the format, and therefore filled: rewards with NaN, ends of episodes with truncation, last
observations with the ones before. They are dropped when the file is read.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from drex.demonstrations.validation import DemonstrationFields
from drex.errors import UserError
from drex.files.untrusted import Arrays

FORMAT = 1
"""Number of this object's format; others are refused."""
_MAY_BE_UNKNOWN = ("rewards", "terminated", "last_observations")


def extra_fields(fields: DemonstrationFields) -> dict[str, Any]:
    """The JSON object of ``fields``."""
    unknown = [name for name in _MAY_BE_UNKNOWN if getattr(fields, name) is None]
    return {"drex": FORMAT, "task": fields.task, "about": fields.about, "unknown": unknown}


def with_extra_fields(arrays: Arrays, extra: object, where: str) -> Arrays:
    """The format's arrays with task and ``about`` of the object ``extra``, and without the unknown ones.

    Raises:
        UserError: not an object of ``extra_fields``, or of a newer format.
    """
    if not isinstance(extra, dict) or type(extra.get("drex")) is not int:
        raise UserError(where, expected='a JSON object with a whole number "drex"', found=repr(extra)[:80])
    if extra["drex"] != FORMAT:
        raise UserError(where, expected=f'"drex" to be {FORMAT}', found=str(extra["drex"]), do="update drex")
    task, about, unknown = extra.get("task"), extra.get("about", {}), extra.get("unknown", [])
    if not isinstance(task, str | None):
        raise UserError(f"{where}: task", expected="text or null", found=repr(task)[:80])
    if not isinstance(about, dict):
        raise UserError(f"{where}: about", expected="a JSON object", found=repr(about)[:80])
    if not isinstance(unknown, list) or not all(name in _MAY_BE_UNKNOWN for name in unknown):
        expected = f"a list of some of {', '.join(_MAY_BE_UNKNOWN)}"
        raise UserError(f"{where}: unknown", expected=expected, found=repr(unknown)[:80])
    known = {name: array for name, array in arrays.items() if name not in unknown}
    return with_metadata(known, task, about)


def with_metadata(arrays: Arrays, task: str | None, about: dict[str, Any]) -> Arrays:
    """The arrays with task and ``about`` as in drex's npz file."""
    others = dict(arrays)
    if task:
        others["task"] = np.asarray(task)
    if about:
        others["about"] = np.asarray(json.dumps(about))
    return others
