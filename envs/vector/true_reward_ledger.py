"""Vectorized environments that hide the true rewards from the agent."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvObs, VecEnvStepReturn, VecEnvWrapper

from drex.envs.data.true_returns import TrueReturns

_ROWS = 1024  # initial capacity in steps


class TrueRewardLedger(VecEnvWrapper):
    """Rewards of 0, and a finished episode's ``TrueReturns`` in ``info["true_return"]``.

    The true rewards of the task ``exposed`` are returned as well, for demonstrators only.
    """

    def __init__(self, environments: VecEnv, exposed: str | None = None) -> None:
        super().__init__(environments)
        self.exposed = exposed
        self._rewards: npt.NDArray[np.float64] = np.empty((_ROWS, self.num_envs))
        self._starts: npt.NDArray[np.int64] = np.zeros(self.num_envs, np.int64)
        self._steps = 0
        self._nothing: npt.NDArray[np.float32] = np.zeros(self.num_envs, np.float32)

    def reset(self) -> VecEnvObs:
        """Start all environments and their records anew."""
        self._starts[:] = self._steps = 0
        return self.venv.reset()

    def step_wait(self) -> VecEnvStepReturn:
        """Record the rewards; return zeros unless the true rewards are exposed."""
        observations, rewards, dones, infos = self.venv.step_wait()
        if self._steps == len(self._rewards):
            self._make_room()
        self._rewards[self._steps] = np.where(np.isfinite(rewards), rewards, np.nan)  # infinite: unknown
        self._steps += 1
        for index in dones.nonzero()[0]:
            episode = self._rewards[self._starts[index] : self._steps, index]
            infos[index]["true_return"] = TrueReturns(math.fsum(episode.tolist()), episode)
            self._starts[index] = self._steps
        return observations, self._nothing.copy() if self.exposed is None else rewards, dones, infos

    def _make_room(self) -> None:
        """Drop the rewards before the running episodes, and double the room that these take."""
        oldest = int(self._starts.min())
        running = self._rewards[oldest:]
        self._rewards = np.empty((len(running) + max(len(running), _ROWS), self.num_envs))
        self._rewards[: len(running)] = running
        self._starts -= oldest
        self._steps -= oldest


def take_true_return(info: dict[str, Any]) -> TrueReturns:
    """The true return of the episode that this ``info`` ended; unknown if it was not recorded."""
    found = info.get("true_return")
    return found if isinstance(found, TrueReturns) else TrueReturns.unknown(1)
