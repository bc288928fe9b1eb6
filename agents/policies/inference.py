"""Fast inference of a policy's network on small batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3.common.policies import ActorCriticPolicy

Inference = Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]]
"""(n, *observation shape) to what ``action_mean`` gives, as an array."""

_ALONE = 2**18
"""Multiplications up to which OpenBLAS uses one thread; the other cores step environments."""
_FEWEST_ROWS = 8
"""Smallest chunk at which numpy is faster than torch."""


def inference(policy: ActorCriticPolicy) -> Inference:
    """The actor without autograd. Weights may change in place but must stay on their device.

    Small plain networks on the CPU are computed by numpy, which has less overhead per call:
    ``python -m benchmarks throughput --only noise_rollouts_numpy_16`` measures the gain.
    """
    from drex.agents.policies.manual_mlp import plain_actor_critic

    plain = plain_actor_critic(policy) if policy.device.type == "cpu" else None
    rows = 0 if plain is None else _ALONE // max(weight.numel() for weight in plain.actor.weights)
    by_torch = inference_by_torch(policy)
    if plain is None or not rows:
        return by_torch
    standardize = _standardization(plain.features)
    rectify = plain.actor.nonlinearity is torch.nn.ReLU
    weights = [weight.detach().numpy().T for weight in plain.actor.weights]
    biases = [bias.detach().numpy() for bias in plain.actor.biases]

    def product(values: npt.NDArray[np.float32], weight: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        found: npt.NDArray[np.float32] = np.empty((len(values), weight.shape[1]), np.float32)
        for first in range(0, len(values), rows):
            np.matmul(values[first : first + rows], weight, out=found[first : first + rows])
        return found

    def infer(observations: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        if len(observations) > rows and rows < _FEWEST_ROWS:
            return by_torch(observations)
        values = standardize(np.asarray(observations, np.float32).reshape(len(observations), -1))
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            values = product(values, weight)
            values += bias
            if rectify:
                np.maximum(values, 0.0, out=values)
            else:
                np.tanh(values, out=values)
        outputs = product(values, weights[-1])
        outputs += biases[-1]
        return outputs

    return infer


def _standardization(features: torch.nn.Module) -> Inference:
    """``StandardizedObservations`` on flat observations, or the identity."""
    mean, std = (getattr(features, name, None) for name in ("mean", "std"))
    if mean is None or std is None:
        return lambda observations: observations
    shift, spread = cast("torch.Tensor", mean).numpy(), cast("torch.Tensor", std).numpy()

    def standardize(observations: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        values: npt.NDArray[np.float32] = observations - shift
        values /= spread
        np.maximum(values, -10.0, out=values)
        np.minimum(values, 10.0, out=values)
        return values

    return standardize


def inference_by_torch(policy: ActorCriticPolicy) -> Inference:
    """Any network on any device; images reach it as bytes."""
    from drex.agents.policies.network import action_mean

    def infer(observations: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        seen = observations if observations.dtype == np.uint8 else np.asarray(observations, np.float32)
        with torch.inference_mode():
            outputs = action_mean(policy, torch.as_tensor(seen, device=policy.device))
        return cast("npt.NDArray[np.float32]", outputs.cpu().numpy())

    return infer
