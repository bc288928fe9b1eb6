"""A folder of recordings in gymnasium's words: one npz file an episode, as a loop around ``step`` leaves it.

Gymnasium itself records returns and videos, not what was seen and done, so that everyone writes this loop.
Each file, in the order of the numbers in their names, has ``observations`` (steps + 1, or steps where the
last was not kept), ``actions`` (steps) and optional ``rewards``, ``terminations`` and ``truncations``
(steps); ``metadata.json`` beside them keeps task and text, and may be absent. No pickle is read.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from drex.demonstrations.formats.episodes import Episode, ends_raised, flags_at_the_end, join, split
from drex.demonstrations.formats.extra_fields import beside, with_beside
from drex.demonstrations.validation import DemonstrationFields
from drex.errors import UserError
from drex.files.npz import read_npz, write_npz
from drex.files.untrusted import Arrays, read_object

CALLED = {"terminated": "terminations", "last_observations": "observations"}
_NAMES = ("observations", "actions", "rewards", "terminations", "truncations")
_METADATA = "metadata.json"
_logger = logging.getLogger("drex")


def read(path: Path) -> Arrays:
    """The arrays of all files of the folder.

    Raises:
        UserError: a file that is none, or that contradicts the first one.
    """
    arrays = join(_episodes(path), str(path), called=CALLED, last_known=False)
    if not (path / _METADATA).exists():
        return arrays
    return with_beside(arrays, read_object(path / _METADATA), str(path / _METADATA))


def write(path: Path, fields: DemonstrationFields) -> None:
    """Write the folder, which must not exist."""
    path.mkdir()
    for index, episode in enumerate(split(fields, fill=False)):
        arrays = {"observations": episode.observations, "actions": episode.actions}
        steps = len(episode.actions)
        if episode.rewards is not None:
            arrays["rewards"] = episode.rewards
        if episode.terminated is not None:
            arrays["terminations"] = flags_at_the_end(steps, raised=episode.terminated)
            arrays["truncations"] = flags_at_the_end(steps, raised=not episode.terminated)
        write_npz(path / f"episode_{index:06}.npz", arrays)
    (path / _METADATA).write_text(json.dumps(beside(fields), indent=2) + "\n", encoding="utf-8")


def _episodes(path: Path) -> Iterator[Episode]:
    files = sorted(path.glob("*.npz"), key=_with_numbers)
    unended = 0
    for file in files:
        arrays = read_npz(file, _NAMES, log_others=file == files[0])
        for name in ("observations", "actions"):
            if name not in arrays:
                held = ", ".join(sorted(arrays)) or "none of the format's arrays"
                raise UserError(f"{file}: {name}", expected="an array of this name", found=held)
        ends = {
            name: ends_raised(arrays[name], len(np.atleast_1d(arrays["actions"])), f"{file}: {name}")
            for name in ("terminations", "truncations")
            if name in arrays
        }
        unended += "truncations" in ends and not any(ends.values())
        yield Episode(
            arrays["observations"],
            arrays["actions"],
            arrays.get("rewards"),
            ends.get("terminations"),
            where=f"{file}: ",
        )
    if unended:
        _logger.warning("%s: %d episodes end without a flag and count as cut off", path, unended)


def _with_numbers(file: Path) -> list[tuple[int, str]]:
    """Order of names in which 10 follows 9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", file.name)]
