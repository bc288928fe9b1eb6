"""A learned reward in place of the environment's own, for stable-baselines3 and gymnasium."""

from __future__ import annotations

from typing import Any, Protocol

import gymnasium
import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvObs, VecEnvStepReturn, VecEnvWrapper

from drex.envs.vector.same_step import transition_ends
from drex.errors import UserError


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


class LearnedRewardVecEnv(VecEnvWrapper):
    """Environments with the reward ``reward(observation, action, next_observation, terminated)``.

    The next observation of an episode's last transition is its terminal one. drex's PPO scores whole rollouts
    instead; both give the same rewards.
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
        """Begin a step with a copy of the actions."""
        if self._observations is None:
            raise RuntimeError("step before reset")
        self._actions = np.array(actions)
        self.venv.step_async(actions)

    def step_wait(self) -> VecEnvStepReturn:
        """End the step; the rewards are the learned ones."""
        if self._observations is None or self._actions is None:
            raise RuntimeError("step before reset")
        observations, _, dones, infos = self.venv.step_wait()
        ends = transition_ends(np.asarray(observations), dones, infos)
        rewards = self._reward(self._observations, self._actions, ends.next_observations, ends.terminated)
        self._observations = np.array(observations)
        return observations, rewards, dones, infos


class LearnedRewardEnv(gymnasium.Wrapper[npt.NDArray[Any], Any, npt.NDArray[Any], Any]):
    """One gymnasium environment with ``reward`` in place of its own.

    ``LearnedRewardVecEnv`` over one copy of the environment gives the same rewards. Actions are not clipped.

    Args:
        environment: its observations are a Box; flatten others first, as ``make_environments`` does.
        reward: for example from ``drex.load_reward``.

    Raises:
        UserError: observations that are no Box.
    """

    def __init__(self, environment: gymnasium.Env[Any, Any], reward: RewardFunction) -> None:
        space, expected = environment.observation_space, "observations in a Box, as the reward was learned on"
        if not isinstance(space, gymnasium.spaces.Box):
            advice = "flatten them first, by gymnasium.wrappers.FlattenObservation"
            raise UserError("LearnedRewardEnv", expected=expected, found=str(space), do=advice)
        super().__init__(environment)
        self._reward = reward
        self._observation: npt.NDArray[Any] | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        """Start an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._observation = np.array(observation)
        return observation, info

    def step(self, action: Any) -> tuple[npt.NDArray[Any], float, bool, bool, dict[str, Any]]:  # noqa: ANN401
        """Step; the reward is the learned one."""
        if self._observation is None:
            raise RuntimeError("step before reset")
        taken = np.array(action)  # an environment may change it in place
        next_observations, _, terminated, truncated, info = self.env.step(action)
        before, self._observation = self._observation, np.array(next_observations)
        rewards = self._reward(before[None], taken[None], self._observation[None], np.array([terminated]))
        return next_observations, float(rewards[0]), terminated, truncated, info
