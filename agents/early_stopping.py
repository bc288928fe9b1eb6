"""Early stopping on the held-out loss."""

from __future__ import annotations

import copy

import torch


class EarlyStopping:
    """The module's weights with the lowest held-out loss; stops after ``patience`` evaluations above it."""

    def __init__(self, module: torch.nn.Module, *, patience: int) -> None:
        self._module, self._patience = module, patience
        self._least, self._waited = float("inf"), 0
        self._best_weights = copy.deepcopy(module.state_dict())

    def should_stop(self, loss: float) -> bool:
        """Record the held-out loss of the present weights; whether patience has run out."""
        if loss < self._least:
            self._least, self._waited = loss, 0
            self._best_weights = copy.deepcopy(self._module.state_dict())
        else:
            self._waited += 1
        return self._waited > self._patience

    def restore_best(self) -> None:
        """Load the best weights into the module."""
        self._module.load_state_dict(self._best_weights)
