"""Policies that see pixels: one Nature CNN is cloned, kept in files, disturbed and trained by PPO."""

from __future__ import annotations

import copy
import json

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO as StablePPO
from stable_baselines3.common.torch_layers import NatureCNN
from tiny_image_environments import HORIZON, MEET, best_actions

from drex.agents.behavioral_cloning import CloningSettings, clone
from drex.agents.policies.acting import deterministic, stochastic
from drex.agents.policies.network import PolicySettings, action_mean, make_policy
from drex.agents.policies.saved_actor_critic import load_policy, save_policy
from drex.agents.ppo.settings import PPOSettings
from drex.agents.ppo.train import train_ppo
from drex.agents.rollouts.collect import collect
from drex.demonstrations.load_and_save import save_demonstrations
from drex.envs.make import make_environments, task_spaces
from drex.errors import UserError
from drex.evaluation.evaluate import EvaluationSettings
from drex.pipeline import run
from drex.presets.settings import Settings
from drex.rankings.settings import NoiseRanking
from drex.report.html import write_report
from drex.rewards.learned_reward import load_reward
from drex.rewards.settings import RewardSettings
from drex.rewards.snippets import SnippetSettings

SETTINGS = PolicySettings(policy_hidden_sizes=(), value_hidden_sizes=())
QUICK = CloningSettings(
    gradient_steps=250, batch_size=64, learning_rate=1e-3, l2=0.0, check_every=50, held_out=0.2
)


def make(count, seed):
    return make_environments(MEET, count, seed=seed)


@pytest.fixture(scope="module")
def spaces():
    return task_spaces(MEET)[:2]


@pytest.fixture(scope="module")
def shown():
    """The best policy's episodes."""
    return collect(best_actions, make(8, 5), 100, seed=0)


@pytest.fixture(scope="module")
def cloned(shown, spaces):
    log = []
    policy = clone(
        shown[0],
        *spaces,
        policy_settings=SETTINGS,
        settings=QUICK,
        seed=0,
        log=lambda name, value, step: log.append((name, value, step)),
    )
    return policy, log


# Cloning


def test_a_clone_of_pixels_acts_as_the_demonstrator_where_it_never_was(cloned, shown):
    policy, log = cloned
    losses = [value for name, value, _ in log if name == "bc/held_out_loss"]
    assert losses[0] == pytest.approx(np.log(3), abs=0.05)
    assert min(losses) < 0.2
    trajectories, returns = collect(deterministic(policy), make(8, 77), 30, seed=1)
    found, best = returns.values_for_evaluation().mean(), shown[1].values_for_evaluation().mean()
    assert found > 0.8 * best
    agreed = deterministic(policy)(trajectories.observations[:]) == best_actions(trajectories.observations[:])
    assert agreed.mean() > 0.8


def test_the_network_is_the_nature_cnn_on_channel_first_images_from_0_to_1(spaces):
    policy = make_policy(*spaces, SETTINGS, seed=0)
    assert isinstance(policy.features_extractor, NatureCNN)
    seen = []
    policy.features_extractor.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    white = torch.full((1, 2, 36, 36), 255, dtype=torch.uint8)
    by_bytes = action_mean(policy, white)
    torch.testing.assert_close(action_mean(policy, white.float()), by_bytes)
    seen.reverse()
    assert [images.dtype for images in seen] == [torch.float32, torch.uint8]  # bytes are scaled inside
    assert (seen[0] == 1.0).all()
    assert policy.pi_features_extractor is policy.vf_features_extractor  # as published: shared
    layers = [layer for layer in policy.features_extractor.cnn if isinstance(layer, torch.nn.Conv2d)]
    assert [(c.out_channels, c.kernel_size[0], c.stride[0]) for c in layers] == [
        (32, 8, 4),
        (64, 4, 2),
        (64, 3, 1),
    ]


def test_channels_last_are_refused():
    space = gymnasium.spaces.Box(0, 255, (84, 84, 4), np.uint8)
    with pytest.raises(UserError, match=r"channels or stacked frames first.*found \(84, 84, 4\)"):
        make_policy(space, gymnasium.spaces.Discrete(3), SETTINGS, seed=0)


def test_equal_seeds_clone_equal_networks_and_read_few_images_at_a_time(shown, spaces):
    few = CloningSettings(gradient_steps=4, batch_size=16, check_every=2)
    biggest = []

    class Watched(type(shown[0].observations)):
        def __getitem__(self, index):
            biggest.append(np.size(self.rows[index]) // self.rows.shape[1])
            return super().__getitem__(index)

    stacks = shown[0].observations
    watched = copy.copy(shown[0])
    object.__setattr__(watched, "observations", Watched(stacks.frames, stacks.rows))
    one, other = (
        clone(demos, *spaces, policy_settings=SETTINGS, settings=few, seed=4).state_dict()
        for demos in (shown[0], watched)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert max(biggest) <= 512


def test_files_give_the_policy_back(cloned, spaces, shown, tmp_path):
    policy, _ = cloned
    save_policy(policy, SETTINGS, tmp_path)
    loaded = load_policy(tmp_path, *spaces)
    seen = torch.as_tensor(shown[0].observations[:16])
    torch.testing.assert_close(action_mean(loaded, seen), action_mean(policy, seen), rtol=0, atol=0)


# PPO


TRAINING = PPOSettings(
    environment_steps=256,
    environments=4,
    rollout_steps=32,
    batch_size=64,
    epochs=2,
    learning_rate=1e-3,
    critic_warmup_rollouts=1,
    checkpoint_steps=128,
)


def aligned(observations, actions, next_observations, terminated):
    """A reward that reads the picture: 1 where the player stands below the target."""
    newest = next_observations[:, -1]
    return (newest[:, 10].argmax(axis=1) == newest[:, 28].argmax(axis=1)).astype(np.float32)


def trained(cloned, **options):
    settings = PPOSettings(**{**vars(TRAINING), **options.pop("settings", {})})
    asked = {"reward": aligned, "start_from": cloned[0], "seed": 2} | options
    return train_ppo(make, settings, policy_settings=SETTINGS, **asked)


def test_nothing_advises_against_a_gpu_for_images(cloned):
    """stable-baselines3 warns of PPO on a GPU, unless its policy is one for images; warnings are errors."""
    model = trained(cloned)
    model.device = torch.device("cuda")
    model._maybe_recommend_cpu()


def test_while_only_the_value_network_learns_the_cloned_policy_stays_as_it_is(cloned, shown):
    seen = torch.as_tensor(shown[0].observations[:16])
    model = trained(cloned, settings={"critic_warmup_rollouts": 8})
    with torch.no_grad():
        torch.testing.assert_close(
            action_mean(model.policy, seen), action_mean(cloned[0], seen), rtol=0, atol=0
        )
        assert not torch.equal(model.policy.predict_values(seen), cloned[0].predict_values(seen))
    moved = trained(cloned, settings={"final_learning_rate": 1e-3})  # the schedule ends at 0 otherwise
    assert not torch.equal(action_mean(moved.policy, seen), action_mean(cloned[0], seen))


def test_training_in_pieces_ends_with_the_same_weights(cloned, tmp_path):
    whole = trained(cloned, checkpoints=tmp_path / "whole").policy.state_dict()
    trained(cloned, settings={"environment_steps": 128}, checkpoints=tmp_path / "pieces")
    # The first piece has planned for 128 steps: only a schedule that is flat agrees with the longer plan.
    flat = {"final_learning_rate": 1e-3}
    one = trained(cloned, settings=flat, checkpoints=tmp_path / "flat").policy.state_dict()
    trained(cloned, settings=flat | {"environment_steps": 128}, checkpoints=tmp_path / "flat pieces")
    two = trained(cloned, settings=flat, checkpoints=tmp_path / "flat pieces").policy.state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(whole[name], one[name]) for name in one)


def test_clipping_falls_linearly_to_its_end(cloned):
    model = trained(
        cloned, settings={"clip_range": 0.1, "final_clip_range": 0.0, "critic_warmup_rollouts": 0}
    )
    assert [round(float(model.clip_range(left)), 3) for left in (1.0, 0.5, 0.0)] == [0.1, 0.05, 0.0]
    steady = trained(cloned, settings={"clip_range": 0.1})
    assert {float(steady.clip_range(left)) for left in (1.0, 0.5, 0.0)} == {0.1}


def test_what_was_trained_loads_in_stable_baselines3(cloned, shown, tmp_path):
    model = trained(cloned)
    model.save(tmp_path / "policy.zip")
    theirs = StablePPO.load(tmp_path / "policy.zip", device="cpu")
    seen = shown[0].observations[:12]
    actions, _ = theirs.predict(seen, deterministic=True)
    np.testing.assert_array_equal(actions, deterministic(model.policy)(seen))


# The whole run


TINY = Settings(
    policy=SETTINGS,
    bc=CloningSettings(gradient_steps=20, batch_size=32, check_every=10),
    ranking=NoiseRanking(levels=(0.0, 0.5, 1.0), episodes_per_level=4, environments=4),
    reward=RewardSettings(
        convolutions=((8, 8, 4),),
        hidden_sizes=(8,),
        members=2,
        mask_top=4,
        gradient_steps=6,
        check_every=3,
        held_out=0.25,
        snippets=SnippetSettings(minimum_length=5, maximum_length=10, stride=2, trajectories=6),
    ),
    learner=TRAINING,
    evaluation=EvaluationSettings(episodes=4, environments=4),
)


def test_a_whole_run_from_pixels_resumes_and_its_reward_masks_what_it_was_told_to(tmp_path):
    shown, returns = collect(best_actions, make(3, 5), 6, seed=0)
    file = tmp_path / "meet.npz"
    save_demonstrations(file, shown, rewards=returns.step_values_for_evaluation(), task=MEET)
    found = run(
        MEET, run_dir=tmp_path / "run", demonstrations=file, settings=TINY, seed=1, quiet=True, report=False
    )
    assert found["demonstrator"]["mean"] == pytest.approx(returns.values_for_evaluation().mean())
    assert 0.0 <= found["policy"]["mean"] <= HORIZON
    judged = sum(
        json.loads((tmp_path / "run" / file).read_text())["environment_steps"]
        for file in ("judges/judges.json", "policy/choice.json")
    )
    kinds, clones = 2, 2
    assert found["environment_steps"] == kinds * clones * 3 * 4 * HORIZON + judged + 256
    facts = json.loads((tmp_path / "run" / "reward" / "reward.json").read_text())
    assert (facts["image"]["shape"], facts["image"]["mask_top"]) == ([2, 36, 36], 4)
    reward, pictures = load_reward(tmp_path / "run" / "reward"), shown.observations[:9]
    hidden = pictures.copy()
    hidden[:, :, :4] = 99
    nothing = np.zeros(9, np.int64), np.zeros(9, np.bool_)
    np.testing.assert_array_equal(
        reward(pictures, nothing[0], pictures, nothing[1]), reward(hidden, nothing[0], hidden, nothing[1])
    )
    again = run(
        MEET,
        run_dir=tmp_path / "run",
        demonstrations=file,
        settings=TINY,
        seed=1,
        quiet=True,
        resume=True,
        report=False,
    )
    assert again["policy"] == found["policy"]
    assert again["reward"] == found["reward"]
    report = write_report(tmp_path / "run")
    drawn = {picture.stem for picture in (tmp_path / "run" / "figures").glob("*.png")}
    assert {"predicted_and_true", "frames_highest_and_lowest", "attention"} <= drawn
    assert "when a small square is hidden" in report.path.read_text()


def test_the_stochastic_clone_draws_by_its_logits(cloned, shown):
    policy, _ = cloned
    seen = np.repeat(shown[0].observations[:1], 2000, axis=0)
    drawn = stochastic(policy, seed=0)(seen)
    with torch.no_grad():
        expected = action_mean(policy, torch.as_tensor(seen[:1])).softmax(dim=1)[0].numpy()
    np.testing.assert_allclose(np.bincount(drawn, minlength=3) / 2000, expected, atol=0.05)
