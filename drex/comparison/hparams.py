"""One TensorBoard folder in which runs sort by what they reached and by their settings (HPARAMS)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from drex.comparison.runs import ComparedRun, Score
from drex.files.run_layout import file_name
from drex.report.finished_run import flat

Value = bool | int | float | str


def write_hparams(folder: Path, runs: Sequence[ComparedRun], scores: Sequence[Score]) -> None:
    """Write a TensorBoard run for each run: settings that differ between them, and what they reached."""
    settings = [dict(flat(run.settings)) for run in runs]
    names = list(dict.fromkeys(name for found in settings for name in found))
    differ = [name for name in names if len({repr(found.get(name)) for found in settings}) > 1]
    reached = {score.run: score.score for score in scores if score.returned}
    with SummaryWriter(str(folder)) as writer:
        for place, (run, found) in enumerate(zip(runs, settings, strict=True)):
            chosen: dict[str, Value] = {"policy": run.label, "task": run.task, "seed": run.seed}
            shown = {name: _value(found.get(name)) for name in differ if name not in chosen}
            score = {"score": reached[str(run.folder)]} if str(run.folder) in reached else {}
            metrics = score | {f"return/{name}": value for name, value in run.returns().items()}
            name = f"{place}-{file_name(run.task)}-{file_name(run.label)}-seed{run.seed}"
            writer.add_hparams(chosen | shown, metrics, run_name=name)


def _value(value: object) -> Value:
    return value if isinstance(value, bool | int | float | str) else str(value)
