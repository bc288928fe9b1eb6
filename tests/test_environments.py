"""Environments keep stable-baselines3's convention exactly on every engine, and leak no true reward."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv
from tiny_environments import DISCRETE_WALK, WALK

from drex.agents.policies.acting import uniform
from drex.envs.learned_reward import LearnedRewardVecEnv
from drex.envs.make import make_environments, task_spaces
from drex.envs.vector.envpool import EnvPoolVecEnv, envpool_serves
from drex.envs.vector.gymnasium import GymnasiumVecEnv
from drex.envs.vector.same_step import transition_ends
from drex.envs.vector.true_reward_ledger import TrueRewardLedger, take_true_return
from drex.errors import UserError

SEED = 11


class SingleEnvPool(gymnasium.Env):
    """One EnvPool environment as a plain gymnasium one, always reset explicitly."""

    def __init__(self, task, seed):
        import envpool

        with warnings.catch_warnings():  # EnvPool writes float32 bounds in double precision
            warnings.filterwarnings("ignore", message=".*precision lowered by casting")
            self._pool = envpool.make(task, env_type="gymnasium", num_envs=1, num_threads=1, seed=seed)
            _ = self._pool.observation_space
        self.observation_space, self.action_space = task_spaces(task)[:2]
        self.metadata, self.render_mode = {}, None

    def reset(self, *, seed=None, options=None):
        return np.array(self._pool.reset()[0][0]), {}

    def step(self, action):
        observation, reward, terminated, truncated, _ = self._pool.step(np.asarray([action]))
        return np.array(observation[0]), float(reward[0]), bool(terminated[0]), bool(truncated[0]), {}


def reference(backend, task, count):
    if backend == "envpool":
        return DummyVecEnv([lambda i=i: SingleEnvPool(task, SEED + i) for i in range(count)])
    environments = DummyVecEnv([lambda: gymnasium.make(task) for _ in range(count)])
    environments.seed(SEED)
    return environments


def ours(backend, task, count):
    if backend == "envpool":
        return EnvPoolVecEnv(task, count, seed=SEED, threads=1)
    return GymnasiumVecEnv(task, count, seed=SEED)


CASES = [  # backend, task, environments, steps, how its episodes end
    ("gymnasium", "Hopper-v5", 3, 120, "terminates"),
    ("gymnasium", "Reacher-v5", 3, 120, "all truncate at once"),
    ("gymnasium", "CartPole-v1", 8, 200, "several at once"),
    ("gymnasium", WALK, 8, 130, "both"),
    ("gymnasium", DISCRETE_WALK, 8, 130, "both"),
    ("envpool", "Hopper-v5", 3, 250, "terminates"),
    ("envpool", "HalfCheetah-v5", 3, 1020, "all truncate at once"),
    ("envpool", "Reacher-v5", 3, 120, "all truncate at once"),
    ("envpool", "CartPole-v1", 8, 200, "several at once"),
]


@pytest.mark.parametrize(("backend", "task", "count", "steps", "ends"), CASES)
def test_every_step_equals_that_of_dummy_vec_env(backend, task, count, steps, ends):
    theirs, mine = reference(backend, task, count), ours(backend, task, count)
    assert mine.observation_space == theirs.observation_space
    assert mine.action_space == theirs.action_space
    generator = np.random.default_rng(0)
    space = mine.action_space
    seen = [(mine.reset(), theirs.reset())]
    kept_final, terminated, truncated, most_at_once = [], 0, 0, 0
    for _ in range(steps):
        if isinstance(space, gymnasium.spaces.Discrete):
            actions = generator.integers(space.n, size=count)
        else:
            actions = generator.uniform(space.low, space.high, (count, *space.shape)).astype(np.float32)
        observations, rewards, dones, infos = mine.step(actions)
        expected = theirs.step(actions)
        seen.append((observations, expected[0]))
        np.testing.assert_array_equal(rewards, expected[1])
        np.testing.assert_array_equal(dones, expected[2])
        assert (rewards.dtype, dones.dtype) == (np.float32, np.bool_)
        assert observations.dtype == expected[0].dtype
        for info, expected_info in zip(infos, expected[3], strict=True):
            assert set(info) <= {"terminal_observation", "TimeLimit.truncated"}
            assert ("terminal_observation" in info) == ("terminal_observation" in expected_info)
            cut_off = info.get("TimeLimit.truncated", False)
            assert cut_off == expected_info["TimeLimit.truncated"]
            if "terminal_observation" in info:
                final = info["terminal_observation"]
                assert final.dtype == expected_info["terminal_observation"].dtype
                kept_final.append((final, expected_info["terminal_observation"]))
                truncated, terminated = truncated + cut_off, terminated + (not cut_off)
        most_at_once = max(most_at_once, int(dones.sum()))
    # Compared only now: a view into memory that a later step overwrites would show.
    for observations, expected_observations in seen + kept_final:
        np.testing.assert_array_equal(observations, expected_observations)
    happened = {
        "terminates": terminated >= 3,
        "all truncate at once": truncated >= count and most_at_once == count and terminated == 0,
        "several at once": most_at_once >= 2 and terminated > count,
        "both": terminated > 0 and truncated > 0,
    }
    assert happened[ends], f"{terminated} terminated, {truncated} truncated, {most_at_once} at once"
    mine.close()


@pytest.mark.parametrize("backend", ["gymnasium", "envpool"])
def test_a_second_reset_goes_on_and_a_new_seed_starts_over(backend):
    environments = ours(backend, "CartPole-v1", 3)
    first, second = environments.reset(), environments.reset()
    assert not np.array_equal(first, second)
    assert environments.seed(SEED) == [SEED, SEED + 1, SEED + 2]
    np.testing.assert_array_equal(environments.reset(), first)
    environments.seed(SEED + 1)
    np.testing.assert_array_equal(environments.reset()[:2], first[1:])
    environments.seed(None)  # stable-baselines3 draws up to 2³² here
    environments.seed(2**32 - 1)
    assert environments.reset().shape == (3, 4)
    environments.close()


class Both(gymnasium.Env):
    """Ends and is cut off on the same step: an end, by stable-baselines3's rule."""

    observation_space = gymnasium.spaces.Box(0, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.ones(1, np.float32), 1.0, True, True, {}


def test_an_end_on_the_last_allowed_step_is_no_truncation():
    gymnasium.register("drex-tests/Both-v0", Both)
    environments = GymnasiumVecEnv("drex-tests/Both-v0", 2, seed=0)
    environments.reset()
    _, _, dones, infos = environments.step(np.zeros(2, np.int64))
    assert dones.all()
    assert [info["TimeLimit.truncated"] for info in infos] == [False, False]
    del gymnasium.registry["drex-tests/Both-v0"]


@pytest.mark.parametrize("rows", [1024, 4])
def test_the_door_pays_nothing_and_seals_the_true_return(rows, monkeypatch):
    """Whether the ledger has room for all steps at once, or must forget and grow all the time."""
    monkeypatch.setattr("drex.envs.vector.true_reward_ledger._ROWS", rows)
    task, count = WALK, 4
    paying = make_environments(task, count, seed=SEED, reward="true")
    silent = make_environments(task, count, seed=SEED)
    assert isinstance(paying, TrueRewardLedger)
    assert isinstance(silent, TrueRewardLedger)
    generator, sums, finished = np.random.default_rng(0), np.zeros(count), 0
    np.testing.assert_array_equal(paying.reset(), silent.reset())
    taken = [[] for _ in range(count)]
    for _ in range(100):
        actions = generator.uniform(-1, 1, (count, 2)).astype(np.float32)
        expected, rewards, expected_dones, _ = paying.step(actions)
        for index in range(count):
            taken[index].append(rewards[index])
        observations, nothing, dones, infos = silent.step(actions)
        sums += rewards
        np.testing.assert_array_equal(observations, expected)
        np.testing.assert_array_equal(dones, expected_dones)
        np.testing.assert_array_equal(nothing, np.zeros(count, np.float32))
        for index, info in enumerate(infos):
            if not dones[index]:
                assert info == {}
                continue
            assert set(info) == {"terminal_observation", "TimeLimit.truncated", "true_return"}
            assert f"{sums[index]:.3f}" not in repr(info["true_return"])
            assert take_true_return(info).values_for_evaluation() == pytest.approx([sums[index]], abs=1e-5)
            np.testing.assert_array_equal(take_true_return(info).step_values_for_evaluation(), taken[index])
            sums[index], finished, taken[index] = 0.0, finished + 1, []
    assert finished > 10


def test_a_reset_in_the_middle_of_episodes_forgets_their_rewards():
    environments = make_environments(WALK, 1, seed=0)
    ahead = np.array([[1.0, 0.0]], np.float32)
    environments.reset()
    for _ in range(5):
        environments.step(ahead)
    environments.reset()
    for _ in range(29):
        assert not environments.step(ahead)[2].any()
    _, _, dones, infos = environments.step(ahead)
    assert dones.all()
    assert take_true_return(infos[0]).values_for_evaluation() == pytest.approx([30.0])


def test_an_episode_without_a_ledger_has_an_unknown_true_return():
    assert np.isnan(take_true_return({}).values_for_evaluation()).all()


def test_tasks_are_served_by_envpool_only_where_it_means_the_same():
    assert envpool_serves("HalfCheetah-v5")
    assert envpool_serves("CartPole-v1")
    assert not envpool_serves("Pendulum-v1")  # moves the angle by a speed that gymnasium bounds first
    assert not envpool_serves(WALK)
    for environments, backend in (
        (make_environments("Hopper-v5", 1, seed=0), EnvPoolVecEnv),
        (make_environments("Pendulum-v1", 1, seed=0), GymnasiumVecEnv),
        (make_environments("Hopper-v5", 1, seed=0, backend="gymnasium"), GymnasiumVecEnv),
    ):
        assert isinstance(environments, TrueRewardLedger)
        assert isinstance(environments.venv, backend)
    with pytest.raises(UserError, match=r"backend for Pendulum-v1: expected .* use backend='gymnasium'"):
        make_environments("Pendulum-v1", 1, seed=0, backend="envpool")


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        (
            "Nothing-v0",
            r"task 'Nothing-v0': expected .* gymnasium can make, found .*Nothing",
        ),
        ("Hopper-v99", r"task 'Hopper-v99': expected .*found .*v99"),
        (
            "no_such_module:Walk-v0",
            r"expected an environment that gymnasium can make, found .*no_such_module",
        ),
        ("a:b:c", r"task: expected an id or module:id, found 'a:b:c'"),
        ("", r"task '': expected"),
    ],
)
def test_an_unusable_task_is_named_in_one_sentence(task, sentence):
    with pytest.raises(UserError, match=sentence):
        make_environments(task, 1, seed=0)


class Unbounded(Both):
    """Actions that nothing uniform can be drawn from."""

    action_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)


def test_unbounded_actions_are_refused():
    gymnasium.register("drex-tests/Unbounded-v0", Unbounded)
    wanted = r"expected actions in a bounded Box \(n,\) of floats, .*, found Box\(-inf"
    with pytest.raises(UserError, match=wanted):
        task_spaces("drex-tests/Unbounded-v0")
    del gymnasium.registry["drex-tests/Unbounded-v0"]


def test_no_environments_are_refused():
    with pytest.raises(UserError, match=r"environments: expected at least one, found 0"):
        make_environments(WALK, 0, seed=0)


def test_a_task_named_with_its_module_needs_no_import():
    script = (
        "from drex.envs.make import make_environments\n"
        "environments = make_environments('tiny_environments:drex-tests/Walk-v0', 2, seed=0)\n"
        "print(environments.reset().shape)"
    )
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=here, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "(2, 2)"


def test_a_renderer_that_mujoco_cannot_load_is_one_sentence():
    script = "from drex.envs.make import task_spaces; task_spaces('HalfCheetah-v5')"
    environment = os.environ | {"MUJOCO_GL": "paper"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "MUJOCO_GL" in last
    assert "found 'paper', which MuJoCo cannot load; unset it" in last


def test_the_facts_of_a_task():
    observations, actions, horizon = task_spaces(WALK)
    assert (observations.shape, actions.shape, horizon) == ((2,), (2,), 30)


def test_a_learned_reward_scores_the_terminal_observation_not_the_reset_one():
    """Paid by the place reached: +0.1 a step up to 3.0 on the last step, where the reset one would pay 0."""
    calls = []

    def place_reached(observations, actions, next_observations, terminated):
        calls.append((observations, actions, next_observations, terminated))
        return next_observations[:, 0]

    environments = LearnedRewardVecEnv(make_environments(WALK, 2, seed=0), place_reached)
    with pytest.raises(RuntimeError, match="step before reset"):
        environments.step(np.zeros((2, 2), np.float32))
    previous = environments.reset()
    actions = np.array([[1.0, 0.0], [1.0, 1.0]], np.float32)  # the second one tips over
    lengths, length = [], 0
    for step in range(1, 31):
        length += 1
        observations, rewards, dones, infos = environments.step(actions)
        scored = calls[-1]
        np.testing.assert_array_equal(scored[0], previous)
        np.testing.assert_array_equal(scored[1], actions)
        assert rewards == pytest.approx([0.1 * step, 0.1 * length], abs=1e-5)
        assert scored[3].tolist() == [False, bool(dones[1])]
        if dones[1]:
            np.testing.assert_array_equal(scored[2][1], infos[1]["terminal_observation"])
            assert observations[1, 0] == 0.0
            lengths.append(length)
            length = 0
        previous = observations
    assert dones[0]
    assert infos[0]["TimeLimit.truncated"]
    assert rewards[0] == pytest.approx(3.0, abs=1e-5)
    assert set(lengths) <= {4, 5, 6}
    assert len(lengths) >= 5


def test_the_ends_of_a_step_are_unpacked_and_what_was_observed_stays():
    observed, dones = np.zeros((4, 2), np.float32), np.array([True, False, True, True])
    infos = [
        {"terminal_observation": np.array([1.0, 2.0]), "TimeLimit.truncated": False},
        {},
        {"terminal_observation": np.array([3.0, 4.0]), "TimeLimit.truncated": True},
        {"terminal_observation": np.array([5.0, 6.0])},  # environments without a time limit need not say
    ]
    ends = transition_ends(observed, dones, infos)
    assert ends.next_observations.tolist() == [[1, 2], [0, 0], [3, 4], [5, 6]]
    assert ends.next_observations.dtype == np.float32 and not observed.any()
    assert ends.terminated.tolist() == [True, False, False, True]
    assert ends.truncated.tolist() == [False, False, True, False]


def test_environments_in_an_engine_refuse_what_cannot_be_reached():
    environments = GymnasiumVecEnv(WALK, 2, seed=0)
    assert environments.get_attr("render_mode") == [None, None]
    assert environments.env_is_wrapped(gymnasium.Wrapper) == [False, False]
    with pytest.raises(AttributeError, match="no reachable attribute 'place'"):
        environments.get_attr("place")
    with pytest.raises(AttributeError, match="cannot be changed"):
        environments.set_attr("place", 1)
    with pytest.raises(AttributeError, match="no reachable method 'jump'"):
        environments.env_method("jump")
    with pytest.raises(RuntimeError, match="step_wait without step_async"):
        environments.step_wait()


@pytest.mark.parametrize("task", [WALK, "HalfCheetah-v5", "ALE/Breakout-v5"])
def test_what_a_step_gave_stays_as_it_is_while_the_next_one_is_on_its_way(task):
    environments = make_environments(task, 3, seed=0)
    act = uniform(environments.action_space, seed=0)
    observations, handed, copied = environments.reset(), [], []
    for _ in range(20):
        actions = act(observations)
        handed.append(observations)
        copied.append(observations.copy())
        environments.step_async(actions)
        observations = environments.step_wait()[0]
    for mine, copy in zip(handed, copied, strict=True):
        np.testing.assert_array_equal(mine, copy)
    environments.close()


@pytest.mark.parametrize("task", [WALK, "HalfCheetah-v5", "ALE/Breakout-v5"])
def test_a_reset_lets_go_of_a_step_that_is_on_its_way(task):
    environments = make_environments(task, 2, seed=0)
    first = environments.reset()
    environments.step_async(uniform(environments.action_space, seed=0)(first))
    environments.seed(0)
    np.testing.assert_array_equal(environments.reset(), first)
    with pytest.raises(RuntimeError, match="step_wait without step_async"):
        environments.step_wait()
    environments.close()


def test_mujoco_leaves_no_log_in_the_working_directory(tmp_path):
    words = (
        "from drex.envs.make import make_environments; make_environments('HalfCheetah-v5', 1, seed=0).reset()"
    )
    done = subprocess.run(
        [sys.executable, "-c", words], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert list(tmp_path.iterdir()) == []
    assert "settotalmass" not in done.stderr
