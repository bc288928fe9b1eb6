"""The place where true rewards go instead of to the agent."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvObs, VecEnvStepReturn, VecEnvWrapper

from drex.envs.true_returns import TrueReturns


class TrueRewardLedger(VecEnvWrapper):
    """Pays 0 for every step; a finished episode's true return goes, sealed, into ``info["true_return"]``.

    Args:
        environments: whose rewards are diverted.
        pays: pay the true rewards all the same, for demonstrators alone.
    """

    def __init__(self, environments: VecEnv, *, pays: bool = False) -> None:
        super().__init__(environments)
        self._pays = pays
        self._running: list[list[float]] = [[] for _ in range(self.num_envs)]
        self._nothing: npt.NDArray[np.float32] = np.zeros(self.num_envs, np.float32)

    def reset(self) -> VecEnvObs:
        """Start all environments and their sums anew."""
        self._running = [[] for _ in range(self.num_envs)]
        return self.venv.reset()

    def step_wait(self) -> VecEnvStepReturn:
        """Keep the rewards; hand over zeros, unless it pays."""
        observations, rewards, dones, infos = self.venv.step_wait()
        for kept, reward in zip(self._running, rewards.tolist(), strict=True):
            kept.append(reward)
        for index in np.flatnonzero(dones):
            infos[index]["true_return"] = TrueReturns(math.fsum(self._running[index]), self._running[index])
            self._running[index] = []
        return observations, rewards if self._pays else self._nothing.copy(), dones, infos


def take_true_return(info: dict[str, Any]) -> TrueReturns:
    """The sealed true return of the episode that this ``info`` ended; unknown if nothing kept it."""
    sealed = info.get("true_return")
    return sealed if isinstance(sealed, TrueReturns) else TrueReturns.unknown(1)
