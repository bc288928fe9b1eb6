"""Vectorised environments that reset finished episodes at once, exactly as stable-baselines3 expects.

stable-baselines3 wants the first observation of the next episode from the very step that ended the last one,
the last observation in ``info["terminal_observation"]`` and a cut-off told apart from an end by
``info["TimeLimit.truncated"]``. ``SameStepVecEnv`` does this once, for every engine.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvIndices, VecEnvObs, VecEnvStepReturn


class EngineStep(NamedTuple):
    """One step of all environments, finished ones already reset.

    Args:
        observations: (n, *observation shape), the first of the next episode where one has ended.
        rewards: (n,) float32, the environment's own.
        terminated: (n,) bool, ended by itself.
        truncated: (n,) bool, cut off, perhaps on the very step that also ended it.
        finished: (k,) indices of environments whose episode ended, ascending.
        final_observations: (k, *observation shape), what these saw last.
    """

    observations: npt.NDArray[Any]
    rewards: npt.NDArray[np.float32]
    terminated: npt.NDArray[np.bool_]
    truncated: npt.NDArray[np.bool_]
    finished: npt.NDArray[np.int64]
    final_observations: npt.NDArray[Any]


class TransitionEnds(NamedTuple):
    """What the last step of all environments led to.

    Args:
        next_observations: (n, *observation shape), what followed each action, also where the episode ended.
        terminated: (n,) bool.
        truncated: (n,) bool, ended without being terminated.
    """

    next_observations: npt.NDArray[Any]
    terminated: npt.NDArray[np.bool_]
    truncated: npt.NDArray[np.bool_]


def transition_ends(
    observations: npt.NDArray[Any], dones: npt.NDArray[np.bool_], infos: Sequence[dict[str, Any]]
) -> TransitionEnds:
    """Unpack terminal observations and truncation from what ``step_wait`` of a ``VecEnv`` returns."""
    truncated = np.zeros(len(dones), np.bool_)
    if dones.any():
        observations = np.array(observations)
    for index in np.flatnonzero(dones).tolist():
        observations[index] = infos[index]["terminal_observation"]
        truncated[index] = infos[index].get("TimeLimit.truncated", False)
    return TransitionEnds(observations, dones & ~truncated, truncated)


class SameStepVecEnv(VecEnv):
    """A stable-baselines3 ``VecEnv`` over an engine that steps all its environments at once.

    Between ``step_async`` and ``step_wait`` an engine with threads of its own steps on them, so that there is
    time for whatever does not need the new observations.

    The engine's own ``info`` entries are dropped: several hold pieces of the true reward (velocities, say).
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
        """Start all environments anew; (n, *observation shape).

        With a seed, environment ``i`` is seeded ``seed + i``; without, random streams go on.
        """

    @abstractmethod
    def engine_send(self, actions: npt.NDArray[Any]) -> None:
        """Begin a step of all environments."""

    @abstractmethod
    def engine_receive(self) -> EngineStep:
        """End the step that was begun, and reset the environments that finished."""

    def reset(self) -> VecEnvObs:
        """Start all environments anew, with the seeds of the last ``seed`` call if there was one since."""
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
        """End the step that was begun."""
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
        """The engine's environments are not reachable one by one; only ``render_mode`` is known."""
        if attr_name != "render_mode":
            raise AttributeError(
                f"environments of {type(self).__name__} have no reachable attribute {attr_name!r}"
            )
        return [self.render_mode for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:  # noqa: ANN401
        """Not possible: the environments live in the engine."""
        raise AttributeError(f"environments of {type(self).__name__} cannot be changed one by one")

    def env_method(
        self,
        method_name: str,
        *args: Any,
        indices: VecEnvIndices = None,
        **kwargs: Any,
    ) -> list[Any]:
        """Not possible: the environments live in the engine."""
        raise AttributeError(
            f"environments of {type(self).__name__} have no reachable method {method_name!r}"
        )

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """No Python wrapper stands between the engine and this class."""
        return [False for _ in self._get_indices(indices)]
