"""Counts how the code stands: ``python tests/house.py`` prints what ``test_house.py`` asserts.

Everything is read from the sources. The order of the floors is that of import-linter's contracts in
pyproject.toml, so that there is one order.
"""

from __future__ import annotations

import ast
import statistics
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
Graph = Mapping[str, set[str]]


def modules(root: Path = ROOT) -> dict[str, Path]:
    """The package's modules and their files; ``drex/agents`` and ``drex/envs`` are links to the top level."""
    found = {}
    for top in ("drex", "agents", "envs"):
        for file in sorted((root / top).rglob("*.py")):
            words = file.relative_to(root).with_suffix("").parts
            found[".".join(words if top == "drex" else ("drex", *words)).removesuffix(".__init__")] = file
    return found


def imports(root: Path = ROOT) -> dict[str, set[str]]:
    """Which modules each imports, anywhere in its file, for type checkers alone included."""
    known = modules(root)
    return {module: set(_imported(module, file, known)) - {module} for module, file in known.items()}


def _imported(module: str, file: Path, known: Mapping[str, Path]) -> Iterator[str]:
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in known)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{source}.{name.name}" for name in node.names]
            yield from (name for name in names if name in known)
            if source in known and not all(name in known for name in names):
                yield source


def room(module: str) -> str:
    """``drex.rewards.loss`` to ``rewards``, ``drex.errors`` to ``errors``, ``drex`` itself to ``drex``."""
    return module.split(".")[1] if "." in module else module


def between_rooms(graph: Graph) -> dict[str, set[str]]:
    """The same arrows between rooms."""
    found: dict[str, set[str]] = {room(module): set() for module in graph}
    for module, targets in graph.items():
        found[room(module)] |= {room(target) for target in targets} - {room(module)}
    return found


def circles(graph: Graph) -> list[list[str]]:
    """Sets of nodes that all reach each other, two or more a set."""
    reached = {node: _reachable(graph, node) for node in graph}
    found = {frozenset(other for other in reached[node] if node in reached[other]) for node in graph}
    return sorted(sorted(circle) for circle in found if len(circle) > 1)


def _reachable(graph: Graph, start: str) -> set[str]:
    seen, waiting = set(), [start]
    while waiting:
        for target in graph.get(waiting.pop(), ()):
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    return seen


def floors(container: str = "drex", root: Path = ROOT) -> dict[str, int]:
    """The floor of each room in a container, by the layers contract of that container; 0 is the lowest."""
    contracts = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if each.get("containers") == [container])
    return {
        name.strip(): floor
        for floor, layer in enumerate(reversed(layers))
        for name in layer.replace("|", ":").split(":")
    }


def arrows_back_up(graph: Graph, order: Mapping[str, int]) -> list[str]:
    """Imports of a higher room, ``importer -> imported``; rooms without a floor stand on the roof."""
    roof = len(order)

    def floor(module: str) -> int:
        return order.get(room(module), roof)

    return sorted(
        f"{module} -> {target}"
        for module, targets in graph.items()
        for target in targets
        if floor(target) > floor(module)
    )


def loose(root: Path = ROOT) -> list[str]:
    """Modules that lie in ``drex/`` itself, in no room."""
    return sorted(file.stem for file in (root / "drex").glob("*.py"))


def lines(root: Path = ROOT) -> dict[str, int]:
    """The length of every module."""
    return {module: len(file.read_text().splitlines()) for module, file in modules(root).items()}


def main() -> None:
    """Print the counts."""
    graph, lengths = imports(), lines()
    longest = max(lengths, key=lambda module: lengths[module])
    back_up = arrows_back_up(graph, floors())
    print(f"modules        {len(graph)} in {len(between_rooms(graph))} rooms")
    print(f"loose in drex/ {len(loose())}: {', '.join(loose())}")
    print(f"circles        {len(circles(graph))} of modules, {len(circles(between_rooms(graph)))} of rooms")
    print(f"arrows back up {len(back_up)}")
    print(f"lines          {sum(lengths.values()):,}, median {statistics.median(lengths.values()):.0f}")
    print(f"longest        {longest}, {lengths[longest]} lines")
    for circle in circles(graph) + circles(between_rooms(graph)):
        print(f"  circle: {' <-> '.join(circle)}")
    for arrow in back_up:
        print(f"  back up: {arrow}")


if __name__ == "__main__":
    main()
