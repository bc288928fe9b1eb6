"""What a finished run left, read from its folder alone: the tables, figures and report are made from this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drex.errors import UserError
from drex.files.atomic import read_json

Curve = list[tuple[int, float]]
"""(step, value) in order of steps."""


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """One run, judged.

    Args:
        path: the run folder.
        evaluation: the content of ``evaluation.json``.
        config: what the run was: task, method, seed and settings.
        noise: kind and level of the noise of each noisy rollout, which are the last of what was
            ranked; empty where the user's ranking alone was learned from.
        scalars: the curves logged for TensorBoard, by name.
    """

    path: Path
    evaluation: Mapping[str, Any]
    config: Mapping[str, Any]
    noise: list[tuple[str, float]]
    scalars: Mapping[str, Curve]

    @property
    def task(self) -> str:
        """The gymnasium id."""
        return str(self.evaluation["task"])

    @property
    def title(self) -> str:
        """Method, task and seed, as they stand over tables and figures."""
        method = METHODS.get(self.evaluation["method"], self.evaluation["method"])
        return f"{method} on {self.task}, seed {self.evaluation['seed']}"


METHODS = {"drex": "D-REX", "trex": "T-REX"}
"""The methods' written names."""


def read_finished_run(path: str | Path) -> FinishedRun:
    """Read a run folder.

    Raises:
        UserError: the folder holds no finished run, or a file of it cannot be read.
    """
    folder = Path(path)
    if not (folder / "evaluation.json").is_file():
        raise UserError(
            str(folder),
            expected="a finished run, with evaluation.json",
            found="a folder without one" if folder.is_dir() else "no such folder",
            do="finish it with: drex run ENV --run-dir DIR --resume" if folder.is_dir() else "",
        )
    noise_files = [folder / stage / "noise.json" for stage in ("ranked", "ranked-noise")]
    jobs = [job for file in noise_files if file.is_file() for job in read_json(file)]
    return FinishedRun(
        folder,
        read_json(folder / "evaluation.json"),
        read_json(folder / "config.json"),
        [(str(job["name"]), float(job["level"])) for job in jobs],
        read_scalars(folder),
    )


def read_scalars(folder: Path) -> dict[str, Curve]:
    """Every scalar in the folder's TensorBoard files; what was logged twice, at a resume, counts once."""
    from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
        EventAccumulator,
    )

    latest: dict[str, dict[int, tuple[float, float]]] = {}
    for file in sorted(folder.glob("events.out.tfevents.*")):
        # Each file by itself: two writers in one folder look to TensorBoard like a run that was begun anew.
        events = EventAccumulator(str(file), size_guidance={"scalars": 0}, purge_orphaned_data=False)
        events.Reload()
        for name in events.Tags()["scalars"]:
            curve = latest.setdefault(name, {})
            for event in events.Scalars(name):
                if event.step not in curve or curve[event.step][0] <= event.wall_time:
                    curve[event.step] = (event.wall_time, float(event.value))
    return {
        name: [(step, value) for step, (_, value) in sorted(curve.items())] for name, curve in latest.items()
    }
