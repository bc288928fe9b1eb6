"""Environments alone, and rollouts under noise against them: HalfCheetah, 16 and 64 at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from unittest.mock import patch

import envpool
import numpy as np
import numpy.typing as npt
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv

from benchmarks.throughput_experiments.comparison import Comparison, Experiments
from drex.agents.policies.acting import Policy, stochastic, uniform
from drex.agents.policies.inference import inference_by_torch
from drex.agents.policies.network import make_policy
from drex.agents.rollouts.collect import collect
from drex.agents.rollouts.noise import NoiseJob, NoiseSchedule
from drex.envs.make import make_environments, task_spaces, usable_cores
from drex.presets.presets import default

TASK = "HalfCheetah-v5"
STEPS = 1000
"""Of one episode, which all have."""

Actions = Sequence[npt.NDArray[Any]]


def against_stable_baselines3(count: int, repeats: int) -> Comparison:
    """Steps of vectorised environments as they are handed to an agent, and of stable-baselines3's."""
    environments = make_environments(TASK, count, seed=0)
    theirs = make_vec_env(TASK, n_envs=count, seed=0)
    actions = _uniform_actions(count)
    return _in_turn(
        repeats,
        lambda: _step(environments, actions),
        lambda: _step(theirs, actions[: STEPS // 4]),
        what=f"environment steps, HalfCheetah, {count} environments, uniform actions",
        ours="make_environments",
        against="stable-baselines3's make_vec_env",
        target=2.5,
    )


def against_envpool(count: int, repeats: int) -> Comparison:
    """What stable-baselines3's conventions cost on top of EnvPool, stepped by its own ``step``."""
    environments = make_environments(TASK, count, seed=0)
    pool = envpool.make_gymnasium(TASK, num_envs=count, num_threads=usable_cores(), seed=0)
    actions = _uniform_actions(count)

    def theirs() -> float:
        pool.reset()
        began = time.perf_counter()
        for action in actions:
            pool.step(action)
        return count * len(actions) / (time.perf_counter() - began)

    return _in_turn(
        repeats,
        lambda: _step(environments, actions),
        theirs,
        what=f"cost of stable-baselines3's conventions, HalfCheetah, {count} environments, uniform actions",
        ours="make_environments",
        against="EnvPool's own step",
        target=0.95,
    )


def noise_rollouts_of_a_clone(count: int, repeats: int) -> Comparison:
    """Rollouts of a sampled policy of the preset's size under noise; its inference counts too."""
    observations, actions, _ = task_spaces(TASK)
    policy = make_policy(observations, actions, default(TASK).policy, seed=0)
    return _noise_rollouts(count, repeats, stochastic(policy, seed=0), name="sampling policy network")


def noise_rollouts_of_uniform_actions(count: int, repeats: int) -> Comparison:
    """The same of a policy that costs next to nothing."""
    act = uniform(task_spaces(TASK)[1], seed=0)
    return _noise_rollouts(count, repeats, act, name="uniform random actions")


def actor_by_numpy(count: int, repeats: int) -> Comparison:
    """Noise rollouts with the actor computed by numpy, against the same network called by torch."""
    observations, actions, _ = task_spaces(TASK)
    policy = make_policy(observations, actions, default(TASK).policy, seed=0)
    environments, jobs = make_environments(TASK, count, seed=0), _jobs(count)
    by_numpy = stochastic(policy, seed=0)
    with patch("drex.agents.policies.acting.inference", inference_by_torch):
        by_torch = stochastic(policy, seed=0)

    def rate(act: Policy) -> float:
        began = time.perf_counter()
        collect(act, environments, jobs, seed=0)
        return count * STEPS / (time.perf_counter() - began)

    return _in_turn(
        repeats,
        lambda: rate(by_numpy),
        lambda: rate(by_torch),
        what=f"noise rollouts, HalfCheetah, {count} environments: the policy network computed by numpy",
        ours="numpy",
        against="torch.inference_mode",
        target=1.1,
    )


def _noise_rollouts(count: int, repeats: int, policy: Policy, *, name: str) -> Comparison:
    """Every environment plays an episode; then the actions taken are replayed, so that contacts are alike."""
    environments = make_environments(TASK, count, seed=0)
    jobs = _jobs(count)
    taken: list[npt.NDArray[Any]] = []

    def ours() -> float:
        began = time.perf_counter()
        trajectories, _ = collect(policy, environments, jobs, seed=0)
        seconds = time.perf_counter() - began
        taken[:] = trajectories.actions.reshape(count, STEPS, -1).swapaxes(0, 1)
        return count * STEPS / seconds

    return _in_turn(
        repeats,
        ours,
        lambda: _step(environments, taken),
        what=f"noise rollouts, HalfCheetah, {count} environments, {name}",
        ours="collect, from the first reset to the trajectories",
        against="the same environments stepped with the same actions",
        target=0.8,
    )


def _jobs(count: int) -> list[NoiseJob]:
    """An episode for every environment, of two noises at graded levels."""
    levels = tuple(np.linspace(0.0, 0.95, count // 2).round(2).tolist())
    return NoiseSchedule(levels=levels, names=("uniform", "sticky"), episodes_per_level=1).jobs()


def _step(environments: VecEnv, actions: Actions) -> float:
    environments.reset()
    began = time.perf_counter()
    for action in actions:
        environments.step(action)
    return len(actions) * environments.num_envs / (time.perf_counter() - began)


def _uniform_actions(count: int) -> Actions:
    act = uniform(task_spaces(TASK)[1], seed=0)
    return [act(np.zeros(count)) for _ in range(STEPS)]


def _in_turn(repeats: int, one: Callable[[], float], other: Callable[[], float], **words: Any) -> Comparison:
    """Measure both in turn, after a run of each to warm up."""
    rates = [(one(), other()) for _ in range(repeats + 1)][1:]
    return Comparison(
        unit="steps/s",
        ours_values=[rate for rate, _ in rates],
        against_values=[rate for _, rate in rates],
        **words,
    )


EXPERIMENTS: Experiments = {
    f"{name}_{count}": partial(compare, count)
    for name, compare in (
        ("stepping_halfcheetah", against_stable_baselines3),
        ("stepping_halfcheetah_envpool", against_envpool),
        ("noise_rollouts_clone", noise_rollouts_of_a_clone),
        ("noise_rollouts_uniform", noise_rollouts_of_uniform_actions),
        ("noise_rollouts_numpy", actor_by_numpy),
    )
    for count in (16, 64)
}
