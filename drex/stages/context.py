"""What every stage of one run shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from drex.agents.rollouts.collect import Advance
from drex.files.dataclass_json import settings_to_json
from drex.files.run_folder import RunFolder
from drex.files.run_layout import Stage
from drex.presets.settings import Settings
from drex.rankings.settings import NoiseRanking
from drex.stages.progress import Progress

Made = TypeVar("Made")
Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class Context:
    """One run.

    Args:
        task: a gymnasium id.
        settings: of every stage.
        seed: of the run; each stage draws its own stream from it.
        folder: where the stages lie.
        progress: bars and scalars.
        device: of the policy's training and, for images, of cloning and of the reward.
    """

    task: str
    settings: Settings
    seed: int
    folder: RunFolder
    progress: Progress
    device: str

    @property
    def noise(self) -> NoiseRanking:
        """The settings of the noisy rollouts; for runs that have some."""
        return cast("NoiseRanking", self.settings.noise)

    def load_or_make(
        self,
        stage: Stage,
        make: Callable[[Advance], Made],
        *,
        save: Callable[[Made, Path], None],
        load: Callable[[Path], Loaded],
        settings: Mapping[str, Any],
        inputs: Sequence[Stage] = (),
        bar: tuple[int, str] | None = None,
    ) -> Loaded:
        """The stage's artifact, made with a bar of this length and unit; see ``RunFolder.load_or_make``."""

        def with_bar() -> Made:
            with self.progress.bar(stage.name, bar) as advance:
                return make(advance)

        return self.folder.load_or_make(
            stage.name,
            with_bar,
            save=save,
            load=load,
            settings={
                name: settings_to_json(value)
                if is_dataclass(value) and not isinstance(value, type)
                else value
                for name, value in settings.items()
            },
            seed=stage.seed(self.seed),
            inputs=[earlier.name for earlier in inputs],
        )
