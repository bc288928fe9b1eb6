"""Checks of all readers of untrusted files: missing libraries, damage, and dtypes."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from drex.errors import UserError

Arrays = dict[str, npt.NDArray[Any]]
"""Arrays by the field names of drex's npz file."""


def library(name: str, where: str) -> ModuleType:
    """Import a library that few need; UserError if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        expected, advice = f"{package} to be installed", f"pip install {package}"
        raise UserError(where, expected=expected, found="no such package", do=advice) from error


@contextmanager
def damage_as_user_error(where: str, expected: str) -> Iterator[None]:
    """Any error of a library that reads untrusted bytes, as one sentence."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # such libraries fail in many ways
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(where, expected=expected, found=f"damage ({reason[:200]})") from error


def check_numbers_dtype(dtype: np.dtype[Any], where: str) -> None:
    """Refuse text, records and Python objects, before they are read."""
    if dtype.kind not in "fiub":
        found = "Python objects or text of varying length" if dtype.kind == "O" else str(dtype)
        raise UserError(where, expected="plain numbers", found=found)
