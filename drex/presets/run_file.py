"""Files of a run's options: TOML or JSON, with the names of the options of ``drex run``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast, get_args

from drex.agents.policies.algorithm_registry import SB3Name
from drex.agents.sb3_algorithms import SB3Settings
from drex.envs.task_names import task_name
from drex.errors import UserError
from drex.files.atomic import os_errors_as_user_errors, read_json_object
from drex.files.dataclass_json import JSON, refuse_unknown_keys, settings_from_json, settings_to_json
from drex.files.run_layout import DEMONSTRATIONS, RANKED, RANKING
from drex.presets.names import Control, Device, Method
from drex.presets.presets import preset
from drex.presets.settings import Settings
from drex.rankings.settings import UserRanking


@dataclass(frozen=True, kw_only=True)
class _Plain:
    """The keys of a file that hold plain values."""

    task: str | None = None
    wrappers: tuple[str, ...] = ()
    demos: str | None = None
    ranking: str | None = None
    method: Method = "drex"
    preset: str = "default"
    algo: str = "ppo"
    mix_noise: bool = False
    seed: int = 0
    controls: tuple[Control, ...] = ()
    device: Device = "auto"


@dataclass(frozen=True, kw_only=True)
class RunFile:
    """The options of a run.

    Args:
        task: the task as one name.
        options: the other options of ``drex run`` that are plain values or paths, by name.
        settings: of all stages: those of the preset, changed by the file's.
    """

    task: str
    options: Mapping[str, Any]
    settings: Settings


def read_options(path: str | Path) -> dict[str, Any]:
    """The content of a TOML or JSON file of options; UserError if it is neither."""
    file = Path(path)
    if file.suffix.lower() == ".json":
        return read_json_object(file)
    if file.suffix.lower() != ".toml":
        raise UserError(str(file), expected="a .toml or .json file", found=f"the suffix {file.suffix!r}")
    try:
        with os_errors_as_user_errors(file):
            return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(str(file), expected="TOML", found=str(error)) from error


def run_of_options(
    values: Mapping[str, Any], where: str, *, folder: Path, task: str | None = None
) -> RunFile:
    """Read the options of a run.

    Args:
        values: of a file.
        where: names them in errors.
        folder: of the file, which its relative paths start from.
        task: takes the place of the file's task.

    Raises:
        UserError: an unknown key, a value of another type or out of its range, or no task.
    """
    known = [*(field.name for field in fields(_Plain)), "env_kwargs", "settings"]
    refuse_unknown_keys(values, known, f"{where}: ")
    for key in ("env_kwargs", "settings"):
        if not isinstance(values.get(key, {}), Mapping):
            raise UserError(f"{where}: {key}", expected="a table", found=repr(values[key]))
    given = {key: value for key, value in values.items() if key not in ("env_kwargs", "settings")}
    plain = settings_from_json(_Plain, given, where)
    if task is None and plain.task is None:
        raise UserError(where, expected="a task", found="none")
    name = task or task_name(str(plain.task), kwargs=values.get("env_kwargs"), wrappers=plain.wrappers)
    base = settings_of(name, plain.preset, plain.method, plain.algo, mix_noise=plain.mix_noise)
    changed = merged(settings_to_json(base), values.get("settings", {}))
    settings = settings_from_json(Settings, changed, f"{where}: settings")
    options = {field.name: getattr(plain, field.name) for field in fields(_Plain)}
    for key in ("demos", "ranking"):
        options[key] = None if options[key] is None else folder / options[key]
    del options["task"], options["wrappers"]
    return RunFile(task=name, options=options, settings=settings)


def settings_of(task: str, name: str, method: Method, algo: str, *, mix_noise: bool) -> Settings:
    """The settings of a preset for a task, a method and an algorithm.

    Raises:
        UserError: no such preset or algorithm, or mixed noise with D-REX.
    """
    settings = preset(name, task, "trex" if method == "trex" else "drex")
    if mix_noise:
        if not isinstance(settings.ranking, UserRanking):
            raise UserError("mix_noise", expected="--method trex with it", found="method drex")
        settings = replace(settings, ranking=replace(settings.ranking, noise=preset(name, task).noise))
    if algo == "ppo":
        return settings
    if algo not in get_args(SB3Name):
        names = ", ".join(("ppo", *get_args(SB3Name)))
        raise UserError("algo", expected=f"one of {names}", found=repr(algo))
    return replace(settings, learner=SB3Settings(name=cast("SB3Name", algo)))


def options_of_run(
    task: str, settings: Settings, *, seed: int, controls: Sequence[Control], device: Device
) -> dict[str, JSON]:
    """The options that repeat a run, for a file in its folder: its data are those of the folder."""
    learner, method = settings.learner, settings.method
    return {
        "task": task,
        "demos": str(DEMONSTRATIONS.file(Path())),
        "method": method,
        "ranking": str(Path(RANKED.name) / RANKING) if method == "trex" else None,
        "algo": learner.name if isinstance(learner, SB3Settings) else "ppo",
        "mix_noise": method == "trex" and settings.noise is not None,
        "seed": seed,
        "controls": list(controls),
        "device": device,
        "settings": settings_to_json(settings),
    }


def merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Nested tables, in which values of the second take the place of those of the first."""
    found = dict(low)
    for key, value in high.items():
        below = found.get(key)
        both = isinstance(value, Mapping) and isinstance(below, Mapping)
        found[key] = merged(cast("Mapping[str, Any]", below), value) if both else value
    return found
