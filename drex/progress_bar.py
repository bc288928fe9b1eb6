"""The bar of long work on a terminal, and its lines in a log file."""

from __future__ import annotations

import io
import math
import sys
from typing import Any

from tqdm import tqdm


def progress_bar(label: str, total: int, unit: str, *, hidden: bool) -> tqdm[Any]:
    """A bar on the terminal; a line every tenth where there is none, as in a log file."""
    kind = tqdm if sys.stderr.isatty() else _Lines
    return kind(desc=label, total=total, unit=unit, unit_scale=True, disable=hidden)


class _Lines(tqdm):  # type: ignore[misc]
    _FORMAT = "{desc}: {percentage:3.0f}% {n_fmt}/{total_fmt}{unit} [{elapsed}<{remaining}, {rate_fmt}]"

    def __init__(self, *, total: int, disable: bool, **more: Any) -> None:
        self._shown = -1
        by_count = {"miniters": max(1, total / 10), "mininterval": 0, "maxinterval": math.inf}
        file = None if disable else io.StringIO()
        super().__init__(total=total, file=file, bar_format=self._FORMAT, disable=disable, **by_count, **more)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        if self.n != self._shown:  # the end is displayed again on closing
            self._shown = self.n
            print(self, file=sys.stderr, flush=True)
