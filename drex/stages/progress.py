"""What a person sees while a run works: a bar a stage, and TensorBoard scalars in the run folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger, TensorBoardOutputFormat
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from drex.agents.rollouts.collect import Advance


class Progress:
    """Progress bars on the terminal and scalars for TensorBoard.

    Args:
        folder: where the event files go.
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
        """stable-baselines3's logger, writing to the same folder."""
        logger = Logger(str(self._folder), [TensorBoardOutputFormat(str(self._folder))])
        self._loggers.append(logger)
        return logger

    @contextmanager
    def bar(self, stage: str, length: tuple[int, str] | None) -> Iterator[Advance]:
        """A bar of so many units with rate and time left, or none; yields what moves it."""
        total, unit = length or (0, "")
        hidden = self._quiet or length is None
        with tqdm(total=total, desc=f"{stage:<12}", unit=unit, unit_scale=True, disable=hidden) as bar:

            def advance(amount: int) -> None:
                bar.update(amount)

            yield advance

    def advancing(self, advance: Advance) -> Callable[[str, float, int], None]:
        """A log that also moves a bar to the step of each scalar."""
        seen = 0

        def log(name: str, value: float, step: int) -> None:
            nonlocal seen
            self.log(name, value, step)
            advance(step - seen)
            seen = step

        return log

    def say(self, line: str) -> None:
        """One line on the terminal."""
        if not self._quiet:
            tqdm.write(line)

    def close(self) -> None:
        """Write what is left, and end the writers' threads."""
        self._writer.close()
        for logger in self._loggers:
            logger.close()


class StepBar(BaseCallback):
    """Moves a bar along with the environment steps of a training."""

    def __init__(self, advance: Advance) -> None:
        super().__init__()
        self._advance, self._seen = advance, 0

    def _on_step(self) -> bool:
        if self.num_timesteps - self._seen >= 2048:
            self._move()
        return True

    def _on_training_end(self) -> None:
        self._move()

    def _move(self) -> None:
        self._advance(self.num_timesteps - self._seen)
        self._seen = self.num_timesteps
