"""A factor on the reward of environments, so that PPO's values have a usual size."""

from __future__ import annotations

import numpy as np
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvObs, VecEnvStepReturn, VecEnvWrapper

from drex.errors import UserError


class ScaledReward(VecEnvWrapper):
    """The environments' own reward times a factor, to learn from; NaN and infinity are a ``UserError``."""

    def __init__(self, environments: VecEnv, scale: float) -> None:
        super().__init__(environments)
        self._scale = scale

    def reset(self) -> VecEnvObs:
        """Reset all environments."""
        return self.venv.reset()

    def step_wait(self) -> VecEnvStepReturn:
        """Wait for the step, and scale its rewards."""
        observations, rewards, dones, infos = self.venv.step_wait()
        if not np.isfinite(rewards).all():
            where = f"task {getattr(self.venv, 'exposed', None)!r}: reward"
            raise UserError(where, expected="a finite number", found="NaN or infinity")
        return observations, rewards * self._scale, dones, infos
