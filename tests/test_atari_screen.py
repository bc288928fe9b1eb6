"""The film of a game shows the very game that is judged; a recorded one is played again if it is that."""

from __future__ import annotations

import imageio_ffmpeg
import numpy as np
import pytest
from finished_runs import evaluation
from PIL import Image

from drex.agents.policies.acting import uniform
from drex.agents.policies.network import PolicySettings, make_policy
from drex.agents.policies.saved_actor_critic import save_policy
from drex.agents.rollouts.collect import collect
from drex.demonstrations.load_and_save import save_demonstrations
from drex.envs.atari.options import FRAMES
from drex.envs.atari.screen import AtariScreen
from drex.envs.make import make_environments, task_spaces
from drex.report import video
from drex.report.finished_run import FinishedRun

BREAKOUT = "ALE/Breakout-v5"


@pytest.fixture
def screen():
    made = AtariScreen(BREAKOUT)
    yield made
    made.close()


@pytest.fixture(scope="module")
def recorded():
    """One whole game by random actions, whose start was drawn by seed 7."""
    environments = make_environments(BREAKOUT, 1, seed=7)
    kept, _ = collect(uniform(environments.action_space, seed=0), environments, 1, seed=0)
    environments.close()
    return kept


def test_a_filmed_game_is_the_one_that_is_judged(screen, recorded):
    assert (screen.observation_space, screen.metadata["render_fps"]) == (FRAMES, 15.0)
    seen, _ = screen.reset(seed=7)
    for step, action in enumerate(recorded.actions):
        np.testing.assert_array_equal(seen, recorded.observations[step])
        seen, reward, terminated, truncated, _ = screen.step(action)
        assert (reward, terminated, truncated) == (0.0, step == len(recorded.actions) - 1, False)
    np.testing.assert_array_equal(seen, recorded.last_observations[0])


def test_the_screen_shows_in_colour_what_the_policy_sees(screen, recorded):
    seen, _ = screen.reset(seed=7)
    for action in recorded.actions[:40]:
        seen, *_ = screen.step(action)
    shown = screen.render()
    assert (
        shown.shape == (210, 160, 3) and len(np.unique(shown.reshape(-1, 3), axis=0)) >= 7
    )  # six rows of bricks
    grey = Image.fromarray(shown).convert("L").resize((84, 84), Image.Resampling.BOX)
    assert np.abs(np.asarray(grey, int) - seen[-1]).mean() < 2


def test_a_recorded_game_is_found_among_the_starts_and_played_again(screen, recorded):
    observations = np.asarray(recorded.observations)
    screens = screen.replay(observations, recorded.actions)
    assert len(screens) == len(observations)
    screen.reset(seed=7)
    for action, shown in zip(recorded.actions[:60], screens, strict=False):
        np.testing.assert_array_equal(shown, screen.render())
        screen.step(action)


def test_a_game_of_other_pictures_is_not_played_again(screen, recorded, monkeypatch):
    observations = np.array(recorded.observations[:50])
    observations[30] += 1
    monkeypatch.setattr("drex.envs.atari.screen._STARTS_TRIED", 9)  # seed 7 among them
    assert screen.replay(observations, recorded.actions[:50]) is None


@pytest.fixture(scope="module")
def run(recorded, tmp_path_factory):
    """A folder with what is filmed of a run: the demonstration and an untrained policy."""
    folder = tmp_path_factory.mktemp("runs")
    for stage in ("demonstrations", "policy"):
        (folder / stage).mkdir()
    save_demonstrations(folder / "demonstrations" / "demonstrations.npz", recorded)
    settings = PolicySettings(policy_hidden_sizes=(), value_hidden_sizes=())
    save_policy(make_policy(*task_spaces(BREAKOUT)[:2], settings, seed=0), settings, folder / "policy")
    return FinishedRun(folder, evaluation(task=BREAKOUT), {}, [], {})


def test_a_run_of_a_game_is_filmed_at_the_games_own_speed(run, monkeypatch):
    monkeypatch.setattr(video, "GAME_SECONDS", 0.4)
    said = []
    captioned = video._captioned
    monkeypatch.setattr(video, "_captioned", lambda *shown: said.append(shown) or captioned(*shown))
    video.render(run, run.path / "video.mp4")
    assert [words for _, words in said] == [
        f"{who}   step {step}"
        for who in ("demonstrator, played again", "uniform random", "D-REX")
        for step in range(6)
    ]
    assert {np.shape(frame) for frame, _ in said} == {(210, 160, 3)}
    reader = imageio_ffmpeg.read_frames(str(run.path / "video.mp4"))
    about = next(reader)
    reader.close()
    assert (about["size"], about["fps"]) == ((640, 480), 15.0)


def test_a_demonstration_that_cannot_be_played_again_is_shown_as_recorded(screen, recorded, monkeypatch):
    monkeypatch.setattr(screen, "replay", lambda *_: None)
    said = []
    monkeypatch.setattr(video, "_captioned", lambda *shown: said.append(shown))
    assert len(list(video._recorded(screen, recorded, (2, 10_000)))) == -(-len(recorded.actions) // 2)
    frame, words = said[20]
    assert words == "demonstrator, as recorded   step 40"
    np.testing.assert_array_equal(frame, np.repeat(recorded.observations[40][-1][..., None], 3, axis=-1))


def test_words_leave_a_games_score_in_sight_and_cover_the_top_of_wide_frames():
    white = [video._captioned(np.full((*size, 3), 255, np.uint8), "") for size in ((210, 160), (240, 320))]
    for frame in white:
        assert frame.shape == (240, 320, 3) and (frame[:20] == 20).all()
    assert (white[0][21:, 160] == 255).all()
    assert (white[0][21:, 0] == 0).all() and (white[1][21:, 0] == 255).all()
