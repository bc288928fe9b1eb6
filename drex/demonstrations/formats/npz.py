"""drex's npz file, which ``load_and_save`` documents."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from drex.demonstrations.validation import OPTIONAL, REQUIRED, STACKED, DemonstrationFields, check_fields
from drex.envs.data.stacked_frames import StackedFrames
from drex.files.npz import read_npz, write_npz
from drex.files.untrusted import Arrays

FIELD_NAMES: dict[str, str] = {}


def read(path: Path) -> Arrays:
    """The arrays of the file."""
    return read_npz(path, REQUIRED + OPTIONAL + STACKED)


def write(path: Path, fields: DemonstrationFields, *, map_frames: bool = False) -> None:
    """Write the file, replacing an existing one; with ``map_frames`` stacked frames are not compressed.

    Raises:
        UserError: loading would refuse the file, or the place cannot be written to.
    """
    others: dict[str, Any] = {name: getattr(fields, name) for name in ("terminated", "rewards", "task")}
    others["about"] = json.dumps(fields.about) if fields.about else None
    known = {name: np.asarray(value) for name, value in others.items() if value is not None}
    arrays = {"actions": fields.actions, "lengths": fields.lengths} | known
    observations, last_observations = fields.observations, fields.last_observations
    frames, order = None, None
    if isinstance(observations, StackedFrames):
        frames, steps = observations.frames, len(observations)
        ends = [last_observations.rows] if isinstance(last_observations, StackedFrames) else []
        order, rows = StackedFrames(frames, np.concatenate([observations.rows, *ends])).in_order_of_use()
        arrays |= {"stacks": rows[:steps], "format": np.asarray(2)}
        if ends:
            arrays["last_stacks"] = rows[steps:]
    else:
        arrays |= {"observations": observations, "format": np.asarray(1)}
        if last_observations is not None:
            arrays["last_observations"] = np.asarray(last_observations)
    with_frames = {} if frames is None or order is None else {"frames": frames[: len(order)]}
    check_fields(arrays | with_frames, os.fspath(path))
    write_npz(path, arrays, frames=frames, order=order, map_frames=map_frames)
