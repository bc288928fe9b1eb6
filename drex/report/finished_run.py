"""A finished run, read from its folder: the data of tables, figures and report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drex.envs.task_names import task_of_file
from drex.errors import UserError
from drex.files.atomic import read_json
from drex.files.run_layout import CONFIG, NOISE, RESULT, noisy_rollout_folders

Curve = list[tuple[int, float]]
"""(step, value) in order of steps."""


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """One finished run.

    Args:
        path: the run folder.
        evaluation: the content of ``evaluation.json``.
        config: task, method, seed and settings.
        noise: name and level of the noise of each noisy rollout, the last of the ranked trajectories.
        scalars: the TensorBoard curves by name.
        trusted_task: the task as the user names it; without it, the run's files name no code to import.
    """

    path: Path
    evaluation: Mapping[str, Any]
    config: Mapping[str, Any]
    noise: list[tuple[str, float]]
    scalars: Mapping[str, Curve]
    trusted_task: str | None = None

    @property
    def task(self) -> str:
        """The gymnasium id."""
        return str(self.evaluation["task"])

    def task_to_make(self) -> str:
        """The task, if its environment may be made.

        Raises:
            UserError: it names code that the user does not name.
        """
        return task_of_file(self.task, str(self.path / RESULT), trusted=self.trusted_task)

    @property
    def title(self) -> str:
        """Method, task and seed."""
        method = METHODS.get(self.evaluation["method"], self.evaluation["method"])
        return f"{method} on {self.task}, seed {self.evaluation['seed']}"


METHODS = {"drex": "D-REX", "trex": "T-REX"}
"""Labels of the methods."""


def read_finished_run(path: str | Path, *, task: str | None = None) -> FinishedRun:
    """Read a run folder.

    Args:
        path: the folder.
        task: the run's task, where it names code to import.

    Raises:
        UserError: the folder holds no finished run, one of another task, or a file that cannot be read.
    """
    folder = Path(path)
    if not (folder / RESULT).is_file():
        found, do = "no such folder", ""
        if folder.is_dir():
            found, do = "a folder without one", "finish it with: drex run ENV --run-dir DIR --resume"
        raise UserError(str(folder), expected=f"a finished run, with {RESULT}", found=found, do=do)
    jobs = [job for rollouts in noisy_rollout_folders(folder) for job in read_json(rollouts / NOISE)]
    run = FinishedRun(
        folder,
        read_json(folder / RESULT),
        read_json(folder / CONFIG),
        [(str(job["name"]), float(job["level"])) for job in jobs],
        read_scalars(folder),
        task,
    )
    if task is not None:
        run.task_to_make()
    return run


def read_scalars(folder: Path) -> dict[str, Curve]:
    """All scalars in the folder's TensorBoard files; a step logged again after a resume counts once."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

    latest: dict[str, dict[int, tuple[float, float]]] = {}
    for file in sorted(folder.glob("events.out.tfevents.*")):
        # File by file: TensorBoard takes two writers in one folder for a restarted run.
        events = EventAccumulator(str(file), size_guidance={"scalars": 0}, purge_orphaned_data=False)
        events.Reload()
        for name in events.Tags()["scalars"]:
            curve = latest.setdefault(name, {})
            for event in events.Scalars(name):
                if event.step not in curve or curve[event.step][0] <= event.wall_time:
                    curve[event.step] = (event.wall_time, float(event.value))
    return {name: [(step, value) for step, (_, value) in sorted(c.items())] for name, c in latest.items()}


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as dotted names."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
