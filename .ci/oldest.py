"""Prints pip constraints that pin each dependency to its lower bound in pyproject.toml.

``python .ci/oldest.py torch=2.14.0`` pins torch to that version instead.
"""

import re
import sys
import tomllib
from pathlib import Path


def main(instead: dict[str, str]) -> None:
    """Print ``name==version`` for the package's dependencies and those of its formats."""
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"] + project["optional-dependencies"]["formats"]:
        name, bound = re.match(r"([\w-]+)(?:\[.*?\])?>=([\w.]+)", requirement).groups()
        print(f"{name}=={instead.get(name, bound)}")


if __name__ == "__main__":
    main(dict(word.split("=") for word in sys.argv[1:]))
