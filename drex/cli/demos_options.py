"""The options of ``drex demos make``, ``record``, ``inspect`` and ``convert``.

Those of ``make`` are what to record, and every field of the demonstrator's settings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from drex.agents.demonstrator import DemonstratorSettings
from drex.agents.rollouts.noise import NoiseName
from drex.presets.presets import demonstrator

Format = Literal["npz", "minari", "imitation", "d4rl"]


@dataclass(frozen=True, kw_only=True)
class MakeOptions:
    """Train a demonstrator on the true reward, stop it while imperfect, and record its episodes."""

    out: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """The npz file to write; an existing one is not overwritten."""
    episodes: int = 10
    """Episodes recorded of the trained demonstrator, with its own randomness."""
    history: int = 0
    """Record instead one episode of each of so many stages, evenly spread over the training, and write the
    ranking by training time beside them: for --method trex."""
    seed: int = 0
    """Of everything."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """No progress bar."""
    demonstrator: Annotated[DemonstratorSettings, tyro.conf.arg(name="")] = field(
        default_factory=DemonstratorSettings
    )
    """Settings of the demonstrator."""


def parse_make_options(task: str, arguments: Sequence[str]) -> MakeOptions:
    """Parse the options that follow ``drex demos make ENV``.

    Raises:
        UserError: settings that contradict each other.
        SystemExit: status 2 for what cannot be parsed, 0 after printing help.
    """
    settings = demonstrator(task)
    if math.isnan(settings.target_return):  # nothing is known of this task: the user must say
        settings = replace(settings, target_return=tyro.MISSING)
    defaults = MakeOptions(out=tyro.MISSING, demonstrator=settings)
    return tyro.cli(MakeOptions, prog=f"drex demos make {task}", args=arguments, default=defaults)


@dataclass(frozen=True, kw_only=True)
class RecordOptions:
    """Record episodes of a trained policy."""

    policy: Annotated[str, tyro.conf.arg(metavar="FILE")]
    """A run folder, a stage of one, or a zip that stable-baselines3 saved; nothing in it is unpickled."""
    out: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """The npz file to write; an existing one is not overwritten."""
    episodes: int = 10
    """Whole episodes to record."""
    deterministic: tyro.conf.FlagCreatePairsOff[bool] = False
    """Take the policy's most likely action instead of sampling."""
    noise: float = 0.0
    """Probability at each step that the whole action is replaced, for demonstrations worse by choice."""
    noise_name: NoiseName = "uniform"
    """What replaces it: a fresh uniform action, one that is held for some steps, or zeros (no_op)."""
    seed: int = 0
    """Of environments, sampled actions and noise."""


def parse_record_options(task: str, arguments: Sequence[str]) -> RecordOptions:
    """Parse the options that follow ``drex demos record ENV``.

    Raises:
        SystemExit: status 2 for what cannot be parsed, 0 after printing help.
    """
    return tyro.cli(RecordOptions, prog=f"drex demos record {task}", args=arguments)


@dataclass(frozen=True, kw_only=True)
class InspectOptions:
    """Tell what demonstrations hold, what in them will hurt, and whether they fit a task."""

    file: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="FILE")]
    """A file or folder of any format, or the name of a dataset in Minari's cache."""
    task: Annotated[str | None, tyro.conf.arg(metavar="ENV")] = None
    """Also check that they fit this task."""
    format: Format | None = None
    """Of the file, instead of what it looks like."""


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """Write demonstrations in another format. Equal arrays, text and task; what is unknown stays unknown."""

    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="FROM")]
    """A file or folder of any format, or the name of a dataset in Minari's cache."""
    target: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TO")]
    """The file or folder to write; an existing one is not overwritten."""
    source_format: Annotated[Format | None, tyro.conf.arg(name="from")] = None
    """Format of what is read, instead of what it looks like."""
    target_format: Annotated[Format | None, tyro.conf.arg(name="to")] = None
    """Format of what is written; by itself npz where TO ends in .npz, d4rl where it ends in .hdf5 or .h5."""


def parse_inspect_options(arguments: Sequence[str]) -> InspectOptions:
    """Parse the options that follow ``drex demos inspect``.

    Raises:
        SystemExit: status 2 for what cannot be parsed, 0 after printing help.
    """
    return tyro.cli(InspectOptions, prog="drex demos inspect", args=arguments)


def parse_convert_options(arguments: Sequence[str]) -> ConvertOptions:
    """Parse the options that follow ``drex demos convert``.

    Raises:
        SystemExit: status 2 for what cannot be parsed, 0 after printing help.
    """
    return tyro.cli(ConvertOptions, prog="drex demos convert", args=arguments)
