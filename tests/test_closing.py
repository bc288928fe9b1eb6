"""Environments are closed where a rollout or a training ends, on errors too."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_pipeline import TINY, demonstrate, start
from tiny_environments import WALK

from drex.agents.ppo.train import train_ppo
from drex.agents.rollouts.collect import collect_on
from drex.demonstrations.record import record
from drex.envs.make import make_environments
from drex.envs.vector.gymnasium import GymnasiumVecEnv
from drex.evaluation.evaluate import EvaluationSettings, evaluate_policy


class PolicyError(Exception):
    """What the policies and rewards here raise."""


def fail(*_, **__):
    raise PolicyError


@pytest.fixture
def open_environments(monkeypatch):
    """The environments that were made and not closed."""
    remaining = set()
    make, close = GymnasiumVecEnv.__init__, GymnasiumVecEnv.close

    def made(self, *arguments, **options):
        make(self, *arguments, **options)
        remaining.add(id(self))
        made.count += 1

    def closed(self):
        remaining.discard(id(self))
        close(self)

    made.count = 0
    monkeypatch.setattr(GymnasiumVecEnv, "__init__", made)
    monkeypatch.setattr(GymnasiumVecEnv, "close", closed)
    yield remaining
    assert made.count, "no environments were made"


def test_a_rollout_closes_its_environments(open_environments):
    trajectories, _ = collect_on(WALK, lambda seen: seen, 3, seed=0, environments=2)
    assert len(trajectories) == 3 and not open_environments


def test_a_policy_that_raises_leaves_no_environments(open_environments, tmp_path):
    for roll_out in (
        lambda: collect_on(WALK, fail, 3, seed=0, environments=2),
        lambda: evaluate_policy(fail, WALK, EvaluationSettings(), seed=0),
        lambda: record(fail, WALK, tmp_path / "demos.npz"),
    ):
        with pytest.raises(PolicyError):
            roll_out()
        assert not open_environments


@pytest.mark.parametrize(
    ("place", "name"),
    [("noisy_rollouts", "stochastic"), ("noisy_rollouts", "deterministic"), ("evaluation", "stochastic")],
)
def test_a_stage_whose_policy_raises_leaves_no_environments(
    place, name, open_environments, tmp_path, monkeypatch
):
    file = demonstrate(tmp_path / "walk.npz", WALK, with_rewards=True)
    open_environments.clear()  # the demonstrator's
    monkeypatch.setattr(f"drex.stages.{place}.{name}", lambda *_, **__: fail)
    settings = (
        replace(TINY, ranking=replace(TINY.ranking, rollout_policy="auto"))
        if name == "deterministic"
        else TINY
    )
    with pytest.raises(PolicyError):
        start(tmp_path / "run", file, settings=settings)
    assert not open_environments


@pytest.mark.parametrize("rollouts", [1, 3], ids=["in the first segment", "in a later segment"])
def test_ppo_whose_reward_raises_leaves_no_environments(rollouts, open_environments):
    calls = []

    def reward(observations, *_):
        calls.append(len(observations))
        return observations[:, 0] if len(calls) < rollouts else fail()

    settings = replace(TINY.learner, start_from="scratch", critic_warmup_rollouts=0)  # a rollout a segment
    with pytest.raises(PolicyError):
        train_ppo(
            lambda count, seed: make_environments(WALK, count, seed=seed),
            settings,
            policy_settings=TINY.policy,
            seed=0,
            reward=reward,
            start_from=None,
        )
    assert len(calls) == rollouts and not open_environments
