"""D-REX's source of rankings: rollouts of a policy under graded noise (D-REX section 4.2)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
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
from drex.rankings.apparent_noise import apparent_levels, grade
from drex.rankings.preferences import Preferences, RankedTrajectories, from_noise_levels

MARGIN = 0.1
"""Apparent noise level of the greedy clone above the sampling clone's from which it is left out."""
KEEP_ALL = 2.0
"""Difference of two correlations that is never exceeded."""


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

    @cached_property
    def grades(self) -> dict[str, float]:
        """How well each kind of noise grades what is seen, see ``apparent_noise.grade``."""
        return {
            kind: grade(self.trajectories.select(np.flatnonzero(chosen)), self.levels[chosen])
            for kind in dict.fromkeys(self.kinds.tolist())
            for chosen in [self.kinds == kind]
        }

    @property
    def levels(self) -> npt.NDArray[np.float64]:
        """(episodes,) noise levels."""
        return np.array([job.level for job in self.jobs])

    @property
    def kinds(self) -> npt.NDArray[np.str_]:
        """(episodes,) names of the noise."""
        return np.array([job.name for job in self.jobs])

    def ranked_kinds(self, grade_margin: float) -> list[str]:
        """The kinds of noise whose grade is not below the best one by more than the margin."""
        if len(set(self.kinds.tolist())) == 1:
            return [self.jobs[0].name]
        best = max(self.grades.values())
        return [kind for kind, value in self.grades.items() if value >= best - grade_margin]

    def preferences(self, *, minimum_gap: float, grade_margin: float = KEEP_ALL) -> Preferences:
        """Less noise is better, within each kind of noise and each clone.

        Args:
            minimum_gap: least difference of two levels that are compared.
            grade_margin: kinds of noise whose grade is further below the best one are not compared.
        """
        kept = np.isin(self.kinds, self.ranked_kinds(grade_margin))
        groups = list(zip(self.kinds.tolist(), self.greedy.tolist(), strict=True))
        pairs = from_noise_levels(self.levels, minimum_gap=minimum_gap, names=groups)
        chosen = kept[pairs.better]
        return Preferences(pairs.better[chosen], pairs.worse[chosen], pairs.weight[chosen], pairs.source)

    def ranked(self, *, minimum_gap: float, grade_margin: float = KEEP_ALL) -> RankedTrajectories:
        """The trajectories with these preferences."""
        preferences = self.preferences(minimum_gap=minimum_gap, grade_margin=grade_margin)
        return RankedTrajectories(self.trajectories, preferences)

    def select(self, chosen: npt.NDArray[np.bool_]) -> NoisyRollouts:
        """The episodes for which ``chosen``, (episodes,), is true, at least one, without true returns."""
        rows = np.flatnonzero(chosen)
        jobs, unknown = tuple(self.jobs[row] for row in rows), TrueReturns.unknown(len(rows))
        return NoisyRollouts(self.trajectories.select(rows), unknown, jobs, self.greedy[rows])

    def noisiest(self) -> Trajectories:
        """The episodes of the highest level."""
        return self.trajectories.select(np.flatnonzero(self.levels == self.levels.max()))

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


def of_both_clones(sampling: NoisyRollouts, greedy: NoisyRollouts) -> NoisyRollouts:
    """Both rollouts; the sampling ones alone if the greedy ones look like more noise.

    What grades the noise of both clones is not the jitter of one of them. The greedy ones look like more
    noise if the apparent noise level of greedy episodes without noise is more than ``MARGIN`` above that of
    sampling ones without noise. No true reward is read.
    """
    least = [part.levels == sampling.levels.min() for part in (sampling, greedy)]
    known, asked = apparent_levels(sampling.trajectories, sampling.levels, greedy.trajectories)
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
        greedy: whether the policy is greedy.
        progress: called with 1 at the end of each episode.
    """
    jobs = schedule.jobs()
    trajectories, true_returns = collect(policy, environments, jobs, seed=seed, progress=progress)
    return NoisyRollouts(trajectories, true_returns, tuple(jobs), np.full(len(jobs), greedy))
