"""The written-out gradients of PPO are those of autograd, for plain networks and beyond them."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from stable_baselines3.common.policies import ActorCriticPolicy
from tiny_environments import DISCRETE_WALK, WALK

from drex.agents.policies.acting import uniform_actions
from drex.agents.policies.discrete_actions import divergence
from drex.agents.policies.manual_mlp import plain_actor_critic
from drex.agents.policies.network import PolicySettings, policy_arguments
from drex.agents.ppo.algorithm import PPO
from drex.agents.ppo.loss_gradient import LossWeights, policy_gradient, standardized, value_gradient
from drex.envs.make import make_environments

SEEN = Box(-1.0, 1.0, (3,), np.float32)
ROWS = 40
SPACES = [Box(-1.0, 1.0, (2,), np.float32), Discrete(4), MultiDiscrete([2, 3]), MultiBinary(3)]
LOSSES = {
    "plain": {},
    "clipped values": {"value_clip": 0.1},
    "entropy": {"ent_coef": 0.3},
    "near the clone": {"kl_penalty": 0.7},
}


def make_loss(**changes):
    chosen = {"clip": 0.1, "value_clip": None, "ent_coef": 0.0, "vf_coef": 0.6}
    return LossWeights(**{**chosen, "kl_penalty": 0.0, **changes})


def make_case(space, seed=0, **arguments):
    """A policy, another one near it whose rollout it learns from, and a minibatch."""
    torch.manual_seed(seed)
    policy = ActorCriticPolicy(SEEN, space, lambda _: 1e-3, **{"net_arch": [16, 8], **arguments})
    before = copy.deepcopy(policy)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    generator = np.random.default_rng(seed)
    actions = torch.as_tensor(uniform_actions(space, ROWS, generator).reshape(ROWS, -1), dtype=torch.float32)
    observations = torch.as_tensor(generator.uniform(-1, 1, (ROWS, 3)), dtype=torch.float32)
    with torch.no_grad():
        shaped = actions.flatten() if isinstance(space, Discrete) else actions
        values, log_probs, _ = before.evaluate_actions(observations, shaped)
        clone_outputs = before.action_net(before.mlp_extractor.forward_actor(observations))
    batch = {
        "observations": observations,
        "actions": actions,
        "values": values.flatten(),
        "log_probs": log_probs,
        "advantages": torch.randn(ROWS),
        "returns": torch.randn(ROWS),
        "clone_outputs": clone_outputs,
    }
    return policy, batch


def loss_by_autograd(policy, batch, loss):
    """PPO's loss as the paper and stable-baselines3 write it, from stable-baselines3's own distributions."""
    space = policy.action_space
    actions = batch["actions"].flatten() if isinstance(space, Discrete) else batch["actions"]
    values, log_prob, entropy = policy.evaluate_actions(batch["observations"], actions)
    values, advantages = values.flatten(), batch["advantages"]
    ratio = (log_prob - batch["log_probs"]).exp()
    gain = torch.min(advantages * ratio, advantages * ratio.clamp(1 - loss.clip, 1 + loss.clip))
    if loss.value_clip is not None:
        moved = (values - batch["values"]).clamp(-loss.value_clip, loss.value_clip)
        values = batch["values"] + moved
    total = -gain.mean() - loss.ent_coef * entropy.mean()
    total = total + loss.vf_coef * (values - batch["returns"]).square().mean()
    outputs = policy.action_net(policy.mlp_extractor.forward_actor(batch["observations"]))
    if isinstance(space, Box):
        scaled = (outputs - batch["clone_outputs"]) / policy.log_std.detach().exp()
        return total + loss.kl_penalty * scaled.square().sum(dim=1).mean()
    return total + loss.kl_penalty * divergence(space, outputs, batch["clone_outputs"]).mean()


@pytest.mark.parametrize("changes", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("space", SPACES, ids=lambda space: type(space).__name__)
def test_every_parameters_gradient_is_autograds(space, changes):
    policy, batch = make_case(space, activation_fn=torch.nn.ReLU)
    loss = make_loss(**changes)
    loss_by_autograd(policy, batch, loss).backward()
    expected = {name: parameter.grad.clone() for name, parameter in policy.named_parameters()}
    plain = plain_actor_critic(policy)
    flat = plain.place_gradients(critic_only=False)
    with torch.no_grad():
        kept = plain.critic.activations(batch["observations"])
        at_values, errors = value_gradient(kept[-1].squeeze(1), batch, loss)
        plain.critic.backward(kept, at_values[:, None])
        kept = plain.actor.activations(batch["observations"])
        part = policy_gradient(space, kept[-1], plain.log_std, batch=batch, loss=loss)
        plain.actor.backward(kept, part.at_outputs)
        if plain.log_std is not None:
            plain.log_std.grad.copy_(part.at_log_std)
    for name, parameter in policy.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-4, atol=1e-6, msg=name)
    whole = torch.stack([gradient.norm() for gradient in expected.values()]).norm()
    assert float(flat.norm()) == pytest.approx(float(whole), rel=1e-5)
    held = (part.log_ratio.exp() - 1).abs() > loss.clip
    assert 0 < int(held.sum()) < ROWS
    assert float(errors.abs().max()) > 0.1


@pytest.mark.parametrize("rows", [ROWS, 10, 7, 13, 39])
def test_advantages_are_standardised_within_each_minibatch(rows):
    advantages = torch.randn(ROWS, generator=torch.Generator().manual_seed(0)) * 3.0 + 1.0
    expected = [
        part if len(part) == 1 else (part - part.mean()) / (part.std() + 1e-8)
        for part in advantages.split(rows)
    ]
    torch.testing.assert_close(standardized(advantages, rows), torch.cat(expected))


def test_where_clipping_holds_the_gain_down_a_row_teaches_nothing():
    outputs, log_std = torch.zeros(4, 1), torch.zeros(1)
    actions = torch.ones(4, 1)
    log_prob = torch.distributions.Normal(0.0, 1.0).log_prob(torch.tensor(1.0))
    ratios = torch.tensor([1.5, 1.5, 0.5, 0.5])
    batch = {
        "actions": actions,
        "log_probs": log_prob - ratios.log(),
        "advantages": torch.tensor([1.0, -1.0, 1.0, -1.0]),
    }
    loss = make_loss(clip=0.2)
    part = policy_gradient(Box(-1, 1, (1,)), outputs, log_std, batch=batch, loss=loss)
    # the gradient at the log-probability is -advantage · ratio / rows, and at the mean that times 1
    expected = [0.0, 1.5 / 4, -0.5 / 4, 0.0]
    assert part.at_outputs.flatten().tolist() == pytest.approx(expected)
    assert part.gain.tolist() == pytest.approx([1.2, -1.5, 0.5, -0.8])


class Layered(torch.nn.Module):
    """A network that is linear inside, which only autograd can see through."""

    def __init__(self, inside):
        super().__init__()
        self.inside = inside

    def forward(self, inputs):
        return self.inside(inputs)


@pytest.mark.parametrize("activation", [torch.nn.ReLU, torch.nn.Tanh])
@pytest.mark.parametrize("task", [WALK, DISCRETE_WALK])
def test_networks_that_are_not_plain_learn_the_same_by_autograd(task, activation):
    ends = []
    arguments = policy_arguments(PolicySettings(policy_hidden_sizes=(16, 8), value_hidden_sizes=(8,)))
    for plain in (True, False):
        model = PPO(
            "MlpPolicy",
            make_environments(task, 4, seed=0, reward="true"),
            n_steps=32,
            batch_size=32,
            ent_coef=0.01,
            seed=3,
            device="cpu",
            policy_kwargs=arguments | {"activation_fn": activation},
        )
        model.set_reference_policy(model.policy, penalty=0.3)
        model.critic_warmup_rollouts = 1
        if not plain:
            model.policy.action_net = Layered(model.policy.action_net)
        assert (plain_actor_critic(model.policy) is not None) == plain
        model.learn(3 * 4 * 32)
        ends.append(model.policy.state_dict())
    for mine, expected in zip(ends[0].values(), ends[1].values(), strict=True):
        torch.testing.assert_close(mine, expected, rtol=0.0, atol=2e-6)


@pytest.mark.parametrize(
    "arguments",
    [{"use_sde": True}, {"activation_fn": torch.nn.GELU}, {"share_features_extractor": False}],
    ids=str,
)
def test_what_is_not_plain_is_left_to_autograd(arguments):
    assert plain_actor_critic(ActorCriticPolicy(SEEN, SPACES[0], lambda _: 1e-3)) is not None
    assert plain_actor_critic(ActorCriticPolicy(SEEN, SPACES[0], lambda _: 1e-3, **arguments)) is None


def test_bytes_are_left_to_autograd():
    memory = Box(0, 255, (8,), np.uint8)
    assert plain_actor_critic(ActorCriticPolicy(memory, SPACES[0], lambda _: 1e-3)) is None


def test_frozen_and_hooked_networks_are_left_to_autograd():
    frozen, _ = make_case(SPACES[0])
    frozen.action_net.requires_grad_(False)
    assert plain_actor_critic(frozen) is None
    hooked, _ = make_case(SPACES[0])
    hooked.action_net.register_forward_hook(lambda *_: None)
    assert plain_actor_critic(hooked) is None
