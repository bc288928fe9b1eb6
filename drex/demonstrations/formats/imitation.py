"""Datasets of ``imitation``, saved with Hugging Face ``datasets``: a folder, one row per episode.

Columns ``obs`` (steps + 1), ``acts``, ``infos``, ``terminal`` and, if known, ``rews``. pyarrow reads and
writes them, since ``datasets`` depends on two dozen packages. The infos are not decoded: jsonpickle can run
code. Task and ``about`` are in the ``description`` of ``dataset_info.json``. Format: imitation's
``data/huggingface_utils.py``.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drex.demonstrations.formats.episodes import Episode, join, split
from drex.demonstrations.formats.extra_fields import extra_fields, with_extra_fields, with_metadata
from drex.demonstrations.validation import DemonstrationFields
from drex.errors import UserError
from drex.files.arrow import Table, read_table, to_array, to_lists
from drex.files.atomic import read_json_object
from drex.files.untrusted import Arrays, library

FIELD_NAMES = {
    "observations": "obs",
    "actions": "acts",
    "rewards": "rews",
    "terminated": "terminal",
    "lengths": "acts",
    "last_observations": "obs",
}
_INFO, _STATE, _DATA = "dataset_info.json", "state.json", "data-00000-of-00001.arrow"
ArrowType = Any
"""A type of pyarrow."""
_REQUIRED = ("obs", "acts", "terminal")
_logger = logging.getLogger("drex")


def is_dataset(path: Path) -> bool:
    """Whether the folder looks like one of ``save_to_disk``, complete or not."""
    return any((path / name).exists() for name in (_STATE, _INFO, "dataset_dict.json"))


def read(path: Path) -> Arrays:
    """The arrays of all rows of the dataset."""
    if (path / "dataset_dict.json").exists() and not (path / _STATE).exists():
        found = f"several: {read_json_object(path / 'dataset_dict.json').get('splits')}"
        advice = "name the folder of one of them"
        raise UserError(str(path), expected="one dataset", found=found, do=advice)
    arrays = join(_episodes(path), str(path), field_names=FIELD_NAMES)
    info = read_json_object(path / _INFO)
    description = info.get("description") or ""
    try:
        extra = json.loads(description)
    except (TypeError, ValueError, RecursionError):
        extra = None
    if isinstance(extra, dict) and "drex" in extra:
        return with_extra_fields(arrays, extra, f"{path / _INFO}: description")
    return with_metadata(arrays, None, {"description": str(description)} if description else {})


def write(path: Path, fields: DemonstrationFields) -> None:
    """Write the folder, which must not exist."""
    arrow = library("pyarrow", str(path))
    path.mkdir(parents=True)
    rows = [_row(episode, str(path)) for episode in split(fields)]
    features = {name: _feature(column.type) for name, column in rows[0].items()}
    content = {"huggingface": json.dumps({"info": {"features": features}})}
    schema = arrow.schema([(name, column.type) for name, column in rows[0].items()], metadata=content)
    with arrow.OSFile(str(path / _DATA), "wb") as sink, arrow.ipc.new_stream(sink, schema) as stream:
        for row in rows:
            stream.write_batch(arrow.record_batch(list(row.values()), schema=schema))
    info = {"citation": "", "description": json.dumps(extra_fields(fields)), "features": features}
    state: dict[str, Any] = {
        "_data_files": [{"filename": _DATA}],
        "_fingerprint": hashlib.sha256((path / _DATA).read_bytes()).hexdigest()[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    for name, value in {_INFO: info | {"homepage": "", "license": ""}, _STATE: state}.items():
        (path / name).write_text(json.dumps(value, indent=2), encoding="utf-8")


def _row(episode: Episode, where: str) -> dict[str, Any]:
    arrow = library("pyarrow", where)
    steps = len(episode.actions)
    row = {
        "obs": to_lists(episode.observations, where),
        "acts": to_lists(episode.actions, where),
        "infos": arrow.array([["{}"] * steps]),
        "terminal": arrow.array([bool(episode.terminated)]),
    }
    if episode.rewards is not None:
        row["rews"] = to_lists(episode.rewards, where)
    return row


def _feature(arrow_type: ArrowType) -> dict[str, Any]:
    """A column's type for ``datasets``; new releases read Sequence as List."""
    if arrow_type.num_fields:
        return {"feature": _feature(arrow_type.value_type), "_type": "Sequence"}
    names = {"halffloat": "float16", "float": "float32", "double": "float64"}
    return {"dtype": names.get(str(arrow_type), str(arrow_type)), "_type": "Value"}


def _episodes(path: Path) -> Iterator[Episode]:
    index, others = 0, set()
    for file in _files(path):
        table = read_table(file, "stream")
        for name in _REQUIRED:
            if name not in table.column_names:
                present = ", ".join(table.column_names) or "none"
                raise UserError(f"{file}: {name}", expected="a column of this name", found=present)
        others |= set(table.column_names) - {*_REQUIRED, "rews", "infos"}
        for batch in table.to_batches():
            for row in range(batch.num_rows):
                yield _episode(batch, row, f"{file}: row {index}: ")
                index += 1
    if others:
        _logger.warning("%s: ignored, being no part of the format: %s", path, ", ".join(sorted(others)))


def _episode(batch: Table, row: int, where: str) -> Episode:
    arrow = library("pyarrow", where)
    terminal = batch.column("terminal")
    if not arrow.types.is_boolean(terminal.type) or not terminal[row].is_valid:
        found = str(terminal.type) if terminal[row].is_valid else "none (null)"
        raise UserError(f"{where}terminal", expected="true or false", found=found)
    lists = {}
    for name in ("obs", "acts", "rews"):
        if name not in batch.schema.names:
            continue
        cell = batch.column(name)[row]
        if not hasattr(cell, "values") or cell.values is None:
            found = str(cell.type) if cell.is_valid else "none (null)"
            raise UserError(f"{where}{name}", expected="a list, one entry a step", found=found)
        lists[name] = to_array(cell.values, f"{where}{name}")
    return Episode(lists["obs"], lists["acts"], lists.get("rews"), terminal[row].as_py(), where)


def _files(path: Path) -> list[Path]:
    """The data files that ``state.json`` names, in this folder only."""
    state = read_json_object(path / _STATE)
    where, expected = f"{path / _STATE}: _data_files", "names of files of this folder"
    listed = state.get("_data_files")
    if not isinstance(listed, list) or not listed:
        found = repr(listed)[:80] if "_data_files" in state else "none"
        raise UserError(where, expected=expected, found=found)
    names = [entry.get("filename") if isinstance(entry, dict) else entry for entry in listed]
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:
            raise UserError(where, expected=expected, found=repr(name)[:80])
    if state.get("_indices_data_files"):
        found = "a choice of rows in another file (_indices_data_files)"
        raise UserError(str(path / _STATE), expected="whole data files", found=found, do="save it again")
    return [path / str(name) for name in names]
