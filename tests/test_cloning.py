"""Behavioral cloning recovers known policies, stops early at its best, and repeats itself exactly."""

from __future__ import annotations

import copy

import gymnasium
import numpy as np
import pytest
import torch

from drex.agents.behavioral_cloning import CloningSettings, clone
from drex.agents.policies.acting import clip_to_space, deterministic, stochastic, uniform
from drex.agents.policies.network import PolicySettings, action_mean, make_policy
from drex.envs.data.trajectories import Trajectories
from drex.errors import UserError

OBSERVATIONS = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float32)
BOX = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
CHOICES = gymnasium.spaces.Discrete(3)
SMALL = PolicySettings(policy_hidden_sizes=(32,), value_hidden_sizes=(8,))
GAINS = np.array([[0.5, -0.2, 0.1], [-0.3, 0.4, 0.2]])


def seen(count, seed):
    """Observations of unlike scales, as in locomotion."""
    return (
        np.random.default_rng(seed).normal([0.0, 5.0, -1.0], [0.5, 2.0, 1.0], (count, 3)).astype(np.float32)
    )


def linear_actions(observations):
    """Well inside the box: linear in the standardised observations."""
    standard = (observations - [0.0, 5.0, -1.0]) / [0.5, 2.0, 1.0]
    return (standard @ GAINS.T * 0.5).astype(np.float32)


def choose(observations):
    """0 where the second number is small, 2 where it is large, else 1."""
    return (observations[:, 1] > 4.0).astype(np.int64) + (observations[:, 1] > 6.0)


def demonstrations(actions_of, *, count=2000, seed=0):
    observations = seen(count, seed)
    return Trajectories(
        observations,
        actions_of(observations),
        np.array([count // 2, count - count // 2]),
        np.zeros(2, np.bool_),
    )


def cloned(data, space, *, seed=0, log=None, **settings):
    chosen = CloningSettings(**{"gradient_steps": 1500, "l2": 0.0, "learning_rate": 3e-3, **settings})
    return clone(data, OBSERVATIONS, space, policy_settings=SMALL, settings=chosen, seed=seed, log=log)


def test_a_linear_policy_is_recovered():
    policy = cloned(demonstrations(linear_actions), BOX)
    fresh = seen(500, seed=1)
    errors = deterministic(policy)(fresh) - linear_actions(fresh)
    assert np.sqrt(np.mean(errors**2)) < 0.01 * linear_actions(fresh).std() * 4
    mean, _ = policy.predict(fresh, deterministic=True)
    np.testing.assert_allclose(deterministic(policy)(fresh), mean, atol=1e-6)


def test_a_threshold_policy_is_recovered():
    policy = cloned(demonstrations(choose), CHOICES)
    fresh = seen(1000, seed=1)
    assert (deterministic(policy)(fresh) == choose(fresh)).mean() > 0.98
    np.testing.assert_array_equal(deterministic(policy)(fresh), policy.predict(fresh, deterministic=True)[0])


def test_early_stopping_keeps_the_best_weights():
    """Labels of pure noise and too large steps: the held-out loss soon rises, and the lowest is what is
    returned."""
    noise = np.random.default_rng(5)
    data = demonstrations(lambda observations: noise.uniform(-1, 1, (len(observations), 2)), count=60)
    losses = {}

    def log(name, value, step):
        if name == "bc/held_out_loss":
            losses[step] = value

    settings = {"check_every": 10, "patience": 3, "held_out": 0.3, "learning_rate": 0.02}
    policy = cloned(data, BOX, log=log, **settings)
    best_step = min(losses, key=losses.get)
    assert max(losses) == best_step + 10 * 4  # the fourth look without improvement ends it
    assert max(losses) < 1500
    held_out = np.random.default_rng(0).permutation(60)[:18]
    with torch.no_grad():
        predicted = action_mean(policy, torch.as_tensor(data.observations[held_out])).numpy()
    loss = np.square(predicted - data.actions[held_out]).sum(axis=1).mean()
    assert loss == pytest.approx(losses[best_step], rel=1e-5)
    assert losses[max(losses)] > losses[best_step]


def test_the_last_gradient_step_is_looked_at_too():
    """Fewer gradient steps than lie between two looks still leave a trained policy."""
    data = demonstrations(linear_actions)
    losses = []
    policy = cloned(
        data,
        BOX,
        gradient_steps=60,
        check_every=100,
        log=lambda name, value, step: losses.append((name, step)),
    )
    assert [step for name, step in losses if name == "bc/held_out_loss"] == [0, 60]
    untrained = make_policy(OBSERVATIONS, BOX, SMALL, seed=0)
    assert not torch.equal(policy.action_net.weight, untrained.action_net.weight)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    data = demonstrations(linear_actions, count=300)
    first, second, other = (cloned(data, BOX, seed=seed, gradient_steps=100) for seed in (0, 0, 1))
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name
    assert not torch.equal(first.action_net.weight, other.action_net.weight)


def test_cloning_leaves_the_global_random_stream_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    cloned(demonstrations(linear_actions, count=50), BOX, gradient_steps=5)
    assert torch.equal(torch.rand(3), expected)


def test_observations_are_standardised_by_the_demonstrations():
    data = demonstrations(linear_actions)
    constant = Trajectories(
        np.concatenate([data.observations[:, :2], np.full((2000, 1), 7.0, np.float32)], axis=1),
        data.actions,
        data.lengths,
        data.terminated,
    )
    extractor = cloned(constant, BOX, gradient_steps=1).features_extractor
    assert extractor.mean.numpy() == pytest.approx(constant.observations.astype(np.float64).mean(axis=0))
    expected = constant.observations.astype(np.float64).std(axis=0)
    assert extractor.std.numpy()[:2] == pytest.approx(expected[:2])
    assert extractor.std.numpy()[2] == pytest.approx(1e-2)  # what never moved must not blow up
    features = extractor(torch.tensor([[0.0, 5.0, 8.0]]))
    assert features.abs().max() == pytest.approx(10.0)


def test_demonstrated_actions_are_clipped_as_the_environment_clips_them():
    beyond = demonstrations(lambda observations: np.full((len(observations), 2), 3.0, np.float32))
    policy = cloned(beyond, BOX, gradient_steps=800)
    with torch.no_grad():
        mean = action_mean(policy, torch.as_tensor(seen(50, seed=2)))
    assert mean.numpy() == pytest.approx(np.ones((50, 2)), abs=0.05)


def test_the_clones_spread_is_its_error_on_transitions_it_has_not_seen():
    """Gaussian label noise of 0.2 and of 0.01: the first is found again, the second raised to the least."""
    noise = np.random.default_rng(3)

    def noisy(observations):
        return linear_actions(observations) * 0.3 + noise.normal(0.0, [0.2, 0.01], (len(observations), 2))

    policy = cloned(demonstrations(noisy, count=4000), BOX, smallest_std=0.05)
    spread = policy.log_std.detach().exp().numpy()
    assert spread[0] == pytest.approx(0.2, rel=0.15)
    assert spread[1] == pytest.approx(0.05)


def test_the_clones_spread_is_not_its_error_on_transitions_it_was_trained_on():
    """So few transitions that the two errors differ by far."""
    noise = np.random.default_rng(5).normal(0.0, 0.1, (60, 2))
    data = demonstrations(lambda observations: linear_actions(observations) + noise, count=60)
    policy = cloned(data, BOX, held_out=0.3, gradient_steps=100, check_every=10, smallest_std=1e-3)
    with torch.no_grad():
        errors = action_mean(policy, torch.as_tensor(data.observations)).numpy() - data.actions
    order = np.random.default_rng(0).permutation(60)
    held_out, training = (
        np.sqrt(np.square(errors[steps]).mean(axis=0)) for steps in (order[:18], order[18:])
    )
    assert policy.log_std.detach().exp().numpy() == pytest.approx(held_out, rel=1e-4)
    assert (np.abs(training / held_out - 1) > 0.2).all()


def test_only_the_policys_own_weights_are_trained():
    start = copy.deepcopy(make_policy(OBSERVATIONS, BOX, SMALL, seed=0).state_dict())
    trained = cloned(demonstrations(linear_actions, count=200), BOX, gradient_steps=100).state_dict()
    changed = {name for name in start if not torch.equal(start[name], trained[name])}
    assert not any("value" in name for name in changed)
    assert {"action_net.weight", "action_net.bias"} <= changed


def test_a_single_transition_is_refused():
    data = Trajectories(seen(1, 0), np.zeros((1, 2), np.float32), np.array([1]), np.zeros(1, np.bool_))
    with pytest.raises(UserError, match="expected at least two transitions to clone from, found 1"):
        cloned(data, BOX)
    two = Trajectories(seen(2, 0), np.zeros((2, 2), np.float32), np.array([1, 1]), np.zeros(2, np.bool_))
    assert np.isfinite(deterministic(cloned(two, BOX, gradient_steps=10))(seen(3, 1))).all()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_held_out_share_that_leaves_nothing_is_refused(share):
    with pytest.raises(UserError, match=f"held_out: expected above 0, below 1, found {share}"):
        CloningSettings(held_out=share)


def test_policies_as_callables_stay_in_the_box_and_sample_with_the_policys_spread():
    policy = make_policy(OBSERVATIONS, BOX, SMALL, seed=0)
    observations = np.zeros((4000, 3), np.float32)
    with torch.no_grad():
        policy.action_net.bias.copy_(torch.tensor([0.1, 5.0]))
        policy.action_net.weight.zero_()
        policy.log_std.fill_(np.log(0.2))
    assert deterministic(policy)(observations[:1]) == pytest.approx(np.array([[0.1, 1.0]]))
    actions = stochastic(policy, seed=0)(observations)
    assert actions.min() >= -1.0
    assert actions.max() <= 1.0
    assert actions[:, 0].mean() == pytest.approx(0.1, abs=0.015)
    assert actions[:, 0].std() == pytest.approx(0.2, abs=0.015)
    np.testing.assert_array_equal(stochastic(policy, seed=0)(observations), actions)
    random = uniform(BOX, seed=0)(observations)
    assert random.shape == (4000, 2)
    assert np.abs(random).max() <= 1.0
    np.testing.assert_array_equal(clip_to_space(np.array([[2.0, -3.0]]), BOX), [[1.0, -1.0]])
    np.testing.assert_array_equal(clip_to_space(np.array([7]), CHOICES), [7])


def test_a_stochastic_discrete_policy_samples_its_own_probabilities():
    policy = make_policy(OBSERVATIONS, CHOICES, SMALL, seed=0)
    probabilities = torch.tensor([0.7, 0.2, 0.1])
    with torch.no_grad():
        policy.action_net.weight.zero_()
        policy.action_net.bias.copy_(probabilities.log())
    drawn = stochastic(policy, seed=0)(np.zeros((6000, 3), np.float32))
    assert np.bincount(drawn, minlength=3) / 6000 == pytest.approx(probabilities.numpy(), abs=0.02)


@pytest.mark.parametrize("highest", [254, 255])
def test_a_small_grid_of_bytes_is_seen_as_it_comes(highest):
    """stable-baselines3 takes it for an image where 255 is the highest byte, and divides it by that."""
    generator = np.random.default_rng(0)
    grids = generator.integers(0, 11, (1500, 7, 7, 3)).astype(np.uint8)
    actions = (grids[:, 3, 3, 0] > 5).astype(np.int64) + (grids[:, 0, 0, 1] > 5)
    data = Trajectories(grids, actions, np.array([1500]), np.zeros(1, np.bool_))
    space = gymnasium.spaces.Box(0, highest, (7, 7, 3), np.uint8)
    settings = CloningSettings(gradient_steps=600)
    policy = clone(data, space, CHOICES, policy_settings=PolicySettings(), settings=settings, seed=0)
    assert (deterministic(policy)(grids) == actions).mean() > 0.95


@pytest.mark.parametrize(("low", "high"), [(285.0, 305.0), (1000.0, 1050.0), (5.0, 35.0), (0.0, 1.0)])
def test_a_box_far_from_zero_is_cloned_as_well_as_one_around_it(low, high):
    space = gymnasium.spaces.Box(low, high, (2,), np.float32)
    center, half = (low + high) / 2.0, (high - low) / 2.0
    policy = cloned(
        demonstrations(lambda seen: (center + half * linear_actions(seen)).astype(np.float32)), space
    )
    fresh = seen(500, seed=1)
    error = (deterministic(policy)(fresh) - center) / half - linear_actions(fresh)
    assert np.sqrt(np.square(error).mean()) < 0.1


def test_an_untrained_policy_acts_around_the_center_of_its_box():
    space = gymnasium.spaces.Box(np.float32([5.0, -1.0]), np.float32([35.0, 1.0]))
    policy = make_policy(OBSERVATIONS, space, SMALL, seed=0)
    np.testing.assert_allclose(deterministic(policy)(seen(50, seed=0)).mean(axis=0), [20.0, 0.0], atol=0.1)
