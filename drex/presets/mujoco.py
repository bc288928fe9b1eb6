"""Presets for flat observations: the published MuJoCo protocols, and our best for each task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from drex.agents.behavioral_cloning import CloningSettings
from drex.agents.policies.network import PolicySettings
from drex.agents.ppo.settings import PPOSettings
from drex.presets.settings import Settings
from drex.rankings.settings import NoiseRanking, UserRanking
from drex.rewards.normalize import RewardNormalization
from drex.rewards.settings import RewardSettings
from drex.rewards.snippets import SnippetSettings


def _paper_drex(task: str) -> Settings:
    """D-REX, section 5.1 and the authors' code.

    It deviates: the ensemble's mean is the reward, where the published wrapper used the last network alone,
    divided by 3, by a slip; every gradient step draws fresh pairs instead of taking from 5,000 drawn once;
    members are standardised on the ranked steps, not by a running mean; PPO has the clone's own network.
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
            offset="mean", scale="step", control_cost=_PAPER_CONTROL_COSTS.get(_family(task), 0.0)
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


def _paper_trex(task: str) -> Settings:
    """T-REX, section 5.1 and the authors' code: D-REX's PPO, from scratch, on another reward.

    It deviates where D-REX's does, and evaluates by the return of 20 episodes, not by the last position of 5.
    """
    settings = _paper_drex(task)
    snippets = SnippetSettings(scheme="independent", minimum_length=40, maximum_length=40, pairs=64)
    return replace(
        settings,
        ranking=UserRanking(),
        policy=PolicySettings(policy_hidden_sizes=(64, 64), value_hidden_sizes=(64, 64)),
        reward=replace(settings.reward, members=5, snippets=snippets, gradient_steps=10_000),
        normalization=RewardNormalization(
            offset="network", scale="step", control_cost=0.1 if _family(task) == "Hopper" else 0.0
        ),
    )


def _half_cheetah() -> Settings:
    # Nothing ends an episode here: what a step earns shows within about 50 steps, and to act more at random
    # than the clone costs little. Of every step of short snippets a reward learns how the joints shake; a few
    # steps, far apart, leave progress.
    return Settings(
        reward=RewardSettings(
            l2=0.03, snippets=SnippetSettings(minimum_length=200, maximum_length=200, stride=20)
        ),
        learner=PPOSettings(gamma=0.98, gae_lambda=0.92, initial_std=0.5),
    )


def _walker() -> Settings:
    return Settings(learner=PPOSettings(environment_steps=600_000, kl_penalty=0.03))


def _ant() -> Settings:
    # Uniform noise alone teaches that stillness is best: it shakes every joint, and standing shakes none.
    return Settings(
        ranking=NoiseRanking(names=("uniform", "sticky"), episodes_per_level=6),
        learner=PPOSettings(environment_steps=600_000, kl_penalty=0.03, initial_std=0.2),
    )


def _swimmer() -> Settings:
    return Settings(learner=PPOSettings(environment_steps=400_000))


_TASKS: dict[str, Callable[[], Settings]] = {
    "HalfCheetah": _half_cheetah,
    "Walker2d": _walker,
    "Ant": _ant,
    "Swimmer": _swimmer,
}


def _family(task: str) -> str:
    """``HalfCheetah-v5`` to ``HalfCheetah``: versions of a task share their settings."""
    return task.rsplit("-v", 1)[0]
