"""gymnasium's own vectorised environments, for every task that EnvPool does not serve."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode

from drex.envs.autoreset import EngineStep, SameStepVecEnv


class GymnasiumVecEnv(SameStepVecEnv):
    """``gymnasium.make_vec`` in its same-step reset mode; environment ``i`` is seeded ``seed + i``."""

    def __init__(self, task: str, count: int, *, seed: int) -> None:
        self._vector = gymnasium.make_vec(
            task,
            num_envs=count,
            vectorization_mode="sync",
            vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
        )
        super().__init__(
            count, self._vector.single_observation_space, self._vector.single_action_space, seed=seed
        )

    def engine_reset(self, seed: int | None) -> npt.NDArray[Any]:
        """Start all environments anew."""
        observations, _ = self._vector.reset(seed=seed)
        return np.asarray(observations)

    def engine_step(self, actions: npt.NDArray[Any]) -> EngineStep:
        """Step every environment once; finished ones are reset within the same step."""
        observations, rewards, terminated, truncated, info = self._vector.step(actions)
        finished = np.flatnonzero(terminated | truncated)
        final = np.array([info["final_obs"][index] for index in finished]) if len(finished) else finished
        return EngineStep(observations, rewards.astype(np.float32), terminated, truncated, finished, final)

    def close(self) -> None:
        """Close every environment."""
        self._vector.close()
