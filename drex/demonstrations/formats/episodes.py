"""Single episodes, as in Minari and imitation, joined end to end and split again.

Each episode has one observation more than actions: the last one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from drex.demonstrations.validation import DemonstrationFields, check_numbers, check_shape
from drex.errors import UserError
from drex.files.untrusted import Arrays


@dataclass(frozen=True, eq=False)
class Episode:
    """One episode.

    Args:
        observations: (steps + 1, *observation shape).
        actions: (steps, *action shape).
        rewards: (steps,); ``None`` where unknown.
        terminated: whether it terminated, rather than being truncated.
        where: its place in the file, for errors; ends in a separator.
    """

    observations: npt.NDArray[Any]
    actions: npt.NDArray[Any]
    rewards: npt.NDArray[Any] | None = None
    terminated: bool = False
    where: str = ""


def join(episodes: Iterable[Episode], source: str, *, field_names: dict[str, str] | None = None) -> Arrays:
    """Lay episodes end to end; ``source`` (the file) and ``field_names`` of the format are for errors.

    Raises:
        UserError: an inconsistent episode, or one that differs from the first in shape or dtype.
    """
    read: list[Episode] = []
    for episode in episodes:
        _check(episode, field_names or {})
        if read:
            _check_alike(read[0], episode, field_names or {})
        read.append(episode)
    if not read:
        raise UserError(source, expected="at least one episode", found="none")
    lengths = np.array([len(episode.actions) for episode in read])
    arrays = {
        "observations": np.concatenate([each.observations[:-1] for each in read]),
        "actions": np.concatenate([each.actions for each in read]),
        "lengths": lengths,
        "last_observations": np.stack([each.observations[-1] for each in read]),
        "terminated": np.array([each.terminated for each in read]),
    }
    if read[0].rewards is not None:
        arrays["rewards"] = np.concatenate([np.asarray(each.rewards) for each in read])
    return arrays


def split(fields: DemonstrationFields) -> Iterator[Episode]:
    """The episodes one by one.

    Unknown fields are filled: the last observation repeats the one before, an episode counts as truncated.
    Unknown rewards remain ``None``.
    """
    ends = np.cumsum(fields.lengths)
    for index, (start, end) in enumerate(zip(ends - fields.lengths, ends, strict=True)):
        seen = fields.observations[start:end]
        lasts = fields.last_observations
        last = seen[-1:] if lasts is None else lasts[index : index + 1]
        rewards = None if fields.rewards is None else fields.rewards[start:end]
        terminated = fields.terminated is not None and bool(fields.terminated[index])
        yield Episode(np.concatenate([seen, last]), fields.actions[start:end], rewards, terminated)


def ends_raised(flags: npt.NDArray[Any], steps: int, where: str) -> bool:
    """The flag of the last step; UserError for flags of another shape or type, or an earlier true one."""
    check_shape(flags, (steps,), where, "one a step")
    if flags.dtype != np.bool_:
        raise UserError(where, expected="bool", found=str(flags.dtype))
    early = np.flatnonzero(flags[:-1])
    if len(early):
        found = f"true in row {early[0]} of {steps}"
        raise UserError(where, expected="true on the last step alone", found=found)
    return bool(flags[-1])


def _check(episode: Episode, field_names: dict[str, str]) -> None:
    seen, done = (f"{episode.where}{field_names.get(name, name)}" for name in ("observations", "actions"))
    check_numbers(episode.actions, done)
    check_numbers(episode.observations, seen)
    steps = len(episode.actions)
    if len(episode.observations) != steps + 1:
        expected = f"{steps + 1} rows beside {steps} actions"
        raise UserError(seen, expected=expected, found=f"{len(episode.observations)}")
    if episode.rewards is not None:
        where = f"{episode.where}{field_names.get('rewards', 'rewards')}"
        check_shape(episode.rewards, (steps,), where, "one a step")
        check_numbers(episode.rewards, where, allow_nan=True)


def _check_alike(first: Episode, episode: Episode, field_names: dict[str, str]) -> None:
    for name in ("observations", "actions", "rewards"):
        one, other = _form(getattr(first, name)), _form(getattr(episode, name))
        if one != other and (name != "rewards" or "none" in (one, other)):
            where = f"{episode.where}{field_names.get(name, name)}"
            raise UserError(where, expected=f"{one}, as in the first episode", found=other)


def _form(array: npt.NDArray[Any] | None) -> str:
    return "none" if array is None else f"{array.shape[1:]} {array.dtype} a step"
