"""True returns of training episodes, logged for evaluation only."""

from __future__ import annotations

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from drex.agents.behavioral_cloning import Log
from drex.envs.data.true_returns import TrueReturns


class TrueReturnWatch(BaseCallback):
    """Logs the true returns of training episodes; training does not read them."""

    def __init__(self, log: Log, *, every: int = 20_000) -> None:
        super().__init__()
        self._log, self._every, self._next = log, every, every
        self._recent: list[float] = []

    def _on_step(self) -> bool:
        for index in np.flatnonzero(self.locals["dones"]):
            true_return = self.locals["infos"][index].get("true_return")
            if isinstance(true_return, TrueReturns):
                self._recent.extend(true_return.values_for_evaluation().tolist())
        if self.num_timesteps >= self._next:
            self._write()
        return True

    def _on_training_end(self) -> None:
        self._write()

    def _write(self) -> None:
        if self._recent:
            self._log("eval/true_return", float(np.mean(self._recent)), self.num_timesteps)
            self._recent.clear()
            self._next = self.num_timesteps + self._every
