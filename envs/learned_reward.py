"""A learned reward in place of the environment's own, for any stable-baselines3 algorithm."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvObs, VecEnvStepReturn, VecEnvWrapper


class RewardFunction(Protocol):
    """Any callable that scores a batch of transitions."""

    def __call__(
        self,
        observations: npt.NDArray[Any],
        actions: npt.NDArray[Any],
        next_observations: npt.NDArray[Any],
        terminated: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.float32]:
        """Score ``n`` transitions: (n, *obs), (n, *act), (n, *obs), (n,) to (n,)."""
        ...


class LearnedRewardVecEnv(VecEnvWrapper):
    """Pays ``reward(observation, action, next_observation, terminated)``; the environment's own is dropped.

    The last transition of an episode is scored on its terminal observation, not on the reset one. PPO of
    ``drex.agents`` scores whole rollouts at once instead; both give the same rewards.
    """

    def __init__(self, environments: VecEnv, reward: RewardFunction) -> None:
        super().__init__(environments)
        self._reward = reward
        self._observations: npt.NDArray[Any] | None = None
        self._actions: npt.NDArray[Any] | None = None

    def reset(self) -> VecEnvObs:
        """Start all environments anew."""
        observations = self.venv.reset()
        self._observations = np.array(observations)
        return observations

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Remember the actions that will be scored."""
        self._actions = np.array(actions)
        self.venv.step_async(actions)

    def step_wait(self) -> VecEnvStepReturn:
        """Step, and pay the learned reward."""
        if self._observations is None or self._actions is None:
            raise RuntimeError("step before reset")
        observations, _, dones, infos = self.venv.step_wait()
        following = np.array(observations)
        terminated = dones.copy()
        for index in np.flatnonzero(dones):
            following[index] = infos[index]["terminal_observation"]
            terminated[index] = not infos[index].get("TimeLimit.truncated", False)
        rewards = self._reward(self._observations, self._actions, following, terminated)
        self._observations = np.array(observations)
        return observations, rewards, dones, infos
