"""From scratch, observations are standardised by all that has been seen, refitted between rollouts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback
from tiny_environments import WALK

from drex.agents.policies.network import PolicySettings
from drex.agents.ppo.settings import PPOSettings
from drex.agents.ppo.train import train_ppo
from drex.envs.make import make_environments
from drex.errors import UserError

ROLLOUT = 4 * 32


class Watch(BaseCallback):
    """Keeps every rollout, and mean and standard deviation at each of its steps; may stop the training."""

    def __init__(self, stop_after=None):
        super().__init__()
        self.rollouts, self.used, self.stop_after = [], [], stop_after

    def _on_step(self):
        features = self.model.policy.features_extractor
        self.used.append((features.mean.clone(), features.std.clone()))
        return self.stop_after is None or self.num_timesteps < self.stop_after

    def _on_rollout_end(self):
        self.rollouts.append(self.model.rollout_buffer.observations.reshape(-1, 2).copy())


def train(rollouts, *, callback=None, checkpoints=None, **settings):
    chosen = {"environments": 4, "rollout_steps": 32, "batch_size": 64, "epochs": 2}
    return train_ppo(
        lambda count, seed: make_environments(WALK, count, seed=seed, reward="true"),
        PPOSettings.fast_from_scratch(
            environment_steps=rollouts * ROLLOUT, checkpoint_steps=2 * ROLLOUT, **{**chosen, **settings}
        ),
        policy_settings=PolicySettings(policy_hidden_sizes=(8,), value_hidden_sizes=(8,)),
        seed=5,
        reward=None,
        start_from=None,
        callback=callback,
        checkpoints=checkpoints,
    )


def test_mean_and_deviation_are_those_of_all_observations_so_far():
    watch = Watch()
    model = train(5, callback=watch)
    seen = np.concatenate(watch.rollouts).astype(np.float64)
    assert len(seen) == 5 * ROLLOUT
    features = model.policy.features_extractor
    np.testing.assert_allclose(features.mean.numpy(), seen.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(features.std.numpy(), seen.std(axis=0), rtol=1e-4)
    assert seen.std(axis=0).max() < 0.5  # far from the 1 that it starts at


def test_they_change_between_rollouts_and_not_within_one():
    watch = Watch()
    train(3, callback=watch)
    steps = [watch.used[start : start + 32] for start in range(0, 96, 32)]
    for rollout in steps:
        assert all(torch.equal(mean, rollout[0][0]) for mean, _ in rollout)
    assert steps[0][0][0].abs().max() == 0.0
    assert not torch.equal(steps[1][0][0], steps[2][0][0])


def test_without_being_asked_for_nothing_is_standardised():
    model = train(2, normalize_observations=False)
    assert model.policy.features_extractor.mean.abs().max() == 0.0


def test_a_stopped_run_goes_on_from_its_checkpoint_as_if_it_had_not_stopped(tmp_path):
    whole = train(4, checkpoints=tmp_path / "whole").policy.state_dict()
    train(4, checkpoints=tmp_path / "pieces", callback=Watch(stop_after=3 * ROLLOUT - 8))
    assert [path.name for path in (tmp_path / "pieces").iterdir()] == [f"checkpoint-{2 * ROLLOUT}"]
    resumed = train(4, checkpoints=tmp_path / "pieces").policy.state_dict()
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name


def test_a_checkpoint_with_a_changed_bit_is_refused(tmp_path):
    train(4, checkpoints=tmp_path, callback=Watch(stop_after=3 * ROLLOUT - 8))
    (file,) = tmp_path.glob("checkpoint-*/state.safetensors")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"state\.safetensors: expected the file as it was written"):
        train(4, checkpoints=tmp_path)


def test_a_clone_keeps_what_its_demonstrations_say():
    with pytest.raises(
        UserError, match=r"PPOSettings.normalize_observations: expected false when starting from the clone"
    ):
        PPOSettings(normalize_observations=True)
