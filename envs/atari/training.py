"""Training options of Atari games: episodes end at lost lives, rewards are clipped."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvObs, VecEnvStepReturn, VecEnvWrapper

if TYPE_CHECKING:
    from drex.envs.atari.emulator import AleVecEnv
from drex.envs.atari.options import AtariOptions


class AtariTraining(VecEnvWrapper):
    """Ends episodes at lost lives and clips rewards, outside of the ledger of true returns."""

    def __init__(self, environments: VecEnv, engine: AleVecEnv, options: AtariOptions) -> None:
        super().__init__(environments)
        self._engine, self._atari = engine, options

    def reset(self) -> VecEnvObs:
        """Start every game anew."""
        return self.venv.reset()

    def step_wait(self) -> VecEnvStepReturn:
        """Step; at a lost life the episode ends, and the same frames begin the next one."""
        stepped, rewards, dones, infos = self.venv.step_wait()
        observations = cast("npt.NDArray[np.uint8]", stepped)
        if self._atari.episodic_life:
            for index in np.flatnonzero(self._engine.lost_life):
                infos[index]["terminal_observation"] = observations[index].copy()
                infos[index]["TimeLimit.truncated"] = False
            dones = dones | self._engine.lost_life
        return observations, np.sign(rewards) if self._atari.clip_rewards else rewards, dones, infos
