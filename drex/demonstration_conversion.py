"""Demonstrations from any format into any other, with nothing lost on the way."""

from __future__ import annotations

import os

from drex.demonstrations import Demonstrations, load_demonstrations
from drex.formats import kinds


def convert_demonstrations(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    source_kind: str | None = None,
    target_kind: str | None = None,
) -> Demonstrations:
    """Write in one format what is read from another: equal arrays, and what is unknown stays unknown.

    Kept are observations, actions, rewards, lengths, which episodes ended by themselves, last observations,
    task and text. Left behind is what no part of learning reads: infos, seeds, the spaces' names and bounds.

    Args:
        source: a file or folder, or the name of a dataset in Minari's cache.
        target: a file or folder that does not exist.
        source_kind: its format, one of ``npz``, ``minari``, ``imitation``, ``recordings``, ``d4rl``; ``None``
            recognises it.
        target_kind: likewise; ``None`` takes it from the ending, ``.npz``, ``.hdf5`` or ``.h5``.

    Returns:
        What was written, read again.

    Raises:
        UserError: the source is not sound, or the target exists or cannot be written to.
    """
    kinds.write(target, kinds.read(source, source_kind), target_kind)
    return load_demonstrations(target, kind=target_kind)
