"""The first stage: demonstrations, checked against the task and copied into the run folder."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from drex.demonstrations.bundled import bundled_demonstrations
from drex.demonstrations.load_and_save import (
    Demonstrations,
    fit_to_task,
    load_demonstrations,
    save_demonstrations,
)
from drex.envs.data.trajectories import Trajectories
from drex.envs.data.true_returns import TrueReturns
from drex.envs.make import task_spaces
from drex.files.run_layout import DEMONSTRATIONS
from drex.stages.context import Context

IN_MEMORY = "demonstrations in memory"
_ROWS = 1024  # per hash update: stacked frames take four times their size in memory


def given_demonstrations(
    given: str | Path | Demonstrations | Trajectories | None, task: str
) -> Demonstrations:
    """The demonstrations of a run; ``None`` takes the bundled ones.

    Raises:
        UserError: they cannot be read, do not fit the task, or none are bundled for it.
    """
    named = zip(("observation_space", "action_space", "horizon"), task_spaces(task), strict=True)
    fit: dict[str, Any] = dict(named) | {"task": task}
    if given is None:
        given = bundled_demonstrations(task)
    if isinstance(given, str | Path):
        return load_demonstrations(given, **fit)
    if isinstance(given, Trajectories):
        given = Demonstrations(given, TrueReturns.unknown(len(given)), IN_MEMORY)
    return fit_to_task(given, **fit)


def copy_demonstrations(run: Context, given: Demonstrations) -> Demonstrations:
    """A copy of the demonstrations in the run folder."""
    file, rewards = DEMONSTRATIONS.files[0], given.true_returns.step_values_for_evaluation()
    return run.load_or_make(
        DEMONSTRATIONS,
        lambda _: given,
        save=lambda demos, place: save_demonstrations(
            place / file, demos.trajectories, rewards=rewards, task=run.task, about=demos.about
        ),
        load=lambda place: load_demonstrations(place / file),
        settings={"sha256": content_sha256(given)},
    )


def fit_episodes(run: Context, demonstrations: Trajectories) -> Context:
    """The run with the numbers of episodes that are None chosen by the length of the demonstrations."""
    length, settings = float(demonstrations.lengths.mean()), run.settings
    fitted = replace(
        settings, selection=settings.selection.fitted(length), evaluation=settings.evaluation.fitted(length)
    )
    return replace(run, settings=fitted)


def content_sha256(demonstrations: Demonstrations) -> str:
    """SHA-256 of all arrays: equal for a file of any format and for its data in memory."""
    names = ("observations", "actions", "lengths", "terminated", "last_observations")
    arrays = {name: getattr(demonstrations.trajectories, name) for name in names}
    arrays["rewards"] = demonstrations.true_returns.step_values_for_evaluation()
    total = hashlib.sha256()
    for name, array in arrays.items():
        if array is None:
            continue
        total.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        for start in range(0, len(array), _ROWS):
            total.update(np.ascontiguousarray(array[start : start + _ROWS]).tobytes())
    return total.hexdigest()
