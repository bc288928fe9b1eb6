"""Atari games are those of gymnasium's and stable-baselines3's wrappers, frame by frame, and judged whole."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation
from stable_baselines3.common.atari_wrappers import MaxAndSkipEnv, WarpFrame
from stable_baselines3.common.preprocessing import is_image_space, is_image_space_channels_first

from drex.envs.atari.options import FRAMES, HORIZON, AtariOptions, register_atari
from drex.envs.atari.score_masks import FURTHER_MASKS, PUBLISHED_MASKS, ScoreMask, score_mask
from drex.envs.make import make_environments, task_spaces
from drex.errors import UserError

BREAKOUT, PONG, INVADERS = "ALE/Breakout-v5", "ALE/Pong-v5", "ALE/SpaceInvaders-v5"


class Started(gymnasium.Wrapper):
    """A raw game that a reset brings to where ALE's vectorised one begins: FIRE, then no-ops."""

    def __init__(self, task, frames):
        register_atari()
        super().__init__(gymnasium.make(task, frameskip=1, repeat_action_probability=0.0))
        self.frames = frames

    def reset(self, *, seed=None, options=None):
        observation, info = self.env.reset(seed=seed, options=options)
        for frame in range(self.frames):
            observation, _, _, _, info = self.env.step(1 if frame == 0 else 0)
        return observation, info


def frames_before_the_start(task, seed):
    """What the seed drew, asked of ALE itself."""
    from ale_py.vector_env import AtariVectorEnv

    game = gymnasium.spec(task).kwargs["game"]
    _, info = AtariVectorEnv(game, 1, num_threads=1).reset(seed=seed)
    return int(info["episode_frame_number"][0])


def whole_game(task, seed, options, *, reward="true"):
    """One game by random actions: actions, observations (the last one terminal), rewards, ends, last info."""
    environments = make_environments(task, 1, seed=seed, reward=reward, atari=options)
    generator = np.random.default_rng(seed)
    actions, observations, rewards, ends = [], [environments.reset()[0]], [], []
    while True:
        actions.append(generator.integers(environments.action_space.n, size=1))
        following, reward_paid, dones, infos = environments.step(actions[-1])
        rewards.append(float(reward_paid[0]))
        ends.append(bool(dones[0]))
        if "true_return" in infos[0]:
            observations.append(infos[0]["terminal_observation"])
            environments.close()
            return np.concatenate(actions), observations, rewards, ends, infos[0]
        observations.append(following[0])


@pytest.mark.parametrize(("task", "seed"), [(BREAKOUT, 0), (BREAKOUT, 1), (PONG, 0)])
def test_a_game_equals_that_of_gymnasiums_wrappers(task, seed):
    actions, observations, rewards, ends, info = whole_game(task, seed, AtariOptions(fire_after_life=False))
    raw = Started(task, frames_before_the_start(task, seed))
    theirs = FrameStackObservation(AtariPreprocessing(raw, noop_max=0, frame_skip=4), 4, padding_type="zero")
    assert theirs.action_space == task_spaces(task)[1]
    np.testing.assert_array_equal(observations[0], theirs.reset()[0])
    for step, action in enumerate(actions):
        observation, reward, terminated, truncated, _ = theirs.step(action)
        np.testing.assert_array_equal(observations[step + 1], observation)
        assert rewards[step] == reward
        assert ends[step] == terminated
        assert not truncated
    assert len(actions) > 100
    assert info["true_return"].values_for_evaluation().tolist() == [sum(rewards)]
    assert not info["TimeLimit.truncated"]


@pytest.mark.parametrize("task", [BREAKOUT, PONG])
def test_a_game_equals_that_of_stable_baselines3s_wrappers_but_for_rounding(task):
    actions, observations, rewards, ends, _ = whole_game(task, 2, AtariOptions(fire_after_life=False))
    theirs = WarpFrame(MaxAndSkipEnv(Started(task, frames_before_the_start(task, 2)), 4))
    theirs.reset()
    apart = []
    for step, action in enumerate(actions[:400]):
        observation, reward, terminated, _, _ = theirs.step(action)
        apart.append(np.abs(observations[step + 1][-1].astype(int) - observation[..., 0]))
        assert (rewards[step], ends[step]) == (reward, terminated)
    # They merge frames in colour and turn them grey afterwards.
    assert np.max(apart) <= 2
    assert np.mean(np.array(apart) > 0) < 0.1


def test_lost_lives_and_clipped_rewards_leave_the_true_return_of_the_whole_game():
    plain = whole_game(INVADERS, 3, AtariOptions())
    trained = whole_game(INVADERS, 3, AtariOptions(episodic_life=True, clip_rewards=True))
    np.testing.assert_array_equal(plain[0], trained[0])
    np.testing.assert_array_equal(trained[1], plain[1])  # the game goes on where a life was lost
    assert (sum(plain[3]), sum(trained[3])) == (1, 3)
    assert trained[2] == np.sign(plain[2]).tolist()
    assert max(plain[2]) > 1.0
    assert (
        trained[4]["true_return"].values_for_evaluation()
        == plain[4]["true_return"].values_for_evaluation()
        == sum(plain[2])
    )


def test_a_lost_life_is_an_end_and_no_cut_off():
    environments = make_environments(BREAKOUT, 1, seed=0, atari=AtariOptions(episodic_life=True))
    environments.reset()
    infos = []
    for _ in range(400):
        observations, rewards, dones, info = environments.step(np.array([0]))
        assert rewards[0] == 0.0  # nothing is paid unless asked for
        if dones[0]:
            infos.append(info[0])
            same = np.array_equal(info[0]["terminal_observation"], observations[0])
            assert same == ("true_return" not in info[0])  # a new game after the last life alone
    assert len(infos) > 10
    assert not any(info["TimeLimit.truncated"] for info in infos)
    whole = [index for index, info in enumerate(infos) if "true_return" in info]
    assert np.diff(whole).tolist() == [5] * (len(whole) - 1)
    assert whole[0] == 4


@pytest.mark.parametrize(("fires", "games"), [(True, 3), (False, 0)])
def test_breakout_stands_still_after_a_lost_life_unless_fire_is_pressed(fires, games):
    environments = make_environments(BREAKOUT, 2, seed=0, atari=AtariOptions(fire_after_life=fires))
    environments.reset()
    ended = sum(int(environments.step(np.zeros(2, np.int64))[2].sum()) for _ in range(300))
    assert ended >= games
    assert ended == 0 or fires


def test_a_game_is_cut_off_after_the_allowed_frames():
    environments = make_environments(PONG, 2, seed=0, atari=AtariOptions(maximum_frames=80))
    seen = [environments.reset()]
    for _ in range(20):
        observations, _, dones, infos = environments.step(np.zeros(2, np.int64))
        seen.append(observations)
    assert dones.all()
    for index, info in enumerate(infos):
        assert info["TimeLimit.truncated"]
        # What was seen last belongs to the old game: its older frames are those of the steps before.
        np.testing.assert_array_equal(info["terminal_observation"][:3], seen[-2][index][1:])
        assert not observations[index][:3].any()


def test_observations_are_the_callers_to_keep():
    environments = make_environments(PONG, 2, seed=0)
    kept = environments.reset()
    before = kept.copy()
    following = [environments.step(np.array([2, 3]))[0] for _ in range(3)]
    copies = [one.copy() for one in following]
    for _ in range(3):
        environments.step(np.array([3, 2]))
    np.testing.assert_array_equal(kept, before)
    np.testing.assert_array_equal(following, copies)
    environments.close()


def test_a_seed_decides_the_start_and_game_i_has_seed_plus_i():
    first = make_environments(BREAKOUT, 3, seed=5)
    second = make_environments(BREAKOUT, 2, seed=6)
    starts = first.reset()
    np.testing.assert_array_equal(starts[1:], second.reset())
    assert len({one.tobytes() for one in starts}) > 1
    first.seed(5)
    np.testing.assert_array_equal(first.reset(), starts)
    first.seed(2**32 - 1)  # stable-baselines3 draws up to there
    assert first.reset().shape == (3, 4, 84, 84)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted by Linux's /proc")
def test_threads_are_those_of_the_cores_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    before = len(os.listdir("/proc/self/task"))
    many = make_environments(PONG, 8, seed=0)
    assert len(os.listdir("/proc/self/task")) == before + min(3, os.cpu_count())
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    one = make_environments(PONG, 8, seed=0)
    assert len(os.listdir("/proc/self/task")) == before + min(3, os.cpu_count()) + 1
    many.close()
    one.close()
    assert len(os.listdir("/proc/self/task")) == before


def test_a_game_is_known_by_its_preprocessed_spaces():
    for task, actions in ((BREAKOUT, 4), ("ALE/Seaquest-v5", 18), ("ale_py:ALE/Pong-v5", 6)):
        assert task_spaces(task) == (FRAMES, gymnasium.spaces.Discrete(actions), HORIZON)
        environments = make_environments(task, 1, seed=0)
        assert (environments.observation_space, environments.action_space) == task_spaces(task)[:2]
        environments.close()
    assert HORIZON == 27_000
    assert is_image_space(FRAMES)
    assert is_image_space_channels_first(FRAMES)


def test_what_cannot_be_played_is_refused():
    with pytest.raises(UserError, match=r"task 'ALE/Brakeout-v5': expected an environment"):
        task_spaces("ALE/Brakeout-v5")
    with pytest.raises(UserError, match=r"backend for ALE/Pong-v5: expected 'auto'.*found 'envpool'"):
        make_environments(PONG, 1, seed=0, backend="envpool")
    with pytest.raises(UserError, match=r"atari: expected options for tasks .* ALE/, found the task 'Cart"):
        make_environments("CartPole-v1", 1, seed=0, atari=AtariOptions())
    with pytest.raises(UserError, match=r"maximum_frames: expected at least 4, found 3"):
        AtariOptions(maximum_frames=3)


def test_a_mask_shows_the_rows_between_top_and_bottom():
    assert ScoreMask(top=12, bottom=16).shown(84) == slice(12, 68)
    assert ScoreMask().shown(84) == slice(0, 84)


def test_every_mask_belongs_to_a_game_and_leaves_most_of_it():
    register_atari()
    masks = PUBLISHED_MASKS | FURTHER_MASKS
    assert len(masks) == len(PUBLISHED_MASKS) + len(FURTHER_MASKS)
    for game, mask in masks.items():
        assert f"ALE/{game}-v5" in gymnasium.registry
        assert 0 < mask.top + mask.bottom <= 30
    assert score_mask(BREAKOUT) == (10, 0)
    assert score_mask("ALE/Seaquest-v5") == (12, 16)


def test_the_score_is_hidden_from_the_reward():
    """Two Pong games that differ in their score alone look the same behind the mask."""
    frames = whole_game(PONG, 0, AtariOptions(maximum_frames=2400))[1]
    digits = np.array([frame[-1, :10] for frame in frames[4:]])
    assert digits.std(axis=0).max() > 20  # the score is up there
    assert score_mask(PONG).shown(84).start >= 10


def test_a_game_without_a_mask_says_so_once(caplog):
    score_mask.cache_clear()
    with caplog.at_level(logging.WARNING, logger="drex"):
        assert score_mask("ALE/Skiing-v5") == ScoreMask(0, 0)
        score_mask("ALE/Skiing-v5")
        score_mask(BREAKOUT)
    assert [record.getMessage() for record in caplog.records] == [
        "ALE/Skiing-v5 has no score mask: the reward network may read the score from the screen"
    ]
