"""Atomic writes of files and folders, and locks of folders."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

from drex.envs.json_options import json_object, parse_json
from drex.errors import UserError
from drex.files.dataclass_json import JSON

if sys.platform != "win32":
    import fcntl

LOCK = ".lock"
_HIDDEN = re.compile(r"\.[^/]+\.partial-\d+(/|$)")
PARTIAL = re.compile(r"\.partial-\d+$")  # what is being written by the process of that number
_OF_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.ENAMETOOLONG}
_LOG = logging.getLogger("drex")


def refuse_existing(file: Path) -> None:
    """Refuse to overwrite a user's file or folder, by a UserError."""
    if file.exists() or file.is_symlink():
        advice = "name another or remove it"
        raise UserError(str(file), expected="a new path", found="one that exists", do=advice)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary path for a file or folder that is moved to ``path`` once it is complete and on the disk.

    The temporary path has the same name, in a hidden folder next to ``path`` that is removed on an error. An
    existing file at ``path`` is replaced.

    Raises:
        UserError: the place cannot be written to.
    """
    hidden = path.with_name(f".{path.name}.partial-{os.getpid()}")
    with os_errors_as_user_errors(path):
        remove(hidden)
        try:
            hidden.mkdir()
            yield hidden / path.name
            _sync_tree(hidden)
            os.replace(hidden / path.name, path)
            _sync(path.parent)
        finally:
            remove(hidden)


def write_json(path: Path, value: JSON) -> None:
    """Write a JSON file atomically; ValueError if a number is not finite, UserError if the place refuses."""
    with written_whole(path) as place:
        place.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:  # noqa: ANN401 (any JSON value)
    """The value in a JSON file; UserError if it is absent, unreadable or not JSON."""
    return parse_json(_read(path), str(path))


def read_json_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; UserError if it is absent, unreadable or not a JSON object."""
    return json_object(_read(path), str(path))


def _read(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():  # opening a pipe would block
            found = "a folder" if path.is_dir() else "no regular file"
            raise UserError(str(path), expected="a JSON file", found=found)
        return path.read_bytes()
    except OSError as error:
        raise UserError(str(path), expected="a JSON file", found=str(error.strerror)) from error


@contextmanager
def os_errors_as_user_errors(path: Path, *, of_writing: bool = False) -> Iterator[None]:
    """Errors of the file system (permissions, space, names) as one sentence.

    Args:
        path: what was to be written.
        of_writing: errors of writing alone, around code that may raise other ones.
    """
    try:
        yield
    except OSError as error:
        if of_writing and error.errno not in _OF_WRITING:
            raise
        reason = error.strerror or str(error)
        named = error.filename and not _HIDDEN.search(str(error.filename))
        found = f"{reason} ({error.filename})" if named else reason
        where, advice = _HIDDEN.sub("", str(path)), "free it, or name another folder"
        raise UserError(where, expected="a place to write", found=found, do=advice) from error


def _sync_tree(folder: Path) -> None:
    """Flush all files and folders below, and the folder itself, to the disk."""
    for inner, _, files in os.walk(folder, topdown=False):
        for file in files:
            _sync(Path(inner, file))
        _sync(Path(inner))


def _sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    if sys.platform == "win32":  # cannot open a folder
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(entry: Path) -> None:
    """Remove a file, a folder with its contents, or a link (not its target), if it exists."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)


@final
class FolderLock:
    """A folder's lock, released by ``free`` or by the end of the process.

    Attributes:
        is_held: whether this process holds it; false in a forked worker.

    Raises:
        UserError: the folder is locked; the message names the process.
        OSError: the lock file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.is_held = False
        # a link in a folder from elsewhere would let the lock overwrite another file
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        self._descriptor = os.open(folder / LOCK, flags, 0o644)
        try:
            if sys.platform == "win32":
                _LOG.warning("%s: no lock on this system, start no second process in it", folder)
            else:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, str(os.getpid()).encode())
        except BlockingIOError:
            holder = os.read(self._descriptor, 32).decode() or "unknown"
            os.close(self._descriptor)
            expected, found = "a run folder that no process is using", f"one locked by process {holder}"
            advice = "wait for that process to end, or name another folder"
            raise UserError(str(folder), expected=expected, found=found, do=advice) from None
        except BaseException:
            os.close(self._descriptor)
            raise
        self.is_held = True
        _locks.add(self)

    def free(self) -> None:
        """Release the lock; may be called twice."""
        if self.is_held:
            self.is_held = False
            _locks.remove(self)
            os.close(self._descriptor)


_locks: set[FolderLock] = set()


def _free_inherited() -> None:
    """Close a forked worker's copies, which would outlive a killed parent."""
    for lock in tuple(_locks):
        lock.free()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_free_inherited)
