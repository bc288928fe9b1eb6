"""A rollout buffer whose rewards come from a learned function, in one pass over the finished rollout.

The learned reward is *added* to the stored one, which already holds the bootstrap value at truncations.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3.common.buffers import RolloutBuffer

from drex.agents.ppo.finite import check_rewards
from drex.envs.learned_reward import RewardFunction


class RelabelledRolloutBuffer(RolloutBuffer):
    """stable-baselines3's rollout buffer with executed actions, next observations and terminations.

    ``reward`` is attached after construction, since arguments of a buffer are pickled into the saved
    algorithm. Without one the buffer behaves as its parent.
    """

    executed: npt.NDArray[Any]
    next_observations: npt.NDArray[Any]
    terminated: npt.NDArray[np.bool_]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.reward: RewardFunction | None = None
        self.learned_rewards: npt.NDArray[np.float32] | None = None
        super().__init__(*args, **kwargs)

    def reset(self) -> None:
        """Empty the buffer."""
        shape = (self.buffer_size, self.n_envs)
        action_shape = cast("tuple[int, ...]", self.action_space.shape)
        self.executed = np.zeros((*shape, *action_shape), self.action_space.dtype)
        self.next_observations = np.zeros((*shape, *self.obs_shape), self.observation_space.dtype)
        self.terminated = np.zeros(shape, np.bool_)
        self.learned_rewards = None
        super().reset()

    def note_step(
        self,
        step: int,
        executed: npt.NDArray[Any],
        next_observations: npt.NDArray[Any],
        terminated: npt.NDArray[np.bool_],
    ) -> None:
        """Store executed (clipped) actions, next observations (also terminal ones) and terminations."""
        self.executed[step] = executed
        self.next_observations[step] = next_observations
        self.terminated[step] = terminated

    def compute_returns_and_advantage(self, last_values: torch.Tensor, dones: npt.NDArray[Any]) -> None:
        """Add the learned reward of the whole rollout, then compute advantages as the parent does."""
        if self.reward is not None:
            flat = self.buffer_size * self.n_envs
            scores = self.reward(
                self.observations.reshape(flat, *self.obs_shape),
                self.executed.reshape(flat, *self.executed.shape[2:]),
                self.next_observations.reshape(flat, *self.obs_shape),
                self.terminated.reshape(flat),
            )
            self.learned_rewards = np.asarray(scores, np.float32).reshape(self.buffer_size, self.n_envs)
            self.rewards += self.learned_rewards
        check_rewards(self.rewards)
        super().compute_returns_and_advantage(last_values, dones)
