"""What all readers of files share: libraries that may be missing, damage, and JSON beside the arrays."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from drex.errors import UserError
from drex.files.npz import describe_path

Arrays = dict[str, npt.NDArray[Any]]
"""By the field names of our own npz file."""


def library(name: str, where: str) -> ModuleType:
    """Import a library that only some formats need.

    Raises:
        UserError: it is not installed; with the line that installs it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise UserError(
            where,
            expected=f"{package} to be installed, which this format needs",
            found="no such package",
            do="pip install 'drex-rl[formats]'",
        ) from error


def damaged(where: str, expected: str, error: Exception) -> UserError:
    """The error for bytes that a library could not read."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return UserError(where, expected=expected, found=f"damage ({reason[:200]})")


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object that a file holds.

    Raises:
        UserError: no such file, no JSON, or JSON of another type.
    """
    expected = "a JSON object"
    if not path.is_file():
        raise UserError(str(path), expected=expected, found=describe_path(path))
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(str(path), expected=expected, found=f"no JSON ({error})") from error
    if not isinstance(content, dict):
        raise UserError(str(path), expected=expected, found=f"JSON of type {type(content).__name__}")
    return content


def check_numbers_dtype(dtype: np.dtype[Any], where: str) -> None:
    """Refuse what is neither number nor flag before it is read: text, records, Python objects."""
    if dtype.kind not in "fiub":
        found = "Python objects or text of varying length" if dtype.kind == "O" else str(dtype)
        raise UserError(where, expected="plain numbers", found=found)
