"""Formats by name, and recognition of a path's format."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

from drex.demonstrations.formats import d4rl, imitation, minari, npz
from drex.demonstrations.validation import DemonstrationFields, check_fields
from drex.errors import UserError
from drex.files.atomic import os_errors_as_user_errors, refuse_existing, written_whole

FORMATS: dict[str, ModuleType] = {"npz": npz, "minari": minari, "imitation": imitation, "d4rl": d4rl}
"""By the names of options."""
_BY_ENDING = {".npz": "npz", ".hdf5": "d4rl", ".h5": "d4rl"}


def read(path: str | os.PathLike[str], format_name: str | None = None) -> DemonstrationFields:
    """Read and check demonstrations: a file, a folder, or the name of a dataset in Minari's cache.

    ``format_name`` is one of ``FORMATS``; ``None`` recognizes it. Any problem is a UserError.
    """
    place, format_name = locate(path, format_name)
    format_module = FORMATS[format_name]
    return check_fields(format_module.read(place), os.fspath(path), field_names=format_module.FIELD_NAMES)


def write(path: str | os.PathLike[str], fields: DemonstrationFields, format_name: str | None = None) -> None:
    """Write demonstrations to a new file or folder, atomically; ``read`` returns them unchanged.

    Raises:
        UserError: the path exists or cannot be written to, or its ending is unknown without ``format_name``.
    """
    place = Path(path)
    format_name = _known(format_name) or _BY_ENDING.get(place.suffix.lower())
    if format_name is None:
        expected, found = f"one of {', '.join(FORMATS)}", "none, nor an ending that tells it"
        raise UserError(f"{place}: format", expected=expected, found=found)
    refuse_existing(place)
    with os_errors_as_user_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(place) as whole:
        FORMATS[format_name].write(whole, fields)


def locate(path: str | os.PathLike[str], format_name: str | None = None) -> tuple[Path, str]:
    """Path and format of demonstrations; arguments and errors as of ``read``."""
    place, format_name = Path(path), _known(format_name)
    cached = minari.local_dataset(place.as_posix()) if format_name in (None, "minari") else None
    if not place.exists() and cached is not None:
        if not cached.is_dir():
            expected = f"a file, a folder, or a dataset in Minari's cache, {cached}"
            advice = f"minari download {path}"
            raise UserError(str(path), expected=expected, found="none of them", do=advice)
        return cached, "minari"
    format_name = format_name or _BY_ENDING.get(place.suffix.lower()) or _looks_like(place)
    if format_name is None:
        expected = "an npz or HDF5 file, or the folder of a Minari dataset or of an imitation dataset"
        single = place.is_dir() and any(place.glob("*.npz"))
        advice = "join npz files of single episodes by drex.Trajectories.from_episodes" if single else ""
        raise UserError(str(path), expected=expected, found=_content(place), do=advice)
    if format_name in ("minari", "imitation") and not place.is_dir():
        raise UserError(str(path), expected=f"the folder of {format_name}", found=_content(place))
    return place, format_name


def _known(format_name: str | None) -> str | None:
    if format_name is not None and format_name not in FORMATS:
        raise UserError("format", expected=f"one of {', '.join(FORMATS)}", found=repr(format_name))
    return format_name


def _looks_like(place: Path) -> str | None:
    if place.is_file():
        with place.open("rb") as file:
            magic = file.read(4)
        return {b"PK\x03\x04": "npz", b"\x89HDF": "d4rl"}.get(magic)
    if not place.is_dir():
        return None
    if minari.is_dataset(place):
        return "minari"
    return "imitation" if imitation.is_dataset(place) else None


def _content(place: Path) -> str:
    if place.is_dir():
        names = sorted(entry.name for entry in place.iterdir())
        shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        return f"a folder of {shown}" if names else "an empty folder"
    if place.is_file():
        return "a file of another kind" if place.stat().st_size else "an empty file"
    return "no regular file" if place.exists() else "no such file"
