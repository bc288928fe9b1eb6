"""The whole pipeline on environments of the user's own: Dict observations, and every kind of actions."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from custom_environments import Steps, walk
from stable_baselines3 import PPO as StablePPO
from test_pipeline import TINY

from drex.agents.policies.acting import deterministic, uniform
from drex.agents.policies.saved_actor_critic import load_policy
from drex.agents.rollouts.collect import collect
from drex.agents.rollouts.noise import NoiseSchedule
from drex.cli.main import main
from drex.cli.run_options import parse_run_options
from drex.demonstrations.load_and_save import load_demonstrations, save_demonstrations
from drex.envs.make import make_environments, task_spaces
from drex.errors import UserError
from drex.pipeline import run
from drex.rankings.settings import NoiseRanking
from drex.rewards.learned_reward import load_reward

FORWARD = {
    "custom_environments:walk|custom_environments:in_a_dict": np.array([1.0, 0.0], np.float32),
    "custom_environments:discrete_walk|custom_environments:in_a_dict": np.array(1),
    "custom_environments:walk|custom_environments:Steps": np.array([2, 1]),
    "custom_environments:walk|custom_environments:Buttons": np.array([1, 0, 0, 0], np.int8),
}
KINDS = ("uniform", "sticky", "no_op")
SMALL = dataclasses.replace(
    TINY,
    bc=dataclasses.replace(TINY.bc, gradient_steps=300, learning_rate=1e-2),
    ranking=NoiseRanking(
        levels=(0.0, 0.5, 1.0), episodes_per_level=3, names=KINDS, environments=TINY.ranking.environments
    ),
    reward=dataclasses.replace(TINY.reward, inputs=("observations", "actions")),
    learner=dataclasses.replace(TINY.learner, environment_steps=256, kl_penalty=0.1, ent_coef=0.01),
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
    save_demonstrations(
        tmp_path / "own.npz", trajectories, rewards=returns.step_values_for_evaluation(), task=task
    )
    found = run(
        task,
        run_dir=tmp_path / "run",
        demonstrations=tmp_path / "own.npz",
        settings=SMALL,
        quiet=True,
        report=False,
    )

    assert found["task"] == task
    assert found["bc"]["mean"] > found["random"]["interval"][1]
    assert found["bc"]["mean"] > 10.0
    assert found["policy"]["mean"] is not None
    assert {point["name"] for point in found["noise"]} >= set(KINDS)
    by_level = {(point["name"], point["level"]): point["return"]["mean"] for point in found["noise"]}
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
        jobs = NoiseSchedule(levels=(0.0, 1.0), episodes_per_level=3, names=KINDS).jobs()
        trajectories, _ = collect(mostly_forward(task), make_environments(task, 3, seed=0), jobs, seed=1)
        episode = trajectories.episode_of_step
        drawn = {
            kind: trajectories.actions[
                np.isin(episode, [i for i, job in enumerate(jobs) if job.name == kind and job.level == 1.0])
            ]
            for kind in KINDS
        }
        assert not drawn["no_op"].any()
        flat = drawn["uniform"].reshape(len(drawn["uniform"]), -1)
        assert all(space.contains(action) for action in drawn["uniform"])
        assert (flat.max(axis=0) > flat.mean(axis=0)).all()
        assert (flat.min(axis=0) < flat.mean(axis=0)).all()
        repeated = (
            (drawn["sticky"][1:] == drawn["sticky"][:-1]).reshape(len(drawn["sticky"]) - 1, -1).all(axis=1)
        )
        assert repeated.mean() > 0.5


# By Python and by command line


def test_a_factory_with_arguments_and_wrappers_is_kept_by_its_name_and_resumed(tmp_path):
    task = 'custom_environments:walk{"horizon": 12}|custom_environments:Steps'
    trajectories, _ = collect(
        uniform(task_spaces(task)[1], seed=0), make_environments(task, 2, seed=0), 4, seed=0
    )
    save_demonstrations(tmp_path / "own.npz", trajectories)

    def start(**options):
        given = {"run_dir": tmp_path / "run", "demonstrations": tmp_path / "own.npz", "settings": TINY}
        return run(walk, wrappers=[Steps], quiet=True, report=False, **given, **options)

    found = start(env_kwargs={"horizon": 12})
    assert found["task"] == task
    assert found["demonstrator"]["length"] == 12.0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["task"] == task
    assert start(env_kwargs={"horizon": 12}, resume=True)["policy"] == found["policy"]
    with pytest.raises(UserError, match=r"task: expected .*13.*, found .*12"):
        start(env_kwargs={"horizon": 13}, resume=True)


def test_the_command_line_takes_arguments_and_wrappers():
    words = ["--env-kwargs", '{"horizon": 12}', "--wrappers", "a:First", "a:Second"]
    options = parse_run_options("custom_environments:walk", words)
    assert options.environment() == 'custom_environments:walk{"horizon": 12}|a:First|a:Second'
    assert options.folder().as_posix() == "runs/custom_environments-walk/default-seed0"
    assert parse_run_options("Hopper-v5", []).environment() == "Hopper-v5"
    inside = parse_run_options('a:b{"c": "/d"}|a:First', [])
    assert inside.folder().as_posix() == "runs/a-b-c-d-a-First/default-seed0"


@pytest.mark.parametrize("given", ["horizon=12", "[12]"])
def test_arguments_that_are_no_json_object_are_a_users_mistake(given, capsys):
    assert main(["run", "custom_environments:walk", "--env-kwargs", given]) == 2
    assert "drex: env_kwargs: expected a JSON object, found" in capsys.readouterr().err


def test_a_module_in_the_working_directory_is_found(tmp_path, monkeypatch, capsys):
    (tmp_path / "only_here.py").write_text("from custom_environments import walk\n")
    monkeypatch.chdir(tmp_path)
    assert main(["run", "only_here:walk", "--demos", "none.npz"]) == 2
    assert "none.npz: expected" in capsys.readouterr().err
