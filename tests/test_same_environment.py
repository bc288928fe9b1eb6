"""EnvPool and gymnasium mean the same by a task's name: equal states, steps, rewards and ends.

The gymnasium environment is set to the state that an EnvPool observation reveals, both take the same action,
and the results are compared. Contacts are solved a little differently by different MuJoCo versions (EnvPool
carries its own), so bodies with many contacts are compared by quantiles.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import gymnasium
import numpy as np
import pytest

from drex.envs.vector.envpool import VERIFIED_TASKS, envpool_serves

STEPS = 400


def body(hidden: int) -> Callable:
    """Sets a MuJoCo body whose observation is its positions but the first ``hidden``, then its velocities."""

    def set_state(environment, observation) -> bool:
        positions, velocities = environment.model.nq - hidden, environment.model.nv
        speeds = observation[positions : positions + velocities]
        environment.set_state(np.append(np.zeros(hidden), observation[:positions]), speeds.copy())
        return True

    return set_state


def bounded_body(environment, observation) -> bool:
    """A body whose observation shows velocities only up to 10, beyond which the state stays hidden."""
    body(1)(environment, observation)
    return bool(np.abs(observation[environment.model.nq - 1 :]).max() < 10.0)


def double_pendulum(environment, seen) -> bool:
    angles = [np.arctan2(seen[1], seen[3]), np.arctan2(seen[2], seen[4])]
    environment.set_state(np.array([seen[0], *angles]), seen[5:8].copy())
    return True


def reacher(environment, seen) -> bool:
    angles = np.arctan2(seen[2:4], seen[0:2])
    environment.goal = seen[4:6].copy()
    environment.set_state(np.append(angles, seen[4:6]), np.append(seen[6:8], [0.0, 0.0]))
    return bool(abs(angles[1]) < 2.9)  # the elbow's end stop at 3 gives way past ±π, where its sign is lost


def classic(environment, seen) -> bool:
    environment.state = np.array(seen, np.float64)
    environment.steps_beyond_terminated = None
    return True


def acrobot(environment, seen) -> bool:
    angles = [np.arctan2(seen[1], seen[0]), np.arctan2(seen[3], seen[2])]
    environment.state = np.array([*angles, seen[4], seen[5]], np.float64)
    return True


@dataclass(frozen=True)
class Case:
    """How a task is compared.

    Args:
        set_state: puts the gymnasium environment where the observation says; false where it cannot tell.
        share: of the steps that must be equal to the tolerance.
        tolerance: of observations.
        reward_tolerance: of rewards. Where progress is that of the centre of mass or the torso, its position
            before the step is one simulation step old in a running environment and fresh in one just set.
        unhealthy: whether random actions end episodes.
    """

    set_state: Callable
    share: float = 1.0
    tolerance: float = 1e-6
    reward_tolerance: float = 1e-6
    unhealthy: bool = False


CASES = {
    "HalfCheetah-v5": Case(body(1)),
    "Hopper-v5": Case(bounded_body, unhealthy=True),
    "Walker2d-v5": Case(bounded_body, unhealthy=True),
    "Swimmer-v5": Case(body(2)),
    "Ant-v5": Case(body(2), share=0.9, tolerance=2e-3, reward_tolerance=2e-2, unhealthy=True),
    "Humanoid-v5": Case(body(2), share=0.9, tolerance=2e-2, reward_tolerance=2e-2, unhealthy=True),
    "HumanoidStandup-v5": Case(body(2), share=0.9, tolerance=1e-1, reward_tolerance=2e-2),
    "InvertedPendulum-v5": Case(body(0), unhealthy=True),
    "InvertedDoublePendulum-v5": Case(double_pendulum, unhealthy=True),
    "Reacher-v5": Case(reacher),
    "CartPole-v1": Case(classic, unhealthy=True),
    "MountainCar-v0": Case(classic),
    "MountainCarContinuous-v0": Case(classic),
    "Acrobot-v1": Case(acrobot),
}


def raw_pool(task):
    import envpool

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*precision lowered by casting")
        pool = envpool.make(task, env_type="gymnasium", num_envs=1, num_threads=1, seed=3)
        _ = pool.observation_space  # made at first use and kept
        return pool, pool.action_space


def draw(space, generator):
    if isinstance(space, gymnasium.spaces.Discrete):
        return np.array([generator.integers(space.n)])
    return generator.uniform(space.low, space.high, (1, *space.shape)).astype(space.dtype)


def test_every_task_that_envpool_serves_is_compared_here():
    assert set(CASES) == VERIFIED_TASKS


@pytest.mark.parametrize("task", sorted(CASES))
def test_a_step_is_the_same_in_envpool_and_gymnasium(task):
    case = CASES[task]
    assert envpool_serves(task)
    environment = gymnasium.make(task).unwrapped
    environment.reset(seed=0)
    pool, space = raw_pool(task)
    generator = np.random.default_rng(0)
    observation = pool.reset()[0][0]
    apart, rewards_apart, ended = [], [], 0
    for _ in range(STEPS):
        action = draw(space, generator)
        revealed = case.set_state(environment, observation)
        expected, expected_reward, expected_end, _, _ = environment.step(action[0])
        following, reward, terminated, truncated, _ = pool.step(action)
        if revealed:
            apart.append(np.abs(following[0] - expected).max())
            rewards_apart.append(abs(reward[0] - expected_reward) / max(1.0, abs(expected_reward)))
            assert terminated[0] == expected_end
            ended += expected_end
        observation = following[0]
        if terminated[0] or truncated[0]:
            observation = pool.reset()[0][0]
    assert len(apart) > STEPS / 5
    assert np.quantile(apart, case.share) <= case.tolerance
    assert np.quantile(rewards_apart, case.share) <= case.reward_tolerance
    assert (ended > 0) == case.unhealthy


def test_ant_is_paid_by_gymnasiums_formula_in_envpool():
    """Forward speed + 1 while healthy − 0.5·‖action‖² − 0.0005·‖contact forces‖², height within 0.2 and 1."""
    pool, space = raw_pool("Ant-v5")
    generator = np.random.default_rng(1)
    pool.reset()
    for _ in range(STEPS):
        action = draw(space, generator)
        observations, rewards, terminated, truncated, info = pool.step(action)
        height, contact_forces = observations[0, 0], observations[0, 27:]
        healthy = 0.2 <= height <= 1.0
        expected = info["x_velocity"][0] + healthy - 0.5 * np.square(action).sum()
        expected -= 5e-4 * np.square(contact_forces).sum()
        assert rewards[0] == pytest.approx(expected, abs=1e-5)
        assert terminated[0] == (not healthy)
        assert np.abs(contact_forces).max() <= 1.0
        if terminated[0] or truncated[0]:
            pool.reset()


def test_ant_episodes_are_cut_off_after_a_thousand_steps():
    pool, _ = raw_pool("Ant-v5")
    pool.reset()
    for step in range(1, 1001):
        _, _, terminated, truncated, _ = pool.step(np.zeros((1, 8)))
        assert not terminated[0]
        assert truncated[0] == (step == 1000)
