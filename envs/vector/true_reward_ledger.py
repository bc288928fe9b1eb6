"""The place where true rewards go instead of to the agent."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvObs, VecEnvStepReturn, VecEnvWrapper

from drex.envs.data.true_returns import TrueReturns

_ROWS = 1024
"""Steps for which room is made at first."""


class TrueRewardLedger(VecEnvWrapper):
    """Pays 0 for every step; a finished episode's true return goes, sealed, into ``info["true_return"]``.

    Rewards are kept a whole step of all environments at a time, and cut out when an episode ends.

    Args:
        environments: whose rewards are diverted.
        pays: pay the true rewards all the same, for demonstrators alone.
    """

    def __init__(self, environments: VecEnv, *, pays: bool = False) -> None:
        super().__init__(environments)
        self._pays = pays
        self._rewards: npt.NDArray[np.float64] = np.empty((_ROWS, self.num_envs))
        self._starts: npt.NDArray[np.int64] = np.zeros(self.num_envs, np.int64)
        self._steps = 0
        self._nothing: npt.NDArray[np.float32] = np.zeros(self.num_envs, np.float32)

    def reset(self) -> VecEnvObs:
        """Start all environments and their sums anew."""
        self._starts[:] = self._steps = 0
        return self.venv.reset()

    def step_wait(self) -> VecEnvStepReturn:
        """Keep the rewards; hand over zeros, unless it pays."""
        observations, rewards, dones, infos = self.venv.step_wait()
        if self._steps == len(self._rewards):
            self._make_room()
        self._rewards[self._steps] = rewards
        self._steps += 1
        for index in dones.nonzero()[0]:
            own = self._rewards[self._starts[index] : self._steps, index]
            infos[index]["true_return"] = TrueReturns(math.fsum(own.tolist()), own)
            self._starts[index] = self._steps
        return observations, rewards if self._pays else self._nothing.copy(), dones, infos

    def _make_room(self) -> None:
        """Forget what came before the running episodes, and leave as much room again as these take."""
        oldest = int(self._starts.min())
        running = self._rewards[oldest:]
        self._rewards = np.empty((len(running) + max(len(running), _ROWS), self.num_envs))
        self._rewards[: len(running)] = running
        self._starts -= oldest
        self._steps -= oldest


def take_true_return(info: dict[str, Any]) -> TrueReturns:
    """The sealed true return of the episode that this ``info`` ended; unknown if nothing kept it."""
    sealed = info.get("true_return")
    return sealed if isinstance(sealed, TrueReturns) else TrueReturns.unknown(1)
