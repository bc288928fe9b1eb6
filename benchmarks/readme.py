"""The README's tables, written from the results: ``python -m benchmarks readme``."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks import mujoco
from benchmarks.runner import RESULTS

README = Path(__file__).parent.parent / "README.md"
TABLES = {"mujoco": mujoco.table}


def with_tables(text: str) -> str:
    """The README with every table between its marks made anew from the results."""
    for name, table in TABLES.items():
        body = f"<!-- results: {name} -->\n{table(RESULTS / name)}\n<!-- end of results -->"
        pattern = rf"<!-- results: {name} -->.*?<!-- end of results -->"
        text = re.sub(pattern, lambda _, body=body: body, text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
