"""What all readers of files share: libraries that may be missing, damage, and types of numbers."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from drex.errors import UserError

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


def check_numbers_dtype(dtype: np.dtype[Any], where: str) -> None:
    """Refuse what is neither number nor flag before it is read: text, records, Python objects."""
    if dtype.kind not in "fiub":
        found = "Python objects or text of varying length" if dtype.kind == "O" else str(dtype)
        raise UserError(where, expected="plain numbers", found=found)
