"""Presets for flat observations: the published MuJoCo protocols, and our best for each task."""

from __future__ import annotations

from dataclasses import replace

from drex.agents.behavioral_cloning import CloningSettings
from drex.agents.policies.network import PolicySettings
from drex.agents.ppo.settings import PPOSettings
from drex.presets.settings import Settings
from drex.rankings.settings import NoiseRanking, UserRanking
from drex.rewards.normalize import RewardNormalization
from drex.rewards.settings import RewardSettings
from drex.rewards.snippets import SnippetSettings


def paper_drex(task: str) -> Settings:
    """D-REX, section 5.1 and the authors' code.

    Deviations: the reward is the mean of the ensemble, where the published wrapper used the last network
    alone, divided by 3, by mistake; every gradient step samples new pairs instead of a part of 5,000 pairs;
    members are standardised on the ranked steps, not by a running mean; PPO has the network of the clone.
    """
    return Settings(
        policy=PolicySettings(policy_hidden_sizes=(256, 256, 256, 256), activation="relu"),
        bc=CloningSettings(
            gradient_steps=50_000, batch_size=128, learning_rate=1e-4, l2=2e-3, patience=1_000_000
        ),
        ranking=NoiseRanking(episodes_per_level=5, rollout_policy="deterministic"),
        reward=RewardSettings(
            hidden_sizes=(256, 256),
            inputs=("observations",),
            snippets=SnippetSettings(scheme="independent", minimum_length=50, maximum_length=50, pairs=64),
            snippet_return="sum",
            gradient_steps=3_000,
            learning_rate=1e-4,
            l2=0.02,
            held_out=0.0,
        ),
        normalization=RewardNormalization(
            offset="mean", scale="step", control_cost=_PAPER_CONTROL_COSTS.get(family(task), 0.0)
        ),
        learner=PPOSettings(
            environments=1,
            rollout_steps=2048,
            batch_size=64,
            epochs=10,
            start_from="scratch",
            initial_std=1.0,
            critic_warmup_rollouts=0,
        ),
    )


_PAPER_CONTROL_COSTS = {"HalfCheetah": 0.1, "Hopper": 0.001}


def paper_trex(task: str) -> Settings:
    """T-REX, section 5.1 and the authors' code: D-REX's PPO, from scratch, on another reward.

    Deviations: those of D-REX, and evaluation by the return of 20 episodes, not by the last position of 5.
    """
    settings = paper_drex(task)
    snippets = SnippetSettings(scheme="independent", minimum_length=40, maximum_length=40, pairs=64)
    return replace(
        settings,
        ranking=UserRanking(),
        policy=PolicySettings(policy_hidden_sizes=(64, 64), value_hidden_sizes=(64, 64)),
        reward=replace(settings.reward, members=5, snippets=snippets, gradient_steps=10_000),
        normalization=RewardNormalization(
            offset="network", scale="step", control_cost=0.1 if family(task) == "Hopper" else 0.0
        ),
    )


TASKS = {
    # No episode terminates: the value of a step is visible within about 50 steps, and a larger initial spread
    # costs little. A reward from all steps of short snippets learns how the joints shake; a few steps, far
    # apart, leave progress.
    "HalfCheetah": Settings(
        reward=RewardSettings(
            l2=0.03, snippets=SnippetSettings(minimum_length=200, maximum_length=200, stride=20)
        ),
        learner=PPOSettings(gamma=0.98, gae_lambda=0.92, initial_std=0.5),
    ),
    "Walker2d": Settings(learner=PPOSettings(environment_steps=600_000, kl_penalty=0.03)),
    # With uniform noise alone the reward prefers standing: uniform noise shakes every joint.
    "Ant": Settings(
        ranking=NoiseRanking(names=("uniform", "sticky"), episodes_per_level=6),
        learner=PPOSettings(environment_steps=600_000, kl_penalty=0.03, initial_std=0.2),
    ),
    "Swimmer": Settings(learner=PPOSettings(environment_steps=400_000)),
}
"""The default by family of tasks."""


def family(task: str) -> str:
    """``HalfCheetah`` for ``HalfCheetah-v5``: versions of a task share their settings."""
    return task.rsplit("-v", 1)[0]
