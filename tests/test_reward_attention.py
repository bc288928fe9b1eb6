"""Occlusion maps of rewards that look at known places, and the frames of highest and lowest reward."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import torch
from finished_runs import evaluation, write_run
from hypothesis import given, settings
from hypothesis import strategies as st

from drex.agents.rollouts.noise import NoiseJob
from drex.demonstrations.load_and_save import save_demonstrations
from drex.envs.data.trajectories import Trajectories
from drex.envs.data.true_returns import TrueReturns
from drex.errors import UserError
from drex.rankings.noisy_rollouts import NoisyRollouts
from drex.report.figures import draw_figures
from drex.report.finished_run import FinishedRun
from drex.report.image_figures import attention, extremes, frames_highest_and_lowest
from drex.rewards.cnn import EnsembleCNN, ImageLayers
from drex.rewards.fields import RewardFields
from drex.rewards.learned_reward import LearnedReward
from drex.rewards.occlusion import occlusion_map, raw_reward

SHAPE = (2, 36, 36)


def looks_at(*pixels, shape=SHAPE, members=1, mask_top=0):
    """A reward that adds up the brightness, from 0 to 1, of (frame, row, column) times a weight."""
    network = EnsembleCNN(
        ImageLayers(shape=shape, convolutions=(), mask_top=mask_top),
        members=members,
        hidden_sizes=(),
        generator=torch.Generator().manual_seed(0),
    ).requires_grad_(False)
    network.weights[0].zero_()
    network.biases[0].zero_()
    for frame, row, column, weight in pixels:
        network.weights[0][:, np.ravel_multi_index((frame, row, column), shape)] = weight
    fields = RewardFields(
        inputs=("next_observations",),
        input_shift=(),
        input_spread=(),
        member_mean=(0.0,) * members,
        member_std=(1.0,) * members,
        offset=0.0,
        scale=1.0,
        pessimism=0.0,
        control_cost=0.0,
    )
    return LearnedReward(network, fields)


def lit(*pixels, value=255):
    """One image, black but for these (frame, row, column)."""
    stack = np.zeros((1, *SHAPE), np.uint8)
    for pixel in pixels:
        stack[(0, *pixel)] = value
    return stack


def test_a_reward_of_one_pixel_is_mapped_there_and_nowhere_else():
    reward, image = looks_at((1, 20, 10, 3.0)), lit((1, 20, 10), value=51)
    found = occlusion_map(reward, image, square=3, stride=1)
    assert found.shape == (1, 36, 36)
    # Of the nine squares that cover a pixel, those that also cover (20, 10) take 3 · 51 / 255 away.
    near = np.array([1, 2, 3, 2, 1]) / 3
    np.testing.assert_allclose(found[0, 18:23, 8:13], 0.6 * np.outer(near, near), rtol=1e-6)
    elsewhere = found.copy()
    elsewhere[0, 18:23, 8:13] = 0.0
    assert not elsewhere.any()


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_no_pixel_is_left_out_by_any_square_and_stride(data):
    square = data.draw(st.integers(2, 36))
    stride = data.draw(st.integers(max(1, square // 3), square))
    row, column = data.draw(st.integers(0, 35)), data.draw(st.integers(0, 35))
    reward, image = looks_at((0, row, column, 2.0)), lit((0, row, column))
    found = occlusion_map(reward, image, square=square, stride=stride)[0]
    assert found[row, column] == pytest.approx(2.0)
    assert found.min() >= 0.0 and found.max() <= 2.0 + 1e-6


def test_what_lowers_the_reward_is_negative():
    image = lit((1, 5, 5), (1, 25, 25))
    found = occlusion_map(looks_at((1, 5, 5, 1.0), (1, 25, 25, -2.0)), image, square=2, stride=2)[0]
    assert (found.max(), found.min()) == (found[5, 5], found[25, 25]) == (1.0, -2.0)


def test_a_square_is_hidden_in_every_frame_by_that_frames_background():
    image = lit((0, 9, 9), (1, 9, 9))
    image[0, 0] = 255 - image[0, 0]  # white, with a black dot
    found = occlusion_map(looks_at((0, 9, 9, 1.0), (1, 9, 9, 1.0)), image, square=1, stride=1)[0]
    assert found[9, 9] == 0.0  # the dot becomes white in one frame, and black in the other
    found = occlusion_map(looks_at((0, 9, 9, 1.0), (1, 9, 9, -1.0)), image, square=1, stride=1)[0]
    assert found[9, 9] == -2.0


def test_members_are_averaged_as_standardised_and_bounds_are_not_applied():
    plain, image = looks_at((1, 9, 9, 8.0), members=2), lit((1, 9, 9))
    bounded = plain.with_fields(member_std=(1.0, 4.0), squash="sigmoid", offset=0.3)
    assert raw_reward(bounded, image, np.array([0, 0])).tolist() == [5.0, 5.0]
    assert occlusion_map(bounded, image, square=1, stride=1)[0, 9, 9] == 5.0


def test_squares_of_background_cost_nothing_and_the_others_are_seen_once():
    reward, seen = looks_at(), []
    reward.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[1]))
    occlusion_map(reward, lit(), square=4, stride=4)
    assert seen == [1]
    seen.clear()
    occlusion_map(reward, lit((1, 0, 0), (0, 9, 9)), square=4, stride=4)
    assert sum(seen) == 1 + 2
    seen.clear()
    noise = np.random.default_rng(0).integers(0, 256, (2, *SHAPE), np.uint8)
    occlusion_map(reward, noise, square=5, stride=2)
    # 17 starts along each axis: 0, 2, ..., 30 and 31
    assert sum(seen) == 2 * (1 + 17 * 17) and max(seen) <= 256


def test_no_images_have_no_map():
    assert occlusion_map(looks_at(), np.zeros((0, *SHAPE), np.uint8)).shape == (0, 36, 36)


@pytest.mark.parametrize(
    ("stacks", "options", "sentence"),
    [
        (np.zeros((1, 36, 36), np.uint8), {}, "(n, stack, height, width) uint8 images, found (1, 36, 36) u"),
        (lit().astype(np.float32), {}, "uint8 images, found (1, 2, 36, 36) float32"),
        (lit(), {"square": 37}, "square: expected 1 to 36 pixels, found 37"),
        (lit(), {"square": 0, "stride": 1}, "square: expected 1 to 36 pixels, found 0"),
        (
            lit(),
            {"square": 3, "stride": 4},
            "stride: expected 1 to 3 pixels, the side of the square, found 4",
        ),
    ],
)
def test_what_cannot_be_mapped_is_refused(stacks, options, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        occlusion_map(looks_at(), stacks, **options)


# The figures of a run


def episodes(brightness):
    """Episodes of 30 steps; what follows step s is black but for one pixel, of the brightness plus s // 2."""
    lengths = np.full(len(brightness), 30)
    images = np.zeros((30 * len(brightness), *SHAPE), np.uint8)
    last = np.zeros((len(brightness), *SHAPE), np.uint8)
    for episode, value in enumerate(brightness):
        for step in range(29):
            images[30 * episode + step + 1, 1, 9, 9] = value + step // 2
        last[episode, 1, 9, 9] = value + 14
    actions = np.zeros(len(images), np.int64)
    return Trajectories(images, actions, lengths, np.zeros(len(brightness), np.bool_), last)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of three rollouts and a demonstration whose reward is the brightness of one pixel."""
    folder = write_run(tmp_path_factory.mktemp("runs") / "run", evaluation())
    jobs = (NoiseJob("uniform", 0.25), NoiseJob("sticky", 0.5), NoiseJob("uniform", 1.0))
    NoisyRollouts(episodes((200, 100, 0)), TrueReturns.unknown(3), jobs, np.zeros(3, np.bool_)).save(
        folder / "ranked"
    )
    save_demonstrations(folder / "demonstrations" / "demonstrations.npz", episodes((50,)))
    looks_at((1, 9, 9, 255.0), mask_top=5).save(folder / "reward")
    return FinishedRun(folder, evaluation(), {}, [], {})


def test_the_extremes_are_those_of_all_rollouts_and_demonstrations_one_an_episode(run):
    high, low = extremes(run, looks_at((1, 9, 9, 255.0)), 3)
    assert [round(frame.reward) for frame in high] == [214, 114, 64]
    assert [frame.place.split("\n")[0] for frame in high] == [
        "rollout 0, noise 0.25",
        "rollout 1, sticky 0.5",
        "demonstration 0",
    ]
    assert all(re.search(r"step 2[89]$", frame.place) for frame in high)
    assert [round(frame.reward) for frame in low] == [0, 50, 100]
    assert low[0].place == "rollout 2, noise 1\nstep 1"  # at step 0 the stack would not be full
    assert [int(frame.stack[1, 9, 9]) for frame in high + low] == [214, 114, 64, 0, 50, 100]


def test_steps_are_drawn_evenly_by_the_seed_where_there_are_many(run, monkeypatch):
    monkeypatch.setattr("drex.report.image_figures.STEPS_SCORED", 3)
    drawn = [extremes(run, looks_at((1, 9, 9, 255.0)), 4) for _ in range(2)]
    places = [[frame.place for frame in high] for high, _ in drawn]
    assert places[0] == places[1]
    # three of the rollouts' ninety steps, one in each thirty, and three of the demonstration's
    assert {place.split(",")[0].split("\n")[0] for place in places[0]} == {
        "rollout 0",
        "rollout 1",
        "rollout 2",
        "demonstration 0",
    }


def test_the_figure_of_extremes_shows_frames_with_reward_and_place_and_hatches_what_is_masked(run):
    axes = frames_highest_and_lowest(run).axes
    assert axes[0].get_title() == "+214.00\nrollout 0, noise 0.25\nstep " + axes[0].get_title()[-2:]
    assert axes[0].images[0].get_array()[9, 9] == 214
    assert (axes[0].get_ylabel(), axes[6].get_ylabel()) == ("highest reward", "lowest reward")
    assert [patch.get_height() for patch in axes[0].patches] == [5]
    assert [len(shown.images) for shown in axes] == [1, 1, 1, 1, 0, 0] * 2


def test_the_figure_of_attention_lays_the_map_over_the_frame(run):
    axes = attention(run).axes
    frame, mapped = axes[0].images[0], axes[1].images
    np.testing.assert_array_equal(frame.get_array(), mapped[0].get_array())
    changes = mapped[1].get_array()
    assert changes[9, 9] == pytest.approx(214, rel=1e-5) and (changes != 0).sum() <= 9 * 9
    assert mapped[1].get_clim() == pytest.approx((-214, 214), rel=1e-5)
    assert axes[-1].get_ylabel() == "change of the reward by this region"


def test_rewards_of_numbers_have_no_such_figures(run, tmp_path):
    assert {"attention", "frames_highest_and_lowest"} <= draw_figures(run).keys()
    assert (
        not {"attention", "frames_highest_and_lowest"}
        & draw_figures(dataclasses.replace(run, path=tmp_path)).keys()
    )
