"""Making demonstrations: watched, killed, continued, and never mixed up with another training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tiny_environments  # registers the tasks
from tiny_environments import WALK

from drex.agents.demonstrator import DemonstratorSettings
from drex.agents.ppo.algorithm import PPO
from drex.agents.ppo.settings import PPOSettings
from drex.cli.demos_options import parse_make_options
from drex.demonstrations.make import MakingSettings, make_demonstrations
from drex.envs.atari.options import AtariOptions
from drex.envs.data.trajectories import Trajectories
from drex.errors import UserError
from drex.presets.presets import demonstrator

del tiny_environments


def settings(target=0.5, steps=8_192):
    """Four segments of two rollouts each, unless the target is reached before."""
    ppo = PPOSettings(
        start_from="scratch",
        environment_steps=steps,
        environments=8,
        rollout_steps=128,
        checkpoint_steps=2_048,
        initial_std=0.6,
        final_learning_rate=3e-4,
    )
    return MakingSettings(
        episodes=3, demonstrator=DemonstratorSettings(target_return=target, episodes_watched=200, ppo=ppo)
    )


def test_a_killed_training_continues_and_ends_with_the_same_demonstrations(tmp_path, monkeypatch):
    # A segment holds 64 whole episodes, so that 200 take four of them: 8,192 steps, or four more once killed.
    asked = settings(target=-100.0, steps=14_336)
    whole = make_demonstrations(WALK, tmp_path / "whole.npz", asked, seed=0)
    learn, calls = PPO.learn, []

    def killed(self, *arguments, **options):
        calls.append(self.num_timesteps)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return learn(self, *arguments, **options)

    file = tmp_path / "killed.npz"
    monkeypatch.setattr(PPO, "learn", killed)
    with pytest.raises(KeyboardInterrupt):
        make_demonstrations(WALK, file, asked, seed=0)
    assert not file.exists()
    monkeypatch.setattr(PPO, "learn", learn)
    with pytest.raises(UserError, match=r"training\.json: expected .* same task, seed and settings"):
        make_demonstrations(WALK, file, asked, seed=1)
    continued = make_demonstrations(WALK, file, asked, seed=0)
    assert calls == [0, 2_048, 4_096]
    # The window of watched episodes starts anew, so a continued training may run on for longer.
    assert continued.about["environment_steps"] >= whole.about["environment_steps"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed.npz", "whole.npz"]


def test_a_target_that_is_not_reached_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match="target_return"):
        make_demonstrations(WALK, tmp_path / "demos.npz", settings(target=1e6, steps=2_048), seed=0)
    assert list(tmp_path.iterdir()) == []


def test_a_training_is_watched(tmp_path, capsys):
    make_demonstrations(WALK, tmp_path / "d.npz", settings(target=-100.0, steps=14_336), seed=0, quiet=False)
    assert "mean return" in capsys.readouterr().err
    again = make_demonstrations(WALK, tmp_path / "e.npz", settings(target=-100.0, steps=14_336), seed=0)
    assert capsys.readouterr().err == ""
    assert np.isfinite(again.true_returns.values_for_evaluation()).all()


def test_atari_demonstrators_aim_at_the_published_scores():
    breakout, unknown = demonstrator("ALE/Breakout-v5"), demonstrator("ALE/Skiing-v5")
    assert (breakout.target_return, demonstrator("ALE/Pong-v5").target_return) == (34.5, 3.7)
    assert breakout.atari == AtariOptions(episodic_life=True, clip_rewards=True)
    assert np.isnan(unknown.target_return)
    with pytest.raises(SystemExit):
        parse_make_options("ALE/Skiing-v5", ["--out", "d.npz"])
    asked = parse_make_options("ALE/Skiing-v5", ["--out", "d.npz", "--target-return", "-9000"])
    assert asked.settings.demonstrator == replace(unknown, target_return=-9000.0)


def test_games_are_watched_whole_and_unclipped_though_training_ends_them_at_lost_lives(tmp_path, monkeypatch):
    task, lives = "ALE/Breakout-v5", []
    ppo = replace(demonstrator(task).ppo, environments=2, rollout_steps=128, batch_size=256, epochs=1)
    asked = replace(demonstrator(task), target_return=-1.0, episodes_watched=2, ppo=ppo)
    told = []
    monkeypatch.setattr(
        "drex.progress_bar.tqdm.set_description", lambda _, words, **options: told.append(words)
    )
    step = PPO._update_info_buffer
    monkeypatch.setattr(
        PPO, "_update_info_buffer", lambda self, infos, dones=None: lives.append(step(self, infos, dones))
    )
    making = MakingSettings(episodes=2, demonstrator=asked)
    made = make_demonstrations(task, tmp_path / "games.npz", making, seed=0)
    assert isinstance(made.trajectories, Trajectories)
    assert len(made.trajectories) == 2
    assert made.trajectories.terminated.all()
    # Two games hold ten lives, each of which ended an episode of training.
    assert len(lives) >= 9
    assert told[-1] != "mean return nan"


def test_options_of_games_are_refused_elsewhere(tmp_path):
    asked = replace(settings().demonstrator, atari=AtariOptions(clip_rewards=True))
    with pytest.raises(UserError, match="atari: expected options for tasks whose ids begin with ALE/"):
        make_demonstrations(WALK, tmp_path / "d.npz", MakingSettings(demonstrator=asked), seed=0)
