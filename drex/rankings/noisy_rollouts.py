"""D-REX's source of rankings: rollouts of a policy under graded noise (D-REX section 4.2)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from drex.agents.policies.acting import Policy
from drex.agents.rollouts.collect import Advance, collect
from drex.agents.rollouts.noise import NoiseJob, NoiseSchedule
from drex.demonstrations.load_and_save import load_demonstrations, save_demonstrations
from drex.envs.data.trajectories import Trajectories
from drex.envs.data.true_returns import TrueReturns
from drex.files.atomic import read_json, write_json
from drex.files.run_layout import NOISE, ROLLOUTS
from drex.rankings.preferences import Preferences, RankedTrajectories, from_noise_levels


@dataclass(frozen=True, eq=False)
class NoisyRollouts:
    """Rollouts of one policy under graded noise.

    Args:
        trajectories: one episode per job.
        true_returns: for evaluation only.
        jobs: the noise of each episode.
    """

    trajectories: Trajectories
    true_returns: TrueReturns
    jobs: tuple[NoiseJob, ...]

    def preferences(self, *, minimum_gap: float) -> Preferences:
        """Less noise is better, within each kind of noise, for levels at least ``minimum_gap`` apart."""
        levels, names = [job.level for job in self.jobs], [job.name for job in self.jobs]
        return from_noise_levels(levels, minimum_gap=minimum_gap, names=names)

    def ranked(self, *, minimum_gap: float) -> RankedTrajectories:
        """The trajectories with these preferences."""
        return RankedTrajectories(self.trajectories, self.preferences(minimum_gap=minimum_gap))

    def save(self, folder: Path) -> None:
        """Write ``rollouts.npz`` (with the true rewards, for evaluation only) and ``noise.json``."""
        rewards = self.true_returns.step_values_for_evaluation()
        save_demonstrations(folder / ROLLOUTS, self.trajectories, rewards=rewards, map_frames=True)
        write_json(folder / NOISE, [asdict(job) for job in self.jobs])

    @staticmethod
    def load(folder: Path) -> NoisyRollouts:
        """Read the files of ``save``."""
        loaded = load_demonstrations(folder / ROLLOUTS)
        jobs = tuple(NoiseJob(**job) for job in read_json(folder / NOISE))
        return NoisyRollouts(loaded.trajectories, loaded.true_returns, jobs)


def rank_by_noise(
    policy: Policy,
    environments: VecEnv,
    schedule: NoiseSchedule,
    *,
    seed: int,
    progress: Advance | None = None,
) -> NoisyRollouts:
    """Roll the policy out under every kind and level of noise of the schedule, in parallel."""
    jobs = schedule.jobs()
    trajectories, true_returns = collect(policy, environments, jobs, seed=seed, progress=progress)
    return NoisyRollouts(trajectories, true_returns, tuple(jobs))
