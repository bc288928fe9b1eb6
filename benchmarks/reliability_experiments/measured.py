"""What one part of the reliability harness found."""

from __future__ import annotations

from collections import Counter
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


class Tally:
    """Trials as they are made."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._failures: list[str] = []

    def add(self, kind: str, trial: str, wrong: str) -> None:
        """A trial of this kind; ``wrong`` is empty where it held."""
        self.counts[kind] += 1
        if wrong:
            self._failures.append(f"{trial}: {wrong}")

    def measured(self, what: str, **facts: float) -> Measured:
        """What came of all trials; names of facts have ``_`` for a space."""
        named = {name.replace("_", " "): value for name, value in facts.items()}
        tried, counts = self.counts.total(), dict(self.counts)
        return Measured(what=what, tried=tried, failures=self._failures, counts=counts, facts=named)


Part = Callable[[float], Measured]
"""A part; called with the share of its trials to make, 1 for all."""
