"""Which format a path is of, and reading and writing by its name."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

from drex.demonstrations.formats import d4rl, imitation, minari, npz
from drex.demonstrations.validation import DemonstrationFields, check_fields
from drex.errors import UserError
from drex.files.atomic import os_errors_as_user_errors, written_whole

FORMATS: dict[str, ModuleType] = {"npz": npz, "minari": minari, "imitation": imitation, "d4rl": d4rl}
"""By the names that commands take."""
_BY_ENDING = {".npz": "npz", ".hdf5": "d4rl", ".h5": "d4rl"}


def read(path: str | os.PathLike[str], format_name: str | None = None) -> DemonstrationFields:
    """Read and check demonstrations of any format.

    Args:
        path: a file or a folder, or the name of a dataset in Minari's cache.
        format_name: one of ``FORMATS``; ``None`` recognises it.

    Raises:
        UserError: naming file, field, what was expected and what was found.
    """
    place, format_name = locate(path, format_name)
    source = os.fspath(path)
    return check_fields(
        FORMATS[format_name].read(place), source, field_names=FORMATS[format_name].FIELD_NAMES
    )


def write(path: str | os.PathLike[str], fields: DemonstrationFields, format_name: str | None = None) -> None:
    """Write demonstrations in any format, at once or not at all, so that reading gives them back unchanged.

    Args:
        path: a file or folder that does not exist.
        fields: what to write.
        format_name: one of ``FORMATS``; ``None`` takes it from the ending.

    Raises:
        UserError: the place is taken or cannot be written to, or the ending does not tell the format.
    """
    place = Path(path)
    format_name = _known(format_name) or _BY_ENDING.get(place.suffix.lower())
    if format_name is None:
        raise UserError(
            f"{place}: format",
            expected=f"one of {', '.join(FORMATS)}",
            found="none, nor an ending that tells it",
        )
    if place.exists() or place.is_symlink():
        raise UserError(
            str(place), expected="a new place", found="one that exists", do="name another or remove it"
        )
    with os_errors_as_user_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(place) as whole:
            FORMATS[format_name].write(whole, fields)


def locate(path: str | os.PathLike[str], format_name: str | None = None) -> tuple[Path, str]:
    """Where the demonstrations lie, and of which format they are.

    Args:
        path: a file or a folder, or the name of a dataset in Minari's cache.
        format_name: one of ``FORMATS``; ``None`` recognises it.

    Raises:
        UserError: nothing is there, or nothing that looks like any of the formats.
    """
    place, format_name = Path(path), _known(format_name)
    cached = minari.local_dataset(place.as_posix()) if format_name in (None, "minari") else None
    if not place.exists() and cached is not None:
        if not cached.is_dir():
            raise UserError(
                str(path),
                expected=f"a file, a folder, or a dataset in Minari's cache, {cached}",
                found="none of them",
                do=f"minari download {path}",
            )
        return cached, "minari"
    format_name = format_name or _BY_ENDING.get(place.suffix.lower()) or _looks_like(place)
    if format_name is None:
        episodes = place.is_dir() and any(place.glob("*.npz"))
        raise UserError(
            str(path),
            expected="an npz or HDF5 file, or the folder of a Minari dataset or of an imitation dataset",
            found=_content(place),
            do="join npz files of single episodes by drex.Trajectories.from_episodes" if episodes else "",
        )
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
