"""Episodes as most formats keep them, one after the other, and as learning wants them, end to end.

Such a format has one observation more than actions in each episode: the last one, after which nothing was
done.
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
        observations: (steps + 1, *observation shape), or (steps, ...) where the last one is unknown.
        actions: (steps, *action shape).
        rewards: (steps,); ``None`` where unknown.
        terminated: whether it ended by itself; ``None`` where unknown.
        where: the place that it was read from, for the sentence of an error; ends in a separator.
    """

    observations: npt.NDArray[Any]
    actions: npt.NDArray[Any]
    rewards: npt.NDArray[Any] | None = None
    terminated: bool | None = None
    where: str = ""


def join(
    episodes: Iterable[Episode], source: str, *, called: dict[str, str] | None = None, last_known: bool = True
) -> Arrays:
    """Lay episodes end to end.

    Args:
        episodes: at least one.
        source: name of the file, for the sentence of an error.
        called: what the format calls its fields, likewise.
        last_known: the format demands the last observation of each episode; otherwise all or none have it.

    Raises:
        UserError: an episode contradicts itself or the one before it.
    """
    read: list[Episode] = []
    for episode in episodes:
        _check(episode, called or {}, last_known=last_known)
        if read:
            _check_alike(read[0], episode, called or {})
        read.append(episode)
    if not read:
        raise UserError(source, expected="at least one episode", found="none")
    lengths = np.array([len(episode.actions) for episode in read])
    arrays = {
        "observations": np.concatenate([each.observations[: len(each.actions)] for each in read]),
        "actions": np.concatenate([each.actions for each in read]),
        "lengths": lengths,
    }
    if len(read[0].observations) > len(read[0].actions):
        arrays["last_observations"] = np.stack([each.observations[-1] for each in read])
    if read[0].rewards is not None:
        arrays["rewards"] = np.concatenate([np.asarray(each.rewards) for each in read])
    if read[0].terminated is not None:
        arrays["terminated"] = np.array([each.terminated for each in read])
    return arrays


def split(fields: DemonstrationFields, *, fill: bool) -> Iterator[Episode]:
    """The episodes one by one.

    Args:
        fields: the demonstrations.
        fill: for a format that demands what is unknown: the last observation repeats the one before it, an
            episode counts as cut off. Rewards stay ``None``.
    """
    ends = np.cumsum(fields.lengths)
    for index, (start, end) in enumerate(zip(ends - fields.lengths, ends, strict=True)):
        seen = fields.observations[start:end]
        if fields.last_observations is not None:
            seen = np.concatenate([seen, fields.last_observations[index : index + 1]])
        elif fill:
            seen = np.concatenate([seen, seen[-1:]])
        terminated = None if fields.terminated is None else bool(fields.terminated[index])
        rewards = None if fields.rewards is None else fields.rewards[start:end]
        if fill and terminated is None:
            terminated = False
        yield Episode(seen, fields.actions[start:end], rewards, terminated)


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


def _check(episode: Episode, called: dict[str, str], *, last_known: bool) -> None:
    seen, done = (f"{episode.where}{called.get(name, name)}" for name in ("observations", "actions"))
    check_numbers(episode.actions, done)
    check_numbers(episode.observations, seen)
    steps = len(episode.actions)
    right = (steps + 1,) if last_known else (steps, steps + 1)
    if len(episode.observations) not in right:
        expected = " or ".join(map(str, right)) + f" rows beside {steps} actions"
        raise UserError(seen, expected=expected, found=f"{len(episode.observations)}")
    if episode.rewards is not None:
        where = f"{episode.where}{called.get('rewards', 'rewards')}"
        check_shape(episode.rewards, (steps,), where, "one a step")
        check_numbers(episode.rewards, where, allow_nan=True)


def _check_alike(first: Episode, episode: Episode, called: dict[str, str]) -> None:
    for name in ("observations", "actions"):
        one, other = getattr(first, name), getattr(episode, name)
        if one.shape[1:] != other.shape[1:] or one.dtype != other.dtype:
            raise UserError(
                f"{episode.where}{called.get(name, name)}",
                expected=f"{one.shape[1:]} {one.dtype} a step, as in the first episode",
                found=f"{other.shape[1:]} {other.dtype}",
            )
    last = len(first.observations) > len(first.actions), len(episode.observations) > len(episode.actions)
    if last[0] != last[1]:
        words = {True: "one row more than actions", False: "as many rows as actions"}
        raise UserError(
            f"{episode.where}{called.get('observations', 'observations')}",
            expected=f"{words[last[0]]}, as in the first episode",
            found=words[last[1]],
        )
    for name in ("rewards", "terminated"):
        if (getattr(first, name) is None) != (getattr(episode, name) is None):
            words = {True: "none, as in the first episode", False: "some, as in the first episode"}
            expected = words[getattr(first, name) is None]
            found = "none" if getattr(episode, name) is None else "some"
            raise UserError(f"{episode.where}{called.get(name, name)}", expected=expected, found=found)
