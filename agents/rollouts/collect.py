"""Collection of episodes: one loop for clean, noisy and evaluation rollouts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from drex.agents.policies.acting import Policy, clip_to_space
from drex.agents.rollouts.episode_recorder import Recording
from drex.agents.rollouts.noise import ActionNoise, BatchedActionNoise, NoiseJob
from drex.agents.torch_threads import limit_torch_threads
from drex.envs.data.trajectories import Trajectories
from drex.envs.data.true_returns import TrueReturns
from drex.envs.make import make_environments
from drex.envs.vector.same_step import transition_ends
from drex.errors import UserError

Advance = Callable[[int], None]
"""Receives how many more steps or episodes are done."""

_MOST_EPISODES = 100


def enough_episodes(steps: int, *, least: int, length: float) -> int:
    """Episodes of a mean length that make so many environment steps, from ``least`` to 100.

    Short episodes tell less each, and cost less.
    """
    return max(least, min(_MOST_EPISODES, math.ceil(steps / length)))


def collect(
    policy: Policy,
    environments: VecEnv,
    episodes: int | Sequence[NoiseJob],
    *,
    seed: int,
    progress: Advance | None = None,
) -> tuple[Trajectories, TrueReturns]:
    """Roll a policy out for whole episodes.

    Each environment begins the next episode as soon as it has finished one, so that different noise levels
    run in parallel. Every episode is finished: stopping at a step count would favour short ones.

    Args:
        policy: maps (n, *obs) to (n, *act); Box actions are clipped to their bounds.
        environments: made by ``make_environments`` with ``reward="none"``.
        episodes: their number, or one noise job for each.
        seed: of the noise; each episode has a random stream of its own.
        progress: called with 1 at the end of each episode.

    Returns:
        The trajectories, in the order of ``episodes``, and their true returns.

    Raises:
        UserError: zero episodes, or actions with NaN or infinity.
    """
    jobs = [NoiseJob()] * episodes if isinstance(episodes, int) else list(episodes)
    if not jobs:
        raise UserError("episodes", expected="at least one", found="0")
    streams = np.random.SeedSequence(seed).spawn(len(jobs))
    space, count = environments.action_space, environments.num_envs
    noise = BatchedActionNoise(space, count)
    recording = Recording(environments.observation_space, count, len(jobs))
    waiting = iter(range(len(jobs)))

    def begin(environment: int) -> None:
        job, action_noise = next(waiting, None), None
        if job is not None:
            action_noise = ActionNoise(jobs[job], space, np.random.default_rng(streams[job]))
        noise.begin(environment, action_noise)
        recording.begin(environment, job)

    observations = cast("npt.NDArray[Any]", environments.reset())
    for environment in range(count):
        begin(environment)
    while recording.unfinished:
        actions = np.array(clip_to_space(policy(observations), space))
        if not np.isfinite(actions).all():
            raise UserError("policy", expected="finite actions", found="NaN or infinity")
        noise.inject(actions)
        environments.step_async(actions)
        recording.add(observations, actions)  # while environments step
        stepped, _, dones, infos = environments.step_wait()
        observations = cast("npt.NDArray[Any]", stepped)
        if not dones.any():
            continue
        ends = transition_ends(observations, dones, infos)
        for environment in dones.nonzero()[0].tolist():
            if recording.finish(environment, ends, infos[environment]) and progress is not None:
                progress(1)
            begin(environment)
    return recording.join()


def collect_on(
    task: str,
    policy: Policy,
    episodes: int | Sequence[NoiseJob],
    *,
    seed: int,
    environments: int,
    progress: Advance | None = None,
) -> tuple[Trajectories, TrueReturns]:
    """``collect`` on environments of a task, made with the same seed and closed, on errors too."""
    with limit_torch_threads(task), closing(make_environments(task, environments, seed=seed)) as made:
        return collect(policy, made, episodes, seed=seed, progress=progress)
