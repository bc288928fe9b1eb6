"""Rollouts are whole, in order and independent of batching; each noise strikes as often as its level
says."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_environments import BEST_RETURN, DISCRETE_WALK, HORIZON, WALK

from drex.agents.policies.acting import actions_at, uniform, uniform_actions
from drex.agents.rollouts.collect import collect
from drex.agents.rollouts.noise import ActionNoise, NoiseJob, NoiseSchedule
from drex.envs.make import make_environments
from drex.errors import UserError

BOX = gymnasium.spaces.Box(np.array([-1.0, 0.5], np.float32), np.array([1.0, 2.0], np.float32))
KINDS = ("uniform", "sticky", "no_op")


def straight_on(observations):
    return np.tile(np.array([1.0, 0.0], np.float32), (len(observations), 1))


def tip_over(observations):
    return np.tile(np.array([0.5, 1.0], np.float32), (len(observations), 1))


def test_a_known_policy_leaves_known_trajectories():
    trajectories, returns = collect(straight_on, make_environments(WALK, 3, seed=0), 5, seed=0)
    assert trajectories.lengths.tolist() == [HORIZON] * 5
    assert not trajectories.terminated.any()
    assert returns.values_for_evaluation() == pytest.approx([BEST_RETURN] * 5)
    for start in trajectories.starts:
        places = trajectories.observations[start : start + HORIZON, 0]
        assert places == pytest.approx(0.1 * np.arange(HORIZON), abs=1e-5)
    assert trajectories.last_observations[:, 0] == pytest.approx([3.0] * 5, abs=1e-5)
    np.testing.assert_array_equal(trajectories.actions, straight_on(trajectories.actions))


def test_episodes_that_end_by_themselves_are_told_from_those_cut_off():
    trajectories, returns = collect(tip_over, make_environments(WALK, 2, seed=0), 6, seed=0)
    assert trajectories.terminated.all()
    assert set(trajectories.lengths) <= {5, 6}
    assert (np.abs(trajectories.last_observations[:, 1]) > 0.5).all()
    assert returns.values_for_evaluation() == pytest.approx(0.5 * trajectories.lengths)


@pytest.mark.parametrize(("count", "episodes"), [(1, 3), (4, 3), (4, 4), (3, 10)])
def test_every_started_episode_is_finished_and_kept(count, episodes):
    """Long and short episodes side by side: as many as asked for, and those running at the end are not
    dropped."""
    schedule = [NoiseJob("uniform", 1.0 if index % 2 else 0.0) for index in range(episodes)]
    told = []
    trajectories, returns = collect(
        straight_on, make_environments(WALK, count, seed=0), schedule, seed=1, progress=told.append
    )
    assert len(trajectories) == len(returns) == episodes
    assert told == [1] * episodes
    undisturbed = slice(0, None, 2)
    assert set(trajectories.lengths[undisturbed]) == {HORIZON}
    assert returns.values_for_evaluation()[undisturbed] == pytest.approx(
        [BEST_RETURN] * len(returns.values_for_evaluation()[undisturbed])
    )
    assert ((trajectories.lengths == HORIZON) | trajectories.terminated).all()


def test_episodes_come_in_the_order_of_their_jobs_whichever_finishes_first():
    jobs = [NoiseJob("uniform", level) for level in (0.0, 1.0, 0.5, 0.0, 1.0)]
    trajectories, _ = collect(straight_on, make_environments(WALK, 2, seed=0), jobs, seed=0)
    own = (trajectories.actions == straight_on(trajectories.actions)).all(axis=1)
    shares = [own[trajectories.episode_of_step == episode].mean() for episode in range(5)]
    assert shares[0] == shares[3] == 1.0
    assert shares[1] == shares[4] == 0.0
    assert 0.2 < shares[2] < 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_noise_do_not_depend_on_how_many_environments_run_side_by_side(kind):
    """Only the tilt at the start differs between environments, and no action here depends on it."""
    jobs = [NoiseJob(kind, level, hold_steps=3) for level in (0.0, 0.3, 0.6, 1.0) for _ in range(2)]
    runs = [
        collect(straight_on, make_environments(WALK, count, seed=5), jobs, seed=4)[0] for count in (1, 3, 8)
    ]
    for run in runs[1:]:
        for episode in range(len(jobs)):
            first = runs[0].select([episode]).actions
            second = run.select([episode]).actions
            shared = min(len(first), len(second))  # tips over sooner or later, by where the tilt began
            np.testing.assert_array_equal(first[:shared], second[:shared])
    other = collect(straight_on, make_environments(WALK, 8, seed=5), jobs, seed=5)[0]
    if kind != "no_op":
        assert not np.array_equal(other.select([7]).actions[:3], runs[0].select([7]).actions[:3])


@pytest.mark.parametrize("kind", ["uniform", "sticky"])
def test_no_two_episodes_of_one_level_are_disturbed_alike(kind):
    jobs = [NoiseJob(kind, 1.0, hold_steps=3)] * 6
    trajectories, _ = collect(straight_on, make_environments(WALK, 2, seed=0), jobs, seed=0)
    assert len({tuple(trajectories.actions[start]) for start in trajectories.starts}) == len(jobs)
    struck = [NoiseJob(kind, 0.5, hold_steps=3)] * 6
    trajectories, _ = collect(straight_on, make_environments(WALK, 2, seed=0), struck, seed=0)
    own = (trajectories.actions == straight_on(trajectories.actions)).all(axis=1)
    assert len({tuple(own[start : start + 5]) for start in trajectories.starts}) > 1


def test_the_same_seeds_give_the_same_rollouts():
    runs = [
        collect(
            uniform(gymnasium.spaces.Box(-1.0, 1.0, (2,)), seed=1),
            make_environments(WALK, 3, seed=2),
            7,
            seed=0,
        )[0]
        for _ in range(2)
    ]
    np.testing.assert_array_equal(runs[0].observations, runs[1].observations)
    np.testing.assert_array_equal(runs[0].actions, runs[1].actions)


def test_actions_outside_the_box_are_kept_and_executed_as_clipped():
    def beyond(observations):
        return np.tile(np.array([7.0, 0.0], np.float32), (len(observations), 1))

    trajectories, returns = collect(beyond, make_environments(WALK, 2, seed=0), 2, seed=0)
    assert trajectories.actions.max() == 1.0
    assert returns.values_for_evaluation() == pytest.approx([BEST_RETURN] * 2)


def test_a_policy_that_acts_by_nan_is_refused_at_once():
    def broken(observations):
        return np.full((len(observations), 2), np.nan, np.float32)

    with pytest.raises(UserError, match="policy: expected finite actions, found NaN or infinity"):
        collect(broken, make_environments(WALK, 2, seed=0), 2, seed=0)


def test_no_episodes_are_refused():
    with pytest.raises(UserError, match="episodes: expected at least one, found 0"):
        collect(straight_on, make_environments(WALK, 2, seed=0), 0, seed=0)


def test_discrete_actions_are_collected_as_integers():
    trajectories, returns = collect(
        lambda seen: np.ones(len(seen), np.int64), make_environments(DISCRETE_WALK, 2, seed=0), 3, seed=0
    )
    assert np.issubdtype(trajectories.actions.dtype, np.integer)
    assert trajectories.actions.shape == (3 * HORIZON,)
    assert returns.values_for_evaluation() == pytest.approx([BEST_RETURN] * 3)


def disturbed_steps(kind, level, *, steps, hold_steps=8, seed=0):
    """Whether each step was disturbed, and the actions taken."""
    noise = ActionNoise(NoiseJob(kind, level, hold_steps), BOX, np.random.default_rng(seed))
    struck, instead = noise.plan(steps)
    own = np.array([0.123, 1.234], np.float32)
    return struck, np.where(struck[:, None], instead, own)


def step_by_step(kind, level, hold_steps, draws, drawn):
    """What ``plan`` says all at once, by the rule of each kind, one step after another."""
    held, taken = None, []
    for step, (first, second) in enumerate(draws[:, :2]):
        if kind == "sticky":
            if held is not None and first < 1 / hold_steps:
                held = None
            start = level if step == 0 else level / (hold_steps * (1 - level) + level)
            if held is None and second < start:
                held = drawn[step]
            taken.append(held)
        else:
            taken.append(drawn[step] if first < level else None)
    return taken


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(("uniform", "sticky")),
    level=st.floats(0.01, 1.0),
    hold_steps=st.integers(1, 9),
    parts=st.lists(st.integers(1, 30), min_size=1, max_size=5),
    seed=st.integers(0, 1000),
)
def test_a_plan_is_the_rule_step_by_step_however_far_ahead_it_is_made(kind, level, hold_steps, parts, seed):
    job = NoiseJob(kind, level, hold_steps)
    noise = ActionNoise(job, BOX, np.random.default_rng(seed))
    plans = [noise.plan(steps) for steps in parts]
    draws = np.random.default_rng(seed).random((sum(parts), 4))
    expected = step_by_step(kind, level, hold_steps, draws, actions_at(BOX, draws[:, 2:]))
    struck = np.concatenate([struck for struck, _ in plans])
    instead = np.concatenate([actions for _, actions in plans])
    assert struck.tolist() == [action is not None for action in expected]
    for found, action in zip(instead[struck], (each for each in expected if each is not None), strict=True):
        np.testing.assert_array_equal(found, action)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [0.05, 0.3, 0.95])
def test_the_share_of_disturbed_steps_is_the_level(kind, level):
    """Within four standard errors; bursts of mean 8 inflate the variance at most 2 · 8 − 1 times."""
    steps = 20_000
    share = disturbed_steps(kind, level, steps=steps)[0].mean()
    inflation = 15.0 if kind == "sticky" else 1.0
    assert abs(share - level) < 4.0 * np.sqrt(inflation * level * (1.0 - level) / steps)


@pytest.mark.parametrize("kind", KINDS)
def test_levels_zero_and_one_are_exact(kind):
    assert not disturbed_steps(kind, 0.0, steps=200)[0].any()
    assert disturbed_steps(kind, 1.0, steps=200)[0].all()


def test_held_noise_has_its_share_from_the_first_step_on():
    """2000 episodes of 3 steps: short episodes are disturbed as much as long ones."""
    level = 0.4
    strikes = np.array([disturbed_steps("sticky", level, steps=3, seed=seed)[0] for seed in range(2000)])
    error = np.sqrt(level * (1.0 - level) / 2000)
    assert np.abs(strikes.mean(axis=0) - level).max() < 4.0 * error


def test_held_actions_last_hold_steps_on_average():
    """Where the action changes, a new one is drawn: at level 1 runs are geometric with mean
    ``hold_steps``."""
    _, actions = disturbed_steps("sticky", 1.0, steps=20_000, hold_steps=5)
    runs = 1 + (actions[1:] != actions[:-1]).any(axis=1).sum()
    assert 20_000 / runs == pytest.approx(5.0, rel=0.08)


def test_uniform_noise_draws_every_action_afresh_from_the_whole_box():
    _, actions = disturbed_steps("uniform", 1.0, steps=20_000)
    assert (actions >= BOX.low).all()
    assert (actions <= BOX.high).all()
    assert len(np.unique(actions[:, 0])) > 19_000
    assert actions.mean(axis=0) == pytest.approx([0.0, 1.25], abs=0.02)
    assert actions.std(axis=0) == pytest.approx([2 / 12**0.5, 1.5 / 12**0.5], abs=0.01)


def test_no_op_is_the_nearest_action_to_zero_in_the_space():
    assert disturbed_steps("no_op", 1.0, steps=1)[1].tolist() == [[0.0, 0.5]]
    discrete = ActionNoise(NoiseJob("no_op", 1.0), gymnasium.spaces.Discrete(4), np.random.default_rng(0))
    struck, instead = discrete.plan(3)
    assert struck.all()
    assert instead.tolist() == [0, 0, 0]


def test_uniform_discrete_noise_draws_all_actions_alike():
    drawn = uniform_actions(gymnasium.spaces.Discrete(4), 8000, np.random.default_rng(0))
    assert np.bincount(drawn) == pytest.approx([2000] * 4, abs=200)
    with pytest.raises(TypeError, match="no uniform actions"):
        uniform_actions(gymnasium.spaces.Text(2), 1, np.random.default_rng(0))


@settings(max_examples=50, deadline=None)
@given(
    levels=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=6),
    repeats=st.integers(1, 4),
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=3, unique=True),
)
def test_a_schedule_has_every_kind_level_and_repeat_once(levels, repeats, kinds):
    jobs = NoiseSchedule(levels=tuple(levels), episodes_per_level=repeats, names=tuple(kinds)).jobs()
    assert len(jobs) == len(levels) * repeats * len(kinds)
    for kind in kinds:
        assert sorted(job.level for job in jobs if job.name == kind) == sorted(levels * repeats)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"levels": (0.5,)}, r"NoiseSchedule.levels: expected two levels or more, found \(0.5,\)"),
        ({"levels": (0.0, 1.5)}, r"NoiseSchedule.levels: expected from 0 to 1, found 1.5"),
        ({"names": ()}, r"NoiseSchedule.names: expected some of"),
        ({"names": ("jitter",)}, r"NoiseSchedule.names: expected some of .*found \('jitter',\)"),
        ({"episodes_per_level": 0}, r"NoiseSchedule.episodes_per_level: expected at least 1, found 0"),
        ({"hold_steps": 0}, r"NoiseSchedule.hold_steps: expected at least 1, found 0"),
    ],
)
@pytest.mark.filterwarnings("ignore::conftest.WrongType")
def test_a_schedule_of_nonsense_is_refused(wrong, sentence):
    with pytest.raises(UserError, match=sentence):
        NoiseSchedule(**wrong)
