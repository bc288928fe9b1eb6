"""Actors asked a few observations at a time give what their network gives, however they are computed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete

from drex.agents.policies.inference import inference
from drex.agents.policies.network import (
    PolicySettings,
    StandardizedObservations,
    action_mean,
    make_policy,
)

SEEN = Box(-np.inf, np.inf, (2, 3), np.float64)
SIZES = [(16,), (128, 128), (300, 300), (64, 32, 8), ()]  # 300 units are left to torch


def policy_of(sizes, activation, action_space):
    settings = PolicySettings(policy_hidden_sizes=sizes, activation=activation)
    policy = make_policy(SEEN, action_space, settings, seed=0)
    features = policy.features_extractor
    assert isinstance(features, StandardizedObservations)
    features.fit(np.random.default_rng(0).normal(3.0, 2.0, (500, 2, 3)))
    with torch.no_grad():
        policy.action_net.weight.mul_(100.0)
        policy.action_net.bias.add_(1.0)
    return policy


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("action_space", [Box(-1, 1, (2,)), Discrete(4)], ids=["box", "discrete"])
@pytest.mark.parametrize("count", [1, 16, 37])
def test_outputs_are_those_of_the_network(sizes, activation, action_space, count):
    policy = policy_of(sizes, activation, action_space)
    observations = np.random.default_rng(1).normal(3.0, 30.0, (count, 2, 3))  # some beyond ten deviations
    with torch.no_grad():
        expected = action_mean(policy, torch.as_tensor(observations, dtype=torch.float32)).numpy()
    found = inference(policy)(observations)
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)
    assert np.abs(found).max() > 0.01


@pytest.mark.parametrize("sizes", [(16,), (300, 300)])
def test_weights_and_scales_changed_in_place_are_seen(sizes):
    policy, other = (policy_of(sizes, "tanh", Box(-1, 1, (2,))) for _ in range(2))
    infer, observations = inference(policy), np.ones((3, 2, 3))
    before = infer(observations)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.5)
        other.features_extractor.mean.add_(0.5)
    policy.load_state_dict(other.state_dict())
    np.testing.assert_array_equal(infer(observations), inference(other)(observations))
    assert not np.allclose(infer(observations), before)


def test_observations_are_left_as_they_are():
    policy = policy_of((16,), "relu", Box(-1, 1, (2,)))
    observations = np.full((3, 2, 3), 7.0, np.float32)
    inference(policy)(observations)
    assert (observations == 7.0).all()
