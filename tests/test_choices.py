"""Choices of every kind have stable-baselines3's probabilities, and are sampled, cloned and drawn by them."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete

from drex.agents.behavioral_cloning import CloningSettings, clone
from drex.agents.policies.acting import deterministic, stochastic, uniform_actions
from drex.agents.policies.discrete_actions import choices, divergence, log_probability_and_entropy
from drex.agents.policies.network import PolicySettings, action_mean, make_policy
from drex.envs.data.trajectories import Trajectories

SEEN = Box(-1.0, 1.0, (3,), np.float32)
SMALL = PolicySettings(policy_hidden_sizes=(16,), value_hidden_sizes=(4,))
SPACES = [Discrete(4), MultiDiscrete([2, 3, 4]), MultiBinary(3)]


@pytest.fixture(params=SPACES, ids=lambda space: type(space).__name__)
def space(request) -> gymnasium.Space:
    return request.param


def policy_with_logits(space, seed=0):
    """A policy whose logits are spread out, unlike those of fresh weights."""
    policy = make_policy(SEEN, space, SMALL, seed=seed)
    with torch.no_grad():
        policy.action_net.bias.copy_(torch.linspace(-1.5, 1.0, len(policy.action_net.bias)))
        policy.action_net.weight.mul_(400.0)
    return policy


def observations(count):
    return np.random.default_rng(1).uniform(-1, 1, (count, 3)).astype(np.float32)


def test_probabilities_and_entropy_are_those_of_stable_baselines3(space):
    policy = policy_with_logits(space)
    seen = torch.as_tensor(observations(50))
    actions = torch.as_tensor(uniform_actions(space, 50, np.random.default_rng(2)))
    with torch.no_grad():
        _, expected, expected_entropy = policy.evaluate_actions(seen, actions.float())
        found, entropy = log_probability_and_entropy(space, action_mean(policy, seen), actions)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(entropy, expected_entropy)
    assert float(found.std()) > 0.5


def test_the_divergence_is_zero_from_itself_and_that_of_torch_from_another(space):
    one, other = policy_with_logits(space), policy_with_logits(space, seed=1)
    seen = torch.as_tensor(observations(20))
    with torch.no_grad():
        ours, theirs = action_mean(one, seen), action_mean(other, seen)
    assert divergence(space, ours, ours).abs().max() < 1e-6
    pairs = zip(choices(space, theirs), choices(space, ours), strict=True)
    expected = sum(
        torch.distributions.kl_divergence(
            torch.distributions.Categorical(logits=reference), torch.distributions.Categorical(logits=logits)
        )
        for reference, logits in pairs
    )
    torch.testing.assert_close(divergence(space, ours, theirs), expected)
    assert float(expected.min()) > 0.0


def test_the_most_likely_action_is_that_of_stable_baselines3(space):
    policy, seen = policy_with_logits(space), observations(50)
    expected, _ = policy.predict(seen, deterministic=True)
    found = deterministic(policy)(seen)
    np.testing.assert_array_equal(found, expected)
    assert found.shape == (50, *space.shape)
    assert all(space.contains(action) for action in found)
    assert len(np.unique(found, axis=0)) > 1


def test_sampled_actions_occur_as_often_as_the_policy_says(space):
    policy = policy_with_logits(space)
    seen = np.repeat(observations(1), 20_000, axis=0)
    drawn = stochastic(policy, seed=3)(seen)
    assert all(space.contains(action) for action in drawn[:100])
    with torch.no_grad():
        logits = action_mean(policy, torch.as_tensor(seen[:1]))
    for entry, options in enumerate(choices(space, logits)):
        counts = np.bincount(drawn.reshape(len(drawn), -1)[:, entry], minlength=options.shape[1])
        np.testing.assert_allclose(counts / len(drawn), options.softmax(dim=1)[0].numpy(), atol=0.015)


def test_uniform_actions_cover_the_whole_space_evenly(space):
    drawn = uniform_actions(space, 12_000, np.random.default_rng(0))
    assert all(space.contains(action) for action in drawn[:100])
    kinds, counts = np.unique(drawn.reshape(len(drawn), -1), axis=0, return_counts=True)
    assert len(kinds) == {"Discrete": 4, "MultiDiscrete": 24, "MultiBinary": 8}[type(space).__name__]
    np.testing.assert_allclose(counts / len(drawn), 1 / len(kinds), rtol=0.25)


def test_a_clone_chooses_what_the_demonstrator_chose(space):
    """The demonstrator's every choice is told by the sign of one observation."""
    seen = observations(600)
    positive = (seen > 0).astype(np.int64)
    shown = positive[:, 0] * 3 if isinstance(space, Discrete) else positive
    demonstrations = Trajectories(
        seen, shown.astype(space.dtype), np.full(6, 100), np.zeros(6, dtype=np.bool_)
    )
    settings = CloningSettings(gradient_steps=400, learning_rate=1e-2)
    cloned = clone(demonstrations, SEEN, space, policy_settings=SMALL, settings=settings, seed=0)
    agreed = (deterministic(cloned)(seen) == shown).mean()
    assert agreed > 0.95
