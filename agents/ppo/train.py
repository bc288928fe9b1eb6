"""PPO on a reward, from a clone, in segments that can be killed and resumed exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import gymnasium
import torch
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from drex.agents.policies.network import (
    PolicySettings,
    StandardizedObservations,
    policy_arguments,
    start_at_the_center,
)
from drex.agents.ppo.algorithm import PPO
from drex.agents.ppo.checkpoints import load_ppo, save_ppo, save_snapshot
from drex.agents.ppo.running_normalization import RunningNormalization
from drex.agents.ppo.settings import PPOSettings
from drex.envs.data.stacked_frames import holds_images
from drex.envs.learned_reward import RewardFunction
from drex.errors import UserError

MakeEnvironments = Callable[[int, int], VecEnv]
"""Makes environments, given their number and a seed."""


def train_ppo(
    make: MakeEnvironments,
    settings: PPOSettings,
    *,
    policy_settings: PolicySettings,
    seed: int,
    reward: RewardFunction | None,
    start_from: ActorCriticPolicy | None,
    checkpoints: Path | None = None,
    snapshots: int = 0,
    logger: Logger | None = None,
    callback: BaseCallback | None = None,
    device: str = "cpu",
) -> PPO:
    """Train PPO on a reward.

    Training runs in segments, each with environments and random streams of its own seed, and a checkpoint
    after each, so that a killed and resumed run ends with the weights of an uninterrupted one.

    Args:
        make: makes the environments; their reward is 0 except for demonstrators.
        settings: of PPO; what is None is chosen for a task whose episodes terminate.
        policy_settings: the clone's network.
        seed: of weights, environments and sampling.
        reward: the learned reward; ``None`` keeps the environment's, for demonstrators.
        start_from: the clone.
        checkpoints: folder for checkpoints; training continues from the last one in it.
        snapshots: number of policies, evenly spread over the checkpoints, that stay in their folder
            ``policies``.
        logger: receives PPO's scalars.
        callback: stable-baselines3's, called at every step.
        device: ``"cpu"``, ``"cuda"`` or ``"auto"``.

    Raises:
        UserError: no clone to start from, or images whose observations are to be normalized.
    """
    if settings.start_from == "clone" and start_from is None:
        advice = "use start_from='scratch'"
        raise UserError("learner.start_from", expected="a cloned policy", found="none", do=advice)
    settings = settings.fitted(terminates=True)
    set_random_seed(seed)
    environments = make(settings.environments, seed)
    try:
        model = _make_ppo(environments, settings, policy_settings, start_from, device)
        model.set_reward(reward)
        if settings.normalize_observations:
            if not isinstance(model.policy.features_extractor, StandardizedObservations):
                where = "learner.normalize_observations"
                raise UserError(where, expected="observations in numbers", found="images")
            callback = CallbackList([RunningNormalization(), *([] if callback is None else [callback])])
        model.set_logger(logger or Logger(None, []))  # its own would leave a folder for temporary files
        segments = settings.segments()
        model.planned_steps = segments[-1]
        done = 0 if checkpoints is None else load_ppo(checkpoints, model)
        for segment, end in enumerate(segments):
            if end <= done:
                continue
            if segment:
                environments.close()
                environments = make(settings.environments, seed + 10_000 * segment)
                model.set_env(environments)
            set_random_seed(seed + 10_000 * segment)
            steps = end - (segments[segment - 1] if segment else 0)
            before = model.num_timesteps
            model.learn(steps, callback=callback, reset_num_timesteps=False)
            if model.num_timesteps < before + steps:
                break  # the callback asked to stop
            if checkpoints is not None:
                if (segment + 1) * snapshots // len(segments) > segment * snapshots // len(segments):
                    save_snapshot(checkpoints, model)
                save_ppo(checkpoints, model)
    finally:
        environments.close()
    return model


def _make_ppo(
    environments: VecEnv,
    settings: PPOSettings,
    policy_settings: PolicySettings,
    start_from: ActorCriticPolicy | None,
    device: str,
) -> PPO:
    """Untrained PPO, from the clone or from random weights."""
    final_clip = settings.clip_range if settings.final_clip_range is None else settings.final_clip_range
    model = PPO(
        # One network under two names; under the second, stable-baselines3 advises against a GPU.
        "CnnPolicy" if holds_images(environments.observation_space) else "MlpPolicy",
        environments,
        n_steps=settings.rollout_steps,
        batch_size=settings.batch_size,
        n_epochs=settings.epochs,
        learning_rate=LinearSchedule(settings.learning_rate, settings.final_learning_rate),
        clip_range=LinearSchedule(settings.clip_range, final_clip),
        gamma=cast("float", settings.gamma),
        gae_lambda=cast("float", settings.gae_lambda),
        ent_coef=settings.ent_coef,
        vf_coef=settings.vf_coef,
        max_grad_norm=settings.max_grad_norm,
        policy_kwargs=policy_arguments(policy_settings) | {"optimizer_kwargs": {"eps": 1e-5, "fused": True}},
        device=device,
    )
    if settings.start_from == "clone" and start_from is not None:
        model.policy.load_state_dict(start_from.state_dict())
        model.set_reference_policy(
            start_from, penalty=cast("float", settings.kl_penalty), decay=settings.kl_decay
        )
    else:
        start_at_the_center(model.policy)
    if isinstance(model.action_space, gymnasium.spaces.Box) and settings.initial_std is not None:
        torch.nn.init.constant_(model.policy.log_std, math.log(settings.initial_std))
    model.critic_warmup_rollouts = settings.critic_warmup_rollouts if settings.start_from == "clone" else 0
    return model


@dataclass(frozen=True)
class LinearSchedule:
    """A value that changes linearly from ``start`` to ``end`` over training."""

    start: float
    end: float

    def __call__(self, progress_remaining: float) -> float:
        """The value when this share of training remains."""
        return self.end + (self.start - self.end) * progress_remaining
