"""``drex compare RUNS``: one page, tables, figures and files of many finished runs."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from html import escape
from pathlib import Path
from typing import Any

from drex.comparison.figures import CAPTIONS, draw
from drex.comparison.hparams import write_hparams
from drex.comparison.runs import ComparedRun, Score, read_runs, scores_of
from drex.comparison.statistics import RESAMPLES, Scores
from drex.comparison.tables import (
    SCALE,
    Estimates,
    estimates_of,
    improvement_table,
    returns_table,
    statistics_table,
    strata,
)
from drex.errors import UserError
from drex.files.atomic import os_errors_as_user_errors, remove, write_json, written_whole
from drex.report.page import page, picture, png_of
from drex.report.tables import Table

PAGE, SCORES, RESULT = "comparison.html", "scores.csv", "comparison.json"
TENSORBOARD = "tensorboard"


@dataclass(frozen=True)
class Comparison:
    """What was written.

    Args:
        path: of the page.
        tables: on the page.
        notes: what was left out, one line each.
    """

    path: Path
    tables: tuple[Table, ...]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """For a terminal."""
        shown = [line for table in self.tables for line in (table.text(), "")]
        return [*shown, *self.notes, f"comparison: {self.path}"]


def compare(runs: Sequence[str | Path], out: str | Path = "comparison") -> Comparison:
    """Compare finished runs over their tasks and seeds.

    The score of a policy is 0 for the mean true return of uniform random actions, and 1 for that of the
    demonstrations. Runs of one task and method are told apart by the names of their folders up to ``-seedN``.
    The statistics and their intervals are those of Agarwal et al. (2021).

    Args:
        runs: run folders, or folders that hold some at any depth.
        out: output folder: the page, every score as CSV, statistics as JSON, figures, and TensorBoard files
            in which runs sort by score and settings. An earlier comparison there is replaced.

    Raises:
        UserError: no finished runs, two of equal task, name and seed, or an output folder that holds
            something else.
    """
    found, notes = read_runs(runs)
    scores, unknown = scores_of(found)
    notes += unknown
    policies, place = strata(scores), Path(out)
    with os_errors_as_user_errors(place, of_writing=True):
        if place.exists() and not (place / RESULT).is_file():
            raise UserError(
                str(place), expected="a new folder, or one with a comparison", found="another one"
            )
        place.parent.mkdir(parents=True, exist_ok=True)
        estimates = estimates_of(policies)
        tables = _tables(found, policies, estimates)
        with written_whole(place) as folder:
            folder.mkdir()
            pictures = (
                {name: png_of(figure) for name, figure in draw(policies, estimates).items()}
                if policies
                else {}
            )
            for name, png in pictures.items():
                (folder / f"{name}.png").write_bytes(png)
            (folder / PAGE).write_text(page("Comparison of runs", _body(tables, pictures, notes)), "utf-8")
            _write_scores(folder / SCORES, scores)
            write_json(folder / RESULT, _facts(estimates, found))
            write_hparams(folder / TENSORBOARD, found, scores)
            remove(place)
    return Comparison(place / PAGE, tuple(tables), tuple(notes))


def _tables(runs: Sequence[ComparedRun], policies: Mapping[str, Scores], estimates: Estimates) -> list[Table]:
    """Over all tasks, then of each."""
    found = []
    if policies:
        ours = [label for label in dict.fromkeys(run.label for run in runs) if label in policies]
        found = [statistics_table(policies, estimates), improvement_table(policies, ours)]
    for task in dict.fromkeys(run.task for run in runs):
        title = f"True return over seeds: {task}"
        found.append(returns_table([run for run in runs if run.task == task], title))
    return found


def _body(tables: Sequence[Table], pictures: Mapping[str, bytes], notes: Sequence[str]) -> Iterator[str]:
    drawn = f"Intervals hold 95% of {RESAMPLES:,} bootstrap draws of the runs of each task."
    yield f"<p>Score: {escape(SCALE)}. {drawn}</p>"
    for note in notes:
        yield f'<p class="warning">{escape(note)}</p>'
    for name, png in pictures.items():
        yield picture(png, CAPTIONS[name])
    for table in tables:
        yield table.html()


def _write_scores(file: Path, scores: Sequence[Score]) -> None:
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, [field.name for field in fields(Score)])
        writer.writeheader()
        writer.writerows(asdict(score) for score in scores)


def _facts(estimates: Estimates, runs: Sequence[ComparedRun]) -> dict[str, Any]:
    """Statistics by policy, with their intervals, and the runs that they are of."""
    statistics = {
        policy: {name: asdict(found) for name, found in by_name.items()}
        for policy, by_name in estimates.items()
    }
    return {"scale": SCALE, "statistics": statistics, "runs": [str(run.folder) for run in runs]}
