"""Settings of a whole run, and the named presets: the default is our best, ``paper`` the published one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from drex.agents.behavioral_cloning import CloningSettings
from drex.agents.improve import PPOSettings
from drex.agents.noise import NoiseSchedule
from drex.agents.policies import PolicySettings
from drex.errors import UserError
from drex.evaluation import EvaluationSettings
from drex.reward_anchor import AnchorSettings
from drex.reward_learning import RewardSettings
from drex.snippets import SnippetSettings

Control = Literal["alive", "random_rankings"]
"""``alive``: the same reward for every step; ``random_rankings``: a reward learned from shuffled rankings."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that a run depends on besides task, demonstrations and seed."""

    policy: PolicySettings = field(default_factory=PolicySettings)
    """The network that is cloned and then trained."""
    bc: CloningSettings = field(default_factory=CloningSettings)
    """Behavioral cloning."""
    rollout_policy: Literal["stochastic", "deterministic"] = "stochastic"
    """Which clone is disturbed. A deterministic clone moves smoothly, so a reward can tell noise by its
    jitter and learn nothing else; the stochastic one acts with the spread that the demonstrator showed."""
    noise: NoiseSchedule = field(default_factory=NoiseSchedule)
    """Noise-injected rollouts."""
    rollout_environments: int = 16
    """Environments stepped side by side for the noisy rollouts."""
    minimum_level_gap: float = 0.3
    """Noise levels closer than this are not compared."""
    reward: RewardSettings = field(default_factory=RewardSettings)
    """The reward ensemble."""
    anchor: AnchorSettings = field(default_factory=AnchorSettings)
    """Offset and scale of the reward."""
    ppo: PPOSettings = field(default_factory=PPOSettings)
    """PPO on the learned reward."""
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    """Judging at the end."""


def default(task: str) -> Settings:
    """Our best for a task; tasks without values of their own take the generic ones."""
    return _TASKS.get(_family(task), Settings)()


def paper(task: str) -> Settings:
    """The published MuJoCo protocol (D-REX, section 5.1 and the authors' code), as far as it goes here.

    It deviates: the ensemble's mean is the reward, where the published wrapper used the last network alone,
    divided by 3, by a slip; every gradient step draws fresh pairs instead of taking from 5,000 drawn once;
    members are standardised on the ranked steps, not by a running mean; PPO has the clone's own network.
    """
    return Settings(
        policy=PolicySettings(policy_hidden_sizes=(256, 256, 256, 256), activation="relu"),
        bc=CloningSettings(
            gradient_steps=50_000, batch_size=128, learning_rate=1e-4, l2=2e-3, patience=1_000_000
        ),
        rollout_policy="deterministic",
        noise=NoiseSchedule(episodes_per_level=5),
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
        anchor=AnchorSettings(
            offset="mean", scale="step", control_cost=_PAPER_CONTROL_COSTS.get(_family(task), 0.0)
        ),
        ppo=PPOSettings(
            environments=1,
            rollout_steps=2048,
            batch_size=64,
            epochs=10,
            start_from="scratch",
            initial_std=1.0,
            value_only_rollouts=0,
        ),
    )


_PAPER_CONTROL_COSTS = {"HalfCheetah": 0.1, "Hopper": 0.001}


def _half_cheetah() -> Settings:
    # Nothing ends an episode here, so what a step earns shows within about 50 steps.
    return Settings(ppo=PPOSettings(gamma=0.98, gae_lambda=0.92))


def _walker() -> Settings:
    return Settings(ppo=PPOSettings(environment_steps=600_000, leaving_penalty=0.03))


def _ant() -> Settings:
    # Uniform noise alone teaches that stillness is best: it shakes every joint, and standing shakes none.
    return Settings(
        noise=NoiseSchedule(kinds=("uniform", "held"), episodes_per_level=6),
        ppo=PPOSettings(environment_steps=600_000, leaving_penalty=0.03, initial_std=0.2),
    )


def _swimmer() -> Settings:
    return Settings(ppo=PPOSettings(environment_steps=400_000))


_TASKS: dict[str, Callable[[], Settings]] = {
    "HalfCheetah": _half_cheetah,
    "Walker2d": _walker,
    "Ant": _ant,
    "Swimmer": _swimmer,
}

PRESETS: dict[str, Callable[[str], Settings]] = {"default": default, "paper": paper}
"""Every preset by name; each makes the settings for a task."""


def preset(name: str, task: str) -> Settings:
    """The settings of a named preset for a task.

    Raises:
        UserError: no such preset.
    """
    if name not in PRESETS:
        raise UserError("preset", expected=f"one of {', '.join(PRESETS)}", found=repr(name))
    return PRESETS[name](task)


def _family(task: str) -> str:
    """``HalfCheetah-v5`` to ``HalfCheetah``: versions of a task share their settings."""
    return task.rsplit("-v", 1)[0]
