"""D-REX's source of rankings: rollouts of a policy under graded noise (D-REX section 4.2)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from drex.agents.policies.acting import Policy
from drex.agents.rollouts.collect import Advance, collect
from drex.agents.rollouts.noise import NoiseJob, NoiseSchedule
from drex.demonstrations.load_and_save import load_demonstrations, save_demonstrations
from drex.envs.data.trajectories import Trajectories
from drex.envs.data.true_returns import TrueReturns
from drex.files.atomic import read_json, write_json
from drex.files.run_layout import NOISE, ROLLOUTS
from drex.rankings.apparent_noise import apparent_levels
from drex.rankings.preferences import Preferences, RankedTrajectories, from_noise_levels

MARGIN = 0.1
"""Apparent noise level of the greedy clone above the sampling clone's from which it is left out."""


@dataclass(frozen=True, eq=False)
class NoisyRollouts:
    """Rollouts of a clone under graded noise, greedy, sampling, or both.

    Args:
        trajectories: one episode per job.
        true_returns: for evaluation only.
        jobs: the noise of each episode.
        greedy: (episodes,) whether the noise was injected into the greedy clone.
    """

    trajectories: Trajectories
    true_returns: TrueReturns
    jobs: tuple[NoiseJob, ...]
    greedy: npt.NDArray[np.bool_]

    def preferences(self, *, minimum_gap: float) -> Preferences:
        """Less noise is better, within each kind of noise, for levels at least ``minimum_gap`` apart.

        The greedy clone has less noise than the sampling one: it is better at the same level too.
        """
        levels = np.array([job.level for job in self.jobs])
        kinds = np.array([job.name for job in self.jobs])
        groups = [f"{job.name} {greedy}" for job, greedy in zip(self.jobs, self.greedy, strict=True)]
        within = from_noise_levels(levels, minimum_gap=minimum_gap, names=groups)
        below = self.greedy[:, None] & ~self.greedy[None, :] & (kinds[:, None] == kinds[None, :])
        better, worse = np.nonzero(below & (levels[:, None] <= levels[None, :] + 1e-9))
        pairs = np.concatenate([within.better, better]), np.concatenate([within.worse, worse])
        return Preferences(*pairs, np.ones(len(pairs[0]), np.float32), within.source)

    def ranked(self, *, minimum_gap: float) -> RankedTrajectories:
        """The trajectories with these preferences."""
        return RankedTrajectories(self.trajectories, self.preferences(minimum_gap=minimum_gap))

    def select(self, chosen: npt.NDArray[np.bool_]) -> NoisyRollouts:
        """The episodes for which ``chosen``, (episodes,), is true, at least one, without true returns."""
        rows = np.flatnonzero(chosen)
        jobs, unknown = tuple(self.jobs[row] for row in rows), TrueReturns.unknown(len(rows))
        return NoisyRollouts(self.trajectories.select(rows), unknown, jobs, self.greedy[rows])

    def save(self, folder: Path) -> None:
        """Write ``rollouts.npz`` (with the true rewards, for evaluation only) and ``noise.json``."""
        rewards = self.true_returns.step_values_for_evaluation()
        save_demonstrations(folder / ROLLOUTS, self.trajectories, rewards=rewards, map_frames=True)
        both = zip(self.jobs, self.greedy.tolist(), strict=True)
        write_json(folder / NOISE, [asdict(job) | {"greedy": greedy} for job, greedy in both])

    @staticmethod
    def load(folder: Path) -> NoisyRollouts:
        """Read the files of ``save``."""
        loaded = load_demonstrations(folder / ROLLOUTS)
        noise = read_json(folder / NOISE)
        greedy = np.array([job.pop("greedy", False) for job in noise], np.bool_)
        jobs = tuple(NoiseJob(**job) for job in noise)
        return NoisyRollouts(loaded.trajectories, loaded.true_returns, jobs, greedy)


def below_zero(sampling: NoisyRollouts, greedy: NoisyRollouts) -> NoisyRollouts:
    """Both rollouts, the greedy ones ranked above; the sampling ones alone if those look like more noise.

    They do if the apparent noise level of greedy episodes without noise is more than ``MARGIN`` above that of
    sampling ones without noise. No true reward is read.
    """
    levels = np.array([job.level for job in sampling.jobs])
    least = [np.array([job.level for job in part.jobs]) == levels.min() for part in (sampling, greedy)]
    known, asked = apparent_levels(sampling.trajectories, levels, greedy.trajectories)
    if asked[least[1]].mean() > known[least[0]].mean() + MARGIN:
        return sampling
    return NoisyRollouts(
        Trajectories.concatenate([sampling.trajectories, greedy.trajectories]),
        TrueReturns.concatenate([sampling.true_returns, greedy.true_returns]),
        (*sampling.jobs, *greedy.jobs),
        np.concatenate([sampling.greedy, greedy.greedy]),
    )


def rank_by_noise(
    policy: Policy,
    environments: VecEnv,
    schedule: NoiseSchedule,
    *,
    seed: int,
    greedy: bool = False,
    progress: Advance | None = None,
) -> NoisyRollouts:
    """Roll the policy out under every kind and level of noise of the schedule, in parallel.

    Args:
        policy: the clone, sampling or greedy.
        environments: made by ``make_environments`` with ``reward="none"``.
        schedule: kinds and levels of noise.
        seed: of the noise.
        greedy: whether the policy is greedy, which matters where rollouts of both kinds are ranked together.
        progress: called with 1 at the end of each episode.
    """
    jobs = schedule.jobs()
    trajectories, true_returns = collect(policy, environments, jobs, seed=seed, progress=progress)
    return NoisyRollouts(trajectories, true_returns, tuple(jobs), np.full(len(jobs), greedy))
