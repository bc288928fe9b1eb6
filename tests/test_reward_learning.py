"""The batched loss is the plain one, and learning from it recovers what was planted, and no more."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import re
import textwrap

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from ranked_examples import linear_world, ranked_linear_world
from scipy.stats import kendalltau

from drex.envs.data.trajectories import Trajectories
from drex.errors import UserError
from drex.rankings.preferences import RankedTrajectories, from_order, from_pairs, from_scores, shuffle_labels
from drex.rewards.inputs import VectorInputs
from drex.rewards.learned_reward import load_reward
from drex.rewards.learning import learn_reward, split_train_held_out
from drex.rewards.loss import preference_loss
from drex.rewards.mlp import EnsembleMLP, RewardNetwork, options_of, transition_features
from drex.rewards.settings import RewardSettings
from drex.rewards.snippets import SnippetPairs, SnippetSettings, sample_snippet_pairs

SHORT = SnippetSettings(minimum_length=5, maximum_length=10, maximum_share=1.0, stride=1)
PLAIN = RewardSettings(inputs=("next_observations",), members=3, input_scaling="raw", l2=0.01, snippets=SHORT)
SMALL = dataclasses.replace(PLAIN, hidden_sizes=(8,), gradient_steps=20, check_every=5, held_out=0.25)


def raw_inputs(features):
    """The features of all steps, not scaled."""
    nothing = torch.zeros(features.shape[1])
    return VectorInputs(features, nothing, nothing + 1.0, "raw")


def ensemble(features, *, members=3, hidden_sizes=(8,), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return EnsembleMLP(features, members=members, hidden_sizes=hidden_sizes, generator=generator)


def parts_of(network, member):
    """One member as an ordinary stack of linear layers."""
    layers = []
    for weight, bias in zip(network.weights, network.biases, strict=True):
        layer = torch.nn.Linear(weight.shape[1], weight.shape[2]).to(weight.dtype)
        with torch.no_grad():
            layer.weight.copy_(weight[member].T)
            layer.bias.copy_(bias[member, 0])
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def plain_loss(network, inputs, draw, settings):
    """The Bradley-Terry loss of one member, pair by pair and step by step, as the papers write it."""
    total, weight_of_all = 0.0, 0.0
    for better, worse, weight in zip(draw.better, draw.worse, draw.weight, strict=True):
        returns = []
        for snippet in (better, worse):
            steps = draw.first[snippet] + draw.stride * np.arange(draw.counts[snippet])
            rewards = [network(inputs[step])[0] for step in steps]
            whole = sum(rewards)
            if settings.snippet_return == "mean":
                whole = whole / len(rewards) * settings.snippets.maximum_length
            returns.append(whole)
        right = torch.log_softmax(torch.stack(returns), dim=0)
        flipped = settings.label_noise
        total = total - float(weight) * ((1 - flipped) * right[0] + flipped * right[1])
        weight_of_all += float(weight)
    return total / weight_of_all


# The loss


@pytest.mark.parametrize("scheme", ["shared", "independent"])
@pytest.mark.parametrize("snippet_return", ["mean", "sum"])
@pytest.mark.parametrize(
    ("label_noise", "stride", "later"), [(0.0, 1, False), (0.1, 3, True)], ids=["plain", "every option"]
)
def test_batched_loss_and_gradients_equal_a_plain_loop_over_pairs(
    scheme, snippet_return, label_noise, stride, later
):
    ranked = ranked_linear_world(7, seed=0, shortest=4, longest=14)
    weighted = from_pairs(
        ranked.preferences.better, ranked.preferences.worse, weight=np.linspace(0.5, 2.0, 21)
    )
    snippets = SnippetSettings(
        scheme=scheme,
        minimum_length=3,
        maximum_length=9,
        **({"pairs": 12} if scheme == "independent" else {}),
        stride=stride,
        better_starts_no_earlier=later,
    )
    settings = RewardSettings(snippets=snippets, snippet_return=snippet_return, label_noise=label_noise)
    random = np.random.default_rng(1)
    lengths = ranked.trajectories.lengths
    # Each member has its own draw, and "shared" draws a length of its own for each.
    draws = [sample_snippet_pairs(weighted, lengths, snippets, random) for _ in range(3)]
    network = ensemble(3)
    inputs = torch.as_tensor(ranked.trajectories.next_observations())
    loss, accuracy = preference_loss(network, raw_inputs(inputs), draws, settings)
    loss.backward()

    alone = [parts_of(network, member).double() for member in range(3)]
    plain = [plain_loss(net, inputs.double(), draw, settings) for net, draw in zip(alone, draws, strict=True)]
    sum(plain).backward()
    assert float(loss.detach()) == pytest.approx(float(sum(plain).detach()), rel=1e-5)
    for layer, (weights, biases) in enumerate(zip(network.weights, network.biases, strict=True)):
        expected = torch.stack([net[2 * layer].weight.grad.T for net in alone])
        assert float((weights.grad - expected).norm() / expected.norm()) < 1e-5
        expected = torch.stack([net[2 * layer].bias.grad for net in alone])[:, None]
        # The last bias cancels where lengths are equal: then both gradients are zero but for rounding.
        torch.testing.assert_close(biases.grad.double(), expected, rtol=1e-5, atol=2e-5)
    assert 0.0 <= float(accuracy) <= 1.0


def one_step_pairs(gaps, weight=None):
    """A pair of one-step snippets for every gap, whose rewards are the inputs themselves."""
    count = len(gaps)
    draw = SnippetPairs(
        np.arange(2 * count),
        np.ones(2 * count, np.int64),
        1,
        np.zeros(2 * count, np.int64),
        np.arange(count),
        np.arange(count, 2 * count),
        np.ones(count, np.float32) if weight is None else np.asarray(weight, np.float32),
    )
    return torch.tensor([*gaps, *[0.0] * count])[:, None], draw


def loss_of(gaps, *, label_noise=0.0, weight=None):
    inputs, draw = one_step_pairs(gaps, weight)
    settings = RewardSettings(
        label_noise=label_noise, snippets=SnippetSettings(minimum_length=1, maximum_length=1)
    )
    loss, accuracy = preference_loss(
        lambda rewards: rewards.squeeze(-1), raw_inputs(inputs), [draw], settings
    )
    return float(loss), float(accuracy)


def test_the_loss_of_a_known_gap_is_known():
    assert loss_of([0.0]) == (pytest.approx(np.log(2)), 0.0)  # a tie is not the right order
    assert loss_of([1.0]) == (pytest.approx(np.log(1 + np.exp(-1))), 1.0)
    assert loss_of([-1.0, 1.0, 3.0])[1] == pytest.approx(2 / 3)
    assert loss_of([200.0])[0] == pytest.approx(0.0, abs=1e-6)
    assert loss_of([-200.0])[0] == pytest.approx(200.0)  # no overflow


def test_pairs_count_by_their_weight():
    assert loss_of([1.0, -1.0], weight=[3, 1])[0] == pytest.approx(loss_of([1.0, 1.0, 1.0, -1.0])[0])
    assert loss_of([1.0, -5.0], weight=[1, 0])[0] == pytest.approx(loss_of([1.0])[0])


gaps = st.floats(-20, 20, width=32)


@hypothesis_settings(max_examples=50, deadline=None)
@given(gap=gaps, more=st.floats(0.125, 5, width=32))
def test_the_loss_falls_when_the_gap_grows(gap, more):
    assert loss_of([gap + more])[0] < loss_of([gap])[0]


@hypothesis_settings(max_examples=50, deadline=None)
@given(gap=gaps, noise=st.floats(0, 0.49))
def test_label_noise_mixes_the_loss_with_that_of_the_reversed_label(gap, noise):
    mixture = (1 - noise) * loss_of([gap])[0] + noise * loss_of([-gap])[0]
    assert loss_of([gap], label_noise=noise)[0] == pytest.approx(mixture, rel=1e-5, abs=1e-6)


@hypothesis_settings(max_examples=30, deadline=None)
@given(shift=st.floats(-3, 3), seed=st.integers(0, 100), snippet_return=st.sampled_from(["mean", "sum"]))
def test_a_constant_added_to_every_reward_changes_nothing_where_it_must_not(shift, seed, snippet_return):
    """Snippets of one length never tell; their mean never tells; the sum over unequal lengths does."""
    network = ensemble(3, seed=seed).double()

    def shifted(inputs):
        return network(inputs) + shift

    for shortest, equal in ((20, True), (2, False)):
        ranked = ranked_linear_world(6, seed=seed, shortest=shortest, longest=20)
        settings = RewardSettings(snippets=SHORT, snippet_return=snippet_return)
        generator, lengths = np.random.default_rng(seed), ranked.trajectories.lengths
        draws = [sample_snippet_pairs(ranked.preferences, lengths, SHORT, generator) for _ in range(3)]
        inputs = torch.as_tensor(ranked.trajectories.next_observations()).double()
        with torch.no_grad():
            before, after = (preference_loss(f, inputs, draws, settings)[0] for f in (network, shifted))
        unequal = any((draw.counts != draw.counts[0]).any() for draw in draws)
        if snippet_return == "mean" or equal:
            assert float(after) == pytest.approx(float(before), rel=1e-9)
        elif unequal and abs(shift) > 0.1:
            assert float(after) != pytest.approx(float(before), rel=1e-9)


# Learning


def logged(ranked, settings, *, seed, **options):
    """The reward and all scalars, {name: {step: value}}."""
    scalars = {}
    reward = learn_reward(
        ranked,
        settings,
        seed=seed,
        log=lambda name, value, step: scalars.setdefault(name, {}).update({step: value}),
        **options,
    )
    return reward, scalars


def weights_of(reward):
    return torch.cat([tensor.flatten() for tensor in reward.network.state_dict().values()])


@pytest.mark.parametrize("inputs", [("next_observations",), ("observations",)])
def test_a_planted_linear_reward_is_recovered_on_trajectories_never_seen(inputs):
    settings = dataclasses.replace(
        PLAIN, inputs=inputs, hidden_sizes=(32,), gradient_steps=200, learning_rate=3e-3, l2=0.001
    )
    reward, scalars = logged(ranked_linear_world(60, seed=0), settings, seed=0)
    world, quality = linear_world(100, seed=1)
    assert kendalltau(reward.returns(world), quality).statistic > 0.95
    losses = scalars["reward/loss"]
    assert losses[150] < 0.3 * losses[0]
    assert scalars["reward/held_out_accuracy"][200] > 0.85


def test_shuffled_labels_are_learned_no_better_than_by_chance():
    settings = dataclasses.replace(SMALL, gradient_steps=60, check_every=20, held_out=0.4, learning_rate=1e-2)
    accuracy = {True: [], False: []}
    for seed in range(6):
        ranked = ranked_linear_world(50, seed=seed)
        for shuffled, found in accuracy.items():
            preferences = shuffle_labels(ranked.preferences, seed=seed) if shuffled else ranked.preferences
            control = RankedTrajectories(ranked.trajectories, preferences)
            found.append(logged(control, settings, seed=seed)[1]["reward/held_out_accuracy"][60])
    assert np.mean(accuracy[False]) > 0.85
    # One random order of 20 held-out trajectories agrees by 0.5 ± 0.081 with any other.
    assert np.mean(accuracy[True]) == pytest.approx(0.5, abs=4 * 0.081 / np.sqrt(6))


def test_members_differ_from_each_other():
    ranked = ranked_linear_world(12, seed=0)
    reward = learn_reward(ranked, SMALL, seed=0)
    world = ranked.trajectories
    scores = reward.member_rewards(world.observations, world.actions, world.next_observations())
    assert scores.shape == (3, len(world.observations))
    for one, other in itertools.combinations(scores, 2):
        assert np.abs(one - other).max() > 0.01


class Members(torch.nn.Module):
    """Two linear members whose directions are given, and a weight that changes nothing for Adam to train."""

    members = 2

    def __init__(self, directions):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))
        self.directions = torch.tensor(directions)

    def forward(self, inputs):
        rewards = torch.einsum("mnf,mf->mn", inputs.expand(2, -1, -1), self.directions)
        return rewards + 0 * self.unused


@pytest.mark.parametrize(
    ("directions", "expected"),
    [
        ([[1.0, 0.0, 0.0], [3.0, 0.0, 0.0]], 0.0),  # the same order and spacing on another scale
        ([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]], None),  # opposites differ by twice the standardised reward
    ],
)
def test_the_logged_spread_is_how_far_standardised_members_are_apart(directions, expected):
    ranked = ranked_linear_world(12, seed=0, shortest=5, longest=5)
    snippets = SnippetSettings(
        minimum_length=5, maximum_length=5, maximum_share=1.0, stride=1
    )  # whole episodes, so the steps are known
    settings = dataclasses.replace(SMALL, snippets=snippets)
    _, scalars = logged(ranked, settings, seed=0, network=lambda features: Members(directions))
    spreads = scalars["reward/ensemble_spread"]
    if expected is None:
        _, held_out = split_train_held_out(ranked.preferences, 12, 0.25, np.random.default_rng(0))
        kept = np.unique([held_out.better, held_out.worse])
        steps = np.isin(ranked.trajectories.episode_of_step, kept)
        seen = ranked.trajectories.next_observations()[steps, 0]
        expected = np.abs((seen - seen.mean()) / seen.std(ddof=1)).mean()
    assert list(spreads) == [0, 5, 10, 15, 20]
    assert list(spreads.values()) == pytest.approx([expected] * 5, abs=1e-5)


def test_members_are_standardised_on_the_ranked_steps():
    ranked = ranked_linear_world(12, seed=0)
    reward = learn_reward(ranked, dataclasses.replace(SMALL, input_scaling="standardized"), seed=0)
    world = ranked.trajectories
    scores = reward.member_rewards(world.observations, world.actions, world.next_observations())
    np.testing.assert_allclose(scores.mean(axis=1), 0.0, atol=1e-9)
    np.testing.assert_allclose(scores.std(axis=1, ddof=1), 1.0, rtol=1e-9)
    np.testing.assert_allclose(reward.fields.input_shift, world.next_observations().mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(reward.fields.input_spread, world.next_observations().std(axis=0), rtol=1e-5)
    assert (reward.fields.offset, reward.fields.scale, reward.fields.pessimism) == (0.0, 1.0, 0.0)


def test_a_feature_that_was_always_the_same_does_not_drown_the_others_once_it_changes():
    ranked = ranked_linear_world(12, seed=0)
    lamp = np.full((ranked.trajectories.lengths.sum(), 1), 0.1, np.float32)  # off in every episode
    seen = np.concatenate([ranked.trajectories.observations, lamp], axis=1)
    last = np.concatenate([ranked.trajectories.last_observations, lamp[:12]], axis=1)
    world = dataclasses.replace(ranked.trajectories, observations=seen, last_observations=last)
    settings = dataclasses.replace(SMALL, input_scaling="standardized")
    reward = learn_reward(RankedTrajectories(world, ranked.preferences), settings, seed=0)
    on = seen + np.array([0, 0, 0, 1], np.float32)
    usual, changed = (reward.member_rewards(each, world.actions, each) for each in (seen, on))
    assert np.abs(changed - usual).mean() < 5 * usual.std()


def test_the_ensemble_learns_what_its_members_learn_alone_from_the_same_draws():
    ranked = ranked_linear_world(9, seed=3, shortest=6, longest=12)
    settings = dataclasses.replace(SMALL, l2=0.1, held_out=0.3, gradient_steps=6, learning_rate=1e-2)
    together = learn_reward(ranked, settings, seed=5).network

    lengths, generator = ranked.trajectories.lengths, np.random.default_rng(5)
    training, held_out = split_train_held_out(ranked.preferences, 9, 0.3, generator)
    sample_snippet_pairs(held_out, lengths, settings.snippets, generator)
    draws = [
        [sample_snippet_pairs(training, lengths, settings.snippets, generator) for _ in range(3)]
        for _ in range(6)
    ]
    inputs = torch.as_tensor(ranked.trajectories.next_observations())
    for member in range(3):
        alone = parts_of(ensemble(3, seed=5), member)
        optimizer = torch.optim.Adam(alone.parameters(), lr=settings.learning_rate)
        for draws_of_step in draws:
            penalty = sum(parameter.square().sum() for parameter in alone.parameters()) / 2
            loss = plain_loss(alone, inputs, draws_of_step[member], settings) + settings.l2 * penalty
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        for trained, untrained, expected in zip(
            parts_of(together, member).parameters(),
            parts_of(ensemble(3, seed=5), member).parameters(),
            alone.parameters(),
            strict=True,
        ):
            torch.testing.assert_close(trained, expected, rtol=1e-3, atol=1e-4)
            assert (expected - untrained).abs().max() > 0.03  # so the tolerance is small beside the change


@hypothesis_settings(max_examples=50, deadline=None)
@given(
    scores=st.lists(st.integers(0, 9), min_size=4, max_size=20, unique=False),
    share=st.floats(0.0, 0.95),
    seed=st.integers(0, 99),
)
def test_no_pair_trains_on_a_held_out_trajectory(scores, share, seed):
    if len(set(scores)) == 1:
        scores = [*scores, 10]
    preferences = from_scores(scores)
    training, held_out = split_train_held_out(preferences, len(scores), share, np.random.default_rng(seed))
    trained = {*training.better.tolist(), *training.worse.tolist()}
    if held_out is None:
        assert len(training) == len(preferences)
        return
    judged = {*held_out.better.tolist(), *held_out.worse.tolist()}
    assert not trained & judged
    assert len(judged) <= round(share * len(scores))
    given_pairs = set(zip(preferences.better.tolist(), preferences.worse.tolist(), strict=True))
    for part in (training, held_out):
        assert set(zip(part.better.tolist(), part.worse.tolist(), strict=True)) <= given_pairs


def test_what_held_out_trajectories_hold_changes_no_weight():
    ranked = ranked_linear_world(16, seed=0)
    training, _ = split_train_held_out(ranked.preferences, 16, SMALL.held_out, np.random.default_rng(2))
    held_out = sorted(set(range(16)) - {*training.better.tolist(), *training.worse.tolist()})
    assert len(held_out) == 4
    changed = ranked.trajectories.observations.copy()
    changed[np.isin(ranked.trajectories.episode_of_step, held_out)] += 7.0
    world = dataclasses.replace(ranked.trajectories, observations=changed)
    reward, scalars = logged(ranked, SMALL, seed=2)
    elsewhere, other_scalars = logged(RankedTrajectories(world, ranked.preferences), SMALL, seed=2)
    assert torch.equal(weights_of(reward), weights_of(elsewhere))
    assert scalars["reward/loss"] == other_scalars["reward/loss"]
    assert scalars["reward/held_out_loss"] != other_scalars["reward/held_out_loss"]


def test_early_stopping_returns_the_best_weights_by_the_held_out_loss():
    ranked = ranked_linear_world(24, seed=0)
    # Labels that say nothing are soon learned by heart, and the held-out loss rises.
    ranked = RankedTrajectories(ranked.trajectories, shuffle_labels(ranked.preferences, seed=0))
    to_the_end = dataclasses.replace(
        SMALL, hidden_sizes=(32,), gradient_steps=150, check_every=10, learning_rate=1e-2
    )
    settings = dataclasses.replace(to_the_end, patience=2)
    reward, scalars = logged(ranked, settings, seed=1)
    losses = scalars["reward/held_out_loss"]
    best = min(losses, key=losses.get)
    assert max(losses) == best + 10 * 3 < 150  # two looks without improvement are borne, the third stops
    assert losses[max(losses)] > losses[best]

    def held_out_loss(learned):
        generator, lengths = np.random.default_rng(1), ranked.trajectories.lengths
        _, held_out = split_train_held_out(ranked.preferences, 24, settings.held_out, generator)
        draw = sample_snippet_pairs(held_out, lengths, settings.snippets, generator)
        inputs = torch.as_tensor(ranked.trajectories.next_observations())
        return float(preference_loss(learned.network, inputs, [draw] * 3, settings)[0]) / 3

    assert held_out_loss(reward) == losses[best]
    without, scalars = logged(ranked, to_the_end, seed=1)
    assert held_out_loss(without) == scalars["reward/held_out_loss"][150] > losses[best]


def test_the_last_step_is_judged_too():
    settings = dataclasses.replace(SMALL, gradient_steps=12, check_every=5)
    _, scalars = logged(ranked_linear_world(16, seed=0), settings, seed=0)
    assert sorted(scalars["reward/held_out_loss"]) == [0, 5, 10, 12]
    assert sorted(scalars["reward/held_out_accuracy"]) == [0, 5, 10, 12]


def test_equal_seeds_give_equal_weights_and_others_do_not():
    ranked = ranked_linear_world(16, seed=0)
    for scheme in ("shared", "independent"):
        settings = dataclasses.replace(SMALL, snippets=dataclasses.replace(SHORT, scheme=scheme))
        first, again, other = (learn_reward(ranked, settings, seed=seed) for seed in (3, 3, 4))
        assert torch.equal(weights_of(first), weights_of(again))
        np.testing.assert_array_equal(first.fields.member_std, again.fields.member_std)
        assert not torch.equal(weights_of(first), weights_of(other))


def test_the_random_state_of_others_is_left_alone():
    ranked = ranked_linear_world(8, seed=0)
    before = torch.random.get_rng_state()
    torch.manual_seed(1)
    first = learn_reward(ranked, SMALL, seed=3)
    torch.manual_seed(2)
    after = torch.random.get_rng_state()
    assert torch.equal(weights_of(first), weights_of(learn_reward(ranked, SMALL, seed=3)))
    assert torch.equal(after, torch.random.get_rng_state())
    torch.random.set_rng_state(before)


# Own networks


def documented_network():
    """The class that the documentation of ``RewardNetwork`` shows, made from that very text."""
    block = re.search(r"::\n\n(.*?\n)\s*reward = learn_reward", inspect.getdoc(RewardNetwork), re.DOTALL)
    names = {"torch": torch}
    exec(textwrap.dedent(block.group(1)), names)
    return names["Bounded"]


def test_the_documented_own_network_learns_a_bounded_reward():
    settings = dataclasses.replace(SMALL, gradient_steps=100, learning_rate=1e-2)
    ranked = ranked_linear_world(24, seed=0)
    reward = learn_reward(ranked, settings, seed=0, network=documented_network())
    world, quality = linear_world(60, seed=1)
    assert kendalltau(reward.returns(world), quality).statistic > 0.8
    raw = reward.network(1e6 * torch.as_tensor(world.observations)[None])
    assert float(raw.abs().max()) <= 1.0
    again = learn_reward(ranked, settings, seed=0, network=documented_network())
    assert torch.equal(weights_of(reward), weights_of(again))


def test_an_own_network_that_answers_in_another_shape_is_refused():
    class Column(torch.nn.Module):
        def __init__(self, features):
            super().__init__()
            self.layer = torch.nn.Linear(features, 1)

        def forward(self, inputs):
            return self.layer(inputs)

    sentence = "network: expected an answer of shape (members, n) = (1, 2) to (1, 2, 3), found (1, 2, 1)"
    with pytest.raises(UserError, match=re.escape(sentence)):
        learn_reward(ranked_linear_world(8, seed=0), SMALL, seed=0, network=Column)


@pytest.mark.parametrize("part", ["observations", "actions", "next_observations"])
def test_a_network_that_works_in_place_leaves_the_trajectories_as_they_are(part):
    class InPlace(torch.nn.Module):
        def __init__(self, features):
            super().__init__()
            self.layer = torch.nn.Linear(features, 1)

        def forward(self, inputs):
            return self.layer(inputs.mul_(2.0)).squeeze(-1)

    world, quality = linear_world(8, seed=0)
    world = dataclasses.replace(world, actions=1.0 + world.actions)
    for array in (world.observations, world.actions):
        array.setflags(write=False)
    settings = dataclasses.replace(SMALL, inputs=(part,), gradient_steps=1)
    before = world.observations.copy()
    learn_reward(RankedTrajectories(world, from_scores(quality)), settings, seed=0, network=InPlace)
    np.testing.assert_array_equal(world.observations, before)
    np.testing.assert_array_equal(world.actions, np.ones_like(world.actions))


def features(inputs, *transitions, **options):
    return transition_features(inputs, *map(torch.as_tensor, transitions), **options).numpy()


def test_features_are_the_chosen_parts_side_by_side():
    before, actions, after = np.arange(4).reshape(2, 2), np.array([7, 8]), 10 * np.arange(4).reshape(2, 1, 2)
    found = features(("next_observations", "actions"), before, actions, after)
    assert found.dtype == np.float32
    assert found.tolist() == [[0, 10, 7], [20, 30, 8]]
    assert features(("observations",), before, actions, after).tolist() == [[0, 1], [2, 3]]


def test_choices_are_seen_as_one_number_an_option_and_an_unseen_option_as_zeros():
    actions = np.array([[0, 2], [1, 0], [0, 1]])
    assert options_of(actions) == (2, 3)
    assert options_of(np.array([2, 0])) == (3,)
    assert options_of(actions.astype(np.float32)) == ()
    found = features(("actions",), actions, actions, actions, action_options=(2, 3))
    assert found.dtype == np.float32
    assert found.tolist() == [[1, 0, 0, 0, 1], [0, 1, 1, 0, 0], [1, 0, 0, 1, 0]]
    beyond = np.array([[3, 0]])
    unseen = features(("actions",), beyond, beyond, beyond, action_options=(2, 3))
    assert unseen.tolist() == [[0, 0, 1, 0, 0]]


def test_a_reward_of_actions_learns_that_the_middle_one_is_best_and_keeps_it_in_its_files(tmp_path):
    """No order of indices: episodes with more of action 1 are better, 0 and 2 are alike."""
    generator = np.random.default_rng(0)
    share = np.linspace(0, 1, 20)
    either = 2 * generator.integers(2, size=(20, 30))
    actions = np.where(generator.random((20, 30)) < share[:, None], 1, either).reshape(-1)
    blank = np.zeros((600, 1), np.float32)
    trajectories = Trajectories(blank, actions, np.full(20, 30), np.zeros(20, np.bool_), blank[:20])
    ranked = RankedTrajectories(trajectories, from_order(range(20)))
    reward = learn_reward(
        ranked,
        dataclasses.replace(SMALL, inputs=("actions",), gradient_steps=200, learning_rate=1e-2),
        seed=0,
    )
    reward.save(tmp_path)
    for kept in (reward, load_reward(tmp_path)):
        each = kept(blank[:3], np.arange(3), blank[:3], np.zeros(3, np.bool_))
        assert each[1] > max(each[0], each[2]) + 1.0
        assert np.isfinite(kept(blank[:1], np.array([7]), blank[:1], np.zeros(1, np.bool_))).all()


def test_initial_weights_are_drawn_as_linear_layers_draw_theirs():
    network = ensemble(16, members=4, hidden_sizes=(64,))
    for tensor, fan_in in zip([*network.weights, *network.biases], [16, 64, 16, 64], strict=True):
        values = tensor.detach()
        assert float(values.abs().max()) <= fan_in**-0.5
        if values.numel() > 200:
            assert float(values.std()) == pytest.approx((fan_in**-0.5) / np.sqrt(3), rel=0.1)
    assert [tuple(weight.shape) for weight in network.weights] == [(4, 16, 64), (4, 64, 1)]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"inputs": ()}, "RewardSettings.inputs: expected at least one part of a transition, found none"),
        ({"label_noise": 0.5}, "label_noise: expected from 0 to below 0.5, found 0.5"),
        ({"label_noise": -0.1}, "label_noise: expected from 0 to below 0.5, found -0.1"),
        ({"held_out": 1.0}, "held_out: expected from 0 to below 1, found 1.0"),
        (
            {"held_out": 0.0, "patience": 3},
            "RewardSettings.patience: expected held-out trajectories to stop by, found held_out = 0",
        ),
        ({"members": 0}, "RewardSettings.members: expected at least 1, found 0"),
        ({"gradient_steps": 0}, "RewardSettings.gradient_steps: expected at least 1, found 0"),
        ({"check_every": 0}, "RewardSettings.check_every: expected at least 1, found 0"),
        ({"hidden_sizes": (8, 0)}, "RewardSettings.hidden_sizes: expected at least 1, found 0"),
    ],
)
def test_settings_without_meaning_are_refused(changes, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        RewardSettings(**changes)
