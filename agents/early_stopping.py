"""Early stopping: the weights with the lowest held-out loss, and when to give up waiting for lower ones."""

from __future__ import annotations

import copy

import torch


class EarlyStopping:
    """Remembers the weights of a module that had the lowest held-out loss.

    Args:
        module: in training; its weights now are the best until a loss is known.
        patience: looks in a row without improvement that are waited out.
    """

    def __init__(self, module: torch.nn.Module, *, patience: int) -> None:
        self._module, self._patience = module, patience
        self._least, self._waited = float("inf"), 0
        self._best_weights = copy.deepcopy(module.state_dict())

    def should_stop(self, loss: float) -> bool:
        """Note the held-out loss of the weights as they are; whether patience has run out."""
        if loss < self._least:
            self._least, self._waited = loss, 0
            self._best_weights = copy.deepcopy(self._module.state_dict())
        else:
            self._waited += 1
        return self._waited > self._patience

    def restore_best(self) -> None:
        """Give the module the best weights back."""
        self._module.load_state_dict(self._best_weights)
