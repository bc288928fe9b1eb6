"""Vectorized environments with stable-baselines3's same-step reset.

A step that ends an episode returns the first observation of the next one, the last observation in
``info["terminal_observation"]``, and in ``info["TimeLimit.truncated"]`` whether the episode was truncated.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvIndices, VecEnvObs, VecEnvStepReturn

SEEDS = 2**31 - 2**16
"""Bound of engines' seeds, 32-bit integers, with room for one seed per environment."""


class EngineStep(NamedTuple):
    """One step of all environments, finished ones already reset.

    Args:
        observations: (n, *observation shape), the first of the next episode where one has ended.
        rewards: (n,) float32, the environment's own.
        terminated: (n,) bool.
        truncated: (n,) bool, perhaps on the step that also terminated.
        finished: (k,) indices of environments whose episode ended, ascending.
        final_observations: (k, *observation shape), the last ones of these episodes.
    """

    observations: npt.NDArray[Any]
    rewards: npt.NDArray[np.float32]
    terminated: npt.NDArray[np.bool_]
    truncated: npt.NDArray[np.bool_]
    finished: npt.NDArray[np.int64]
    final_observations: npt.NDArray[Any]


class TransitionEnds(NamedTuple):
    """The ends of one transition of every environment.

    Args:
        next_observations: (n, *observation shape) after each action, terminal ones included.
        terminated: (n,) bool.
        truncated: (n,) bool, ended without being terminated.
    """

    next_observations: npt.NDArray[Any]
    terminated: npt.NDArray[np.bool_]
    truncated: npt.NDArray[np.bool_]


def transition_ends(
    observations: npt.NDArray[Any], dones: npt.NDArray[np.bool_], infos: Sequence[dict[str, Any]]
) -> TransitionEnds:
    """Terminal observations and truncation from the result of a ``VecEnv``'s ``step_wait``."""
    truncated = np.zeros(len(dones), np.bool_)
    if dones.any():
        observations = np.array(observations)
    for index in np.flatnonzero(dones).tolist():
        observations[index] = infos[index]["terminal_observation"]
        truncated[index] = infos[index].get("TimeLimit.truncated", False)
    return TransitionEnds(observations, dones & ~truncated, truncated)


class SameStepVecEnv(VecEnv):
    """A stable-baselines3 ``VecEnv`` over an engine that steps all its environments at once.

    An engine with threads steps between ``step_async`` and ``step_wait``. Its ``info`` entries are dropped:
    several hold parts of the true reward, such as velocities.
    """

    def __init__(
        self,
        count: int,
        observation_space: gymnasium.Space[Any],
        action_space: gymnasium.Space[Any],
        *,
        seed: int,
    ) -> None:
        self.render_mode: str | None = None
        self._stepping = False
        super().__init__(count, observation_space, action_space)
        self.seed(seed)

    @abstractmethod
    def engine_reset(self, seed: int | None) -> npt.NDArray[Any]:
        """Start all environments anew; (n, *observation shape). Environment ``i`` is seeded ``seed + i``."""

    @abstractmethod
    def engine_send(self, actions: npt.NDArray[Any]) -> None:
        """Begin a step of all environments."""

    @abstractmethod
    def engine_receive(self) -> EngineStep:
        """End the step, and reset the environments that finished."""

    def reset(self) -> VecEnvObs:
        """Start all environments anew, with the seeds of a ``seed`` call since the last reset."""
        if self._stepping:
            self.step_wait()
        self.reset_infos = [{} for _ in range(self.num_envs)]
        first_seed = self._seeds[0]
        self._reset_seeds()
        return self.engine_reset(first_seed)

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Begin a step."""
        self.engine_send(actions)
        self._stepping = True

    def step_wait(self) -> VecEnvStepReturn:
        """End the step."""
        if not self._stepping:
            raise RuntimeError("step_wait without step_async")
        self._stepping = False
        step = self.engine_receive()
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for row, index in enumerate(step.finished):
            infos[index]["terminal_observation"] = step.final_observations[row]
            infos[index]["TimeLimit.truncated"] = bool(step.truncated[index] and not step.terminated[index])
        return step.observations, step.rewards, step.terminated | step.truncated, infos

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """``render_mode`` alone: the engine's environments are not reachable one by one."""
        if attr_name != "render_mode":
            owner = type(self).__name__
            raise AttributeError(f"environments of {owner} have no reachable attribute {attr_name!r}")
        return [self.render_mode for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:  # noqa: ANN401
        """Not possible: the environments live in the engine."""
        raise AttributeError(f"environments of {type(self).__name__} cannot be changed one by one")

    def env_method(
        self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any
    ) -> list[Any]:
        """Not possible: the environments live in the engine."""
        owner = type(self).__name__
        raise AttributeError(f"environments of {owner} have no reachable method {method_name!r}")

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """False: there is no Python wrapper around the engine's environments."""
        return [False for _ in self._get_indices(indices)]
