"""EnvPool: environments stepped in C++, several at once."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from drex.envs.autoreset import EngineStep, SameStepVecEnv


class EnvPoolVecEnv(SameStepVecEnv):
    """An EnvPool pool with stable-baselines3's reset convention.

    Environment ``i`` is seeded ``seed + i``. EnvPool itself resets on the step *after* an end, so finished
    environments are reset here, all in one call, and their last observations are copied first.
    """

    def __init__(self, task: str, count: int, *, seed: int, threads: int) -> None:
        import envpool  # optional: absent outside Linux

        self._pool = envpool.make(task, env_type="gymnasium", num_envs=count, num_threads=threads, seed=seed)
        super().__init__(count, self._pool.observation_space, self._pool.action_space)

    def engine_reset(self) -> npt.NDArray[Any]:
        """Start all environments anew."""
        observations, _ = self._pool.reset()
        return np.array(observations)

    def engine_step(self, actions: npt.NDArray[Any]) -> EngineStep:
        """Step the pool once, then reset the finished environments in one call."""
        observations, rewards, terminated, truncated, _ = self._pool.step(
            np.asarray(actions, self.action_space.dtype)
        )
        finished = np.flatnonzero(terminated | truncated)
        final_observations = observations[finished]  # indexing by an array copies
        if len(finished):
            fresh, info = self._pool.reset(finished.astype(np.int32))
            observations[info["env_id"]] = fresh
        return EngineStep(
            observations,
            rewards.astype(np.float32),
            terminated,
            truncated & ~terminated,
            finished,
            final_observations,
        )

    def close(self) -> None:
        """Stop the pool's threads."""
        self._pool.close()


def envpool_serves(task: str) -> bool:
    """Whether EnvPool is installed and its environment observes and acts in the same spaces as gymnasium's.

    The same name does not promise the same environment: where EnvPool's spaces or horizon differ from
    gymnasium's registered task, it is not used.
    """
    try:
        import envpool
    except ImportError:
        return False
    if task not in envpool.list_all_envs() or task not in gymnasium.registry:
        return False
    spec = envpool.make_spec(task)
    with gymnasium.make(task) as reference:
        ours, theirs = spec.observation_space, reference.observation_space
        same_spaces = ours == theirs and spec.action_space == _in_double(reference.action_space)
        horizon = reference.spec.max_episode_steps if reference.spec else None
    return bool(same_spaces and spec.config.max_episode_steps == horizon)


def _in_double(space: gymnasium.Space[Any]) -> gymnasium.Space[Any]:
    """The same box in double precision, in which EnvPool takes its actions."""
    if isinstance(space, gymnasium.spaces.Box):
        return gymnasium.spaces.Box(
            space.low.astype(np.float64), space.high.astype(np.float64), dtype=np.float64
        )
    return space
