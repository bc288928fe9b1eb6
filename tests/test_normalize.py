"""Offset and scale follow their named rules, and neither changes which trajectory is better."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from ranked_examples import trajectories_of

from drex.envs.data.trajectories import Trajectories
from drex.errors import UserError
from drex.rankings.preferences import RankedTrajectories, from_order
from drex.rewards.fields import RewardFields
from drex.rewards.learned_reward import LearnedReward
from drex.rewards.mlp import EnsembleMLP
from drex.rewards.normalize import RewardNormalization, discounted_returns, normalize_reward, survival
from drex.stages.controls import constant_reward

REWARDS = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0])


def observation_itself(*weights):
    """Members that pay a multiple of the observation (1,)."""
    weights = weights or (1.0,)
    network = EnsembleMLP(
        1, members=len(weights), hidden_sizes=(), generator=torch.Generator().manual_seed(0)
    ).requires_grad_(False)
    network.weights[0].copy_(torch.tensor(weights)[:, None, None])
    network.biases[0].zero_()
    nothing, unit = (0.0,) * len(weights), (1.0,) * len(weights)
    fields = RewardFields(
        inputs=("observations",),
        input_shift=(0.0,),
        input_spread=(1.0,),
        member_mean=nothing,
        member_std=unit,
        offset=0.0,
        scale=1.0,
        pessimism=0.0,
        control_cost=0.0,
    )
    return LearnedReward(network, fields)


def normalized(
    settings,
    *,
    lengths=(4, 4),
    terminated=(False, False),
    gamma=0.9,
    weights=(1.0,),
    rewards=REWARDS,
    order=None,
):
    """The observation as the reward, normalized on episodes in this order, worst first."""
    world = trajectories_of(lengths, np.array(rewards)[:, None], terminated=terminated)
    ranked = RankedTrajectories(world, from_order(range(len(lengths)) if order is None else order))
    return normalize_reward(observation_itself(*weights), ranked, settings, gamma=gamma), world


def test_discounted_returns_by_hand():
    rewards, lengths = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0]), np.array([3, 2, 1])
    assert discounted_returns(rewards, lengths, 0.5).tolist() == [3.0, 4.0, 4.0, 16.0, 16.0, 32.0]
    assert discounted_returns(rewards, lengths, 0.0).tolist() == rewards.tolist()
    assert discounted_returns(rewards, lengths, 1.0).tolist() == [7.0, 6.0, 4.0, 24.0, 16.0, 32.0]
    assert rewards.tolist() == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]  # the argument is as it was


@hypothesis_settings(max_examples=50, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    gamma=st.floats(0.0, 1.0),
    seed=st.integers(0, 99),
)
def test_discounted_returns_equal_their_definition(lengths, gamma, seed):
    episodes = [np.random.default_rng([seed, i]).normal(size=length) for i, length in enumerate(lengths)]
    expected = [
        sum(gamma**later * reward for later, reward in enumerate(episode[step:]))
        for episode in episodes
        for step in range(len(episode))
    ]
    found = discounted_returns(np.concatenate(episodes), np.array(lengths), gamma)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_where_the_better_last_longer_nearly_every_step_is_worth_living():
    settings = RewardNormalization(percentile=25.0)
    reward, world = normalized(settings, lengths=(3, 5), terminated=(True, True))
    assert reward.fields.offset == np.percentile(REWARDS, 25.0) == 1.75
    assert (reward.per_step(world) > 0).mean() == 0.75


def test_where_the_better_end_sooner_nearly_every_step_is_a_cost():
    settings = RewardNormalization(percentile=25.0)
    reward, world = normalized(settings, lengths=(5, 3), terminated=(True, True))
    assert reward.fields.offset == np.percentile(REWARDS, 75.0) == 5.25
    assert (reward.per_step(world) < 0).mean() == 0.75


def test_where_length_says_nothing_the_mean_is_zero():
    """The best episode is as long as the worst one."""
    reward, _ = normalized(RewardNormalization(percentile=25.0), lengths=(3, 2, 3), terminated=(True,) * 3)
    assert reward.fields.offset == REWARDS.mean()


@pytest.mark.parametrize(
    ("lengths", "terminated", "expected"),
    [
        ((1, 2, 3), (True, True, False), 1.0),
        ((3, 2, 1), (True, True, True), -1.0),
        ((1, 3, 2), (True, True, True), 1 / 3),
        ((1, 2, 3), (False, False, False), 0.0),
    ],
)
def test_survival_is_the_excess_of_pairs_whose_better_episode_is_longer(lengths, terminated, expected):
    world = trajectories_of(lengths, np.zeros((sum(lengths), 1)), terminated=terminated)
    assert survival(RankedTrajectories(world, from_order([0, 1, 2]))) == pytest.approx(expected)


def test_where_no_episode_ends_by_itself_the_mean_is_zero():
    reward, world = normalized(RewardNormalization(percentile=25.0))
    assert reward.fields.offset == REWARDS.mean() == 3.875
    assert reward.per_step(world).mean() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("terminated", [(False, False), (True, True)])
def test_mean_and_percentile_hold_wherever_asked_for(terminated):
    assert normalized(RewardNormalization(offset="mean"), terminated=terminated)[0].fields.offset == 3.875
    by_percentile = RewardNormalization(offset="percentile", percentile=50.0)
    assert normalized(by_percentile, terminated=terminated)[0].fields.offset == 3.5


def test_the_default_percentile_is_the_fifth():
    rewards = np.arange(101.0)
    reward, _ = normalized(RewardNormalization(), lengths=(50, 51), terminated=(True, True), rewards=rewards)
    assert reward.fields.offset == 5.0


@pytest.mark.parametrize("terminated", [(False, False), (False, True)])
def test_each_scale_gives_its_quantity_a_standard_deviation_of_one(terminated):
    lengths = (5, 3)
    reward, world = normalized(RewardNormalization(scale="step"), lengths=lengths, terminated=terminated)
    assert reward.per_step(world).std() == pytest.approx(1.0, rel=1e-5)
    reward, world = normalized(RewardNormalization(scale="return"), lengths=lengths, terminated=terminated)
    returns = discounted_returns(reward.per_step(world).astype(np.float64), np.array(lengths), 0.9)
    assert returns.std() == pytest.approx(1.0, rel=1e-5)


def test_the_return_is_scaled_by_the_discount_of_ppo():
    near, world = normalized(RewardNormalization(), gamma=0.0)
    assert near.fields.scale == pytest.approx(1 / REWARDS.std())
    far, _ = normalized(RewardNormalization(), gamma=1.0)
    expected = discounted_returns(REWARDS - REWARDS.mean(), world.lengths, 1.0).std()
    assert far.fields.scale == pytest.approx(1 / expected)


def test_anchoring_forgets_an_earlier_anchor():
    first, world = normalized(RewardNormalization())
    ranked = RankedTrajectories(world, from_order([0, 1]))
    again = normalize_reward(
        first.with_fields(offset=7.0, scale=-3.0), ranked, RewardNormalization(), gamma=0.9
    )
    assert (again.fields.offset, again.fields.scale) == (first.fields.offset, first.fields.scale)


def test_pessimism_is_part_of_what_is_anchored():
    # Members pay 1 and 3 times the observation: mean 2, deviation 1; 2 - 1 = 1.
    reward, world = normalized(RewardNormalization(pessimism=1.0, scale="step"), weights=(1.0, 3.0))
    assert reward.fields.pessimism == 1.0
    assert reward.fields.offset == pytest.approx(3.875)
    assert reward.per_step(world).std() == pytest.approx(1.0, rel=1e-5)
    np.testing.assert_allclose(
        reward.per_step(world), (REWARDS - REWARDS.mean()) / REWARDS.std(), rtol=1e-5, atol=1e-6
    )


def test_a_reward_that_pays_every_step_alike_stays_finite():
    reward, world = normalized(RewardNormalization(), rewards=np.full(8, 2.0))
    assert reward.per_step(world).tolist() == [0.0] * 8


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    offset=st.sampled_from(["ending", "mean", "percentile"]),
    scale=st.sampled_from(["return", "step"]),
    ends=st.booleans(),
    seed=st.integers(0, 999),
)
def test_trajectories_of_one_length_keep_their_order(offset, scale, ends, seed):
    rewards = np.random.default_rng(seed).normal(size=24)
    percentile = {} if offset == "mean" else {"percentile": 10.0}
    settings = RewardNormalization(offset=offset, scale=scale, **percentile)
    reward, world = normalized(settings, lengths=(4,) * 6, terminated=(ends,) * 6, rewards=rewards)
    assert reward.fields.scale > 0
    before = observation_itself().returns(world)
    assert np.argsort(reward.returns(world)).tolist() == np.argsort(before).tolist()


def test_the_alive_bonus_pays_every_step_alike():
    column = np.random.default_rng(0).normal(size=(3, 2))
    paid = constant_reward(column, column, column, np.array([False, True, False]))
    assert paid.dtype == np.float32
    assert paid.tolist() == [np.float32(0.1)] * 3


@pytest.mark.parametrize("percentile", [-0.1, 100.1, float("nan")])
def test_a_percentile_that_is_none_is_refused(percentile):
    with pytest.raises(UserError, match=r"RewardNormalization\.percentile: expected from 0 to 100, found"):
        RewardNormalization(percentile=percentile)


def test_a_control_cost_is_refused_for_actions_without_a_size():
    reward, world = normalized(RewardNormalization())
    discrete = Trajectories(
        world.observations,
        np.zeros(8, np.int64),
        world.lengths,
        world.terminated,
        world.last_observations,
    )
    with pytest.raises(
        UserError, match=r"normalization\.control_cost: expected 0 .* 0\.1 for actions of int64"
    ):
        ranked = RankedTrajectories(discrete, from_order([0, 1]))
        normalize_reward(reward, ranked, RewardNormalization(control_cost=0.1), gamma=0.9)


@pytest.mark.parametrize("name", ["pessimism", "control_cost"])
def test_nothing_negative_is_subtracted(name):
    with pytest.raises(UserError, match=rf"RewardNormalization\.{name}: expected at least 0, found -1"):
        RewardNormalization(**{name: -1.0})
