"""Sound files of every format that is read, made without the code that reads them, for tests to change."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyarrow
from demonstration_files import whole

REAL = Path(__file__).parent / "real_files"
ENDS = np.array([1, 4, 5])  # of the episodes of ``whole``: 2, 3 and 1 steps


def d4rl(path: Path, **changes: object) -> Path:
    """Six steps, three episodes, the second cut off by a time limit."""
    fields = whole()
    del fields["lengths"]
    terminals, timeouts = np.zeros(6, bool), np.zeros(6, bool)
    terminals[[1, 5]], timeouts[4] = True, True
    arrays = fields | {"terminals": terminals, "timeouts": timeouts} | changes
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            if array is not None:
                file[name] = array
    return path


def imitation(path: Path, **changes: object) -> Path:
    """Two trajectories as lists of lists; changes are of columns."""
    columns: dict[str, object] = {
        "obs": [[[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], [[6.0, 7.0], [8.0, 9.0]]],
        "acts": [[1, 2], [3]],
        "infos": [["{}", "{}"], ["{}"]],
        "terminal": [True, False],
        "rews": [[0.5, 1.5], [2.5]],
    } | changes
    path.mkdir()
    table = pyarrow.table({name: column for name, column in columns.items() if column is not None})
    with (
        pyarrow.OSFile(str(path / "data.arrow"), "wb") as sink,
        pyarrow.ipc.new_stream(sink, table.schema) as out,
    ):
        out.write_table(table)
    (path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}]}))
    (path / "dataset_info.json").write_text(json.dumps({"description": ""}))
    return path


def minari(path: Path, name: str = "cartpole/random-v0") -> Path:
    """A copy of a dataset that Minari made."""
    shutil.copytree(REAL / "cache" / name, path)
    return path


def change_json(file: Path, **changes: object) -> None:
    """Replace values of a JSON object, or leave them out where the replacement is None."""
    content = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


def change_hdf5(file: Path, name: str, change: Callable[[np.ndarray], object] | None) -> None:
    """Replace one array of an HDF5 file, or leave it out."""
    with h5py.File(file, "a") as opened:
        old = opened[name][()]
        del opened[name]
        if change is not None:
            opened[name] = change(old)
