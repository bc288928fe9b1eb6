"""Presets for Atari games: the published protocols, and PPO from the clone."""

from __future__ import annotations

import math
from dataclasses import replace

from drex.agents.behavioral_cloning import CloningSettings
from drex.agents.demonstrator import DemonstratorSettings
from drex.agents.policies.nature_cnn import fastest_precision
from drex.agents.policies.network import PolicySettings
from drex.agents.ppo.settings import PPOSettings
from drex.envs.atari.options import AtariOptions, game_name
from drex.envs.atari.score_masks import score_mask
from drex.evaluation.evaluate import EvaluationSettings
from drex.presets.settings import Settings
from drex.rankings.settings import NoiseRanking, UserRanking
from drex.rewards.normalize import RewardNormalization
from drex.rewards.settings import RewardSettings
from drex.rewards.snippets import SnippetSettings
from drex.selection.settings import SelectionSettings


def paper_atari_drex(task: str) -> Settings:
    """D-REX, section 5.2 and the authors' code.

    Deviations: episodes without action are not ranked lowest; the input of the clone shows the score; every
    gradient step samples a new pair instead of one of 40,000, and the final weights are the best on held-out
    trajectories, not the last; the sigmoid is of the standardised output.
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
        ranking=_ATARI_NOISE,
        reward=RewardSettings(
            members=1,
            hidden_sizes=(64,),
            mask_top=mask.top,
            mask_bottom=mask.bottom,
            snippets=SnippetSettings(
                scheme="independent",
                minimum_length=50,
                maximum_length=199,
                maximum_share=1.0,
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
        normalization=RewardNormalization(squash="sigmoid", offset="zero", scale="none"),
        selection=SelectionSettings(judge=False),
        learner=_PUBLISHED_PPO,
        atari=AtariOptions(episodic_life=True),
        evaluation=EvaluationSettings(episodes=30, environments=16),
    )


_PUBLISHED_PPO = PPOSettings(
    environment_steps=50_000_000,
    environments=9,
    rollout_steps=128,
    batch_size=288,
    epochs=4,
    learning_rate=2.5e-4,
    clip_range=0.1,
    final_clip_range=0.0,
    ent_coef=0.01,
    gamma=0.99,
    gae_lambda=0.95,
    kl_penalty=0.0,
    start_from="scratch",
    critic_warmup_rollouts=0,
)

_ATARI_NOISE = NoiseRanking(
    names=("uniform",),
    levels=(0.02, 0.25, 0.5, 0.75, 1.0),
    episodes_per_level=20,
    minimum_gap=0.2,
    rollout_policy="deterministic",
)


def paper_atari_trex(task: str) -> Settings:
    """T-REX, section 5.2 and the authors' code: D-REX's PPO on a smaller network and shorter snippets.

    Deviations: those of D-REX, and new snippets in each of the 30,000 gradient steps.
    """
    settings = paper_atari_drex(task)
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
    return replace(settings, ranking=UserRanking(), reward=reward)


def default_atari(task: str) -> Settings:
    """Sized for hours on a GPU.

    The published networks and noise, but a reward of three members, many pairs per gradient step, and PPO
    from the clone. Noise is injected into the greedy clone, as published, unless it is stuck: Atari
    demonstrators act at random for much of the time, and the sampling clone can be hardly better than noise
    (Breakout: 7.5 points against 15.6). For the same reason PPO starts with enough entropy and has no entropy
    bonus.

    In Space Invaders snippets may start anywhere: with the published order of starts the reward depends on
    time, and the policy gets worse (192 points after 175,000 steps, from a clone of 280).
    """
    settings = paper_atari_drex(task)
    snippets = SnippetSettings(
        minimum_length=50,
        maximum_length=200,
        maximum_share=1.0,
        trajectories=16,
        better_starts_no_earlier=game_name(task) != "SpaceInvaders",
        stride=4,
    )
    return replace(
        settings,
        ranking=replace(_ATARI_NOISE, rollout_policy="auto"),
        policy=replace(settings.policy, image_precision=fastest_precision()),
        bc=CloningSettings(
            gradient_steps=8_000, batch_size=64, learning_rate=3e-4, l2=0.0, check_every=250, patience=5
        ),
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
        normalization=RewardNormalization(squash="sigmoid", offset="zero"),
        learner=replace(
            _PUBLISHED_PPO,
            environment_steps=5_000_000,
            environments=8,
            batch_size=256,
            start_from="clone",
            ent_coef=0.0,
            critic_warmup_rollouts=8,
        ),
    )


def small_atari(task: str) -> Settings:
    """The default, sized for less than two hours on two cores without a GPU."""
    settings = default_atari(task)
    snippets = replace(settings.reward.snippets, maximum_length=100, trajectories=12)
    return replace(
        settings,
        bc=replace(settings.bc, gradient_steps=4_000),
        reward=replace(settings.reward, gradient_steps=500, snippets=snippets),
        learner=replace(settings.learner, environment_steps=500_000),
    )


def atari_demonstrator(task: str) -> DemonstratorSettings:
    """PPO with RL Zoo's hyperparameters, to the mean score of the paper's demonstrations of the game.

    Training clips rewards and terminates episodes at lost lives; the target is the score of whole games.
    Games outside the paper have the target NaN, which is never reached.
    """
    return DemonstratorSettings(
        target_return=_DEMONSTRATOR_SCORES.get(game_name(task), math.nan),
        episodes_watched=40,
        reward_scale=1.0,
        ppo=replace(
            _PUBLISHED_PPO,
            environment_steps=10_000_000,
            environments=8,
            batch_size=256,
            final_learning_rate=_PUBLISHED_PPO.learning_rate,  # constant: the end of the training is unknown
            final_clip_range=None,
        ),
        policy=PolicySettings(policy_hidden_sizes=(), value_hidden_sizes=()),
        atari=AtariOptions(episodic_life=True, clip_rewards=True),
    )


_DEMONSTRATOR_SCORES = {
    "BeamRider": 1524.0,
    "Breakout": 34.5,
    "Enduro": 85.5,
    "Pong": 3.7,
    "Qbert": 770.0,
    "Seaquest": 524.0,
    "SpaceInvaders": 538.5,
}
"""Mean scores of the ten demonstrations of each game that D-REX's authors published."""
