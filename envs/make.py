"""Making the vectorized environments of a task."""

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
    """Make ``count`` vectorized environments of a task, with stable-baselines3's conventions.

    Args:
        task: a gymnasium id (``module:Id`` imports the module first), or a class or function that makes an
            environment, itself or by its name ``module:factory``.
        count: number of parallel environments.
        seed: environment ``i`` is seeded ``seed + i`` at its first reset, and again after a call of ``seed``.
        env_kwargs: keyword arguments of the environment, JSON values.
        wrappers: classes or functions around each environment, or their names ``module:Wrapper``, innermost
            first. Observations that are no Box are flattened into one around all wrappers.
        reward: ``"none"`` gives rewards of 0 and the true return in ``info["true_return"]`` at the end of an
            episode; ``"true"`` gives the true reward as well, for demonstrators.
        backend: ``"auto"`` takes ALE's emulator for Atari games, EnvPool where it runs the same environment,
            else gymnasium.
        threads: of EnvPool or of the Atari emulator; 0 takes one per usable core.
        atari: training options of Atari games; ``None`` takes those of evaluation.

    Raises:
        UserError: a task that ``task_spaces`` refuses, a count below 1, EnvPool for a task that it does not
            run as gymnasium does, another backend for Atari, or Atari options for another task.
    """
    task = task_name(task, kwargs=env_kwargs, wrappers=wrappers)
    task_spaces(task)
    if count < 1:
        raise UserError("environments", expected="at least one", found=str(count))
    exposed = task if reward == "true" else None
    if is_atari(task) and backend == "auto":
        options = atari or AtariOptions()
        games = AleVecEnv(task, count, seed=seed, threads=threads or usable_cores(), options=options)
        return AtariTraining(TrueRewardLedger(games, exposed), games, options)
    where = f"backend for {task}"
    if is_atari(task):
        raise UserError(where, expected="'auto', which is ALE's own for Atari games", found=repr(backend))
    if atari is not None:
        expected = "options for tasks whose ids begin with ALE/"
        raise UserError("atari", expected=expected, found=f"the task {task!r}")
    if backend == "gymnasium" or (backend == "auto" and not envpool_serves(task)):
        return TrueRewardLedger(GymnasiumVecEnv(task, count, seed=seed), exposed)
    if not envpool_serves(task):
        expected = "a task that EnvPool is known to run as gymnasium does"
        found = "none such in the installed EnvPool"
        raise UserError(where, expected=expected, found=found, do="use backend='gymnasium'")
    pool = EnvPoolVecEnv(task, count, seed=seed, threads=threads or usable_cores())
    return TrueRewardLedger(pool, exposed)


@functools.cache
def task_spaces(task: str) -> tuple[gymnasium.Space[Any], gymnasium.Space[Any], int | None]:
    """Observation space, action space and horizon (steps, ``None`` if unlimited) of a task.

    Raises:
        UserError: the task cannot be made, or its spaces are not supported.
    """
    _log_mujoco_warnings()
    if is_atari(task):
        register_atari()
        if not read_task_name(task).plain:
            expected = "an Atari game as it is, since ALE's own emulator preprocesses it"
            raise UserError(f"task {task!r}", expected=expected, found="keyword arguments or wrappers")
    with build_environment(task) as environment:
        horizon = horizon_of(environment)
        observations, actions = environment.observation_space, environment.action_space
    if is_atari(task):
        return FRAMES, actions, HORIZON
    check_actions(task, actions)
    return observations, actions, horizon


def usable_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _log_mujoco_warnings() -> None:
    """Send MuJoCo's warnings to the log instead of a file in the working directory."""
    try:
        import mujoco
    except ImportError:
        return
    except Exception as reason:  # MuJoCo loads the renderer on import
        where, expected = "MUJOCO_GL in the environment", "a renderer whose library is installed"
        found, do = f"{os.environ.get('MUJOCO_GL')!r}, which MuJoCo cannot load", "unset it, or install that"
        raise UserError(where, expected=expected, found=found, do=do) from reason
    if mujoco.get_mju_user_warning() is None:
        mujoco.set_mju_user_warning(lambda message: logging.getLogger("drex").debug("MuJoCo: %s", message))
