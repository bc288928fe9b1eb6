"""Minari datasets: a folder with ``data/metadata.json`` and the episodes as HDF5, Arrow or Parquet.

h5py or pyarrow reads them, since Minari depends on a dozen more packages. Observations that are no Box are
flattened in gymnasium's order, JPEG images are decoded, infos are ignored. Datasets are written as HDF5 with
uncompressed images and with spaces that contain the data, since the original spaces are unknown. Format:
minari.farama.org/content/dataset_standards, and its storage classes.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import Space
from gymnasium.spaces import Box

from drex.demonstrations.formats.episodes import Episode, ends_raised, join, split
from drex.demonstrations.formats.extra_fields import extra_fields, with_extra_fields, with_metadata
from drex.demonstrations.formats.minari_spaces import Node, flat_rows, rows_of, space_from_json, space_to_json
from drex.demonstrations.validation import DemonstrationFields
from drex.errors import UserError
from drex.files import arrow
from drex.files.atomic import read_json_object
from drex.files.hdf5 import H5, member, members, open_hdf5, read_array, read_bytes_rows
from drex.files.untrusted import Arrays, library

FIELD_NAMES = {"terminated": "terminations", "last_observations": "observations", "lengths": "observations"}
WRITTEN_VERSION = "0.5.4"
"""Version of Minari whose layout is written; any 0.x is read."""
_FILE, _METADATA = "main_data.hdf5", "metadata.json"
_DATASET_ID = re.compile(r"(?:[-\w]+/)*[-\w]+-v\d+")
_FIELDS = ("observations", "actions", "rewards", "terminations", "truncations")
_ABOUT = ("dataset_id", "description", "algorithm_name", "author", "author_email", "code_permalink")
_logger = logging.getLogger("drex")


def data_folder(path: Path) -> Path:
    """The folder with the metadata: the dataset's, or ``data`` in it."""
    return path / "data" if (path / "data").is_dir() else path


def is_dataset(path: Path) -> bool:
    """Whether the folder looks like a Minari dataset, complete or not."""
    inner = data_folder(path)
    if (inner / _FILE).exists():
        return True
    if not (inner / _METADATA).is_file():
        return False
    text = (inner / _METADATA).read_text(errors="replace")
    return '"data_format"' in text or '"minari_version"' in text


def local_dataset(name: str) -> Path | None:
    """The path of a dataset name in Minari's cache, ``MINARI_DATASETS_PATH`` or ``~/.minari/datasets``."""
    return _cache() / name if _DATASET_ID.fullmatch(name) else None


def read(path: Path) -> Arrays:
    """The arrays of all episodes of the dataset."""
    folder = data_folder(path)
    metadata = _metadata(folder / _METADATA)
    arrays = join(_episodes(folder, metadata), str(folder))
    found = {"total_episodes": len(arrays["lengths"]), "total_steps": int(arrays["lengths"].sum())}
    for name, count in found.items():
        if metadata[name] != count:
            where = f"{folder / _METADATA}: {name}"
            raise UserError(where, expected=f"{count}, as in the episodes", found=str(metadata[name]))
    if "drex" in metadata:
        return with_extra_fields(arrays, metadata["drex"], f"{folder / _METADATA}: drex")
    about = {name: metadata[name] for name in _ABOUT if metadata.get(name)}
    return with_metadata(arrays, _task(metadata), about)


def write(path: Path, fields: DemonstrationFields) -> None:
    """Write the folder, which must not exist, as HDF5."""
    h5py = library("h5py", str(path))
    folder = path / "data"
    folder.mkdir(parents=True)
    with h5py.File(folder / _FILE, "w", track_order=True) as file:
        for index, episode in enumerate(split(fields)):
            steps = len(episode.actions)
            group, last = file.create_group(f"episode_{index}"), np.arange(1, steps + 1) == steps
            group.attrs.update({"id": index, "total_steps": steps})
            parts = {
                "observations": episode.observations,
                "actions": episode.actions,
                "rewards": np.full(steps, np.nan) if episode.rewards is None else episode.rewards,
                "terminations": last & episode.terminated,
                "truncations": last & (not episode.terminated),
            }
            for name, array in parts.items():
                group.create_dataset(name, data=array, chunks=True, maxshape=(None, *array.shape[1:]))
    metadata: dict[str, Any] = {
        "total_episodes": len(fields.lengths),
        "total_steps": int(fields.lengths.sum()),
        "data_format": "hdf5",
        "jpeg_encoding": False,
        "observation_space": space_to_json(np.asarray(fields.observations), options=False),
        "action_space": space_to_json(fields.actions, options=True),
        "dataset_size": round((folder / _FILE).stat().st_size / 1e6, 1),
        "dataset_id": _dataset_id(path),
        "minari_version": WRITTEN_VERSION,
        "drex": extra_fields(fields),
    }
    specification = _specification(fields.task)
    if specification is not None:
        metadata["env_spec"] = specification
    (folder / _METADATA).write_text(json.dumps(metadata), encoding="utf-8")


def _cache() -> Path:
    return Path(os.environ.get("MINARI_DATASETS_PATH") or Path.home() / ".minari" / "datasets")


def _dataset_id(path: Path) -> str:
    """The dataset's name in Minari's cache, or else that of its folder."""
    try:
        parts = path.resolve().relative_to(_cache().resolve()).parts
        # Minari ignores hidden folders, and an unfinished dataset is in one.
        name = "/".join(part for part in parts if not part.startswith("."))
    except ValueError:
        name = path.resolve().name
    name = re.sub(r"[^-\w/]", "-", name)
    return name if _DATASET_ID.fullmatch(name) else f"{name}-v0"


def _specification(task: str | None) -> str | None:
    """Gymnasium's specification of a task of its own registry."""
    import gymnasium

    try:
        return gymnasium.spec(task).to_json() if task and ":" not in task else None
    except (gymnasium.error.Error, TypeError, ValueError):
        return None


def _metadata(file: Path) -> dict[str, Any]:
    metadata = read_json_object(file)
    for name, wanted in {"total_episodes": int, "total_steps": int, "minari_version": str}.items():
        if type(metadata.get(name)) is not wanted:
            found = repr(metadata[name])[:80] if name in metadata else "none"
            raise UserError(f"{file}: {name}", expected=f"one of type {wanted.__name__}", found=found)
    version = metadata["minari_version"]
    if not version.startswith("0."):
        raise UserError(f"{file}: minari_version", expected="0.x", found=version, do="update drex")
    if metadata.get("data_format", "hdf5") not in ("hdf5", "arrow", "parquet"):
        found = repr(metadata["data_format"])
        raise UserError(f"{file}: data_format", expected="hdf5, arrow or parquet", found=found)
    return metadata


def _task(metadata: dict[str, Any]) -> str | None:
    try:
        task = json.loads(metadata["env_spec"])["id"]
    except (KeyError, TypeError, ValueError):
        return None
    return task if isinstance(task, str) else None


def _episodes(folder: Path, metadata: dict[str, Any]) -> Iterator[Episode]:
    jpeg = bool(metadata.get("jpeg_encoding", True))
    spaces = {
        f"{name}s": space_from_json(metadata[f"{name}_space"], f"{folder / _METADATA}: {name}_space")
        for name in ("observation", "action")
        if f"{name}_space" in metadata
    }
    unended = 0
    for where, node in _nodes(folder, metadata):
        seen, done, rewards, terminations, truncations = (
            _field(node, name, where, spaces.get(name), jpeg=jpeg) for name in _FIELDS
        )
        steps = len(seen) - 1
        if isinstance(node, _Arrow):  # Minari pads columns to the length of observations
            done, rewards = done[:steps], rewards[:steps]
            terminations, truncations = terminations[:steps], truncations[:steps]
        ended = ends_raised(terminations, len(done), f"{where}terminations")
        unended += not (ended | ends_raised(truncations, len(done), f"{where}truncations"))
        yield Episode(seen, done, rewards, ended, where)
    if unended:
        _logger.warning("%s: %d episodes end without a flag and count as truncated", folder, unended)


def _nodes(folder: Path, metadata: dict[str, Any]) -> Iterator[tuple[str, Node]]:
    """Each episode, with its place for errors."""
    data_format, episodes = metadata.get("data_format", "hdf5"), range(metadata["total_episodes"])
    if data_format == "hdf5":
        with open_hdf5(folder / _FILE) as file:
            for index in episodes:
                where = f"{folder / _FILE}: episode_{index}"
                yield f"{where}/", _Hdf5(file).part(f"episode_{index}", where)
    else:
        for index in episodes:
            yield _arrow_episode(folder / str(index), data_format)


def _field(node: Node, name: str, where: str, space: Space[Any] | None, *, jpeg: bool) -> npt.NDArray[Any]:
    inner = node.part(name, f"{where}{name}")
    if space is None:
        return np.atleast_1d(inner.array(f"{where}{name}"))
    if name != "observations" or isinstance(space, Box):
        return rows_of(space, inner, f"{where}{name}", jpeg=jpeg)
    rows = flat_rows(space, inner, f"{where}{name}", jpeg=jpeg)
    # Floats keep their precision; integers become float32, as in flattened environments.
    return rows if rows.dtype.kind == "f" else rows.astype(np.float32)


@dataclass(frozen=True)
class _Hdf5:
    """A group or dataset of HDF5, with its parent and name."""

    group: H5
    above: H5 = None
    name: str = ""

    def part(self, name: str, where: str) -> _Hdf5:
        part = None
        if hasattr(self.group, "keys"):
            name = f"_index_{name}" if f"_index_{name}" in members(self.group) else name
            part = member(self.group, name, where)
        if part is None:
            raise UserError(where, expected="an array or a group of this name", found="none")
        return _Hdf5(part, self.group, name)

    def array(self, where: str) -> npt.NDArray[Any]:
        array = read_array(self.above, self.name, where)
        if array is None:
            raise UserError(where, expected="an array of this name", found="none")
        return array

    def images(self, where: str) -> list[bytes]:
        return read_bytes_rows(self.above, self.name, where)


@dataclass(frozen=True)
class _Arrow:
    """A column of an Arrow table, or a field of a struct in it."""

    column: arrow.Column

    def part(self, name: str, where: str) -> _Arrow:
        fields = [field.name for field in self.column.type] if self.column.type.num_fields else []
        if name not in fields:
            found = ", ".join(fields) or "none"
            raise UserError(where, expected="a column or field of this name", found=found)
        return _Arrow(self.column.field(name))

    def array(self, where: str) -> npt.NDArray[Any]:
        return arrow.to_array(self.column, where)

    def images(self, where: str) -> list[bytes]:
        if not library("pyarrow", where).types.is_binary(self.column.type):
            raise UserError(where, expected="rows of bytes, one an image", found=str(self.column.type))
        return [row or b"" for row in self.column.to_pylist()]


def _arrow_episode(folder: Path, data_format: str) -> tuple[str, _Arrow]:
    files = sorted(folder.glob(f"*.{data_format}"))
    if len(files) != 1:
        found = f"{len(files)} in {folder.name}" if folder.is_dir() else "no such folder"
        raise UserError(str(folder), expected=f"one .{data_format} file, the episode", found=found)
    table = arrow.read_table(files[0], "file" if data_format == "arrow" else data_format)
    if not table.num_rows:
        raise UserError(str(files[0]), expected="at least one row", found="none")
    return f"{files[0]}: ", _Arrow(table.to_struct_array().combine_chunks())
