"""Progress of a run: one bar per stage, and TensorBoard scalars in the run folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger, TensorBoardOutputFormat
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from drex.agents.rollouts.collect import Advance
from drex.progress_bar import progress_bar


class Progress:
    """Progress bars on the terminal and scalars for TensorBoard.

    Args:
        folder: for the event files.
        quiet: no bars and no lines.
    """

    def __init__(self, folder: Path, *, quiet: bool) -> None:
        self._folder, self._quiet = folder, quiet
        self._writer = SummaryWriter(str(folder))
        self._loggers: list[Logger] = []

    def log(self, name: str, value: float, step: int) -> None:
        """One scalar for TensorBoard."""
        self._writer.add_scalar(name, value, step)

    def logger(self) -> Logger:
        """A logger of stable-baselines3 for the same folder."""
        logger = Logger(str(self._folder), [TensorBoardOutputFormat(str(self._folder))])
        self._loggers.append(logger)
        return logger

    @contextmanager
    def bar(self, stage: str, length: tuple[int, str] | None) -> Iterator[Advance]:
        """A bar of this length and unit, or none; yields the function that advances it."""
        total, unit = length or (0, "")
        hidden = self._quiet or length is None
        with progress_bar(f"{stage:<12}", total, unit, hidden=hidden) as bar:
            yield bar.update

    def advancing(self, advance: Advance) -> Callable[[str, float, int], None]:
        """A log that also advances a bar to the step of each scalar."""
        seen = 0

        def log(name: str, value: float, step: int) -> None:
            nonlocal seen
            self.log(name, value, step)
            advance(step - seen)
            seen = step

        return log

    def write(self, line: str) -> None:
        """One line on the terminal."""
        if not self._quiet:
            tqdm.write(line)

    def close(self) -> None:
        """Flush and close all event files."""
        self._writer.close()
        for logger in self._loggers:
            logger.close()


class StepBar(BaseCallback):
    """Advances a bar by the environment steps of a training."""

    def __init__(self, advance: Advance) -> None:
        super().__init__()
        self._advance, self._seen = advance, 0

    def _on_step(self) -> bool:
        self._advance(self.num_timesteps - self._seen)
        self._seen = self.num_timesteps
        return True
