"""The report of a run, made from its folder: one HTML file with tables, figures, settings and versions."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from drex.demonstrations.inspect import describe
from drex.demonstrations.load_and_save import load_demonstrations
from drex.files.atomic import read_json, remove, written_whole
from drex.files.run_layout import DEMONSTRATIONS, REPORT, VERSIONS
from drex.files.untrusted import damage_as_user_error
from drex.report.figures import draw_figures
from drex.report.finished_run import METHODS, FinishedRun, flat, read_finished_run
from drex.report.page import page, picture, png_of
from drex.report.tables import Table, interval, number, tables
from drex.report.video import make_video
from drex.report.warnings import warnings_of

VIDEO = "video.mp4"
_FIGURES_FILE = ".figures"

_CAPTIONS = {
    "noise_and_return": "Return of the clone against noise level. The noise ranking assumes that it falls.",
    "predicted_and_true": "Learned against true return, for the ranked trajectories and beyond them.",
    "ranking_and_reward": "Learned return against the user's ranking of the demonstrations.",
    "learning_curve": "Training on the learned reward. The true return is logged for evaluation only.",
    "reward_training": "Training of the reward. Held-out pairs are of trajectories without training pairs.",
    "frames_highest_and_lowest": "Steps of highest and lowest reward, sampled from rollouts and "
    "demonstrations. Hatched rows are masked in the reward's input.",
    "attention": "Occlusion maps: regions that raise (red) or lower (blue) the reward, by its change when a "
    "small square is hidden in all frames of the stack.",
}


@dataclass(frozen=True)
class Report:
    """The written report.

    Args:
        path: of ``report.html``.
        tables: of the report.
        warnings: one or two sentences each.
        notes: omissions and their reasons, one line each.
    """

    path: Path
    tables: tuple[Table, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """For a terminal: tables, warnings and the path of the report."""
        lines = [line for table in self.tables for line in (table.text(), "")]
        lines += [f"warning: {warning}" for warning in self.warnings]
        return [*lines, *self.notes, f"report: {self.path}"]


def report_of(run_dir: Path, evaluation: Mapping[str, Any], *, notes: tuple[str, ...] = ()) -> Report:
    """The report of these results."""
    return Report(run_dir / REPORT, tuple(tables(evaluation)), tuple(warnings_of(evaluation)), notes)


def write_report(run_dir: str | Path, *, task: str | None = None, tensorboard: bool = False) -> Report:
    """Write ``figures/*.png``, ``video.mp4`` where the task renders, and ``report.html`` into a run folder.

    Args:
        run_dir: the folder of a finished run.
        task: the run's task, where it names code to import; such a run has no video without it.
        tensorboard: also write the figures to the folder's TensorBoard files, in place of earlier ones.

    Raises:
        UserError: the folder holds no finished run, or one whose files were changed to what no run writes.
    """
    with damage_as_user_error(str(run_dir), "a run folder as drex wrote it"):
        return write_report_of(read_finished_run(run_dir, task=task), tensorboard=tensorboard)


def write_report_of(run: FinishedRun, *, tensorboard: bool) -> Report:
    """``write_report`` of a run that this process finished: an error is one of drex."""
    pictures = {name: png_of(figure) for name, figure in draw_figures(run).items()}
    figures = run.path / "figures"
    if figures.is_symlink():
        remove(figures)
    figures.mkdir(exist_ok=True)
    for name, png in pictures.items():
        with written_whole(figures / f"{name}.png") as place:
            place.write_bytes(png)
    if tensorboard:
        _show_in_tensorboard(run.path, pictures)
    video = run.path / VIDEO
    note = None if video.is_file() else make_video(run, video)
    report = report_of(run.path, run.evaluation, notes=() if note is None else (note,))
    with written_whole(report.path) as place:
        place.write_text(page(run.title, _body(run, report, pictures)), encoding="utf-8")
    return report


def verdict(evaluation: Mapping[str, Any]) -> str:
    """The result in one sentence."""
    method = METHODS.get(evaluation["method"], evaluation["method"])
    policy, demonstrator = evaluation["policy"], evaluation["demonstrator"]
    mean = f"{method}'s mean true return over {policy['episodes']} episodes is {number(policy['mean'])}"
    mean += f" (95% interval {interval(policy['interval'])})"
    if evaluation["beats_best_demonstration"] is None:
        return f"{mean}; the demonstrations' true returns are unknown, so there is no comparison."
    beats = "above" if evaluation["beats_best_demonstration"] else "not above"
    return (
        f"{mean}: {beats} the best of {demonstrator['episodes']} demonstrations "
        f"({number(demonstrator['best'])}; mean {number(demonstrator['mean'])})."
    )


def _body(run: FinishedRun, report: Report, pictures: Mapping[str, bytes]) -> Iterator[str]:
    yield f'<p class="verdict">{escape(verdict(run.evaluation))}</p>'
    for warning in report.warnings:
        yield f'<p class="warning"><strong>Warning.</strong> {escape(warning)}</p>'
    for table in report.tables:
        yield table.html()
    yield "<h2>Figures</h2>"
    for name, png in pictures.items():
        yield picture(png, _CAPTIONS[name])
    yield "<h2>Video</h2>"
    if (run.path / VIDEO).is_file():
        yield f'<video src="{VIDEO}" controls loop muted></video>'
    for note in report.notes:
        yield f"<p>{escape(note)}</p>"
    yield "<h2>Demonstrations</h2>"
    demonstrations = load_demonstrations(DEMONSTRATIONS.file(run.path))
    about = [f"{key:<14}{value}" for key, value in demonstrations.about.items()]
    yield f"<pre>{escape(chr(10).join([*describe(demonstrations).lines(), *about]))}</pre>"
    yield "<h2>Settings</h2>"
    yield _listing("Settings of the run", dict(flat(run.config)))
    yield _listing("Versions", read_json(run.path / VERSIONS))


def _listing(title: str, values: Mapping[str, Any]) -> str:
    rows = tuple((name, "none" if value is None else str(value)) for name, value in values.items())
    return Table(title, ("name", "value"), rows).html()


def _show_in_tensorboard(folder: Path, pictures: Mapping[str, bytes]) -> None:
    import numpy as np
    from PIL import Image
    from torch.utils.tensorboard import SummaryWriter

    # A separate file, which a later report replaces.
    for earlier in folder.glob(f"events.out.tfevents.*{_FIGURES_FILE}"):
        earlier.unlink()
    writer = SummaryWriter(str(folder), filename_suffix=_FIGURES_FILE)
    for name, png in pictures.items():
        pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
        writer.add_image(f"figures/{name}", pixels, dataformats="HWC")
    writer.close()
