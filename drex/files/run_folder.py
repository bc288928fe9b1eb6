"""The folder of one run: its stages are complete or absent, and loaded if their fingerprint matches.

A stage is written atomically, so a kill costs at most the stage in progress. Its fingerprint holds settings,
seed, format number, and the fingerprints of its inputs in full, so that an error names the differing field.
Its checksums tell a file that has changed since.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import platform
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, cast, final

from drex.errors import UserError
from drex.files.atomic import (
    LOCK,
    PARTIAL,
    FolderLock,
    os_errors_as_user_errors,
    read_json,
    read_json_object,
    remove,
    write_json,
    written_whole,
)
from drex.files.checksums import CHECKSUMS, check_checksums, write_checksums
from drex.files.dataclass_json import JSON
from drex.files.run_layout import CONFIG, VERSIONS

Made = TypeVar("Made")
Kept = TypeVar("Kept")

_LOG = logging.getLogger("drex")
_FINGERPRINT, _SECONDS = "fingerprint.json", "seconds.json"
_PACKAGES = ("numpy", "torch", "gymnasium", "stable_baselines3", "drex")
_ADVICE = "ask for what the folder holds, or name another folder"


@final
class RunFolder:
    """One run's folder, locked against other processes until it is closed; a context manager."""

    def __init__(self, path: Path, lock: FolderLock) -> None:
        self.path = path
        self._lock = lock
        self._making: dict[str, JSON] = {}

    @staticmethod
    def open(path: Path, *, config: Mapping[str, JSON], resume: bool) -> RunFolder:
        """Create the folder or, with ``resume``, continue in it, without the remains of a kill.

        Args:
            path: the folder; parents are created.
            config: compared field by field on resume, so without values that may change, such as the device.
            resume: continue if the folder holds a run; a folder that does not exist is created.

        Raises:
            UserError: the path is a file, holds something else, cannot be written, is in use by another
                process, holds a run and ``resume`` is false, or holds a run of another config. The folder's
                contents are then unchanged.
        """
        path, asked = Path(path), _plain(config)
        with os_errors_as_user_errors(path):
            _refuse_foreign(path)
            path.mkdir(parents=True, exist_ok=True)
            lock = FolderLock(path)
            try:
                _settle(path, asked, resume)
            except BaseException:
                lock.free()
                raise
        return RunFolder(path, lock)

    def load_or_make(
        self,
        name: str,
        make: Callable[[], Made],
        *,
        save: Callable[[Made, Path], None],
        load: Callable[[Path], Kept],
        settings: Mapping[str, JSON],
        seed: int,
        inputs: Sequence[str] = (),
        format_number: int = 1,
    ) -> Kept:
        """The stage's artifact: loaded if the stage is complete with this fingerprint, else made and saved.

        A new artifact is loaded from its files too, so that a fresh and a resumed run use equal objects.

        Args:
            name: the stage and its folder: letters, digits, ``_`` and ``-``.
            make: makes the artifact; its wall time is stored in ``seconds.json``.
            save: writes the artifact into an empty folder, except the run folder's own files.
            load: reads the files of ``save``.
            settings: all that the artifact depends on besides seed and inputs, with digests of user files.
            seed: the stage's own seed.
            inputs: earlier stages of this folder that the artifact is made from.
            format_number: of the files that ``save`` writes.

        Raises:
            UserError: the stage, complete or unfinished, has another fingerprint, or cannot be read or
                written.
            ValueError: a bad stage name, an incomplete input, or a closed folder.
        """
        self._check_usable(name)
        fingerprints = {stage: self._fingerprint(stage) for stage in inputs}
        fingerprint = _plain(
            {"format": format_number, "seed": seed, "settings": settings, "inputs": fingerprints}
        )
        folder, unfinished = self.path / name, self.path / f"{name}.unfinished"
        if os.path.lexists(folder):
            _refuse_difference(f"{self.path}: stage {name}", read_json(folder / _FINGERPRINT), fingerprint)
            check_checksums(folder, advice=f"remove {folder} to make the stage again")
        else:
            if (unfinished / _FINGERPRINT).exists():
                found = read_json(unfinished / _FINGERPRINT)
                _refuse_difference(f"{self.path}: stage {name} (unfinished)", found, fingerprint)
            self._make(name, make, save, fingerprint)
        return load(folder)

    def unfinished(self, name: str) -> Path:
        """The folder of a stage's checkpoints, which survives kills until the stage is complete.

        Called by the stage's ``make``, so that checkpoints of another fingerprint are never continued.

        Raises:
            ValueError: the stage is not being made.
        """
        if name not in self._making:
            raise ValueError(f"unfinished({name!r}) is for the make of stage {name!r}, while it runs")
        folder = self.path / f"{name}.unfinished"
        with os_errors_as_user_errors(folder):
            folder.mkdir(exist_ok=True)
            if not (folder / _FINGERPRINT).exists():
                write_json(folder / _FINGERPRINT, self._making[name])
        return folder

    def seconds(self) -> dict[str, float]:
        """Wall time in seconds of each complete stage, since the last resume."""
        files = sorted(self.path.glob(f"*/{_SECONDS}"))
        return {f.parent.name: float(read_json(f)["seconds"]) for f in files if "." not in f.parent.name}

    def close(self) -> None:
        """Release the lock; may be called twice."""
        self._lock.free()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_usable(self, name: str) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise ValueError(f"a stage name has letters, digits, _ and -, not {name!r}")
        if not self._lock.is_held:
            raise ValueError(f"{self.path}: this run folder is closed")

    def _fingerprint(self, name: str) -> JSON:
        self._check_usable(name)
        if not (self.path / name).is_dir():
            raise ValueError(f"stage {name!r} is named as an input and is not whole: make it first")
        return cast("JSON", read_json(self.path / name / _FINGERPRINT))

    def _make(
        self, name: str, make: Callable[[], Made], save: Callable[[Made, Path], None], fingerprint: JSON
    ) -> None:
        place = self.path / name
        self._making[name] = fingerprint
        try:
            begun = time.perf_counter()
            artifact = make()
            seconds = time.perf_counter() - begun
            with written_whole(place) as partial:
                partial.mkdir()
                save(artifact, partial)
                for file in (_FINGERPRINT, _SECONDS, CHECKSUMS):
                    if (partial / file).exists():
                        raise ValueError(f"stage {name}: save wrote {file}, which is the run folder's own")
                write_json(partial / _SECONDS, {"seconds": seconds})
                write_checksums(partial)
                write_json(partial / _FINGERPRINT, fingerprint)
        finally:
            del self._making[name]
        remove(self.path / f"{name}.unfinished")


def versions() -> dict[str, str | None]:
    """Versions of Python, system and processor type, and packages (null where not installed)."""
    system = f"{platform.system()}-{platform.machine()}"
    found: dict[str, str | None] = {"python": platform.python_version(), "platform": system}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version("drex-rl" if name == "drex" else name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def _settle(path: Path, asked: JSON, resume: bool) -> None:
    """Compare the locked folder with the config, and only then clean it and write into it."""
    left = [entry for entry in path.iterdir() if PARTIAL.search(entry.name)]
    # left by a kill between a stage's rename and the removal of its checkpoints
    left += [entry for entry in path.glob("*.unfinished") if (path / entry.stem).is_dir()]
    present = sorted(entry.name for entry in path.iterdir() if entry.name != LOCK and entry not in left)
    if present and not resume:
        found, advice = f"a run that holds {', '.join(present)}", "add --resume or name another folder"
        raise UserError(str(path), expected="a new or empty folder", found=found, do=advice)
    if present:
        _refuse_difference(str(path / CONFIG), read_json(path / CONFIG), asked)
    for entry in left:
        remove(entry)
    if not present:
        write_json(path / CONFIG, asked)
    now = versions()
    if not (path / VERSIONS).exists():
        write_json(path / VERSIONS, now)
        return
    then = read_json_object(path / VERSIONS)
    changed = [f"{name} {then.get(name)} -> {new}" for name, new in now.items() if then.get(name) != new]
    if changed:
        _LOG.warning("%s: begun with other versions, results may differ: %s", path, ", ".join(changed))


def _refuse_foreign(path: Path) -> None:
    if not path.exists():
        return
    if not path.is_dir():
        raise UserError(str(path), expected="a folder", found="a file", do="name another folder")
    present = sorted(entry.name for entry in path.iterdir())
    if present and LOCK not in present and CONFIG not in present:
        expected = "a run folder, an empty one or none"
        found = f"a folder that holds {present[0]} and no {CONFIG}"
        raise UserError(str(path), expected=expected, found=found, do="name another folder")


def _refuse_difference(where: str, found: JSON, asked: JSON) -> None:
    difference = _difference(found, asked, ())
    if difference is not None:
        field, there, wanted = difference
        raise UserError(f"{where}: {field}", expected=wanted, found=there, do=_ADVICE)


def _difference(found: JSON, asked: JSON, field: tuple[str, ...]) -> tuple[str, str, str] | None:
    """The first field that differs (dotted), the value found and the value asked for."""
    pairs: dict[str, tuple[Any, Any]] | None = None
    if isinstance(found, dict) and isinstance(asked, dict):
        # asked first: the order of fields is that of the code, not of an older file
        pairs = {key: (found.get(key, _NOTHING), asked.get(key, _NOTHING)) for key in {**asked, **found}}
    elif isinstance(found, list) and isinstance(asked, list) and len(found) == len(asked):
        pairs = {str(i): pair for i, pair in enumerate(zip(found, asked, strict=True))}
    if pairs is None:
        # true == 1 in Python, not in JSON
        equal = found == asked and isinstance(found, bool) == isinstance(asked, bool)
        return None if equal else (".".join(field), _say(found), _say(asked))
    differences = (_difference(there, wanted, (*field, key)) for key, (there, wanted) in pairs.items())
    return next((difference for difference in differences if difference is not None), None)


_NOTHING: Any = object()


def _say(value: JSON) -> str:
    said = "no such field" if value is _NOTHING else json.dumps(value)
    return said if len(said) <= 200 else f"{said[:200]}…"


def _plain(value: JSON) -> JSON:
    """As read back from JSON: tuples are lists. ValueError where a number is not finite."""
    return cast("JSON", json.loads(json.dumps(value, allow_nan=False)))
