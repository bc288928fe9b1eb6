"""The policy: PPO or another algorithm, trained on the learned reward."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import CallbackList
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from drex.agents.policies.saved import load_trained, save_trained
from drex.agents.ppo.checkpoints import SNAPSHOTS
from drex.agents.ppo.settings import PPOSettings
from drex.agents.ppo.train import MakeEnvironments, train_ppo
from drex.agents.rollouts.collect import Advance
from drex.agents.sb3_algorithms import SB3Settings, train
from drex.envs.atari.options import atari_options, is_atari
from drex.envs.learned_reward import RewardFunction
from drex.envs.make import make_environments, task_spaces
from drex.evaluation.training_curve import TrueReturnWatch
from drex.files.dataclass_json import JSON, settings_to_json
from drex.files.run_layout import CLONE, REWARD, TRAINED, Stage
from drex.rankings.ranked_episodes import RankedEpisodes
from drex.rewards.learned_reward import LearnedReward
from drex.selection.choice import PolicyChoice
from drex.stages.context import Context
from drex.stages.judges import Judges
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
    reward: RewardFunction | None,
    bc: ActorCriticPolicy | None,
    *,
    stage: Stage = TRAINED,
    reward_stages: Sequence[Stage] = (REWARD,),
    make: MakeEnvironments | None = None,
) -> BasePolicy:
    """A policy trained on a reward, from the clone if there is one and the algorithm can start from it.

    An interrupted PPO resumes from its checkpoint; other algorithms restart.

    Args:
        run: with the settings.
        reward: ``None`` takes that of the environments.
        bc: the clone.
        stage: that is made, of the policy or of a control.
        reward_stages: stages that the reward is made from.
        make: makes the environments; ``None`` takes the task's, which pay nothing.
    """
    observation_space, action_space, _ = task_spaces(run.task)
    settings = run.settings
    described: dict[str, JSON] = {
        "policy": settings_to_json(settings.policy),
        "learner": settings_to_json(settings.learner),
        "snapshots": _snapshots(run, stage),
    }
    if is_atari(run.task):
        described["atari"] = settings_to_json(settings.atari)
    return run.load_or_make(
        stage,
        lambda advance: _train(run, stage, reward, bc, make, advance),
        save=lambda model, place: _save(run, stage, model, place),
        load=lambda place: load_trained(place, observation_space, action_space),
        settings=described,
        inputs=[*([] if bc is None else [CLONE]), *reward_stages],
        bar=(settings.learner.training_steps, "step"),
    )


def _train(
    run: Context,
    stage: Stage,
    reward: RewardFunction | None,
    bc: ActorCriticPolicy | None,
    make: MakeEnvironments | None,
    advance: Advance,
) -> BaseAlgorithm:
    settings, learner, main = run.settings, run.settings.learner, stage == TRAINED

    def unpaid(count: int, seed: int) -> VecEnv:
        return make_environments(run.task, count, seed=seed, atari=atari_options(run.task, settings.atari))

    environments = make or unpaid

    def log(name: str, value: float, step: int) -> None:
        run.progress.log(name if main else f"{stage.name}/{name}", value, step)

    shared: dict[str, Any] = {
        "policy_settings": settings.policy,
        "seed": TRAINED.seed(run.seed),
        "reward": reward.on(run.device) if isinstance(reward, LearnedReward) else reward,
        "start_from": bc,
        "logger": run.progress.logger() if main else None,
        "callback": CallbackList([StepBar(advance), TrueReturnWatch(log)]),
        "device": run.device,
    }
    if isinstance(learner, SB3Settings):
        run.progress.write(learner.how_it_starts(cloned=bc is not None))
        return train(environments, learner, **shared)
    snapshots = _snapshots(run, stage)
    folder = run.folder.unfinished(stage.name)
    return train_ppo(environments, learner, checkpoints=folder, snapshots=snapshots, **shared)


def _snapshots(run: Context, stage: Stage) -> int:
    """Policies along the training that are kept for the judges."""
    settings = run.settings
    judged = stage == TRAINED and settings.selection.judge and settings.noise is not None
    return settings.selection.checkpoints if judged and isinstance(settings.learner, PPOSettings) else 0


def _save(run: Context, stage: Stage, model: BaseAlgorithm, place: Path) -> None:
    """Write the trained policy, and in the folder ``policies`` those along its training."""
    save_trained(model, run.settings.policy, place)
    kept = run.folder.unfinished(stage.name) / SNAPSHOTS
    if kept.is_dir():
        shutil.copytree(kept, place / SNAPSHOTS)


def environment_steps(
    run: Context, episodes: RankedEpisodes, judges: Judges | None, choice: PolicyChoice
) -> int:
    """Steps of the two choices of policies, of all noisy rollouts and of the policy's training."""
    noisy = 0 if episodes.noise is None else int(episodes.noise.trajectories.lengths.sum())
    chosen = 0 if episodes.rollout_policy is None else episodes.rollout_policy.environment_steps
    judged = 0 if judges is None else judges.environment_steps
    return chosen + noisy + judged + run.settings.learner.training_steps + choice.environment_steps
