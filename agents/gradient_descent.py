"""Gradient descent with early stopping on the held-out loss, continued from checkpoints."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from drex.agents.checkpoints import load_checkpoint, load_optimizer, optimizer_tensors, save_checkpoint

SECONDS_BETWEEN_CHECKPOINTS = 30.0


def descend(
    module: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[int], torch.Tensor],
    held_out_loss: Callable[[int], float] | None,
    *,
    steps: int,
    check_every: int,
    patience: int | None,
    generator: np.random.Generator,
    checkpoints: Path | None = None,
) -> None:
    """Train the module.

    Args:
        module: what is trained.
        optimizer: of its parameters.
        loss: the loss () of the next batch, given the step.
        held_out_loss: the held-out loss, given the step; also evaluated at the end.
        steps: maximum number of gradient steps.
        check_every: gradient steps between evaluations.
        patience: evaluations without improvement before training stops with the weights of the lowest
            held-out loss; ``None`` trains to the end and keeps the last ones.
        generator: the random state of ``loss``.
        checkpoints: folder for checkpoints; training continues from the last one in it.

    Raises:
        UserError: a checkpoint has changed or cannot be read.
    """
    progress = _Progress(module, optimizer, generator)
    if checkpoints is not None:
        progress.load(checkpoints)
    saved = time.monotonic()
    for step in range(progress.step, steps + 1):
        last = step == steps
        if held_out_loss is not None and (last or step % check_every == 0):
            progress.record(held_out_loss(step))
            if patience is not None and progress.waited > patience:
                break
        if last:
            break
        optimizer.zero_grad()
        loss(step).backward()
        optimizer.step()
        if checkpoints is not None and time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
            progress.save(checkpoints, step + 1)
            saved = time.monotonic()
    if patience is not None:
        module.load_state_dict(progress.best_weights)


class _Progress:
    """All that a training has come to: weights, the best ones so far, optimizer, random state, step."""

    def __init__(
        self, module: torch.nn.Module, optimizer: torch.optim.Optimizer, generator: np.random.Generator
    ) -> None:
        self._module, self._optimizer, self._generator = module, optimizer, generator
        self.step, self.waited, self._least = 0, 0, float("inf")
        self.best_weights = copy.deepcopy(module.state_dict())

    def record(self, loss: float) -> None:
        """Compare the held-out loss of the present weights with the lowest."""
        self.waited += 1
        if loss < self._least:
            self._least, self.waited = loss, 0
            self.best_weights = copy.deepcopy(self._module.state_dict())

    def save(self, folder: Path, step: int) -> None:
        """Write a checkpoint from before this step."""
        parts = {
            "weights": self._module.state_dict(),
            "best": self.best_weights,
            "optimizer": optimizer_tensors(self._optimizer),
        }
        random_state = self._generator.bit_generator.state
        counters = {"step": step, "waited": self.waited, "least": repr(self._least), "random": random_state}
        save_checkpoint(folder, step, parts, counters)

    def load(self, folder: Path) -> None:
        """Continue from the newest checkpoint, if there is one."""
        found = load_checkpoint(folder)
        if found is None:
            return
        self._module.load_state_dict(found.parts["weights"])
        self.best_weights = found.parts["best"]
        load_optimizer(self._optimizer, found.parts.get("optimizer", {}))
        self.step, self.waited = found.counters["step"], found.counters["waited"]
        self._least = float(found.counters["least"])
        self._generator.bit_generator.state = found.counters["random"]
