"""What one part of the reliability harness found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The trials of one part.

    Args:
        what: was tried, and what counts as held, for a reader who has not seen the code.
        tried: trials.
        failures: one sentence for each trial that did not hold.
        counts: trials by kind, such as the stage that was killed or the reader that was called.
        facts: other numbers, by their names.
    """

    what: str
    tried: int
    failures: list[str]
    counts: dict[str, int]
    facts: dict[str, float] = field(default_factory=dict)

    @property
    def held(self) -> int:
        """Trials that went as they should."""
        return self.tried - len(self.failures)


Part = Callable[[float], Measured]
"""A part; called with the share of its trials to make, 1 for all."""
