"""Two things measured in turn, and by how much one is faster."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What several repeats of two things gave, in turn. Values are rates: higher is better.

    A duration or an amount of memory is given as its inverse, with a unit like ``"1/s"`` or ``"1/GB"``, and
    shown as itself.
    """

    what: str
    """What is measured, for a reader who has not seen the code."""
    ours: str
    """What was run on our side."""
    against: str
    """What was run on the other side."""
    unit: str
    """Of the values."""
    ours_values: list[float]
    """One a repeat."""
    against_values: list[float]
    """One a repeat, measured right before or after ours."""
    target: float
    """The least ratio asked for."""

    @property
    def ratios(self) -> list[float]:
        """Ours over the other, repeat by repeat, so that what slows the machine down slows both."""
        return [mine / other for mine, other in zip(self.ours_values, self.against_values, strict=True)]

    @property
    def ratio(self) -> float:
        """Median of the ratios."""
        return statistics.median(self.ratios)

    @property
    def spread(self) -> tuple[float, float]:
        """Smallest and largest ratio."""
        return min(self.ratios), max(self.ratios)

    @property
    def reached(self) -> bool:
        """Whether the ratio is at least the target."""
        return self.ratio >= self.target


Experiments = dict[str, Callable[[int], Comparison]]
"""Experiments by name; each is called with how many repeats to make."""
