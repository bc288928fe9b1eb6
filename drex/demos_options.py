"""The options of ``drex demos make``: what to record, and every field of the demonstrator's settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from drex.agents.demonstrator import DemonstratorSettings


@dataclass(frozen=True, kw_only=True)
class MakeOptions:
    """Train a demonstrator on the true reward, stop it while imperfect, and record its episodes."""

    out: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """The npz file to write; an existing one is not overwritten."""
    episodes: int = 10
    """Episodes recorded, with the demonstrator's own randomness."""
    seed: int = 0
    """Of everything."""
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
    return tyro.cli(MakeOptions, prog=f"drex demos make {task}", args=arguments)
