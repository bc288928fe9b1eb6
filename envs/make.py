"""The one door to environments."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import gymnasium
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from drex.envs.atari.emulator import AleVecEnv
from drex.envs.atari.options import FRAMES, HORIZON, AtariOptions, is_atari, register_atari
from drex.envs.atari.training import AtariTraining
from drex.envs.single import build_environment, check_actions, horizon_of
from drex.envs.task_names import Factory, read_task_name, task_name
from drex.envs.vector.envpool import EnvPoolVecEnv, envpool_serves
from drex.envs.vector.gymnasium import GymnasiumVecEnv
from drex.envs.vector.true_reward_ledger import TrueRewardLedger
from drex.errors import UserError

Backend = Literal["auto", "envpool", "gymnasium"]


def make_environments(
    task: str | Factory,
    count: int,
    *,
    seed: int,
    env_kwargs: Mapping[str, Any] | None = None,
    wrappers: Sequence[str | Factory] = (),
    reward: Literal["none", "true"] = "none",
    backend: Backend = "auto",
    threads: int = 0,
    atari: AtariOptions | None = None,
) -> VecEnv:
    """Make ``count`` vectorised environments of a task, with stable-baselines3's conventions.

    Args:
        task: a gymnasium id (``module:Id`` imports the module first), or a class or function that makes an
            environment, itself or by its name ``module:factory``.
        count: environments stepped side by side.
        seed: environment ``i`` is seeded ``seed + i`` at its first reset, and again after a call of ``seed``.
        env_kwargs: keyword arguments of the environment, of what JSON can hold.
        wrappers: classes or functions around each environment, or their names ``module:Wrapper``, innermost
            first. Observations that are no Box are flattened into one around them all.
        reward: ``"none"`` pays 0 and diverts the true reward into ``info["true_return"]`` at the end
            of an episode; ``"true"`` pays the environment's own as well, which only demonstrators are trained
            on.
        backend: ``"auto"`` takes ALE's own for Atari games, EnvPool where it serves the very same
            environment, else gymnasium.
        threads: of EnvPool or of the Atari emulator; 0 takes as many as this process may use cores.
        atari: how training differs from evaluation, for Atari games alone; ``None`` as in evaluation.

    Raises:
        UserError: a task that ``task_spaces`` refuses, no environments asked for, EnvPool asked for where it
            does not serve the same environment, or Atari options for another task.
    """
    task = task_name(task, kwargs=env_kwargs, wrappers=wrappers)
    task_spaces(task)
    if count < 1:
        raise UserError("environments", expected="at least one", found=str(count))
    if is_atari(task) and backend == "auto":
        options = atari or AtariOptions()
        games = AleVecEnv(task, count, seed=seed, threads=threads or usable_cores(), options=options)
        return AtariTraining(TrueRewardLedger(games, pays=reward == "true"), games, options)
    if is_atari(task):
        raise UserError(
            f"backend for {task}", expected="'auto', which is ALE's own for Atari games", found=repr(backend)
        )
    if atari is not None:
        raise UserError(
            "atari", expected="options for tasks whose ids begin with ALE/", found=f"the task {task!r}"
        )
    if backend == "envpool" and not _served_by_envpool(task):
        raise UserError(
            f"backend for {task}",
            expected="a task that EnvPool is known to run as gymnasium does",
            found="none such in the installed EnvPool",
            do="use backend='gymnasium'",
        )
    use_envpool = backend == "envpool" or (backend == "auto" and _served_by_envpool(task))
    environments: VecEnv = (
        EnvPoolVecEnv(task, count, seed=seed, threads=threads or usable_cores())
        if use_envpool
        else GymnasiumVecEnv(task, count, seed=seed)
    )
    return TrueRewardLedger(environments, pays=reward == "true")


@functools.cache
def task_spaces(task: str) -> tuple[gymnasium.Space[Any], gymnasium.Space[Any], int | None]:
    """Observation space, action space and horizon (steps, ``None`` if unlimited) of a task.

    Raises:
        UserError: the task cannot be made, or its spaces are of no use here.
    """
    _log_mujoco_warnings()
    if is_atari(task):
        register_atari()
        if not read_task_name(task).plain:
            raise UserError(
                f"task {task!r}",
                expected="an Atari game as it is, since ALE's own emulator preprocesses it",
                found="keyword arguments or wrappers",
            )
    with build_environment(task) as environment:
        horizon = horizon_of(environment)
        observations, actions = environment.observation_space, environment.action_space
    if is_atari(task):
        return FRAMES, actions, HORIZON
    check_actions(task, actions)
    return observations, actions, horizon


@functools.cache
def _served_by_envpool(task: str) -> bool:
    return envpool_serves(task)


def usable_cores() -> int:
    """Cores that this process may use, which on a shared machine are fewer than it has."""
    return len(os.sched_getaffinity(0))


def _log_mujoco_warnings() -> None:
    """Send MuJoCo's warnings to the log; by itself it writes them to a file in the working directory."""
    try:
        import mujoco
    except ImportError:
        return
    except Exception as reason:  # MuJoCo loads the renderer on import, whether or not anything is drawn
        raise UserError(
            "MUJOCO_GL in the environment",
            expected="a renderer whose library is installed",
            found=f"{os.environ.get('MUJOCO_GL')!r}, which MuJoCo cannot load",
            do="unset it, or install that library",
        ) from reason
    if mujoco.get_mju_user_warning() is None:
        mujoco.set_mju_user_warning(lambda message: logging.getLogger("drex").debug("MuJoCo: %s", message))
