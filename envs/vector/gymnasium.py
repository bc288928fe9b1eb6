"""gymnasium's vectorized environments, for every task that EnvPool does not serve."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from drex.envs.single import build_environment
from drex.envs.vector.same_step import EngineStep, SameStepVecEnv


class GymnasiumVecEnv(SameStepVecEnv):
    """Environments stepped one after another by gymnasium; environment ``i`` is seeded ``seed + i``."""

    def __init__(self, task: str, count: int, *, seed: int) -> None:
        make = functools.partial(build_environment, task)
        vector = self._vector = SyncVectorEnv([make] * count, autoreset_mode=AutoresetMode.SAME_STEP)
        super().__init__(count, vector.single_observation_space, vector.single_action_space, seed=seed)

    def engine_reset(self, seed: int | None) -> npt.NDArray[Any]:
        """Start all environments anew."""
        observations, _ = self._vector.reset(seed=seed)
        return np.asarray(observations)

    def engine_send(self, actions: npt.NDArray[Any]) -> None:
        """Store the actions for ``engine_receive``."""
        self._actions = actions

    def engine_receive(self) -> EngineStep:
        """Step every environment once; finished ones are reset within the same step."""
        observations, rewards, terminated, truncated, info = self._vector.step(self._actions)
        finished = np.flatnonzero(terminated | truncated)
        final = np.empty((len(finished), *observations.shape[1:]), observations.dtype)
        for row, index in enumerate(finished):
            final[row] = info["final_obs"][index]  # perhaps in another precision
        return EngineStep(observations, rewards.astype(np.float32), terminated, truncated, finished, final)

    def close(self) -> None:
        """Close every environment."""
        self._vector.close()
