"""The Nature CNN over bytes is stable-baselines3's, and PPO's update of it too, at either precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO as StablePPO
from stable_baselines3.common.torch_layers import NatureCNN
from tiny_image_environments import MEET

from drex.agents.policies.nature_cnn import BytesCNN
from drex.agents.ppo.algorithm import PPO
from drex.envs.atari.options import FRAMES
from drex.envs.make import make_environments


@pytest.fixture
def both():
    torch.manual_seed(0)
    theirs, ours = NatureCNN(FRAMES), BytesCNN(FRAMES)
    ours.load_state_dict(theirs.state_dict())  # equal names and shapes
    return theirs, ours


@pytest.fixture
def images():
    return torch.randint(
        0, 256, (5, 4, 84, 84), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


def gradients(network, seen):
    network.zero_grad()
    network(seen).square().sum().backward()
    return {name: parameter.grad for name, parameter in network.named_parameters()}


def test_features_and_gradients_are_stable_baselines3s(both, images):
    theirs, ours = both
    expected = theirs(images / 255.0)
    torch.testing.assert_close(ours(images), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours(images / 255.0), expected, rtol=1e-5, atol=1e-6)
    wanted = gradients(theirs, images / 255.0)
    for name, gradient in gradients(ours, images).items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-4, atol=1e-5)


def test_bfloat16_errs_by_less_than_two_percent_and_hands_out_single_precision(both, images):
    theirs = both[0]
    ours = BytesCNN(FRAMES, precision="bfloat16")
    ours.load_state_dict(theirs.state_dict())
    expected, found = theirs(images / 255.0).detach(), ours(images).detach()
    error = float((found - expected).norm() / expected.norm())
    assert found.dtype == torch.float32
    assert 1e-5 < error < 0.02  # rounded, but little
    wanted = gradients(theirs, images / 255.0)
    for name, gradient in gradients(ours, images).items():
        assert gradient.dtype == torch.float32
        assert (gradient - wanted[name]).norm() < 0.05 * wanted[name].norm()


@pytest.mark.parametrize("network", [NatureCNN, BytesCNN])
def test_ppos_updates_of_the_network_equal_stable_baselines3s(network):
    arguments = {"n_steps": 16, "batch_size": 32, "n_epochs": 2, "learning_rate": 1e-3, "seed": 3}
    small = {"features_extractor_kwargs": {"features_dim": 32}, "net_arch": []}
    kept = []
    for algorithm, extractor in ((StablePPO, NatureCNN), (PPO, network)):
        environments = make_environments(MEET, 4, seed=0, reward="true")
        policy = {**small, "features_extractor_class": extractor}
        model = algorithm("CnnPolicy", environments, policy_kwargs=policy, device="cpu", **arguments)
        model.learn(3 * 16 * 4)
        kept.append(model)
    start = StablePPO(
        "CnnPolicy", environments, policy_kwargs=small, device="cpu", seed=3
    ).policy.state_dict()
    theirs, ours = (model.policy.state_dict() for model in kept)
    moved = max(float((theirs[name] - start[name]).abs().max()) for name in theirs)
    apart = max(float((theirs[name] - ours[name]).abs().max()) for name in theirs)
    assert moved > 1e-3
    assert apart < 1e-3 * moved
    values = kept[0].rollout_buffer.values.reshape(4, 16).T  # theirs lie environment by environment
    np.testing.assert_allclose(kept[1].rollout_buffer.values, values, atol=1e-4)
