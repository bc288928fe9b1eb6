"""Steps of many environments, recorded in rows of whole steps and cut into episodes at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_BLOCK_BYTES = 2**25
_BLOCK_STEPS = 1024


@dataclass(frozen=True, eq=False)
class Spans:
    """Environment, first recorded step and length of each episode, (episodes,) int64 each."""

    environments: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]


class StepBlocks:
    """One quantity of every environment, such as the actions, in blocks of bounded size.

    Blocks are freed one by one while they are cut, so that about one copy exists at a time. Doubles are
    stored in single precision.
    """

    def __init__(self, environments: npt.NDArray[np.int64]) -> None:
        self._environments = environments
        self._blocks: list[_Block] = []
        self._steps = 0

    def keep_only(self, environments: npt.NDArray[np.int64]) -> None:
        """From the next step on, record only these environments, ascending, of those recorded so far."""
        self._environments = environments
        if self._blocks:
            self._blocks[-1].close()

    def add(self, values: npt.NDArray[Any]) -> None:
        """Record a step, (all environments, *shape)."""
        if not self._blocks or self._blocks[-1].full:
            self._blocks.append(_Block(self._steps, self._environments, values))
        self._blocks[-1].add(values)
        self._steps += 1

    def cut(self, spans: Spans) -> npt.NDArray[Any]:
        """(all episodes' steps, *shape), end to end in the order of ``spans``; frees the blocks."""
        ends = np.cumsum(spans.lengths)
        first = self._blocks[0].values
        whole = np.empty((int(ends[-1]), *first.shape[2:]), first.dtype)
        places = ends - spans.lengths - spans.starts  # row of an episode's step, minus the step's number
        self._blocks.reverse()
        while self._blocks:
            block = self._blocks.pop()
            starts = np.maximum(spans.starts, block.first)
            stops = np.minimum(spans.starts + spans.lengths, block.first + block.steps)
            for episode in np.flatnonzero(starts < stops):
                start, stop, place = starts[episode], stops[episode], places[episode]
                column = np.searchsorted(block.environments, spans.environments[episode])
                rows = slice(start - block.first, stop - block.first)
                whole[place + start : place + stop] = block.values[rows, column]
        return whole


class _Block:
    """Some steps of some environments."""

    def __init__(self, first: int, environments: npt.NDArray[np.int64], like: npt.NDArray[Any]) -> None:
        self.first, self.environments, self.steps = first, environments, 0
        self._all = len(environments) == len(like)
        rows = _BLOCK_BYTES // max(len(environments) * like[0].nbytes, 1)
        shape = (min(max(rows, 1), _BLOCK_STEPS), len(environments), *like.shape[1:])
        self.values = np.empty(shape, np.float32 if like.dtype == np.float64 else like.dtype)
        self._rows = len(self.values)

    @property
    def full(self) -> bool:
        return self.steps == self._rows

    def add(self, values: npt.NDArray[Any]) -> None:
        self.values[self.steps] = values if self._all else values[self.environments]
        self.steps += 1

    def close(self) -> None:
        self._rows = self.steps
