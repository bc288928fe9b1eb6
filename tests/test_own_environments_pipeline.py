"""The whole pipeline on environments of the user's own: Dict observations, and every kind of actions."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from stable_baselines3 import PPO as StablePPO
from test_pipeline import TINY

from drex.agents.noise import NoiseSchedule
from drex.agents.policies import deterministic, uniform
from drex.agents.policy_files import load_policy
from drex.agents.rollouts import collect
from drex.demonstrations import load_demonstrations, save_demonstrations
from drex.envs.make import make_environments, task_spaces
from drex.pipeline import run
from drex.reward import load_reward

FORWARD = {
    "custom_environments:walk|custom_environments:in_a_dict": np.array([1.0, 0.0], np.float32),
    "custom_environments:discrete_walk|custom_environments:in_a_dict": np.array(1),
    "custom_environments:walk|custom_environments:Steps": np.array([2, 1]),
    "custom_environments:walk|custom_environments:Buttons": np.array([1, 0, 0, 0], np.int8),
}
KINDS = ("uniform", "held", "no_op")
SMALL = dataclasses.replace(
    TINY,
    bc=dataclasses.replace(TINY.bc, gradient_steps=300, learning_rate=1e-2),
    noise=NoiseSchedule(levels=(0.0, 0.5, 1.0), episodes_per_level=3, kinds=KINDS),
    reward=dataclasses.replace(TINY.reward, inputs=("observations", "actions")),
    ppo=dataclasses.replace(TINY.ppo, environment_steps=256, leaving_penalty=0.1, entropy_weight=0.01),
)


def mostly_forward(task):
    """A demonstrator that knows the way and takes one action in five at random."""
    space, generator = task_spaces(task)[1], np.random.default_rng(0)
    at_random = uniform(space, seed=0)

    def act(observations):
        actions = at_random(observations)
        actions[generator.random(len(actions)) < 0.8] = FORWARD[task]
        return actions

    return act


@pytest.mark.parametrize("task", FORWARD, ids=["Box from Dict", "Discrete", "MultiDiscrete", "MultiBinary"])
def test_the_whole_pipeline_runs_and_clones_what_was_demonstrated(task, tmp_path):
    trajectories, returns = collect(mostly_forward(task), make_environments(task, 5, seed=0), 10, seed=0)
    save_demonstrations(tmp_path / "own.npz", trajectories, rewards=returns.reveal_steps(), task=task)
    found = run(
        task, run_dir=tmp_path / "run", demonstrations=tmp_path / "own.npz", settings=SMALL, quiet=True
    )

    assert found["task"] == task
    assert found["bc"]["mean"] > found["random"]["interval"][1]
    assert found["bc"]["mean"] > 10.0
    assert found["policy"]["mean"] is not None
    assert {point["kind"] for point in found["noise"]} == set(KINDS)
    by_level = {(point["kind"], point["level"]): point["return"]["mean"] for point in found["noise"]}
    assert by_level["uniform", 0.0] > by_level["uniform", 1.0] + 3.0

    observation_space, action_space, _ = task_spaces(task)
    rollouts = load_demonstrations(
        tmp_path / "run" / "ranked" / "rollouts.npz",
        observation_space=observation_space,
        action_space=action_space,
    ).trajectories
    assert all(action_space.contains(action) for action in rollouts.actions)
    reward = load_reward(tmp_path / "run" / "reward").per_step(rollouts)
    assert reward.shape == (len(rollouts.actions),)
    assert reward.std() > 0.0

    policy = load_policy(tmp_path / "run" / "policy", observation_space, action_space)
    saved = StablePPO.load(tmp_path / "run" / "policy" / "policy.zip", device="cpu")
    seen = rollouts.observations[:20]
    chosen = deterministic(policy)(seen)
    np.testing.assert_allclose(saved.predict(seen, deterministic=True)[0], chosen, atol=1e-6)
    assert all(action_space.contains(action) for action in chosen)


def test_a_disturbance_is_drawn_from_the_whole_space_and_no_op_is_the_action_of_zeros():
    for task in FORWARD:
        space = task_spaces(task)[1]
        jobs = NoiseSchedule(levels=(0.0, 1.0), episodes_per_level=3, kinds=KINDS).jobs()
        trajectories, _ = collect(mostly_forward(task), make_environments(task, 3, seed=0), jobs, seed=1)
        episode = trajectories.episode_of_step
        drawn = {
            kind: trajectories.actions[
                np.isin(episode, [i for i, job in enumerate(jobs) if job.kind == kind and job.level == 1.0])
            ]
            for kind in KINDS
        }
        assert not drawn["no_op"].any()
        flat = drawn["uniform"].reshape(len(drawn["uniform"]), -1)
        assert all(space.contains(action) for action in drawn["uniform"])
        assert (flat.max(axis=0) > flat.mean(axis=0)).all()
        assert (flat.min(axis=0) < flat.mean(axis=0)).all()
        repeated = (drawn["held"][1:] == drawn["held"][:-1]).reshape(len(drawn["held"]) - 1, -1).all(axis=1)
        assert repeated.mean() > 0.5
