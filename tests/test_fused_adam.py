"""Adam's steps without what torch.optim does around them are its own, to the last bit."""

from __future__ import annotations

import copy

import pytest
import torch

from drex.agents.ppo.fused_adam import many_steps


def make_optimizer(kind=torch.optim.Adam, **settings):
    generator = torch.Generator().manual_seed(0)
    parameters = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((7, 5), (7,), ())]
    return kind(parameters, **{"lr": 1e-2, "eps": 1e-5, "fused": True, **settings})


def set_gradients(optimizer, seed, which=slice(None)):
    generator = torch.Generator().manual_seed(seed)
    parameters = optimizer.param_groups[0]["params"]
    for parameter in parameters:
        parameter.grad = None
    for parameter in parameters[which]:
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def change_gradients(optimizer, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter in optimizer.param_groups[0]["params"]:
        if parameter.grad is not None:
            parameter.grad.copy_(torch.randn(parameter.shape, generator=generator))


def train(optimizer, updates):
    """Some updates of several steps; in the first, one parameter stands still, so that counts differ."""
    for update in range(3):
        set_gradients(optimizer, update, slice(1, None) if update == 0 else slice(None))
        optimizer.param_groups[0]["lr"] *= 0.5
        step = updates(optimizer)
        for seed in range(5):
            change_gradients(optimizer, seed)
            step()


@pytest.mark.parametrize(
    "settings", [{}, {"weight_decay": 0.1}, {"amsgrad": True}, {"fused": False}], ids=str
)
def test_steps_and_the_state_they_leave_are_the_optimizers_own(settings):
    ours, expected = make_optimizer(**settings), make_optimizer(**settings)
    train(ours, many_steps)
    train(expected, lambda optimizer: optimizer.step)
    for mine, its in zip(ours.param_groups[0]["params"], expected.param_groups[0]["params"], strict=True):
        assert torch.equal(mine, its)
        assert ours.state[mine].keys() == expected.state[its].keys()
        for name, value in expected.state[its].items():
            assert torch.equal(ours.state[mine][name], value), name
    restored = make_optimizer(**settings)
    restored.load_state_dict(copy.deepcopy(ours.state_dict()))
    counts = [int(restored.state[each]["step"]) for each in restored.param_groups[0]["params"]]
    assert counts == [10, 15, 15]


def test_an_optimizer_of_another_kind_steps_by_itself():
    optimizer = make_optimizer(torch.optim.AdamW)
    assert many_steps(optimizer) == optimizer.step
    hooked = make_optimizer()
    hooked.register_step_post_hook(lambda *_: None)
    assert many_steps(hooked) == hooked.step
