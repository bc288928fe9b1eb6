"""Policy and value network as plain multilayer perceptrons, forward and backward without autograd.

With minibatches of 64, a gradient step is mostly overhead of autograd and of nested modules. If both networks
consist of linear layers and one nonlinearity, their gradient is two products per layer. All other networks
(convolutions, shared layers) use autograd. Weights are detached, so that no graph is recorded.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from gymnasium.spaces import Box
from stable_baselines3.common.distributions import DiagGaussianDistribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import FlattenExtractor

from drex.agents.policies.network import StandardizedObservations

_Backward = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def _relu_backward(gradient: torch.Tensor, activated: torch.Tensor) -> torch.Tensor:
    return torch.ops.aten.threshold_backward(gradient, activated, 0.0)  # type: ignore[no-any-return]


def _tanh_backward(gradient: torch.Tensor, activated: torch.Tensor) -> torch.Tensor:
    return torch.ops.aten.tanh_backward(gradient, activated)  # type: ignore[no-any-return]


def _tanh_(values: torch.Tensor) -> torch.Tensor:
    """In place; by numpy on the CPU: 12 µs against torch's 87 for 256 × 128."""
    if not values.is_cpu:
        return torch.tanh_(values)
    array = values.numpy()
    np.tanh(array, out=array)
    return values


_NONLINEARITIES: dict[type[torch.nn.Module], tuple[Callable[[torch.Tensor], torch.Tensor], _Backward]] = {
    torch.nn.ReLU: (torch.relu_, _relu_backward),
    torch.nn.Tanh: (_tanh_, _tanh_backward),
}


@dataclass(frozen=True, eq=False)
class PlainMLP:
    """Linear layers with one nonlinearity between them; parameters are shared with the layers, not copied."""

    weights: Sequence[torch.Tensor]
    biases: Sequence[torch.Tensor]
    nonlinearity: type[torch.nn.Module]

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, inputs) to (n, outputs), without a graph."""
        return self.activations(inputs)[-1]

    def activations(self, inputs: torch.Tensor) -> list[torch.Tensor]:
        """The inputs, the activations of every hidden layer, and the outputs."""
        activate = _NONLINEARITIES[self.nonlinearity][0]
        *hidden, (weight_out, bias_out) = self._transposed
        activated = [inputs]
        for weight, bias in hidden:
            activated.append(activate(torch.addmm(bias, activated[-1], weight)))
        activated.append(torch.addmm(bias_out, activated[-1], weight_out))
        return activated

    def backward(self, activated: list[torch.Tensor], gradient: torch.Tensor) -> None:
        """Write the parameters' gradients into ``grad``, given the activations and the outputs' gradient."""
        through = _NONLINEARITIES[self.nonlinearity][1]
        for index in range(len(self.weights) - 1, -1, -1):
            torch.mm(gradient.t(), activated[index], out=self.weights[index].grad)
            torch.sum(gradient, 0, out=self.biases[index].grad)
            if index:
                gradient = through(torch.mm(gradient, self._detached[index]), activated[index])

    def parameters(self) -> list[torch.Tensor]:
        """Weights and biases."""
        return [*self.weights, *self.biases]

    @cached_property
    def _detached(self) -> list[torch.Tensor]:
        return [weight.detach() for weight in self.weights]

    @cached_property
    def _transposed(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [(w.t(), b.detach()) for w, b in zip(self._detached, self.biases, strict=True)]


@dataclass(frozen=True, eq=False)
class PlainActorCritic:
    """A policy's two networks, if they are plain."""

    actor: PlainMLP
    critic: PlainMLP
    log_std: torch.nn.Parameter | None
    features: torch.nn.Module

    def place_gradients(self, *, critic_only: bool) -> torch.Tensor:
        """Set every parameter's ``grad`` to a view of the returned flat tensor, for clipping in one call.

        With ``critic_only`` the policy's parameters have no ``grad``, and the optimizer skips them.
        """
        rest = [] if self.log_std is None else [self.log_std]
        parameters = self.critic.parameters()
        for parameter in (*self.actor.parameters(), *rest):
            parameter.grad = None
            if not critic_only:
                parameters.append(parameter)
        flat = torch.zeros(sum(parameter.numel() for parameter in parameters), device=parameters[0].device)
        ends = list(itertools.accumulate((parameter.numel() for parameter in parameters), initial=0))
        for parameter, (start, end) in zip(parameters, itertools.pairwise(ends), strict=True):
            parameter.grad = flat[start:end].view_as(parameter)
        return flat


def plain_actor_critic(policy: ActorCriticPolicy) -> PlainActorCritic | None:
    """The policy's networks as plain ones, or ``None`` for other networks.

    The feature extractor must have no parameters, so that features are computed once per rollout, and must
    take floats rather than images.
    """
    space = policy.observation_space
    if not isinstance(space, Box) or space.dtype == np.uint8:
        return None
    plain_kind = type(policy) is ActorCriticPolicy and policy.share_features_extractor and not policy.use_sde
    if not plain_kind or type(policy.features_extractor) not in (FlattenExtractor, StandardizedObservations):
        return None
    actor = _plain([*policy.mlp_extractor.policy_net, policy.action_net])
    critic = _plain([*policy.mlp_extractor.value_net, policy.value_net])
    if actor is None or critic is None:
        return None
    log_std = policy.log_std if isinstance(policy.action_dist, DiagGaussianDistribution) else None
    known = [*actor.parameters(), *critic.parameters(), *([] if log_std is None else [log_std])]
    learned = {id(parameter) for parameter in policy.parameters()}
    trained = all(parameter.requires_grad and parameter.dtype == torch.float32 for parameter in known)
    if not trained or learned != set(map(id, known)):
        return None
    return PlainActorCritic(actor, critic, log_std, policy.features_extractor)


def _plain(modules: list[torch.nn.Module]) -> PlainMLP | None:
    """The modules as a plain network: linear, nonlinear, linear, …, linear, one nonlinearity."""
    linear = [module for module in modules[::2] if type(module) is torch.nn.Linear]
    biases = [layer.bias for layer in linear if layer.bias is not None]
    between = {type(module) for module in modules[1::2]} or {torch.nn.ReLU}
    nonlinearity = between.pop()
    alternating = len(biases) == len(modules[::2]) and len(modules) % 2 == 1
    if not alternating or between or nonlinearity not in _NONLINEARITIES:
        return None
    if any(module._forward_hooks or module._backward_hooks for module in modules):
        return None
    return PlainMLP([layer.weight for layer in linear], biases, nonlinearity)
