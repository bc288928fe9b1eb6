"""Episodes as Minari and imitation keep them, one after the other, and as learning wants them, end to end.

Both have one observation more than actions in each episode: the last one, after which nothing was done.
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
        where: the place that it was read from, for the sentence of an error; ends in a separator.
    """

    observations: npt.NDArray[Any]
    actions: npt.NDArray[Any]
    rewards: npt.NDArray[Any] | None = None
    terminated: bool = False
    where: str = ""


def join(episodes: Iterable[Episode], source: str, *, field_names: dict[str, str] | None = None) -> Arrays:
    """Lay episodes end to end.

    Args:
        episodes: at least one.
        source: name of the file, for the sentence of an error.
        field_names: what the format calls its fields, likewise.

    Raises:
        UserError: an episode contradicts itself or the one before it.
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

    What is unknown is filled, since both formats demand it: the last observation repeats the one before it,
    an episode counts as truncated. Rewards stay ``None``.
    """
    ends = np.cumsum(fields.lengths)
    for index, (start, end) in enumerate(zip(ends - fields.lengths, ends, strict=True)):
        seen = fields.observations[start:end]
        lasts = fields.last_observations
        last = seen[-1:] if lasts is None else lasts[index : index + 1]
        rewards = None if fields.rewards is None else fields.rewards[start:end]
        terminated = fields.terminated is not None and bool(fields.terminated[index])
        yield Episode(np.concatenate([seen, last]), fields.actions[start:end], rewards, terminated)


def flags_at_the_end(steps: int, *, raised: bool) -> npt.NDArray[np.bool_]:
    """(steps,) flags, false but for the last, which is raised or not."""
    flags = np.zeros(steps, np.bool_)
    flags[-1] = raised
    return flags


def ends_raised(flags: npt.NDArray[Any], steps: int, where: str) -> bool:
    """Whether the flag of the last step is raised; an episode has none before it.

    Raises:
        UserError: flags of another shape or type, or one that is raised before the last step.
    """
    check_shape(flags, (steps,), where, "one a step")
    if flags.dtype != np.bool_:
        raise UserError(where, expected="bool", found=str(flags.dtype))
    early = np.flatnonzero(flags[:-1])
    if len(early):
        raise UserError(
            where, expected="true on the last step alone", found=f"true in row {early[0]} of {steps}"
        )
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
    for name in ("observations", "actions"):
        one, other = getattr(first, name), getattr(episode, name)
        if one.shape[1:] != other.shape[1:] or one.dtype != other.dtype:
            raise UserError(
                f"{episode.where}{field_names.get(name, name)}",
                expected=f"{one.shape[1:]} {one.dtype} a step, as in the first episode",
                found=f"{other.shape[1:]} {other.dtype}",
            )
    if (first.rewards is None) != (episode.rewards is None):
        words = {True: "none", False: "some"}
        raise UserError(
            f"{episode.where}{field_names.get('rewards', 'rewards')}",
            expected=f"{words[first.rewards is None]}, as in the first episode",
            found=words[episode.rewards is None],
        )
