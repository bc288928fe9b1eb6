"""Writes the tables of README.md and other pages from the results: ``python -m benchmarks readme``."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks import (
    ablations,
    atari,
    atari_memory,
    atari_parity,
    reliability,
    selection,
    suite,
    throughput,
    trex,
)
from benchmarks.runner import RESULTS

README = Path(__file__).parent.parent / "README.md"
PAGES = (README, Path(__file__).parent / "README.md", *sorted((README.parent / "docs").glob("*.md")))
TABLES = {
    "suite": suite.table,
    "suite-summary": lambda _: suite.summary(RESULTS / "suite"),
    "ablations": ablations.table,
    "atari": atari.table,
    "atari-parity": atari_parity.table,
    "throughput": throughput.table,
    "reliability": reliability.table,
    "selection": selection.table,
    "trex": trex.table,
    "atari-memory": atari_memory.table,
}


def with_tables(text: str) -> str:
    """The page with every table between marks replaced by the one made from the results."""

    def filled(mark: re.Match[str]) -> str:
        name = mark[1]
        return f"<!-- results: {name} -->\n{TABLES[name](RESULTS / name)}\n<!-- end of results -->"

    return re.sub(r"<!-- results: (\S+) -->.*?<!-- end of results -->", filled, text, flags=re.DOTALL)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(with_tables(page.read_text()))
