"""Training by gradient descent: interrupted anywhere and continued, it ends with the same weights."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from ranked_examples import ranked_linear_world
from test_cloning import BOX, OBSERVATIONS, SMALL, demonstrations
from test_pipeline import TINY, WEIGHTS, demonstrate, start
from test_reward_learning import SMALL as SMALL_REWARD
from tiny_environments import WALK

from drex.agents import gradient_descent
from drex.agents.behavioral_cloning import CloningSettings, clone
from drex.agents.gradient_descent import descend
from drex.errors import UserError
from drex.rewards.learning import learn_reward
from drex.stages.progress import Progress

STEPS = 60


@pytest.fixture(autouse=True)
def a_checkpoint_at_every_step(monkeypatch):
    monkeypatch.setattr(gradient_descent, "SECONDS_BETWEEN_CHECKPOINTS", -1.0)


def line(*, checkpoints=None, patience=2, stop_at=None, held_out=True):
    """Fit a line to noise; the held-out loss soon rises. Returns the weights and the steps that were done."""
    torch.manual_seed(0)
    module, generator, done = torch.nn.Linear(2, 1), np.random.default_rng(0), []

    def loss(step):
        if step == stop_at:
            raise KeyboardInterrupt
        done.append(step)
        inputs = torch.as_tensor(generator.standard_normal((8, 2)), dtype=torch.float32)
        return (module(inputs) - float(generator.standard_normal())).square().mean()

    descend(
        module,
        torch.optim.Adam(module.parameters(), lr=0.05),
        loss,
        (lambda _: float(module.weight.detach().square().sum())) if held_out else None,
        steps=STEPS,
        check_every=5,
        patience=patience,
        generator=generator,
        checkpoints=checkpoints,
    )
    return module.state_dict(), done


@pytest.mark.parametrize(("patience", "held_out"), [(2, True), (50, True), (None, True), (None, False)])
@pytest.mark.parametrize("stop_at", [0, 1, 5, 13, 20])
def test_an_interrupted_training_continues_to_the_same_weights(patience, held_out, stop_at, tmp_path):
    options = {"patience": patience, "held_out": held_out}
    expected, steps = line(**options)
    if stop_at >= len(steps):
        pytest.skip("it stops before")
    with pytest.raises(KeyboardInterrupt):
        line(checkpoints=tmp_path, stop_at=stop_at, **options)
    found, rest = line(checkpoints=tmp_path, **options)
    assert rest == steps[stop_at:]
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor)


def test_no_checkpoint_is_written_where_none_is_asked_or_due(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line()
    monkeypatch.setattr(gradient_descent, "SECONDS_BETWEEN_CHECKPOINTS", 3600.0)
    line(checkpoints=tmp_path / "checkpoints")
    assert list(tmp_path.iterdir()) == []


def test_a_changed_checkpoint_is_refused(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        line(checkpoints=tmp_path, stop_at=10)
    (file,) = tmp_path.glob("checkpoint-10/state.safetensors")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"state.safetensors.*remove .* to train from the start"):
        line(checkpoints=tmp_path)


class Stop:
    """A log that interrupts the training at a step."""

    def __init__(self, name, step):
        self.name, self.step = name, step

    def __call__(self, name, value, step):
        if (name, step) == (self.name, self.step):
            raise KeyboardInterrupt


def test_an_interrupted_clone_continues_to_the_same_weights(tmp_path):
    noise = np.random.default_rng(5)
    data = demonstrations(lambda observations: noise.uniform(-1, 1, (len(observations), 2)), count=60)
    settings = CloningSettings(gradient_steps=90, check_every=10, patience=3, learning_rate=0.02)

    def cloned(**options):
        return clone(data, OBSERVATIONS, BOX, policy_settings=SMALL, settings=settings, seed=3, **options)

    expected = cloned().state_dict()
    with pytest.raises(KeyboardInterrupt):
        cloned(checkpoints=tmp_path, log=Stop("bc/training_loss", 40))
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-40"]
    found = cloned(checkpoints=tmp_path).state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_an_interrupted_reward_continues_to_the_same_weights(tmp_path):
    ranked = ranked_linear_world(12, seed=0)
    expected = learn_reward(ranked, SMALL_REWARD, seed=1)
    with pytest.raises(KeyboardInterrupt):
        learn_reward(ranked, SMALL_REWARD, seed=1, checkpoints=tmp_path, log=Stop("reward/held_out_loss", 15))
    found = learn_reward(ranked, SMALL_REWARD, seed=1, checkpoints=tmp_path)
    assert found.fields == expected.fields
    for name, tensor in expected.network.state_dict().items():
        assert torch.equal(found.network.state_dict()[name], tensor)


@pytest.mark.parametrize(("stage", "name"), [("bc", "bc/training_loss"), ("reward", "reward/loss")])
def test_a_run_interrupted_in_a_stage_continues_from_its_checkpoint(stage, name, tmp_path, monkeypatch):
    settings = dataclasses.replace(TINY, selection=dataclasses.replace(TINY.selection, judge=False))
    given = demonstrate(tmp_path / "a.npz", WALK, with_rewards=False)
    start(tmp_path / "whole", given, settings=settings)
    log, seen = Progress.log, []

    def stopping(self, scalar, value, step):
        if scalar == name and step == 10 * (5 if stage == "bc" else 1):
            raise KeyboardInterrupt
        log(self, scalar, value, step)

    def noting(self, scalar, value, step):
        if scalar == name:
            seen.append(step)
        log(self, scalar, value, step)

    monkeypatch.setattr(Progress, "log", stopping)
    with pytest.raises(KeyboardInterrupt):
        start(tmp_path / "run", given, settings=settings)
    assert len(list((tmp_path / "run" / f"{stage}.unfinished").glob("checkpoint-*"))) == 1
    monkeypatch.setattr(Progress, "log", noting)
    start(tmp_path / "run", given, settings=settings, resume=True)
    assert seen[0] > 0
    assert not list((tmp_path / "run").glob("*.unfinished"))
    for folder, file in WEIGHTS.items():
        weights = f"{folder}/{file}.safetensors"
        assert (tmp_path / "run" / weights).read_bytes() == (tmp_path / "whole" / weights).read_bytes()
