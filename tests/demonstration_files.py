"""A sound file of demonstrations, for tests to change one thing in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def whole() -> dict[str, np.ndarray]:
    """A sound file: three episodes of 2, 3 and 1 steps."""
    random = np.random.default_rng(0)
    return {
        "observations": random.normal(size=(6, 3)).astype(np.float32),
        "actions": random.normal(size=(6, 2)).astype(np.float32) * 2,
        "lengths": np.array([2, 3, 1]),
        "rewards": np.array([1, 2, 10, 20, 30, 100], np.float32),
    }


def write(path: Path, **changes: object) -> Path:
    """The sound file with fields replaced, or left out where the replacement is None."""
    arrays = {name: array for name, array in (whole() | changes).items() if array is not None}
    np.savez_compressed(path, **arrays)
    return path


def with_row(name: str, row: object, value: float) -> np.ndarray:
    array = whole()[name].astype(np.float64)
    array[row] = value
    return array
