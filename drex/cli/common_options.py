"""The common options of ``drex run``; a module of its own, so that ``--help`` does not wait for torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from drex.presets.names import Control, Method
from drex.ranges import Count, Seed, check_ranges


@dataclass(frozen=True, kw_only=True)
class EnvironmentOptions:
    """How the environment of a task is made."""

    env_kwargs: Annotated[str, tyro.conf.arg(metavar="JSON")] = "{}"
    """Keyword arguments of the environment, a JSON object."""
    wrappers: Annotated[tuple[str, ...], tyro.conf.arg(metavar="[MODULE:WRAPPER ...]")] = ()
    """Wrappers of the environment, classes or functions, innermost first; MODULE:WRAPPER{JSON} gives keyword
    arguments."""

    def environment_of(self, task: str) -> str:
        """The task with its arguments and wrappers as one name; ``UserError`` if one cannot be parsed."""
        from drex.envs.json_options import json_object
        from drex.envs.task_names import task_name

        kwargs = json_object(self.env_kwargs, "env_kwargs")
        return task_name(task, kwargs=kwargs, wrappers=self.wrappers)


@dataclass(frozen=True, kw_only=True)
class CommonOptions(EnvironmentOptions):
    """Learn a reward from demonstrations, and train a policy on it to beat the demonstrator."""

    task: tyro.conf.Suppress[str] = "ENV"
    """A gymnasium id, for example Hopper-v5; module:Id imports the module first; or module:factory."""
    demos: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Demonstrations in any format (docs/demonstrations.md); default: the bundled ones."""
    seed: Seed = 0
    """Random seed of the whole run."""
    seeds: Annotated[str, tyro.conf.arg(metavar="SEEDS")] = ""
    """Several seeds, such as 0-4 or 0,2,5-7: a run for each, in a folder of its own; runs that are finished
    are kept, unfinished ones continue."""
    jobs: Count = 1
    """With seeds: runs at a time, with equal shares of the CPU cores."""
    run_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Output folder; default: runs/ENV/PRESET-seedN."""
    preset: str = "default"
    """Preset of the settings: default (one for all tasks), paper (as published), or small (an Atari game in
    less than two hours on two cores)."""
    method: Method = "drex"
    """Source of the ranking: noise injected into a clone of the demonstrations (drex), or the user (trex)."""
    ranking: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """T-REX only: ranking of the demonstrations, JSON or CSV, see drex demos rank; default: NAME.ranking.json
    next to the demonstrations."""
    algo: str = "ppo"
    """Algorithm that trains the policy: ppo, or stable-baselines3's a2c, sac, td3, ddpg, dqn, or
    sb3-contrib's trpo, tqc, qrdqn."""
    controls: tuple[Control, ...] = ()
    """Baseline rewards, trained and evaluated in the same way: constant, or learned from shuffled labels; and
    the ceiling, true_reward."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Continue the interrupted run in the folder."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """Show no progress bars."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def environment(self) -> str:
        """The task with its arguments and wrappers as one name; ``UserError`` if one cannot be parsed."""
        return self.environment_of(self.task)

    def folder(self) -> Path:
        """The output folder: ``run_dir``, or named by task, method, preset and seed."""
        return self.run_dir or self._folder_of(self.seed)

    def folders(self) -> dict[int, Path]:
        """The output folder of each of the seeds: inside ``run_dir``, or as for one seed."""
        from drex.sweeps.seeds import seeds_of

        inside, seeds = self.run_dir, seeds_of(self.seeds)
        return {seed: inside / f"seed{seed}" if inside else self._folder_of(seed) for seed in seeds}

    def _folder_of(self, seed: int) -> Path:
        from drex.files.run_layout import file_name

        method = "" if self.method == "drex" else f"{self.method}-"
        return Path("runs") / file_name(self.task) / f"{method}{self.preset}-seed{seed}"


def show_common_options(task: str) -> None:
    """Print the help of these options and exit with status 0."""
    description = (
        f"{CommonOptions.__doc__}\n\nThe settings of every stage, for example "
        f"--learner.environment-steps 500000, are listed with their defaults by drex run {task} --help-all."
    )
    tyro.cli(CommonOptions, prog=f"drex run {task}", args=["--help"], description=description)


def show_diagnose_options(what: str) -> None:
    """Print the help of ``drex diagnose`` and exit with status 0."""
    description = (
        "Learn a reward, and say what is likely to fail before a policy is trained on it.\n\n"
        "Of a task, of a file of demonstrations that names its task, or of a run folder, which is only read. "
        "The options are those of drex run; drex run with the same options and --resume continues."
    )
    tyro.cli(CommonOptions, prog=f"drex diagnose {what}", args=["--help"], description=description)
