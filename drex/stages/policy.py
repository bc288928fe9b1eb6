"""The policy: PPO or another algorithm, trained on the learned reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import CallbackList
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from drex.agents.policies.saved import load_trained, save_trained
from drex.agents.ppo.settings import PPOSettings
from drex.agents.ppo.train import train_ppo
from drex.agents.rollouts.collect import Advance
from drex.agents.sb3_algorithms import SB3Settings, train
from drex.envs.atari.options import atari_options, is_atari
from drex.envs.learned_reward import RewardFunction
from drex.envs.make import make_environments, task_spaces
from drex.evaluation.training_curve import TrueReturnWatch
from drex.files.dataclass_json import JSON, settings_to_json
from drex.files.run_layout import CLONE, POLICY, REWARD, Stage
from drex.rankings.ranked_episodes import RankedEpisodes
from drex.rewards.learned_reward import LearnedReward
from drex.stages.context import Context
from drex.stages.progress import StepBar


def fit_learner(run: Context, episodes: RankedEpisodes) -> Context:
    """The run with PPO's settings that are None chosen by whether a ranked episode terminated."""
    learner = run.settings.learner
    if not isinstance(learner, PPOSettings):
        return run
    terminates = bool(episodes.ranked.trajectories.terminated.any())
    return replace(run, settings=replace(run.settings, learner=learner.fitted(terminates=terminates)))


def train_policy(
    run: Context,
    reward: RewardFunction,
    bc: ActorCriticPolicy | None,
    *,
    stage: Stage = POLICY,
    reward_stages: Sequence[Stage] = (REWARD,),
) -> BasePolicy:
    """A policy trained on a reward, from the clone if there is one and the algorithm can start from it.

    An interrupted PPO resumes from its checkpoint; other algorithms restart.
    """
    observation_space, action_space, _ = task_spaces(run.task)
    settings = run.settings
    described: dict[str, JSON] = {
        "policy": settings_to_json(settings.policy),
        "learner": settings_to_json(settings.learner),
    }
    if is_atari(run.task):
        described["atari"] = settings_to_json(settings.atari)
    return run.load_or_make(
        stage,
        lambda advance: _train(run, stage, reward, bc, advance),
        save=lambda model, place: save_trained(model, settings.policy, place),
        load=lambda place: load_trained(place, observation_space, action_space),
        settings=described,
        inputs=[*([] if bc is None else [CLONE]), *reward_stages],
        bar=(settings.learner.training_steps, "step"),
    )


def _train(
    run: Context, stage: Stage, reward: RewardFunction, bc: ActorCriticPolicy | None, advance: Advance
) -> BaseAlgorithm:
    settings, learner, main = run.settings, run.settings.learner, stage == POLICY

    def environments(count: int, seed: int) -> VecEnv:
        return make_environments(run.task, count, seed=seed, atari=atari_options(run.task, settings.atari))

    def log(name: str, value: float, step: int) -> None:
        run.progress.log(name if main else f"{stage.name}/{name}", value, step)

    shared: dict[str, Any] = {
        "policy_settings": settings.policy,
        "seed": POLICY.seed(run.seed),
        "reward": reward.on(run.device) if isinstance(reward, LearnedReward) else reward,
        "start_from": bc,
        "logger": run.progress.logger() if main else None,
        "callback": CallbackList([StepBar(advance), TrueReturnWatch(log)]),
        "device": run.device,
    }
    if isinstance(learner, SB3Settings):
        run.progress.write(learner.how_it_starts(cloned=bc is not None))
        return train(environments, learner, **shared)
    return train_ppo(environments, learner, checkpoints=run.folder.unfinished(stage.name), **shared)


def environment_steps(run: Context, episodes: RankedEpisodes) -> int:
    """Steps of the choice of the rollout policy, of noisy rollouts and of the policy's training."""
    noisy = 0 if episodes.noise is None else int(episodes.noise.trajectories.lengths.sum())
    choice = 0 if episodes.rollout_policy is None else episodes.rollout_policy.environment_steps
    return choice + noisy + run.settings.learner.training_steps
