"""D4RL's HDF5: all steps end to end, with two flags for the ends of episodes.

``observations``, ``actions``, ``rewards``, ``terminals`` (terminated), ``timeouts`` (truncated) and optional
``next_observations``, whose row at the end of an episode is its last observation. The steps after the last
flag are a truncated episode. Task and text are in ``metadata/drex``. Format:
github.com/Farama-Foundation/D4RL, README, "Using D4RL".
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from drex.demonstrations.formats.extra_fields import extra_fields, with_extra_fields
from drex.demonstrations.validation import DemonstrationFields, check_shape
from drex.envs.json_options import parse_json
from drex.errors import UserError
from drex.files.hdf5 import member, members, open_hdf5, read_array, read_text
from drex.files.untrusted import Arrays, library

FIELD_NAMES = {
    "lengths": "terminals and timeouts",
    "terminated": "terminals",
    "last_observations": "next_observations",
}
_NAMES = ("observations", "actions", "rewards", "terminals", "timeouts", "next_observations")
_logger = logging.getLogger("drex")


def read(path: Path) -> Arrays:
    """The arrays of the file."""
    with open_hdf5(path) as file:
        found = {name: read_array(file, name, f"{path}: {name}") for name in _NAMES}
        others = [name for name in members(file) if name not in (*_NAMES, "metadata")]
        metadata = member(file, "metadata", f"{path}: metadata")
        extra = None if metadata is None else read_text(metadata, "drex", f"{path}: metadata/drex")
    for name in ("observations", "actions", "terminals"):
        if found[name] is None:
            present = ", ".join(name for name in _NAMES if found[name] is not None) or "none of D4RL's"
            raise UserError(f"{path}: {name}", expected="an array of this name", found=present)
    if others:
        _logger.warning("%s: ignored, being no part of the format: %s", path, ", ".join(others))
    arrays = _episodes({name: array for name, array in found.items() if array is not None}, path)
    if extra is None:
        return arrays
    where = f"{path}: metadata/drex"
    return with_extra_fields(arrays, parse_json(extra, where), where)


def write(path: Path, fields: DemonstrationFields) -> None:
    """Write the file; unknown rewards are left out, since other readers would learn from NaN."""
    h5py = library("h5py", str(path))
    ends, observations = np.cumsum(fields.lengths) - 1, np.asarray(fields.observations)
    terminals, timeouts = np.zeros((2, len(observations)), np.bool_)
    terminals[ends] = False if fields.terminated is None else fields.terminated
    timeouts[ends] = ~terminals[ends]
    arrays = {"observations": observations, "actions": fields.actions}
    arrays |= {"terminals": terminals, "timeouts": timeouts}
    if fields.rewards is not None:
        arrays["rewards"] = fields.rewards
    if fields.last_observations is not None:
        arrays["next_observations"] = np.roll(observations, -1, axis=0)
        arrays["next_observations"][ends] = np.asarray(fields.last_observations)
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, compression="gzip", track_times=False)
        file["metadata/drex"] = json.dumps(extra_fields(fields))


def _episodes(found: Arrays, path: Path) -> Arrays:
    seen, steps = found["observations"], len(np.atleast_1d(found["observations"]))
    if steps == 0:
        raise UserError(f"{path}: observations", expected="at least one step", found=f"shape {seen.shape}")
    terminals = _flags(found["terminals"], steps, f"{path}: terminals")
    ended = terminals.copy()
    if "timeouts" in found:
        ended |= _flags(found["timeouts"], steps, f"{path}: timeouts")
    else:
        warning = "%s: timeouts: missing: where a time limit ended an episode, it runs on into the next one"
        _logger.warning(warning, path)
    ended[-1] = True
    ends = np.flatnonzero(ended)
    arrays: Arrays = {name: found[name] for name in ("observations", "actions", "rewards") if name in found}
    arrays["lengths"] = np.diff(ends, prepend=-1)
    arrays["terminated"] = terminals[ends]
    if "next_observations" in found:
        following = found["next_observations"]
        check_shape(following, seen.shape, f"{path}: next_observations", "as observations")
        _warn_of_jumps(seen, following, ended, path)
        arrays["last_observations"] = following[ends]
    return arrays


def _flags(array: npt.NDArray[Any], steps: int, where: str) -> npt.NDArray[np.bool_]:
    """Flags as bool; some of D4RL's files hold the numbers 0 and 1."""
    check_shape(array, (steps,), where, "one a step")
    unfit = ~np.isin(array, (0, 1))
    if unfit.any():
        at = int(np.argmax(unfit))
        raise UserError(where, expected="flags, each false or true, 0 or 1", found=f"{array[at]} in row {at}")
    return array.astype(np.bool_)


def _warn_of_jumps(
    seen: npt.NDArray[Any], following: npt.NDArray[Any], ended: npt.NDArray[np.bool_], path: Path
) -> None:
    """Warn of ends of episodes without a flag: next observations that the next row does not repeat."""
    entries = int(np.prod(seen.shape[1:]))
    differs = (seen[1:] != following[:-1]).reshape(len(seen) - 1, entries).any(axis=1) & ~ended[:-1]
    if differs.any():
        warning = (
            "%s: next_observations: %d differ from the observation after them, the first in row %d, where no "
            "flag ends an episode: were episodes truncated there?"
        )
        _logger.warning(warning, path, differs.sum(), int(np.argmax(differs)))
