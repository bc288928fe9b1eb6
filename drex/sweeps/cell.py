"""One run of many, and whether its folder holds it already."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drex.files.atomic import read_json
from drex.files.dataclass_json import settings_to_json
from drex.files.run_layout import CONFIG, RESULT
from drex.presets.settings import Settings

Tell = Callable[[str, Path, str], None]
"""Name and log of a run, and what has become of it."""


@dataclass(frozen=True)
class Cell:
    """One run of many.

    Args:
        name: in messages.
        folder: of the run.
        words: its command after ``drex``, without the folder.
        task: as one name.
        seed: of the run.
        settings: of the run.
        controls: trained beside it.
        arguments: other arguments of ``drex.run`` for it.
    """

    name: str
    folder: Path
    words: tuple[str, ...]
    task: str
    seed: int
    settings: Settings
    controls: tuple[str, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        """The file that takes its output."""
        return self.folder.with_name(f"{self.folder.name}.log")

    def is_finished(self) -> bool:
        """Whether its folder holds this run with all its results."""
        if not (self.folder / RESULT).is_file() or not (self.folder / CONFIG).is_file():
            return False
        config: Mapping[str, Any] = {
            "task": self.task,
            "method": self.settings.method,
            "seed": self.seed,
            "settings": settings_to_json(self.settings),
        }
        trained = read_json(self.folder / RESULT).get("controls", {})
        return bool(read_json(self.folder / CONFIG) == config and set(self.controls) <= set(trained))
