"""Rewards of images: networks, masks, bounds, files, and what they learn from pixels."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.stats import kendalltau
from tiny_image_environments import MEET, SCORE_ROWS, best_actions

from drex.agents.rollouts.noise import NoiseSchedule
from drex.envs.data.stacked_frames import StackedFrames
from drex.envs.data.trajectories import Trajectories
from drex.envs.make import make_environments
from drex.errors import UserError
from drex.rankings.noisy_rollouts import rank_by_noise
from drex.rankings.preferences import Preferences, RankedTrajectories, from_order
from drex.rewards.cnn import PUBLISHED_CONVOLUTIONS, EnsembleCNN, ImageInputs, ImageLayers, fitting
from drex.rewards.fields import RewardFields
from drex.rewards.learned_reward import LearnedReward, load_reward
from drex.rewards.learning import learn_reward
from drex.rewards.normalize import RewardNormalization, normalize_reward
from drex.rewards.settings import RewardSettings
from drex.rewards.snippets import SnippetSettings

SMALL = ((8, 8, 4), (8, 3, 1))


def ensemble(shape=(2, 36, 36), *, members=3, convolutions=SMALL, hidden_sizes=(4,), **masks):
    layers = ImageLayers(shape=shape, convolutions=convolutions, **masks)
    return EnsembleCNN(
        layers, members=members, hidden_sizes=hidden_sizes, generator=torch.Generator().manual_seed(1)
    ).requires_grad_(False)


def images(count, shape=(2, 36, 36), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def some_reward(network=None, **changes):
    network = network or ensemble()
    raw = network(torch.as_tensor(images(50, seed=9))[None]).double().numpy()
    plain = {
        "inputs": ("next_observations",),
        "input_shift": (),
        "input_spread": (),
        "member_mean": tuple(raw.mean(axis=1).tolist()),
        "member_std": tuple(raw.std(axis=1).tolist()),
        "offset": 0.3,
        "scale": 1.7,
        "pessimism": 0.0,
        "control_cost": 0.0,
    }
    return LearnedReward(network, RewardFields(**plain | changes))


def score(reward, observations, ahead=None):
    ahead = observations if ahead is None else ahead
    count = len(observations)
    return reward(observations, np.zeros(count, np.int64), ahead, np.zeros(count, np.bool_))


def slow_twin(network, member, pictures):
    """One member by torch's own layers."""
    layers, channels = [], network.image.shape[0]
    for (outputs, kernel, stride), weight, bias in zip(
        network.image.convolutions, network.kernels, network.kernel_biases, strict=True
    ):
        layer = torch.nn.Conv2d(channels, outputs, kernel, stride)
        layer.weight.data, layer.bias.data = weight[member], bias[member]
        layers += [layer, torch.nn.LeakyReLU(0.01)]
        channels = outputs
    layers.append(torch.nn.Flatten())
    for weight, bias in zip(network.weights, network.biases, strict=True):
        layer = torch.nn.Linear(weight.shape[1], weight.shape[2])
        layer.weight.data, layer.bias.data = weight[member].T, bias[member, 0]
        layers += [layer, torch.nn.LeakyReLU(0.01)]
    return torch.nn.Sequential(*layers[:-1])(torch.as_tensor(pictures).float() / 255.0)[:, 0]


# The network


def test_members_equal_networks_of_torchs_own_layers():
    network, pictures = ensemble(), images(5)
    shared = network(torch.as_tensor(pictures)[None])
    for member in range(3):
        torch.testing.assert_close(shared[member], slow_twin(network, member, pictures))
    own = np.stack([images(5, seed=seed) for seed in range(3)])
    apart = network(torch.as_tensor(own))
    for member in range(3):
        torch.testing.assert_close(apart[member], slow_twin(network, member, own[member]))


def test_the_published_network_has_the_published_size():
    network = ensemble((4, 84, 84), members=1, convolutions=PUBLISHED_CONVOLUTIONS, hidden_sizes=(64,))
    # 32·(4·49) + 16·(32·25) + 2·16·(16·9) weights and 80 biases, 784·64 + 64 and 64 + 1
    assert sum(weights.numel() for weights in network.parameters()) == 6272 + 12800 + 4608 + 80 + 50240 + 65
    assert network.image.remaining == (7, 7)
    assert network(torch.zeros(1, 3, 4, 84, 84, dtype=torch.uint8)).shape == (1, 3)


def test_members_differ_and_the_seed_decides():
    one, other = ensemble(), ensemble()
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    scores = one(torch.as_tensor(images(1))[None])[:, 0]
    assert len(set(scores.tolist())) == 3


def test_masked_rows_change_nothing_and_the_others_do():
    masked, open_ = ensemble(mask_top=4, mask_bottom=3), ensemble()
    pictures = images(6)
    changed = pictures.copy()
    changed[:, :, :4] ^= 255
    changed[:, :, -3:] ^= 255
    before, after = (masked(torch.as_tensor(p)[None]) for p in (pictures, changed))
    assert torch.equal(before, after)
    blank = pictures.copy()
    blank[:, :, :4] = blank[:, :, -3:] = 0
    torch.testing.assert_close(before, open_(torch.as_tensor(blank)[None]))
    for row in (4, 32):
        seen = pictures.copy()
        seen[:, :, row] ^= 255
        assert not torch.equal(before, masked(torch.as_tensor(seen)[None]))
    assert pictures.tolist() == images(6).tolist()  # what was given is left as it was


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (
            {"mask_top": 20, "mask_bottom": 16},
            "expected 0 or more rows, fewer than 36 together, found 20 and",
        ),
        ({"mask_top": -1}, "found -1 and 0"),
        ({"convolutions": ((8, 37, 1),)}, r"kernels that fit into \(36, 36\) pixels, found \[\[8, 37, 1\]\]"),
        ({"convolutions": ((8, 8, 0),)}, "expected positive numbers"),
        ({"convolutions": ((8, 8, 8), (8, 8, 1))}, "kernels that fit"),
    ],
)
def test_what_does_not_fit_the_image_is_refused(wrong, sentence):
    with pytest.raises(UserError, match=sentence):
        ImageLayers(shape=(2, 36, 36), **wrong)


@pytest.mark.parametrize(
    ("side", "left"), [(84, 4), (43, 4), (42, 3), (36, 3), (31, 3), (30, 2), (18, 1), (7, 1), (6, 0)]
)
def test_published_convolutions_that_do_not_fit_small_images_are_left_out(side, left):
    kept = fitting(PUBLISHED_CONVOLUTIONS, (4, side, 84))
    assert kept == PUBLISHED_CONVOLUTIONS[:left]
    assert min(ImageLayers(shape=(4, side, 84), convolutions=kept).remaining) >= 1
    assert fitting(((8, 37, 1),), (4, 36, 36)) == ((8, 37, 1),)  # the user's: refused


# The reward


def test_many_images_score_as_few_do():
    reward, many = some_reward(), images(600)
    scores = score(reward, many)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores[250:260], score(reward, many[250:260]), rtol=1e-4, atol=1e-4)


def test_only_the_chosen_observation_is_seen():
    reward, before, after = some_reward(), images(4, seed=1), images(4, seed=2)
    np.testing.assert_array_equal(score(reward, before, after), score(reward, after, after))
    earlier = reward.with_fields(inputs=("observations",))
    np.testing.assert_array_equal(score(earlier, before, after), score(reward, before, before))


def test_trajectories_of_stacked_frames_score_as_their_arrays_do(monkeypatch):
    frames = images(40, (36, 36))
    rows = np.arange(1, 40)[:, None] + np.array([-1, 0])
    stacks, ends = StackedFrames(frames, rows[:38]), StackedFrames(frames, rows[[19, 38]])
    lengths, cut = np.array([20, 18]), np.zeros(2, np.bool_)
    kept = Trajectories(stacks, np.zeros(38, np.int64), lengths, cut, ends)
    plain = Trajectories(np.asarray(stacks), kept.actions, lengths, cut, np.asarray(ends))
    reward = some_reward()
    whole = reward.per_step(plain)
    monkeypatch.setattr("drex.rewards.learned_reward._BYTES_AT_ONCE", 7 * 2 * 36 * 36)
    np.testing.assert_allclose(reward.per_step(kept), whole, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(whole[19], score(reward, ends[:1])[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("squash", "bound"), [("sigmoid", lambda x: 1 / (1 + np.exp(-x))), ("tanh", np.tanh), ("none", np.copy)]
)
def test_a_squash_bounds_the_standardised_reward_before_offset_and_scale(squash, bound):
    pictures = images(20)
    plain = score(some_reward(offset=0.0, scale=1.0), pictures).astype(np.float64)
    squashed = score(some_reward(offset=0.2, scale=3.0, squash=squash), pictures)
    np.testing.assert_allclose(squashed, 3.0 * (bound(plain) - 0.2), rtol=1e-4, atol=1e-5)


def test_a_sigmoid_anchored_at_zero_pays_between_nothing_and_one():
    pictures = images(30)
    world = Trajectories(
        pictures, np.zeros(30, np.int64), np.array([15, 15]), np.array([True, True]), pictures[:2]
    )
    learned, ranked = some_reward(), RankedTrajectories(world, from_order([0, 1]))
    published = normalize_reward(
        learned,
        ranked,
        RewardNormalization(squash="sigmoid", offset="zero", scale="none"),
        gamma=1.0,
    )
    assert (published.fields.offset, published.fields.scale) == (0.0, 1.0)
    rewards = published.per_step(world)
    assert 0.0 < rewards.min() < rewards.max() < 1.0
    centred = normalize_reward(
        learned, ranked, RewardNormalization(squash="tanh", offset="mean", scale="step"), gamma=1.0
    )
    assert centred.per_step(world).mean() == pytest.approx(0.0, abs=1e-5)
    assert centred.per_step(world).std() == pytest.approx(1.0, abs=1e-5)
    with pytest.raises(
        UserError, match=r"RewardNormalization.offset: expected another rule with a squash, found network"
    ):
        RewardNormalization(squash="tanh", offset="network")


# Files


def test_files_give_back_the_reward_its_mask_and_its_squash(tmp_path):
    reward = some_reward(ensemble(mask_top=4, mask_bottom=1), squash="sigmoid", pessimism=0.5)
    reward.save(tmp_path)
    loaded = load_reward(tmp_path)
    pictures = images(8)
    np.testing.assert_array_equal(score(loaded, pictures), score(reward, pictures))
    spoiled = pictures.copy()
    spoiled[:, :, :4] = 255
    np.testing.assert_array_equal(score(loaded, spoiled), score(loaded, pictures))
    facts = json.loads((tmp_path / "reward.json").read_text())
    assert (facts["image"]["mask_top"], facts["image"]["mask_bottom"], facts["squash"]) == (4, 1, "sigmoid")
    assert loaded.network.image == reward.network.image


@pytest.mark.parametrize(
    ("image", "facts", "sentence"),
    [
        ({"mask_top": 40}, {}, "fewer than 36 together"),
        ({"convolutions": [[10**9, 8, 4], [8, 3, 1]]}, {}, "expected .*1000000000.*, found"),
        ({"convolutions": [[8, 99, 4]]}, {}, "kernels that fit"),
        ({"shape": [4, 36, 36]}, {}, r"kernels.0: expected \(3, 8, 4, 8, 8\), found \(3, 8, 2, 8, 8\)"),
        ({}, {"inputs": ["actions"]}, "image: expected observations or next_observations alone"),
        ({}, {"input_shift": [0.0]}, "image: expected .*, not standardised"),
    ],
)
def test_facts_that_describe_no_image_reward_are_refused(tmp_path, image, facts, sentence):
    some_reward().save(tmp_path)
    described = json.loads((tmp_path / "reward.json").read_text())
    described |= {"image": described["image"] | image} | facts
    (tmp_path / "reward.json").write_text(json.dumps(described))
    with pytest.raises(UserError, match=sentence):
        load_reward(tmp_path)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    some_reward().save(tmp_path)
    weights = load_file(tmp_path / "reward.safetensors")
    weights["kernels.1"][0, 0, 0, 0, 0] = float("nan")
    save_file(weights, tmp_path / "reward.safetensors")
    with pytest.raises(UserError, match=r"kernels.1: expected finite float32 numbers"):
        load_reward(tmp_path)


# Learning


QUICK = RewardSettings(
    convolutions=((16, 8, 4), (16, 3, 1)),
    hidden_sizes=(32,),
    members=2,
    mask_top=SCORE_ROWS,
    gradient_steps=200,
    learning_rate=2e-3,
    l2=0.0,
    snippets=SnippetSettings(minimum_length=10, maximum_length=20, stride=2, trajectories=16),
)


@pytest.fixture(scope="module")
def noisy():
    schedule = NoiseSchedule(levels=(0.0, 0.4, 0.7, 1.0), episodes_per_level=25)
    return rank_by_noise(best_actions, make_environments(MEET, 8, seed=0), schedule, seed=0)


@pytest.fixture(scope="module")
def learned(noisy):
    return learn_reward(noisy.ranked(minimum_gap=0.3), QUICK, seed=0)


def test_a_reward_learned_from_pixels_orders_what_it_never_saw(noisy, learned):
    others = rank_by_noise(
        best_actions,
        make_environments(MEET, 8, seed=90),
        NoiseSchedule(levels=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0), episodes_per_level=5),
        seed=90,
    )
    tau = kendalltau(
        learned.returns(others.trajectories), others.true_returns.values_for_evaluation()
    ).statistic
    assert tau > 0.5
    assert learned.per_step(noisy.trajectories).std() == pytest.approx(1.0, abs=0.25)


def test_the_score_bar_teaches_a_masked_reward_nothing(noisy, learned):
    pictures = noisy.trajectories.observations[:50]
    spoiled = pictures.copy()
    spoiled[:, :, :SCORE_ROWS] = 255
    np.testing.assert_array_equal(score(learned, pictures), score(learned, spoiled))


def test_equal_seeds_learn_equal_rewards(noisy):
    quick = dataclasses.replace(QUICK, gradient_steps=4, patience=3, check_every=2)
    ranked = noisy.ranked(minimum_gap=0.3)
    one, other = (learn_reward(ranked, quick, seed=3).network.state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


class Counting(ImageInputs):
    """Counts the images that are read for gradient steps."""

    read = 0

    def __getitem__(self, steps):
        Counting.read += steps.numel()
        return super().__getitem__(steps)


def test_a_gradient_step_reads_each_image_once_however_many_pairs_it_serves(noisy, monkeypatch):
    monkeypatch.setattr("drex.rewards.inputs.ImageInputs", Counting)
    monkeypatch.setattr("drex.rewards.learning.ImageInputs", Counting)
    monkeypatch.setattr(Counting, "sample", lambda self: [self[torch.arange(2)]])
    settings = dataclasses.replace(QUICK, gradient_steps=1, held_out=0.0)
    learn_reward(noisy.ranked(minimum_gap=0.3), settings, seed=0)
    # 2 members of 16 snippets of 5 to 10 images, and 2 for the statistics. The pairs hold 5 times as many.
    assert 2 * 16 * 5 + 2 <= Counting.read <= 2 * 16 * 10 + 2


def test_held_out_images_are_judged_a_few_at_a_time_to_the_same_end(noisy, monkeypatch):
    sizes, forward = [], EnsembleCNN.forward
    monkeypatch.setattr(
        EnsembleCNN, "forward", lambda net, seen: sizes.append(len(seen[0])) or forward(net, seen)
    )
    settings = dataclasses.replace(QUICK, gradient_steps=1, held_out=0.3)
    found = []
    for at_once in (10_000, 7):
        monkeypatch.setattr("drex.rewards.learning.IMAGES_AT_ONCE", at_once)
        sizes.clear()
        scalars = {}
        learn_reward(
            noisy.ranked(minimum_gap=0.3),
            settings,
            seed=0,
            log=lambda name, value, _, kept=scalars: kept.update({name: value}),
        )
        found.append((sizes[0], [scalars[f"reward/held_out_{name}"] for name in ("loss", "accuracy")]))
    (together, expected), (apart, judged) = found
    assert apart == 7 < together
    np.testing.assert_allclose(judged, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"inputs": ("observations", "next_observations")}, "reward.inputs: expected observations or next"),
        ({"inputs": ("actions",)}, "reward.inputs: .* found actions"),
        (
            {"input_scaling": "standardized"},
            "reward.input_scaling: expected raw or both, .* found standardized",
        ),
        ({"mask_top": 36}, "fewer than 36 together, found 36 and 0"),
    ],
)
def test_settings_that_do_not_go_with_images_are_refused(noisy, wrong, sentence):
    with pytest.raises(UserError, match=sentence):
        learn_reward(noisy.ranked(minimum_gap=0.3), dataclasses.replace(QUICK, **wrong), seed=0)


def test_masks_without_images_are_refused():
    world = Trajectories(
        np.zeros((4, 2), np.float32), np.zeros((4, 1), np.float32), np.array([2, 2]), np.zeros(2, np.bool_)
    )
    pair = Preferences(np.array([0]), np.array([1]), np.ones(1, np.float32), "test")
    with pytest.raises(UserError, match="expected 0 for observations that are no images, found 3 and 0"):
        learn_reward(RankedTrajectories(world, pair), RewardSettings(mask_top=3), seed=0)


def test_an_own_network_sees_the_images_and_is_refused_if_it_answers_otherwise(noisy):
    class Brightness(torch.nn.Module):
        members = 1

        def __init__(self, shape):
            super().__init__()
            assert shape == (2, 36, 36)
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, inputs):
            return self.weight * inputs.float().mean(dim=(2, 3, 4))

    quick = dataclasses.replace(QUICK, gradient_steps=2)
    ranked = noisy.ranked(minimum_gap=0.3)
    learned = learn_reward(ranked, quick, seed=0, network=Brightness)
    assert learned.per_step(ranked.trajectories).shape == (len(ranked.trajectories.actions),)

    class Wrong(Brightness):
        def forward(self, inputs):
            return inputs.float().mean(dim=(3, 4))

    with pytest.raises(UserError, match=r"to \(1, 2, 2, 36, 36\), found \(1, 2, 2\)"):
        learn_reward(ranked, quick, seed=0, network=Wrong)
