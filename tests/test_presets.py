"""Presets: the published numbers, settings that survive JSON, and contradictions refused."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import replace
from typing import get_args

import pytest

from drex.agents.policies.nature_cnn import fastest_precision
from drex.agents.ppo.settings import PPOSettings
from drex.envs.atari.options import AtariOptions
from drex.errors import UserError
from drex.evaluation.evaluate import EvaluationSettings
from drex.files.dataclass_json import settings_from_json, settings_to_json
from drex.presets.names import Method
from drex.presets.presets import PRESETS, default, paper, preset
from drex.presets.settings import Settings
from drex.rankings.settings import UserRanking
from drex.rewards.settings import RewardSettings
from drex.rewards.snippets import SnippetSettings

TASKS = (
    "HalfCheetah-v5",
    "Hopper-v5",
    "Walker2d-v5",
    "Ant-v5",
    "Swimmer-v5",
    "ALE/Breakout-v5",
    "ALE/Seaquest-v5",
    "some.module:Task-v0",
)


# The published protocol


def test_the_paper_preset_clones_as_published():
    """50,000 iterations of batch 128 without early stopping; L2 0.001 · ‖θ‖², which is 0.002 · ½‖θ‖²."""
    settings = paper("HalfCheetah-v5")
    assert settings.policy.policy_hidden_sizes == (256,) * 4
    assert (settings.bc.gradient_steps, settings.bc.batch_size) == (50_000, 128)
    assert settings.bc.l2 == 2 * 0.001
    assert settings.bc.patience * settings.bc.check_every >= settings.bc.gradient_steps


def test_the_paper_preset_disturbs_as_published():
    """Twenty levels of five episodes, epsilon-uniform, of the deterministic clone; 0.3 apart."""
    settings = paper("Hopper-v5")
    assert settings.noise.levels == tuple(round(0.05 * i, 2) for i in range(20))
    assert settings.noise.episodes_per_level == 5
    assert settings.noise.names == ("uniform",)
    assert settings.noise.rollout_policy == "deterministic"
    assert settings.noise.minimum_gap == 0.3
    assert len(settings.noise.jobs()) == 100


def test_the_paper_preset_learns_its_reward_as_published():
    """Three networks of 2 × 256 on observations; Adam 1e-4, 64 pairs, 3,000 iterations, L2 0.01 · ‖θ‖²."""
    reward = paper("HalfCheetah-v5").reward
    assert (reward.members, reward.hidden_sizes) == (3, (256, 256))
    assert reward.inputs == ("observations",)
    assert (reward.gradient_steps, reward.learning_rate) == (3_000, 1e-4)
    assert reward.l2 == 2 * 0.01
    assert reward.label_noise == 0.0
    assert reward.snippet_return == "sum"
    snippets = reward.snippets
    assert (snippets.scheme, snippets.pairs) == ("independent", 64)
    assert snippets.minimum_length == snippets.maximum_length == 50
    assert not snippets.better_starts_no_earlier
    assert snippets.stride == 1


def test_the_paper_preset_trains_and_judges_as_published():
    """PPO2's figures: 1M steps of one environment, 2048 a rollout in 32 minibatches, 10 epochs."""
    settings = paper("Hopper-v5")
    ppo = settings.learner
    assert (ppo.environment_steps, ppo.environments, ppo.rollout_steps) == (1_000_000, 1, 2048)
    assert ppo.rollout_steps // ppo.batch_size == 32
    assert (ppo.epochs, ppo.gamma, ppo.gae_lambda) == (10, 0.99, 0.95)
    assert (ppo.learning_rate, ppo.final_learning_rate, ppo.clip_range) == (3e-4, 0.0, 0.2)
    assert (ppo.start_from, ppo.fitted(terminates=True).kl_penalty, ppo.critic_warmup_rollouts) == (
        "scratch",
        0.0,
        0,
    )
    assert settings.evaluation.episodes == 20
    assert (settings.normalization.offset, settings.normalization.scale) == ("mean", "step")


@pytest.mark.parametrize("task", [task for task in TASKS if not task.startswith("ALE/")])
def test_the_published_protocol_is_one_for_every_task_but_for_its_control_cost(task):
    published = {"HalfCheetah-v5": 0.1, "Hopper-v5": 0.001}.get(task, 0.0)
    assert paper(task).normalization.control_cost == published
    common = paper("Swimmer-v5")
    assert replace(paper(task), normalization=common.normalization) == common


# Our own


def test_the_paper_preset_of_t_rex_learns_from_scratch_as_published():
    """Five networks, 10,000 iterations of 64 pairs of 40 steps, summed; PPO2's own small network."""
    settings, drex = paper("Hopper-v5", "trex"), paper("Hopper-v5")
    reward, snippets = settings.reward, settings.reward.snippets
    assert (reward.members, reward.hidden_sizes, reward.gradient_steps) == (5, (256, 256), 10_000)
    assert (reward.learning_rate, reward.l2, reward.label_noise) == (1e-4, 2 * 0.01, 0.0)
    assert (snippets.scheme, snippets.pairs, snippets.minimum_length, snippets.maximum_length) == (
        "independent",
        64,
        40,
        40,
    )
    assert (settings.normalization.offset, settings.normalization.scale) == ("network", "step")
    assert settings.normalization.control_cost == 0.1
    assert (settings.learner, settings.learner.start_from) == (drex.learner, "scratch")
    assert settings.policy.policy_hidden_sizes == (64, 64)
    assert settings.noise is None


@pytest.mark.parametrize("task", TASKS)
def test_our_own_t_rex_is_our_own_d_rex_that_holds_nothing_out(task):
    ours, drex = default(task, "trex"), default(task)
    assert (ours.reward.held_out, ours.held_out_folds) == (0.0, 4)
    assert dataclasses.replace(ours, ranking=drex.ranking, reward=drex.reward, held_out_folds=0) == drex
    assert ours.ranking == UserRanking(clone_share=0.25)


def test_the_default_is_one_for_all_tasks_but_atari():
    assert {default(task) == Settings() for task in TASKS if not task.startswith("ALE/")} == {True}


@pytest.mark.parametrize(("terminates", "expected"), [(True, (0.99, 0.95, 0.03)), (False, (0.98, 0.92, 0.0))])
def test_ppo_follows_from_whether_episodes_terminate(terminates, expected):
    """What keeps an episode going is not unlearned, and far rewards count only where it can end."""
    fitted = PPOSettings().fitted(terminates=terminates)
    assert (fitted.gamma, fitted.gae_lambda, fitted.kl_penalty) == expected
    asked = PPOSettings(gamma=0.5, kl_penalty=0.2).fitted(terminates=terminates)
    assert (asked.gamma, asked.gae_lambda, asked.kl_penalty) == (0.5, expected[1], 0.2)
    scratch = PPOSettings(start_from="scratch", critic_warmup_rollouts=8).fitted(terminates=terminates)
    assert scratch.kl_penalty == 0.0


@pytest.mark.parametrize("task", TASKS)
def test_our_own_start_from_the_clone_and_judge_twenty_episodes_or_more(task):
    settings = default(task)
    assert settings.learner.start_from == "clone"
    assert settings.evaluation.fitted(1000).episodes >= 20
    assert settings.normalization.offset == ("zero" if task.startswith("ALE/") else "ending")


@pytest.mark.parametrize("method", get_args(Method))
@pytest.mark.parametrize(
    ("name", "task"),
    [(name, task) for name in PRESETS for task in TASKS if name != "small" or task.startswith("ALE/")],
)
def test_every_preset_survives_json(name, task, method):
    settings = preset(name, task, method)
    written = json.dumps(settings_to_json(settings), allow_nan=False)
    assert settings_from_json(Settings, json.loads(written), "here") == settings


# Refused


def test_an_unknown_preset_is_named_with_those_there_are():
    sentence = "preset: expected one of default, small, paper, found 'best'"
    with pytest.raises(UserError, match=re.escape(sentence)):
        preset("best", "Hopper-v5")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"learner": {"class": "PPOSettings", "environments": 2, "rollout_steps": 8, "batch_size": 32}},
            "learner.batch_size: expected at most environments × rollout_steps = 16, found 32",
        ),
        (
            {"learner": {"class": "PPOSettings", "start_from": "scratch", "kl_penalty": 0.1}},
            "learner.kl_penalty: expected 0 when starting from scratch, found 0.1",
        ),
        (
            {"reward": {"patience": 2, "held_out": 0.0}},
            "reward.patience: expected held-out trajectories to stop by, found held_out = 0",
        ),
        (
            {"reward": {"snippets": {"minimum_length": 260}}},
            "reward.snippets.minimum_length: expected at most maximum_length (200), found 260",
        ),
        (
            {"ranking": {"class": "NoiseRanking", "levels": [0.5]}},
            "ranking.levels: expected two levels or more, found (0.5,)",
        ),
        ({"bc": {"held_out": 0.0}}, "bc.held_out: expected above 0, below 1, found 0.0"),
        ({"evaluation": {"episodes": 1}}, "evaluation.episodes: expected at least 2, found 1"),
        (
            {"normalization": {"percentile": 101.0}},
            "normalization.percentile: expected from 0 to 100, found 101.0",
        ),
        ({"held_out_folds": 1}, "held_out_folds: expected 0, or at least 2, found 1"),
        (
            {"ranking": {"class": "UserRanking", "clone_share": 0.0}},
            "ranking.clone_share: expected above 0, up to 1, found 0.0",
        ),
        ({"normalization": {"offset": "median"}}, "normalization.offset: expected "),
        (
            {"learner": {"class": "PPOSettings", "batchsize": 3}},
            "learner.batchsize: expected only",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(values, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        settings_from_json(Settings, values, "settings.json")


def test_settings_cannot_be_changed_once_checked():
    for settings in (Settings(), PPOSettings(), RewardSettings(), SnippetSettings(), EvaluationSettings()):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(settings, dataclasses.fields(settings)[0].name, None)


# The published Atari protocol


def test_the_paper_preset_clones_and_disturbs_atari_as_published():
    """75,000 updates of 32 at 1e-4 without L2, 80/20, looked at every 500; five levels of 20 games."""
    settings = paper("ALE/Breakout-v5")
    assert settings.policy.policy_hidden_sizes == settings.policy.value_hidden_sizes == ()
    bc = settings.bc
    assert (bc.gradient_steps, bc.batch_size, bc.learning_rate, bc.l2) == (75_000, 32, 1e-4, 0.0)
    assert (bc.held_out, bc.check_every, bc.patience) == (0.2, 500, 5)
    assert sorted(settings.noise.levels, reverse=True) == [1.0, 0.75, 0.5, 0.25, 0.02]
    assert settings.noise.episodes_per_level == 20
    gaps = [abs(a - b) for a in settings.noise.levels for b in settings.noise.levels if a != b]
    assert min(gaps) >= settings.noise.minimum_gap  # every two levels are compared


def test_the_paper_preset_learns_the_reward_of_atari_as_published():
    """One network, one pair a step of 50 to 199 steps, every 4th stack; the better starts no earlier."""
    reward, anchor = paper("ALE/Seaquest-v5").reward, paper("ALE/Seaquest-v5").normalization
    assert reward.convolutions == ((32, 7, 3), (16, 5, 2), (16, 3, 1), (16, 3, 1))
    assert (reward.members, reward.hidden_sizes, reward.learning_rate, reward.l2) == (1, (64,), 1e-5, 0.0)
    snippets = reward.snippets
    assert (snippets.scheme, snippets.pairs, snippets.stride) == ("independent", 1, 4)
    assert (snippets.minimum_length, snippets.maximum_length) == (50, 199)
    assert snippets.better_starts_no_earlier
    assert reward.gradient_steps == 10 * 0.8 * 40_000
    assert (reward.mask_top, reward.mask_bottom) == (12, 16)
    assert (anchor.squash, anchor.offset, anchor.scale) == ("sigmoid", "zero", "none")
    trex = paper("ALE/Seaquest-v5", "trex").reward
    assert [layer[0] for layer in trex.convolutions] == [16] * 4
    assert (trex.gradient_steps, trex.learning_rate, trex.snippets.stride) == (30_000, 5e-5, 2)


def test_the_paper_preset_trains_atari_as_published():
    """PPO2: 50M steps, 9 × 128 a rollout in 4 minibatches and 4 epochs, rate and clipping fall to 0."""
    ppo = paper("ALE/Breakout-v5").learner
    assert (ppo.environment_steps, ppo.environments, ppo.rollout_steps) == (50_000_000, 9, 128)
    assert ppo.environments * ppo.rollout_steps / ppo.batch_size == ppo.epochs == 4
    assert (ppo.learning_rate, ppo.final_learning_rate) == (2.5e-4, 0.0)
    assert (ppo.clip_range, ppo.final_clip_range, ppo.ent_coef) == (0.1, 0.0, 0.01)
    assert (ppo.gamma, ppo.gae_lambda, ppo.start_from) == (0.99, 0.95, "scratch")
    assert paper("ALE/Breakout-v5").evaluation.episodes == 30
    assert paper("ALE/Breakout-v5").atari == AtariOptions(episodic_life=True)


def test_the_default_for_atari_starts_from_the_clone_and_hides_the_score():
    settings = default("ALE/Breakout-v5")
    assert (settings.learner.start_from, settings.learner.environment_steps) == ("clone", 5_000_000)
    assert settings.learner.environments * settings.learner.rollout_steps / settings.learner.batch_size == 4
    assert (settings.reward.mask_top, settings.reward.mask_bottom, settings.reward.members) == (10, 0, 3)
    assert settings.policy.image_precision == fastest_precision()
    assert settings.noise.rollout_policy == "auto"


def test_the_order_of_starts_is_as_published_but_in_space_invaders():
    ordered = {
        game: default(f"ALE/{game}-v5").reward.snippets.better_starts_no_earlier
        for game in ("Breakout", "Seaquest", "SpaceInvaders")
    }
    assert ordered == {"Breakout": True, "Seaquest": True, "SpaceInvaders": False}
    assert not preset("small", "ALE/SpaceInvaders-v5").reward.snippets.better_starts_no_earlier
    assert paper("ALE/SpaceInvaders-v5").reward.snippets.better_starts_no_earlier


def test_the_small_preset_is_the_default_for_atari_with_less_of_everything():
    small, whole = preset("small", "ALE/Pong-v5"), default("ALE/Pong-v5")
    assert small.learner.environment_steps * 8 <= whole.learner.environment_steps
    assert small.reward.gradient_steps * 2 <= whole.reward.gradient_steps
    assert (small.noise, small.normalization, small.evaluation) == (
        whole.noise,
        whole.normalization,
        whole.evaluation,
    )
    assert preset("small", "ALE/Pong-v5", "trex").held_out_folds == 4
    with pytest.raises(UserError, match=r"preset: expected default or paper.*found small for Hopper-v5"):
        preset("small", "Hopper-v5")
