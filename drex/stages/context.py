"""The data that all stages of a run share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from drex.agents.rollouts.collect import Advance
from drex.files.dataclass_json import JSON
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
        settings: of all stages.
        seed: of the run; each stage has a stream of its own.
        folder: with the stages' artifacts.
        progress: bars and scalars.
        device: for PPO and, for images, for cloning and the reward.
    """

    task: str
    settings: Settings
    seed: int
    folder: RunFolder
    progress: Progress
    device: str

    @property
    def noise(self) -> NoiseRanking:
        """The settings of the noisy rollouts, in runs that have them."""
        return cast("NoiseRanking", self.settings.noise)

    @property
    def gamma(self) -> float:
        """The learner's discount factor, chosen by the ranking; see ``fit_learner``."""
        return cast("float", self.settings.learner.gamma)

    def load_or_make(
        self,
        stage: Stage,
        make: Callable[[Advance], Made],
        *,
        save: Callable[[Made, Path], None],
        load: Callable[[Path], Loaded],
        settings: Mapping[str, JSON],
        inputs: Sequence[Stage] = (),
        bar: tuple[int, str] | None = None,
    ) -> Loaded:
        """The artifact of a stage; ``bar`` is length and unit. See ``RunFolder.load_or_make``."""

        def with_bar() -> Made:
            with self.progress.bar(stage.name, bar) as advance:
                return make(advance)

        return self.folder.load_or_make(
            stage.name,
            with_bar,
            save=save,
            load=load,
            settings=settings,
            seed=stage.seed(self.seed),
            inputs=[earlier.name for earlier in inputs],
        )
