"""Files of the user's ranking, JSON or CSV (T-REX).

Episodes are numbered from 0 in the order of the demonstrations' file. A JSON file holds one of these keys:

==============  ========================================================================================
``order``       episodes, worst first: ``{"order": [2, 0, 1]}``
``tiers``       lists of episodes, worst tier first: ``{"tiers": [[2], [0, 1]]}``; none within a tier
``scores``      one number an episode, higher is better, used as ranks alone; null where there is none
``pairs``       ``[better, worse]`` or ``[better, worse, weight]``; may be partial and contradict each other
``file_order``  the number of episodes, in the order in which a learner produced them: later is better
==============  ========================================================================================

and optionally ``episodes``, their number, which is checked, and ``format`` (1). The header of a CSV file
determines its form: ``better,worse`` or ``better,worse,weight`` (pairs), ``episode,score`` or
``episode,tier`` (higher is better, empty where there is none), or ``episode`` (order, worst first).
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from drex.envs.json_options import json_object
from drex.errors import UserError
from drex.files.atomic import write_json
from drex.rankings.user_ranking import FORMAT, FORMS, Ranking, is_count


def ranking_beside(demonstrations: str | os.PathLike[str]) -> Path:
    """Default path of a ranking, next to the demonstrations: ``NAME.ranking.json``."""
    file = Path(demonstrations)
    # other dots belong to the name: walks.v1 and walks.v2 have a ranking each
    name = file.stem if file.suffix.lower() in (".npz", ".hdf5", ".h5") else file.name
    return file.with_name(f"{name}.ranking.json")


def load_ranking(path: str | os.PathLike[str]) -> Ranking:
    """Read a ranking, JSON or CSV by its suffix.

    Raises:
        UserError: naming the file, what was expected in it and what was found.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        found = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        expected = "a ranking of the demonstrations, JSON or CSV"
        advice = "write one with: drex demos rank DEMOS --by order EPISODES, worst first"
        raise UserError(str(file), expected=expected, found=found, do=advice) from error
    readers = {".json": _from_json, ".csv": _from_csv}
    if file.suffix.lower() not in readers:
        found = f"the suffix {file.suffix!r}" if file.suffix else "a name without suffix"
        raise UserError(str(file), expected="a ranking in a .json or .csv file", found=found)
    return readers[file.suffix.lower()](text, str(file))


def save_ranking(path: str | os.PathLike[str], ranking: Ranking) -> None:
    """Write a ranking atomically; ``load_ranking`` reads it back.

    Raises:
        UserError: the place cannot be written to, or its suffix is not ``.json``.
    """
    file = Path(path)
    if file.suffix.lower() != ".json":
        raise UserError(str(file), expected="a .json file to write the ranking to", found=f"{file.suffix!r}")
    write_json(file, ranking.to_json())


def ranking_of_words(by: str, values: Sequence[str], *, episodes: int) -> Ranking:
    """The ranking of command line arguments; see ``drex demos rank --help``.

    Raises:
        UserError: values that are no numbers, or too many or few of them.
    """
    where = f"--by {by}"
    wanted = {"file-order": 0, "file": 1}.get(by)
    if wanted is not None and len(values) != wanted:
        expected = "one file" if wanted else "no values"
        raise UserError(where, expected=expected, found=" ".join(values) or "none")
    if by == "file":
        named = load_ranking(values[0])
        return Ranking(named.form, named.given, named.source, named.episodes or episodes)
    given: dict[str, Callable[[], object]] = {
        "order": lambda: [_whole(value, where) for value in values],
        "tiers": lambda: [[_whole(word, where) for word in value.split(",")] for value in values],
        "pairs": lambda: [_pair(value.split(","), where) for value in values],
        "scores": lambda: [None if value == "none" else _number(value, where) for value in values],
        "file-order": lambda: episodes,
    }
    return Ranking(by.replace("-", "_"), given[by](), where, episodes)


def _from_json(text: str, source: str) -> Ranking:
    content = json_object(text, source)
    if content.get("format", FORMAT) != FORMAT or isinstance(content.get("format"), bool):
        raise UserError(f"{source}: format", expected=f"{FORMAT}", found=str(content["format"]))
    unknown = sorted(set(content) - {"format", "episodes", *FORMS})
    named = [form for form in FORMS if form in content]
    if unknown or len(named) != 1:
        found = f"the unknown key {unknown[0]!r}" if unknown else " and ".join(named) or "none of them"
        raise UserError(source, expected=f"one of the keys {', '.join(FORMS)}", found=found)
    episodes = content.get("episodes")
    if episodes is not None and not is_count(episodes):
        raise UserError(f"{source}: episodes", expected="a positive whole number", found=repr(episodes))
    return Ranking(named[0], content[named[0]], source, episodes)


def _from_csv(text: str, source: str) -> Ranking:
    lines = [[cell.strip() for cell in line] for line in csv.reader(text.splitlines()) if any(line)]
    head = tuple(name.lower() for name in lines[0]) if lines else ()
    readers: dict[tuple[str, ...], Callable[[list[list[str]], str], tuple[str, Any]]] = {
        ("better", "worse"): _csv_pairs,
        ("better", "worse", "weight"): _csv_pairs,
        ("episode", "score"): _csv_tiers,
        ("episode", "tier"): _csv_tiers,
        ("episode",): lambda rows, where: ("order", [_whole(row[0], where) for row in rows]),
    }
    if head not in readers:
        expected = "one of the heads " + "; ".join(",".join(names) for names in readers)
        raise UserError(source, expected=expected, found=",".join(head) or "an empty file")
    for number, row in enumerate(lines[1:], 2):
        if len(row) != len(head):
            raise UserError(f"{source}: row {number}", expected=f"{len(head)} cells", found=str(len(row)))
    form, given = readers[head](lines[1:], source)
    return Ranking(form, given, source)


def _csv_pairs(rows: list[list[str]], source: str) -> tuple[str, Any]:
    return "pairs", [_pair(row, source) for row in rows]


def _pair(cells: Sequence[str], source: str) -> list[float]:
    return [*(_whole(cell, source) for cell in cells[:2]), *(_number(cell, source) for cell in cells[2:])]


def _csv_tiers(rows: list[list[str]], source: str) -> tuple[str, Any]:
    """Tiers from one number per episode, a tier or a score: only its rank counts."""
    value_of: dict[int, float | None] = {}
    for row in rows:
        episode = _whole(row[0], source)
        if episode in value_of or episode < 0:
            found = f"{episode}" + " twice" * (episode >= 0)
            raise UserError(source, expected="episodes from 0, each named once", found=found)
        value_of[episode] = _number(row[1], source) if row[1] else None
    values = sorted({value for value in value_of.values() if value is not None})
    return "tiers", [[episode for episode, its in value_of.items() if its == value] for value in values]


def _whole(cell: str, source: str) -> int:
    try:
        return int(cell)
    except ValueError as error:
        raise UserError(source, expected="a whole number, an episode", found=repr(cell)) from error


def _number(cell: str, source: str) -> float:
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(source, expected="a finite number", found=repr(cell))
    return number
