"""The finished runs that are compared, and the scores of their policies."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from drex.errors import UserError
from drex.files.atomic import read_json
from drex.files.run_layout import CONFIG, RESULT
from drex.files.untrusted import damage_as_user_error
from drex.report.finished_run import METHODS
from drex.report.tables import evaluated_policies

RETURNED = "returned policy"
DEMONSTRATOR, RANDOM = "demonstrator", "uniform random"


@dataclass(frozen=True)
class ComparedRun:
    """One finished run.

    Args:
        folder: of the run.
        task: of the run, with the name of the folder above where two of the same task have equal labels and
            seeds, such as those of other demonstrations.
        label: of its returned policy: the method, with the name of the folder where these differ.
        evaluation: the content of ``evaluation.json``.
        settings: the content of ``config.json``.
    """

    folder: Path
    task: str
    label: str
    evaluation: Mapping[str, Any]
    settings: Mapping[str, Any]

    @property
    def seed(self) -> int:
        """The seed."""
        return int(self.evaluation["seed"])

    def returns(self, *, several: bool = False) -> dict[str, float]:
        """Mean true return of each policy of the run, if known.

        Args:
            several: name the run's label in the names of its policies, since runs of others are compared too.
        """
        found = {}
        for name, facts in evaluated_policies(self.evaluation, RETURNED):
            shared = name in (DEMONSTRATOR, RANDOM)
            shown = self.label if name == RETURNED else f"{self.label}: {name}" if several else name
            if facts["mean"] is not None:
                found[name if shared else shown] = float(facts["mean"])
        return found


@dataclass(frozen=True)
class Score:
    """What one policy of one run reached.

    Args:
        task: of the run.
        policy: its name.
        seed: of the run.
        mean_return: mean true return.
        score: 0 for the uniform random policy, 1 for the mean of the demonstrations.
        run: folder of the run.
        returned: whether it is the one that the run returned.
    """

    task: str
    policy: str
    seed: int
    mean_return: float
    score: float
    run: str
    returned: bool


def read_runs(paths: Sequence[str | Path]) -> tuple[list[ComparedRun], list[str]]:
    """The finished runs in these folders.

    Args:
        paths: run folders, or folders that hold some, at any depth.

    Returns:
        The runs by task, label and seed, and a line for each run that is not finished.

    Raises:
        UserError: a path that holds no finished run, or two runs of equal task, label and seed.
    """
    found: dict[Path, ComparedRun] = {}
    notes = []
    for path in paths:
        folders = sorted({file.parent for file in Path(path).rglob(CONFIG)})
        finished = [folder for folder in folders if (folder / RESULT).is_file()]
        if not finished:
            there = "no such folder" if not Path(path).is_dir() else f"{len(folders)} unfinished"
            raise UserError(str(path), expected=f"finished runs, with {RESULT}", found=there)
        found |= {folder.resolve(): _read(folder) for folder in finished}
        notes += [f"left out, not finished: {folder}" for folder in folders if folder not in finished]
    runs = sorted(_labelled(found.values()), key=lambda run: (run.task, run.label, run.seed))
    for one, other in pairwise(runs):
        if (one.task, one.label, one.seed) == (other.task, other.label, other.seed):
            expected = f"one run of {one.task}, {one.label}, seed {one.seed}"
            do = "rename a folder, whose name up to -seedN tells runs of other settings apart"
            raise UserError(str(other.folder), expected=expected, found=f"another in {one.folder}", do=do)
    return runs, notes


def scores_of(runs: Sequence[ComparedRun]) -> tuple[list[Score], list[str]]:
    """The scores of all policies, and a line for each run that has none."""
    found, notes = [], []
    several = len({run.label for run in runs}) > 1
    for run in runs:
        returns = run.returns(several=several)
        low, one = returns.pop(RANDOM, None), returns.pop(DEMONSTRATOR, None)
        if low is None or one is None:
            unknown = DEMONSTRATOR if one is None else RANDOM
            notes.append(f"no score, since the true return of the {unknown} is unknown: {run.folder}")
        elif one <= low:
            notes.append(f"no score, since the demonstrations are not above uniform random: {run.folder}")
        else:
            for policy, value in returns.items():
                score = (value - low) / (one - low)
                found.append(
                    Score(run.task, policy, run.seed, value, score, str(run.folder), policy == run.label)
                )
    return found, notes


def _read(folder: Path) -> ComparedRun:
    with damage_as_user_error(str(folder), "a run folder as drex wrote it"):
        evaluation = read_json(folder / RESULT)
        method = METHODS.get(evaluation["method"], str(evaluation["method"]))
        run = ComparedRun(folder, str(evaluation["task"]), method, evaluation, read_json(folder / CONFIG))
        _ = run.seed, run.returns()  # read once, so that damage is found here
        return run


def _labelled(runs: Iterable[ComparedRun]) -> Iterator[ComparedRun]:
    """The runs with the names of their folders in labels and tasks, where these differ."""
    named = [(run, _name(run.folder)) for run in runs]
    several = len({(run.task, run.label, name) for run, name in named}) > len(
        {(run.task, run.label) for run, _ in named}
    )
    labelled = [replace(run, label=f"{run.label}, {name}") if several else run for run, name in named]
    count = Counter((run.task, run.label, run.seed) for run in labelled)
    doubled = {task for (task, _, _), times in count.items() if times > 1}
    for run in labelled:
        above = run.folder.resolve().parent.name
        yield replace(run, task=f"{run.task} ({above})") if run.task in doubled else run


def _name(folder: Path) -> str:
    """``default`` of ``runs/Hopper-v5/default-seed0``, ``wide`` of ``wide/seed0``."""
    own = re.sub(r"-?seed\d+$", "", folder.resolve().name)
    return own or folder.resolve().parent.name
