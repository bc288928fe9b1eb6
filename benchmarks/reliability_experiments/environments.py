"""Misbehaving environments: every fault in every stage that steps environments, and through other doors."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

import drex
from benchmarks.reliability_experiments.forked import Outcome, attempt
from benchmarks.reliability_experiments.measured import Measured, Tally
from benchmarks.reliability_experiments.walk import (
    FAULTS_OF_RESET,
    FAULTS_OF_STEP,
    HARMLESS,
    ID,
    SETTINGS,
    TASK,
    continued,
    demonstrate,
    difference,
    misbehave,
    undisturbed,
    whole_run,
)
from drex.agents.demonstrator import DemonstratorSettings
from drex.agents.ppo.settings import PPOSettings
from drex.demonstrations.make import MakingSettings, make_demonstrations
from drex.envs import checked

STAGES = ("ranked", "judges", "trained", "policy", "control-constant", "evaluation")
"""Stages that step environments."""
_TRUE_REWARDS = ("NaN reward", "infinite reward")  # that no stage before the evaluation may notice
_SEALED = ("rollouts.npz", "facts.json")  # files with true returns, for the evaluation alone
_HANGS = ("step hangs",)
_SECONDS, _PATIENCE = 15.0, 1.0


def measure(share: float) -> Measured:
    """Let every fault happen in every stage and through every door, and continue the runs without it."""
    tally = Tally()
    with TemporaryDirectory() as name:
        folder = Path(name)
        demonstrations = demonstrate(folder)
        whole, run, log = folder / "whole", folder / "run", folder / "log"
        expected = undisturbed(whole, demonstrations)

        def in_stage(stage: str, fault: str) -> str:
            _copy_before(stage, whole, run)
            return _wrong_in_run(run, demonstrations, expected, fault, log)

        def habit(name: str) -> str:
            shutil.rmtree(run, ignore_errors=True)
            outcome = _with(name, lambda: bool(whole_run(run, demonstrations)), log)
            return difference(run, expected) if outcome.kind == "done" else f"{outcome.kind}: {outcome.said}"

        def at_door(door: str, fault: str) -> str:
            outcome = _with(fault, lambda: DOORS[door](folder), log)
            unread = fault in _TRUE_REWARDS and door != "demos make"
            return "" if unread and outcome.kind == "done" else _not_one_sentence(outcome, fault)

        faults = (*FAULTS_OF_STEP, *FAULTS_OF_RESET)
        trials: list[tuple[str, str, Callable[[], str]]] = []
        trials += [(stage, fault, partial(in_stage, stage, fault)) for stage in STAGES for fault in faults]
        trials += [("harmless habit", name, partial(habit, name)) for name in HARMLESS]
        trials += [(door, fault, partial(at_door, door, fault)) for door in DOORS for fault in faults]
        for place, fault, trial in trials[:: max(1, round(1 / share))]:
            tally.add(place, f"{place}, {fault}", trial())
    return tally.measured(
        "a misbehaving environment: one sentence that names it; continued: equal to the undisturbed run"
    )


def _copy_before(stage: str, whole: Path, run: Path) -> None:
    """A copy of the whole run without the stage and those after it."""
    shutil.rmtree(run, ignore_errors=True)
    made = {file.parent.name: file.stat().st_mtime_ns for file in whole.glob("*/seconds.json")}
    later = [name for name, moment in made.items() if moment >= made[stage]]
    shutil.copytree(whole, run, ignore=shutil.ignore_patterns(*later))


def _wrong_in_run(run: Path, demonstrations: Path, expected: dict[str, bytes], fault: str, log: Path) -> str:
    """What is wrong with a run that meets the fault and is continued without it; empty if nothing is."""
    outcome = _with(fault, lambda: bool(whole_run(run, demonstrations)), log)
    if outcome.kind == "done" and fault in _TRUE_REWARDS:
        return difference(run, {n: content for n, content in expected.items() if not n.endswith(_SEALED)})
    return _not_one_sentence(outcome, fault) or continued(run, demonstrations, expected)


def _with(fault: str, work: Callable[[], Any], log: Path) -> Outcome:
    """The outcome of work in a process whose walks have the fault."""

    def misbehaving() -> Any:  # noqa: ANN401
        misbehave(fault)
        checked.PATIENCE = _PATIENCE
        return work()

    return attempt(misbehaving, log, seconds=_SECONDS if fault in _HANGS else 300.0)


def _not_one_sentence(outcome: Outcome, fault: str) -> str:
    """What is wrong with the end of work that met the fault; empty for one sentence that names the walk."""
    if outcome.kind == "hung" and fault in _HANGS and "step has not returned" in outcome.said:
        return ""
    if outcome.kind != "refused":
        return f"{outcome.kind}: {outcome.said}"
    return "" if ID in outcome.said else f"does not name the environment: {outcome.said}"


def _stand(observations: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return np.zeros((len(observations), 2), np.float32)


def _collect(_: Path) -> None:
    drex.collect(_stand, drex.make_environments(TASK, 2, seed=0), 4, seed=0)


def _record(folder: Path) -> None:
    (folder / "recorded.npz").unlink(missing_ok=True)
    drex.record(_stand, TASK, folder / "recorded.npz", seed=0)


def _make(folder: Path) -> None:
    (folder / "made.npz").unlink(missing_ok=True)
    ppo = PPOSettings(
        environment_steps=512, environments=4, rollout_steps=32, batch_size=64, start_from="scratch"
    )
    demonstrator = DemonstratorSettings(target_return=1.0, ppo=ppo, policy=SETTINGS.policy)
    make_demonstrations(TASK, folder / "made.npz", MakingSettings(demonstrator=demonstrator), seed=0)


DOORS: dict[str, Callable[[Path], None]] = {"collect": _collect, "record": _record, "demos make": _make}
"""Ways to step environments without a run."""
