"""EnvPool: parallel environments in C++."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from drex.envs.vector.same_step import SEEDS, EngineStep, SameStepVecEnv

VERIFIED_TASKS = frozenset(
    {
        "Acrobot-v1",
        "Ant-v5",
        "CartPole-v1",
        "HalfCheetah-v5",
        "Hopper-v5",
        "Humanoid-v5",
        "HumanoidStandup-v5",
        "InvertedDoublePendulum-v5",
        "InvertedPendulum-v5",
        "MountainCar-v0",
        "MountainCarContinuous-v0",
        "Reacher-v5",
        "Swimmer-v5",
        "Walker2d-v5",
    }
)
"""Tasks whose steps, rewards and ends ``tests/test_same_environment.py`` compares with gymnasium's.

Pendulum-v1 differs, among others: EnvPool bounds the speed only after it has moved the angle.
"""

_NONE: npt.NDArray[np.int64] = np.zeros(0, np.int64)


class EnvPoolVecEnv(SameStepVecEnv):
    """An EnvPool pool with stable-baselines3's reset convention; environment ``i`` is seeded ``seed + i``.

    EnvPool resets on the step *after* an end, so finished environments are reset here in one call, after a
    copy of their last observations. The spaces are gymnasium's (EnvPool's actions are doubles), so that an
    agent saved on one backend loads on the other. One difference remains: EnvPool reports a termination on
    the last allowed step as a truncation.
    """

    def __init__(self, task: str, count: int, *, seed: int, threads: int) -> None:
        self._task, self._count, self._threads = task, count, threads
        self._make_pool(seed)
        with gymnasium.make(task) as reference:
            super().__init__(count, reference.observation_space, reference.action_space, seed=seed)
        self._used = False

    def _make_pool(self, seed: int) -> None:
        import envpool  # optional: absent outside Linux

        self._pool_seed = seed
        with _without_precision_warnings():
            options = {"num_envs": self._count, "num_threads": self._threads, "seed": seed % SEEDS}
            self._pool = envpool.make(self._task, env_type="gymnasium", **options)
            _ = self._pool.observation_space  # cached, and so its warning
        actions = self._pool.spec.action_array_spec
        self._action_keys, self._action_type = list(actions), actions["action"].dtype
        state = list(self._pool.spec.state_array_spec)
        self._state_places = [state.index(key) for key in ("obs", "reward", "done", "trunc")]

    def engine_reset(self, seed: int | None) -> npt.NDArray[Any]:
        """Start all environments anew; a new seed needs a new pool."""
        if seed is not None and (self._used or seed != self._pool_seed):
            self._pool.close()
            self._make_pool(seed)
        self._used = True
        observations, _ = self._pool.reset()
        return np.array(observations)

    def engine_send(self, actions: npt.NDArray[Any]) -> None:
        """Begin a step of all environments in the pool's threads, without the overhead of its ``step``."""
        everyone = self._pool.all_env_ids
        named = {"env_id": everyone, "players.env_id": everyone}
        given = np.asarray(actions).astype(self._action_type, order="C")
        self._pool._send([named.get(key, given) for key in self._action_keys])

    def engine_receive(self) -> EngineStep:
        """Wait for the pool, then reset the finished environments in one call."""
        state = self._pool._recv()
        observations, rewards, done, truncated = (state[place] for place in self._state_places)
        if not done.any():
            return EngineStep(observations, rewards, done, truncated, _NONE, observations[:0])
        terminated = done & ~truncated
        finished = done.nonzero()[0]
        final_observations = observations[finished]  # indexing by an array copies
        fresh, info = self._pool.reset(finished.astype(np.int32))
        observations[info["env_id"]] = fresh
        return EngineStep(observations, rewards, terminated, truncated, finished, final_observations)

    def close(self) -> None:
        """Stop the pool's threads."""
        self._pool.close()


@functools.cache
def envpool_serves(task: str) -> bool:
    """Whether EnvPool is installed and runs this task as gymnasium does.

    Only ``VERIFIED_TASKS`` are served, and only if spaces and horizon agree in the installed versions.
    """
    if task not in VERIFIED_TASKS:
        return False
    try:
        import envpool
    except ImportError:
        return False
    if task not in envpool.list_all_envs():
        return False
    spec = envpool.make_spec(task)
    with gymnasium.make(task) as reference, _without_precision_warnings():
        same_observations = spec.observation_space == reference.observation_space
        same_actions = _same_actions(spec.action_space, reference.action_space)
        horizon = reference.spec.max_episode_steps if reference.spec else None
    return bool(same_observations and same_actions and spec.config.max_episode_steps == horizon)


@contextmanager
def _without_precision_warnings() -> Iterator[None]:
    """EnvPool declares the bounds of float32 boxes in double precision, and gymnasium warns."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*precision lowered by casting", category=UserWarning)
        yield


def _same_actions(ours: gymnasium.Space[Any], theirs: gymnasium.Space[Any]) -> bool:
    """Whether two action spaces are equal but for the precision of a box."""
    if isinstance(ours, gymnasium.spaces.Box) and isinstance(theirs, gymnasium.spaces.Box):
        one, other = (np.stack([box.low, box.high]).astype(np.float32) for box in (ours, theirs))
        return np.array_equal(one, other)
    return bool(ours == theirs)
