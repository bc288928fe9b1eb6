"""The options of ``drex demos make``, ``record``, ``inspect`` and ``convert``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from drex.cli.common_options import EnvironmentOptions
from drex.demonstrations.make import MakingSettings
from drex.demonstrations.record import RecordingSettings
from drex.presets.presets import demonstrator
from drex.ranges import Seed, check_ranges, located, paths_of

Format = Literal["npz", "minari", "imitation", "d4rl"]


@dataclass(frozen=True, kw_only=True)
class _NewFile(EnvironmentOptions):
    out: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """Output file (npz); an existing file is not overwritten."""
    seed: Seed = 0
    """Random seed of the command."""

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True, kw_only=True)
class MakeOptions(_NewFile):
    """Train a demonstrator on the true reward, stop it while imperfect, and record its episodes."""

    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """Show no progress bar."""
    settings: Annotated[MakingSettings, tyro.conf.arg(name="")] = field(default_factory=MakingSettings)
    """Settings of demonstrator and recording."""


def parse_make_options(task: str, arguments: Sequence[str]) -> MakeOptions:
    """Parse the options after ``drex demos make ENV``; errors as for ``parse_run_options``."""
    settings = demonstrator(task)
    if math.isnan(settings.target_return):  # no default target for this task: the option is required
        settings = replace(settings, target_return=tyro.MISSING)
    defaults = MakeOptions(out=tyro.MISSING, settings=MakingSettings(demonstrator=settings))
    with located({"MakeOptions": "", "MakingSettings": ""} | paths_of(settings)):
        return tyro.cli(MakeOptions, prog=f"drex demos make {task}", args=arguments, default=defaults)


@dataclass(frozen=True, kw_only=True)
class RecordOptions(_NewFile):
    """Record episodes of a trained policy."""

    policy: Annotated[str, tyro.conf.arg(metavar="FILE")]
    """Run folder, stage of one, or zip saved by stable-baselines3; nothing is unpickled."""
    settings: Annotated[RecordingSettings, tyro.conf.arg(name="")] = field(default_factory=RecordingSettings)
    """Settings of the recording."""


def parse_record_options(task: str, arguments: Sequence[str]) -> RecordOptions:
    """Parse the options after ``drex demos record ENV``; errors as for ``parse_run_options``."""
    flags, prog = (tyro.conf.FlagCreatePairsOff,), f"drex demos record {task}"
    with located({"RecordOptions": "", "RecordingSettings": ""}):
        return tyro.cli(RecordOptions, prog=prog, args=arguments, config=flags)


@dataclass(frozen=True, kw_only=True)
class InspectOptions:
    """Summarize demonstrations, with warnings, and check that they fit a task."""

    file: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="FILE")]
    """File or folder of any format, or name of a dataset in Minari's cache."""
    task: Annotated[str | None, tyro.conf.arg(metavar="ENV")] = None
    """Task that they are checked against."""
    format: Format | None = None
    """Format of the file; default: detected."""


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """Convert demonstrations to another format without loss."""

    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="FROM")]
    """File or folder of any format, or name of a dataset in Minari's cache."""
    target: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TO")]
    """Output file or folder; an existing one is not overwritten."""
    source_format: Annotated[Format | None, tyro.conf.arg(name="from")] = None
    """Format of FROM; default: detected."""
    target_format: Annotated[Format | None, tyro.conf.arg(name="to")] = None
    """Format of TO; default: npz for .npz, d4rl for .hdf5 and .h5."""
