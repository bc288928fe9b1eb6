"""Settings of a whole run, and the named presets: the default is our best, ``paper`` the published one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from drex.agents.behavioral_cloning import CloningSettings
from drex.agents.improve import PPOSettings
from drex.agents.noise import NoiseSchedule
from drex.agents.policies import PolicySettings
from drex.envs.atari import is_atari
from drex.envs.atari_masks import score_mask
from drex.errors import UserError
from drex.evaluation import EvaluationSettings
from drex.ranked_episodes import OwnRankingSettings
from drex.reward_anchor import AnchorSettings
from drex.reward_learning import RewardSettings
from drex.snippets import SnippetSettings

Method = Literal["drex", "trex"]
"""Where the ranking comes from: ``drex`` disturbs a clone by degrees, ``trex`` is given demonstrations that
carry one."""

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
    trex: OwnRankingSettings = field(default_factory=OwnRankingSettings)
    """What is done with a ranking of your own; read with --method trex alone."""
    held_out_folds: int = 0
    """Parts that the ranked trajectories are split in, to measure how well a reward orders what it never saw:
    one more is learned without each part. 0 measures on what reward.held_out leaves out."""
    reward: RewardSettings = field(default_factory=RewardSettings)
    """The reward ensemble."""
    anchor: AnchorSettings = field(default_factory=AnchorSettings)
    """Offset and scale of the reward."""
    ppo: PPOSettings = field(default_factory=PPOSettings)
    """PPO on the learned reward."""
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    """Judging at the end."""

    def __post_init__(self) -> None:
        if self.held_out_folds < 0 or self.held_out_folds == 1:
            raise UserError("held_out_folds", expected="0, or two or more", found=str(self.held_out_folds))


def default(task: str, method: Method = "drex") -> Settings:
    """Our best for a task; tasks without values of their own take the generic ones."""
    settings = _atari(task) if is_atari(task) else _TASKS.get(_family(task), Settings)()
    return settings if method == "drex" else _for_few_trajectories(settings)


def _for_few_trajectories(settings: Settings) -> Settings:
    # A dozen demonstrations hold a twentieth of what noisy rollouts do: none are left out of the reward, and
    # what it makes of those it never saw is measured by learning others.
    return replace(settings, reward=replace(settings.reward, held_out=0.0, patience=0), held_out_folds=4)


def paper(task: str, method: Method = "drex") -> Settings:
    """The published MuJoCo or Atari protocol of D-REX or T-REX, as far as it goes here."""
    if is_atari(task):
        return _paper_atari_drex(task) if method == "drex" else _paper_atari_trex(task)
    return _paper_drex(task) if method == "drex" else _paper_trex(task)


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


def _paper_trex(task: str) -> Settings:
    """T-REX, section 5.1 and the authors' code: D-REX's PPO, from scratch, on another reward.

    It deviates where D-REX's does, and judges by the return of 20 episodes, not by the last position of 5.
    """
    settings = _paper_drex(task)
    snippets = SnippetSettings(scheme="independent", minimum_length=40, maximum_length=40, pairs=64)
    return replace(
        settings,
        policy=PolicySettings(policy_hidden_sizes=(64, 64), value_hidden_sizes=(64, 64)),
        reward=replace(settings.reward, members=5, snippets=snippets, gradient_steps=10_000),
        anchor=AnchorSettings(
            offset="network", scale="step", control_cost=0.1 if _family(task) == "Hopper" else 0.0
        ),
    )


def _paper_atari_drex(task: str) -> Settings:
    """D-REX, section 5.2 and the authors' code.

    It deviates: no bin of episodes without action is ranked lowest; the clone sees the score; every gradient
    step draws a fresh pair instead of taking from 40,000 drawn once, and the weights that are kept are the
    best on held-out trajectories, not the last; the sigmoid is of the standardised output.
    """
    mask = score_mask(task)
    return Settings(
        policy=PolicySettings(policy_hidden_sizes=(), value_hidden_sizes=()),
        bc=CloningSettings(
            gradient_steps=75_000,
            batch_size=32,
            learning_rate=1e-4,
            l2=0.0,
            held_out=0.2,
            check_every=500,
            patience=5,
        ),
        rollout_policy="deterministic",
        noise=_ATARI_NOISE,
        minimum_level_gap=0.2,
        reward=RewardSettings(
            members=1,
            hidden_sizes=(64,),
            mask_top=mask.top,
            mask_bottom=mask.bottom,
            snippets=SnippetSettings(
                scheme="independent",
                minimum_length=50,
                maximum_length=199,
                pairs=1,
                better_starts_no_earlier=True,
                stride=4,
            ),
            snippet_return="sum",
            gradient_steps=320_000,
            learning_rate=1e-5,
            l2=0.0,
            held_out=0.2,
            check_every=1_000,
            patience=5,
        ),
        anchor=AnchorSettings(squash="sigmoid", offset="zero", scale="none"),
        ppo=PPOSettings(
            environment_steps=50_000_000,
            environments=9,
            rollout_steps=128,
            batch_size=288,
            epochs=4,
            learning_rate=2.5e-4,
            clip_range=0.1,
            final_clip_range=0.0,
            entropy_weight=0.01,
            start_from="scratch",
            value_only_rollouts=0,
        ),
        evaluation=EvaluationSettings(episodes=30, environments=16),
    )


_ATARI_NOISE = NoiseSchedule(levels=(0.02, 0.25, 0.5, 0.75, 1.0), episodes_per_level=20)


def _paper_atari_trex(task: str) -> Settings:
    """T-REX, section 5.2 and the authors' code: D-REX's PPO on a smaller network and shorter snippets.

    It deviates where D-REX's does, and draws snippets in every one of its 30,000 gradient steps anew.
    """
    settings = _paper_atari_drex(task)
    snippets = replace(settings.reward.snippets, maximum_length=99, stride=2)
    reward = replace(
        settings.reward,
        convolutions=((16, 7, 3), (16, 5, 2), (16, 3, 1), (16, 3, 1)),
        snippets=snippets,
        gradient_steps=30_000,
        learning_rate=5e-5,
        held_out=0.0,
        patience=0,
    )
    return replace(settings, reward=reward)


def _atari(task: str) -> Settings:
    # The published networks and noise, but a reward of three members and many pairs a gradient step, and PPO
    # from the clone: sized for hours on two cores, not for days on a GPU.
    settings = _paper_atari_drex(task)
    snippets = SnippetSettings(
        minimum_length=50, maximum_length=200, trajectories=16, better_starts_no_earlier=True, stride=4
    )
    return replace(
        settings,
        bc=CloningSettings(
            gradient_steps=8_000, batch_size=64, learning_rate=3e-4, l2=0.0, check_every=250, patience=5
        ),
        rollout_policy="stochastic",
        reward=replace(
            settings.reward,
            members=3,
            snippets=snippets,
            snippet_return="mean",
            gradient_steps=1_000,
            learning_rate=3e-4,
            held_out=0.1,
            check_every=100,
            patience=0,
        ),
        anchor=AnchorSettings(squash="sigmoid", offset="zero"),
        ppo=replace(
            settings.ppo,
            environment_steps=1_000_000,
            environments=8,
            batch_size=256,
            start_from="clone",
            value_only_rollouts=8,
        ),
    )


def _half_cheetah() -> Settings:
    # Nothing ends an episode here, so what a step earns shows within about 50 steps. Without the penalty one
    # seed in four ends in a gait that the reward likes and that hardly moves.
    return Settings(ppo=PPOSettings(gamma=0.98, gae_lambda=0.92, leaving_penalty=0.01))


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

PRESETS: dict[str, Callable[[str, Method], Settings]] = {"default": default, "paper": paper}
"""Every preset by name; each makes the settings for a task and a method."""


def preset(name: str, task: str, method: Method = "drex") -> Settings:
    """The settings of a named preset for a task and a method.

    Raises:
        UserError: no such preset.
    """
    if name not in PRESETS:
        raise UserError("preset", expected=f"one of {', '.join(PRESETS)}", found=repr(name))
    return PRESETS[name](task, method)


def _family(task: str) -> str:
    """``HalfCheetah-v5`` to ``HalfCheetah``: versions of a task share their settings."""
    return task.rsplit("-v", 1)[0]
