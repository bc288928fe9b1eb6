"""The ceiling: environments that pay the true reward, for the control ``true_reward`` alone."""

from __future__ import annotations

from dataclasses import replace

from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from drex.agents.ppo.train import MakeEnvironments
from drex.envs.atari.options import atari_options, is_atari
from drex.envs.make import make_environments
from drex.envs.vector.scaled_reward import ScaledReward
from drex.rankings.ranked_episodes import RankedEpisodes
from drex.rewards.normalize import discounted_returns
from drex.stages.context import Context


def true_reward_environments(run: Context, episodes: RankedEpisodes) -> MakeEnvironments:
    """Makes environments that pay the true reward, scaled as a learned reward is on the ranked episodes.

    Atari games pay clipped scores.
    """
    rewards, scale = episodes.true_returns.step_values_for_evaluation(), 1.0
    if rewards is not None:
        spread = discounted_returns(rewards, episodes.ranked.trajectories.lengths, run.gamma).std()
        scale = 1.0 / max(float(spread), 1e-8)
    atari = atari_options(run.task, run.settings.atari)
    if is_atari(run.task) and atari is not None:
        atari, scale = replace(atari, clip_rewards=True), 1.0

    def make(count: int, seed: int) -> VecEnv:
        return ScaledReward(make_environments(run.task, count, seed=seed, atari=atari, reward="true"), scale)

    return make
