"""Checksums of a folder's files, so that a changed bit stops a resumed run with one sentence."""

from __future__ import annotations

import hashlib
from pathlib import Path

from drex.errors import UserError
from drex.files.atomic import read_json_object, write_json

CHECKSUMS = "checksums.json"
_CHUNK = 1 << 20


def write_checksums(folder: Path) -> None:
    """Write the SHA-256 of every file in the folder and below into ``checksums.json``."""
    write_json(folder / CHECKSUMS, {name: _sha256(folder / name) for name in _names(folder)})


def check_checksums(folder: Path, *, advice: str) -> None:
    """Compare the files with ``checksums.json``; folders without it, of older versions, are not checked.

    Args:
        folder: that ``write_checksums`` has seen.
        advice: what to do about a changed file.

    Raises:
        UserError: a file has changed or is missing.
    """
    if not (folder / CHECKSUMS).is_file():
        return
    for name, known in read_json_object(folder / CHECKSUMS).items():
        file = folder / name
        found = "none" if not file.is_file() else "other content" if _sha256(file) != known else ""
        if found:
            raise UserError(str(file), expected="the file as it was written", found=found, do=advice)


def _names(folder: Path) -> list[str]:
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != CHECKSUMS)
    return sorted(file.relative_to(folder).as_posix() for file in files)


def _sha256(file: Path) -> str:
    total = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            total.update(chunk)
    return total.hexdigest()
