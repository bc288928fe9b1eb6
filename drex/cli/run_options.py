"""The options of ``drex run``: those of every run, and each field of the settings over its task's default."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from drex.envs.json_options import json_object
from drex.envs.task_names import task_name
from drex.presets.presets import preset
from drex.presets.settings import Control, Method, Settings

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Learn a reward from demonstrations, and train a policy on it to beat the demonstrator."""

    task: tyro.conf.Suppress[str] = "ENV"
    """A gymnasium id, for example Hopper-v5; module:Id imports the module first; or module:factory."""
    demos: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Demonstrations of any format (docs/demonstrations.md); without it, those that come with the package."""
    seed: int = 0
    """Of everything: the same seed on the same machine gives the same weights."""
    run_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """The folder that the run leaves; runs/ENV/PRESET-seedN if none is named."""
    preset: str = "default"
    """The settings that the options below start from: default (our best), paper (as published), or small (an
    Atari game in less than two hours on two cores)."""
    method: Method = "drex"
    """Where the ranking comes from: drex disturbs a clone of the demonstrations by degrees; trex takes one
    that the demonstrations carry."""
    ranking: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """With trex: the ranking, JSON or CSV; NAME.ranking.json beside the demonstrations if none is named.
    drex demos rank writes one."""
    device: Device = "auto"
    """Where PPO trains; auto takes the CPU for tasks with flat observations, where it is faster."""
    env_kwargs: Annotated[str, tyro.conf.arg(metavar="JSON")] = "{}"
    """Keyword arguments of the environment, a JSON object."""
    wrappers: Annotated[tuple[str, ...], tyro.conf.arg(metavar="[MODULE:WRAPPER ...]")] = ()
    """Classes or functions that wrap the environment, innermost first."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Continue the run that the folder holds a part of."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """No progress bars."""
    controls: tuple[Control, ...] = ()
    """Rewards that must be beaten, trained from the same start and judged in the same table."""
    settings: Annotated[Settings, tyro.conf.arg(name="")] = field(default_factory=Settings)
    """Settings of the stages."""

    def environment(self) -> str:
        """The task with its arguments and wrappers, in one line.

        Raises:
            UserError: something in it cannot be read.
        """
        kwargs = json_object(self.env_kwargs, "--env-kwargs")
        return task_name(self.task, kwargs=kwargs, wrappers=self.wrappers)

    def folder(self) -> Path:
        """Where the run goes: what was asked for, or a place that tells task, method, preset and seed."""
        if self.run_dir is not None:
            return self.run_dir
        method = "" if self.method == "drex" else f"{self.method}-"
        name = f"{method}{self.preset}-seed{self.seed}"
        return Path("runs") / re.sub(r"[^\w.-]+", "-", self.task).strip("-") / name


def parse_run_options(
    task: str, preset_name: str, arguments: Sequence[str], *, method: Method = "drex"
) -> RunOptions:
    """Parse all options of a run over the defaults of its task, preset and method.

    Args:
        task: the gymnasium id, for the defaults.
        preset_name: the preset, likewise.
        arguments: everything after ``drex run ENV``.
        method: the method, likewise for the defaults.

    Raises:
        UserError: no such preset, or settings that contradict each other.
        SystemExit: status 2 for what cannot be parsed, 0 after printing help.
    """
    defaults = RunOptions(
        task=task, preset=preset_name, method=method, settings=preset(preset_name, task, method)
    )
    return tyro.cli(RunOptions, prog=f"drex run {task}", args=arguments, default=defaults)
