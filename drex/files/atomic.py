"""Files that a kill leaves whole or absent, and the lock that keeps a second process out of a folder."""

from __future__ import annotations

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
PARTIAL = re.compile(r"\.partial-\d+$")  # what is being written by the process of that number
_LOG = logging.getLogger("drex")


def refuse_existing(file: Path) -> None:
    """Nothing that a user has is overwritten.

    Raises:
        UserError: the file exists.
    """
    if file.exists():
        raise UserError(
            str(file), expected="a new file", found="one that exists", do="name another or remove it"
        )


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Where to write a file or a folder that takes its place only when it is whole and on the disk.

    The place is a path of the same name in a hidden folder beside ``path``, removed on an error. A file that
    stands at ``path`` is replaced.

    Raises:
        OSError: the place cannot be written to.
    """
    hidden = path.with_name(f".{path.name}.partial-{os.getpid()}")
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
    """Write a JSON file whole or not at all, flushed to the disk.

    Raises:
        ValueError: the value holds a number that is not finite.
    """
    with written_whole(path) as place:
        place.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:  # noqa: ANN401 (whatever the file holds)
    """What a JSON file holds.

    Raises:
        UserError: the file is absent, unreadable or not JSON.
    """
    return parse_json(_read(path), str(path))


def read_json_object(path: Path) -> dict[str, Any]:
    """The JSON object that a file holds.

    Raises:
        UserError: the file is absent, unreadable, or holds anything else.
    """
    return json_object(_read(path), str(path))


def _read(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():  # opening a pipe would block for ever
            found = "a folder" if path.is_dir() else "no regular file"
            raise UserError(str(path), expected="a JSON file", found=found)
        return path.read_bytes()
    except OSError as error:
        raise UserError(str(path), expected="a JSON file", found=str(error.strerror)) from error


@contextmanager
def os_errors_as_user_errors(path: Path) -> Iterator[None]:
    """Say in one sentence what the file system refused: permissions, space, names."""
    try:
        yield
    except OSError as error:
        found = f"{error.strerror or error} ({error.filename})" if error.filename else str(error)
        raise UserError(
            str(path), expected="a place to write", found=found, do="free it, or name another folder"
        ) from error


def _sync_tree(folder: Path) -> None:
    """Flush all files and folders below, and the folder itself, to the disk."""
    for inner, _, files in os.walk(folder, topdown=False):
        for file in files:
            _sync(Path(inner, file))
        _sync(Path(inner))


def _sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    if sys.platform == "win32":  # which cannot open a folder; there the rename is atomic but may come late
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(entry: Path) -> None:
    """Remove a file or a folder with all it holds, if it is there; of a link, only the link."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)


@final
class FolderLock:
    """A folder's lock, freed by ``free`` or by the end of the process, whatever ends it.

    Attributes:
        is_held: whether this process still has it; false in a forked worker.

    Raises:
        UserError: another process, or another lock of this one, has it; the message names the process.
        OSError: the lock file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.is_held = False
        self._descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
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
            raise UserError(
                str(folder),
                expected="a run folder that no process is using",
                found=f"one locked by process {holder}",
                do="wait for that process to end, or name another folder",
            ) from None
        except BaseException:
            os.close(self._descriptor)
            raise
        self.is_held = True
        _locks.add(self)

    def free(self) -> None:
        """Let others in; may be called twice."""
        if self.is_held:
            self.is_held = False
            _locks.remove(self)
            os.close(self._descriptor)


_locks: set[FolderLock] = set()


def _free_inherited() -> None:
    """A forked worker closes its copies, or it would hold the lock on after its parent is killed."""
    for lock in tuple(_locks):
        lock.free()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_free_inherited)
