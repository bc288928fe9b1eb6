"""The published MuJoCo protocols."""

from __future__ import annotations

from dataclasses import replace

from drex.agents.behavioral_cloning import CloningSettings
from drex.agents.policies.network import PolicySettings
from drex.agents.ppo.settings import PPOSettings
from drex.evaluation.evaluate import EvaluationSettings
from drex.presets.settings import Settings
from drex.rankings.settings import NoiseRanking, UserRanking
from drex.rewards.normalize import RewardNormalization
from drex.rewards.settings import RewardSettings
from drex.rewards.snippets import SnippetSettings
from drex.selection.settings import SelectionSettings


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
        ranking=NoiseRanking(names=("uniform",), episodes_per_level=5, rollout_policy="deterministic"),
        reward=RewardSettings(
            hidden_sizes=(256, 256),
            inputs=("observations",),
            input_scaling="raw",
            members=3,
            snippets=_snippets(50),
            snippet_return="sum",
            gradient_steps=3_000,
            learning_rate=1e-4,
            l2=0.02,
            held_out=0.0,
        ),
        normalization=RewardNormalization(
            offset="mean", scale="step", control_cost=_PAPER_CONTROL_COSTS.get(family(task), 0.0)
        ),
        selection=SelectionSettings(judge=False),
        evaluation=EvaluationSettings(episodes=20),
        learner=PPOSettings(
            environments=1,
            rollout_steps=2048,
            batch_size=64,
            epochs=10,
            gamma=0.99,
            gae_lambda=0.95,
            start_from="scratch",
            initial_std=1.0,
            critic_warmup_rollouts=0,
        ),
    )


_PAPER_CONTROL_COSTS = {"HalfCheetah": 0.1, "Hopper": 0.001}


def _snippets(length: int) -> SnippetSettings:
    return SnippetSettings(
        scheme="independent",
        minimum_length=length,
        maximum_length=length,
        maximum_share=1.0,
        pairs=64,
        stride=1,
    )


def paper_trex(task: str) -> Settings:
    """T-REX, section 5.1 and the authors' code: D-REX's PPO, from scratch, on another reward.

    Deviations: those of D-REX, and evaluation by the return of 20 episodes, not by the last position of 5.
    """
    settings = paper_drex(task)
    return replace(
        settings,
        ranking=UserRanking(),
        policy=PolicySettings(policy_hidden_sizes=(64, 64), value_hidden_sizes=(64, 64)),
        reward=replace(settings.reward, members=5, snippets=_snippets(40), gradient_steps=10_000),
        normalization=RewardNormalization(
            offset="network", scale="step", control_cost=0.1 if family(task) == "Hopper" else 0.0
        ),
    )


def family(task: str) -> str:
    """``HalfCheetah`` for ``HalfCheetah-v5``."""
    return task.rsplit("-v", 1)[0]
