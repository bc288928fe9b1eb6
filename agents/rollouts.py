"""Collecting episodes: one loop for clean, noisy and evaluation rollouts, every environment kept busy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from drex.agents.noise import Disturbance, NoiseJob
from drex.agents.policies import Policy, clip_to_space
from drex.envs.trajectories import Trajectories
from drex.envs.true_returns import TrueReturns
from drex.envs.true_reward_ledger import take_true_return
from drex.errors import UserError

Progress = Callable[[int], None]
"""Told how many more episodes are done."""


def collect(
    policy: Policy,
    environments: VecEnv,
    episodes: int | Sequence[NoiseJob],
    *,
    seed: int,
    progress: Progress | None = None,
) -> tuple[Trajectories, TrueReturns]:
    """Roll a policy out for whole episodes.

    Each environment takes the next waiting episode as soon as it has finished one, so that different noise
    levels run side by side. Every started episode is finished and kept: stopping at a step count would favour
    short ones.

    Args:
        policy: anything that maps (n, *obs) to (n, *act); Box actions are clipped to their bounds.
        environments: made by ``make_environments`` with ``reward="none"``.
        episodes: how many, or one noise job for each.
        seed: of the disturbances; one stream an episode.
        progress: called with 1 at the end of each episode.

    Returns:
        The trajectories, in the order of ``episodes``, and their sealed true returns.

    Raises:
        UserError: no episodes asked for, or the policy acts by NaN or infinity.
    """
    jobs = [NoiseJob()] * episodes if isinstance(episodes, int) else list(episodes)
    if not jobs:
        raise UserError("episodes", expected="at least one", found="0")
    streams = np.random.SeedSequence(seed).spawn(len(jobs))
    space, count = environments.action_space, environments.num_envs
    records = [_Record() for _ in jobs]
    observations = cast("npt.NDArray[Any]", environments.reset())
    waiting = iter(range(len(jobs)))
    current: list[int | None] = [next(waiting, None) for _ in range(count)]

    def disturb(job: int | None) -> Disturbance | None:
        return None if job is None else Disturbance(jobs[job], space, np.random.default_rng(streams[job]))

    disturbances = [disturb(job) for job in current]
    unfinished = len(jobs)
    while unfinished:
        actions = np.array(clip_to_space(policy(observations), space))
        if not np.isfinite(actions).all():
            raise UserError("policy", expected="finite actions", found="NaN or infinity")
        for index, disturbance in enumerate(disturbances):
            if disturbance is not None:
                actions[index] = disturbance(actions[index])
        following, _, dones, infos = environments.step(actions)
        for index, job in enumerate(current):
            if job is not None:
                records[job].observations.append(observations[index])
                records[job].actions.append(actions[index])
        for index in np.flatnonzero(dones).tolist():
            job = current[index]
            if job is not None:
                records[job].finish(infos[index])
                unfinished -= 1
                if progress is not None:
                    progress(1)
            current[index] = next(waiting, None)
            disturbances[index] = disturb(current[index])
        observations = cast("npt.NDArray[Any]", following)
    return _join(records)


class _Record:
    """One episode while it is being collected."""

    def __init__(self) -> None:
        self.observations: list[npt.NDArray[Any]] = []
        self.actions: list[npt.NDArray[Any]] = []
        self.last: npt.NDArray[Any] | None = None
        self.terminated = False
        self.true_return = TrueReturns.unknown(1)

    def finish(self, info: dict[str, Any]) -> None:
        self.last = info["terminal_observation"]
        self.terminated = not info["TimeLimit.truncated"]
        self.true_return = take_true_return(info)


def _join(records: Sequence[_Record]) -> tuple[Trajectories, TrueReturns]:
    def narrow(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return array.astype(np.float32) if array.dtype == np.float64 else array

    trajectories = Trajectories(
        narrow(np.concatenate([np.stack(record.observations) for record in records])),
        narrow(np.concatenate([np.stack(record.actions) for record in records])),
        np.array([len(record.observations) for record in records], dtype=np.int64),
        np.array([record.terminated for record in records]),
        narrow(np.stack([record.last for record in records if record.last is not None])),
    )
    return trajectories, TrueReturns.concatenate([record.true_return for record in records])
