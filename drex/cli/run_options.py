"""All options of ``drex run``: the common ones, and every field of the settings."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

import tyro

from drex.agents.behavioral_cloning import CloningSettings
from drex.agents.policies.algorithm_registry import ALGORITHMS
from drex.agents.ppo.settings import PPOSettings
from drex.agents.sb3_algorithms import SB3Settings
from drex.cli.common_options import CommonOptions
from drex.envs.task_names import task_of_file
from drex.errors import UserError
from drex.presets.names import Device
from drex.presets.run_file import read_options, run_of_options, settings_of
from drex.presets.settings import Settings
from drex.ranges import located, paths_of
from drex.rankings.settings import NoiseRanking, UserRanking


@dataclass(frozen=True, kw_only=True)
class RunOptions(CommonOptions):
    """Learn a reward from demonstrations, and train a policy on it to beat the demonstrator."""

    config: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Options from a TOML or JSON file (docs/many-runs.md); those of the command line take precedence."""
    mix_noise: tyro.conf.FlagCreatePairsOff[bool] = False
    """T-REX only: learn from noisy rollouts of the clone too, with half of the weight."""
    device: Device = "auto"
    """Device of the training; auto: the CPU for flat observations, where it is faster, else a GPU if any."""
    settings: Annotated[Settings, tyro.conf.arg(name="")] = field(default_factory=Settings)
    """Settings of the stages."""

    def shared_arguments(self) -> dict[str, Any]:
        """Arguments of ``drex.run`` and ``drex.diagnose`` other than the task and the folder."""
        names = ("method", "ranking", "settings", "seed", "resume", "quiet", "device")
        return {"demonstrations": self.demos} | {name: getattr(self, name) for name in names}


def parse_run_options(task: str | None, arguments: Sequence[str]) -> RunOptions:
    """Parse the options after ``drex run ENV``.

    File, preset, method and algorithm are parsed first: the other options and all defaults depend on them.

    Args:
        task: takes the place of the task of ``--config``; ``None`` takes that.
        arguments: the options.

    Raises:
        UserError: no such preset or algorithm, settings that contradict each other or are out of range, or
            an option that the chosen method or algorithm does not read.
        SystemExit: status 2 for options that cannot be parsed, 0 after help.
    """
    first = argparse.ArgumentParser(prog="drex run", add_help=False, allow_abbrev=False)
    for option in ("config", "preset", "method", "algo"):
        first.add_argument(f"--{option}", default=None)
    first.add_argument("--mix-noise", action=argparse.BooleanOptionalAction, default=None)
    chosen, _ = first.parse_known_args([_dashed(word) for word in arguments])
    given = {name: value for name, value in vars(chosen).items() if value is not None and name != "config"}
    values = {} if chosen.config is None else read_options(chosen.config)
    where, folder = chosen.config or "drex run", Path(chosen.config or "").parent
    file = run_of_options(values | given, where, folder=folder, task=task)
    if task is None:
        task_of_file(file.task, where, trusted=None)
    flag = {} if chosen.mix_noise is None else {"mix_noise": not chosen.mix_noise}  # tyro turns the default
    defaults = RunOptions(task=file.task, settings=file.settings, **(dict(file.options) | flag))
    for word in arguments:
        _refuse_option_of_another(_dashed(word).partition("=")[0], defaults)
    config, prog = (tyro.conf.AvoidSubcommands,), f"drex run {file.task}"
    with located({"RunOptions": ""} | paths_of(defaults.settings)):
        options = tyro.cli(RunOptions, prog=prog, args=arguments, default=defaults, config=config)
    _refuse_unread(options)
    return options


def _dashed(word: str) -> str:
    """The word with the name of an option in tyro's spelling."""
    name, equals, value = word.partition("=")
    return (name.replace("_", "-") + equals + value) if word.startswith("--") else word


_CHOICES: dict[str, tuple[tuple[type[Any], str], ...]] = {
    "learner": ((PPOSettings, "algo ppo"), (SB3Settings, "the other algorithms")),
    "ranking": ((NoiseRanking, "method drex"), (UserRanking, "method trex")),
}


def _refuse_option_of_another(option: str, defaults: RunOptions) -> None:
    """Raise a ``UserError`` for an option of another algorithm or method."""
    settings = defaults.settings
    group, dot, rest = option.removeprefix("--").partition(".")
    if not option.startswith("--") or group not in _CHOICES or not dot:
        return
    name = rest.removeprefix("no-").replace("-", "_")
    path = f"{group}.{name}"
    here = f"algo {defaults.algo}" if group == "learner" else f"method {settings.method}"
    owners = {cls: whose for cls, whose in _CHOICES[group] if name.split(".")[0] in _names(cls)}
    if owners and type(getattr(settings, group)) not in owners:
        found = f"one of {' and '.join(owners.values())}"
        raise UserError(path, expected=f"an option of {here}", found=found)
    if name.startswith("noise.") and settings.noise is None:
        raise UserError(path, expected="--mix-noise with it", found="none")


def _refuse_unread(options: RunOptions) -> None:
    """Raise a ``UserError`` for a given option that is not read, although presets may set it."""
    settings, algo = options.settings, options.algo
    defaults = settings_of(options.task, options.preset, options.method, algo, mix_noise=options.mix_noise)
    if options.seeds and options.seed:
        raise UserError("seed", expected="none beside --seeds", found=str(options.seed))
    if options.jobs > 1 and not options.seeds:
        raise UserError("jobs", expected="--seeds with it", found="none")
    if isinstance(settings.learner, SB3Settings):
        if settings.learner.name != algo:
            raise UserError("learner.name", expected=f"{algo}, as in --algo", found=settings.learner.name)
        changed = settings.policy.value_hidden_sizes != defaults.policy.value_hidden_sizes
        if changed and not ALGORITHMS[algo].takes_clone:
            readers = "an algorithm that trains the cloned network (ppo, a2c, trpo)"
            raise UserError("policy.value_hidden_sizes", expected=readers, found=algo)
    if not settings.clones:
        for name in _names(CloningSettings):
            if getattr(settings.bc, name) != getattr(defaults.bc, name):
                found = "a run that clones nothing"
                raise UserError(f"bc.{name}", expected="learner.start_from clone or mix_noise", found=found)


def _names(cls: type[Any]) -> set[str]:
    return {field.name for field in fields(cls)}
