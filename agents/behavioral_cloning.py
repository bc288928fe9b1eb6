"""Behavioral cloning: maximum likelihood of the demonstrator's actions (D-REX section 4.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import gymnasium
import numpy as np
import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import get_device

from drex.agents.gradient_descent import descend
from drex.agents.policies.acting import clip_to_space
from drex.agents.policies.discrete_actions import log_probability_and_entropy
from drex.agents.policies.network import PolicySettings, StandardizedObservations, action_mean, make_policy
from drex.envs.data.stacked_frames import Observations, are_images
from drex.envs.data.trajectories import Trajectories
from drex.errors import UserError
from drex.ranges import Count, NotNegative, Positive, Range, check_ranges


@dataclass(frozen=True, kw_only=True)
class CloningSettings:
    """Behavioral cloning (D-REX section 4.1)."""

    gradient_steps: Count = 4000
    """Maximum number of gradient steps; early stopping usually ends training sooner."""
    batch_size: Count = 256
    """Transitions per gradient step."""
    learning_rate: Positive = 1e-3
    """Adam's learning rate."""
    l2: NotNegative = 1e-4
    """Coefficient of ½‖θ‖² in the loss."""
    held_out: Annotated[float, Range(0, 1, above=True, below=True)] = 0.1
    """Share of the transitions held out for early stopping."""
    check_every: Count = 100
    """Gradient steps between evaluations of the held-out loss."""
    patience: Annotated[int, Range(0)] = 10
    """Evaluations without improvement before training stops; the best weights are kept."""
    smallest_std: Positive = 0.05
    """Minimum standard deviation of Box actions, in their own unit."""

    def __post_init__(self) -> None:
        check_ranges(self)


_IMAGES_AT_ONCE = 512

Log = Callable[[str, float, int], None]
"""Receives a scalar's name, its value and its step."""


def clone(
    demonstrations: Trajectories,
    observation_space: gymnasium.Space[np.ndarray],
    action_space: gymnasium.Space[np.ndarray],
    *,
    policy_settings: PolicySettings,
    settings: CloningSettings,
    seed: int,
    log: Log | None = None,
    device: str = "cpu",
    checkpoints: Path | None = None,
) -> ActorCriticPolicy:
    """Clone demonstrations into a policy: squared error on Box actions, cross entropy on all others.

    Box actions are clipped to their bounds, as in the environment. Held-out transitions are drawn at random;
    the weights with the lowest held-out loss are returned, on the CPU. Images are trained on ``device``
    (``"cpu"``, ``"cuda"`` or ``"auto"``), one batch in memory at a time; vectors on the CPU, where small
    networks are faster. An interrupted training continues from the last checkpoint in ``checkpoints``.

    Raises:
        UserError: a single transition, of which none can be held out; or a checkpoint that has changed.
    """
    if len(demonstrations.observations) < 2:
        raise UserError("demonstrations", expected="at least two transitions to clone from", found="1")
    policy = make_policy(observation_space, action_space, policy_settings, seed=seed)
    extractor = policy.features_extractor
    if isinstance(extractor, StandardizedObservations):
        extractor.fit(np.asarray(demonstrations.observations))
    policy.to(get_device(device if are_images(demonstrations.observations) else "cpu"))
    imitation = _Imitation(policy, demonstrations, action_space)
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(demonstrations.observations))
    held_out_steps = max(1, int(len(order) * settings.held_out))
    held_out, training = torch.as_tensor(order[:held_out_steps]), torch.as_tensor(order[held_out_steps:])

    def loss(step: int) -> torch.Tensor:
        batch = training[torch.as_tensor(generator.integers(len(training), size=settings.batch_size))]
        batch_loss = imitation.loss(batch)
        if log is not None and step % settings.check_every == 0:
            log("bc/training_loss", float(batch_loss.detach()), step)
        return batch_loss

    def held_out_loss(step: int) -> float:
        mean_loss = imitation.mean_loss(held_out)
        if log is not None:
            log("bc/held_out_loss", mean_loss, step)
        return mean_loss

    trained = [*policy.mlp_extractor.policy_net.parameters(), *policy.action_net.parameters()]
    trained += list(policy.features_extractor.parameters())
    descend(
        policy,
        torch.optim.Adam(trained, lr=settings.learning_rate, weight_decay=settings.l2),
        loss,
        held_out_loss,
        steps=settings.gradient_steps,
        check_every=settings.check_every,
        patience=settings.patience,
        generator=generator,
        checkpoints=checkpoints,
    )
    if isinstance(action_space, gymnasium.spaces.Box):
        with torch.no_grad():
            policy.log_std.copy_(imitation.deviation(held_out).clamp(min=settings.smallest_std).log())
    return policy.to("cpu")


class _Imitation:
    """The loss of a policy on the demonstrated steps."""

    def __init__(
        self, policy: ActorCriticPolicy, demonstrations: Trajectories, space: gymnasium.Space[np.ndarray]
    ) -> None:
        self.policy, self._space = policy, space
        self._seen: Observations | torch.Tensor = demonstrations.observations
        self._at_once = _IMAGES_AT_ONCE
        if not are_images(demonstrations.observations):
            self._seen = torch.as_tensor(np.asarray(demonstrations.observations, np.float32))
            self._at_once = len(self._seen)
        dtype = np.float32 if isinstance(space, gymnasium.spaces.Box) else np.int64
        self._actions = torch.as_tensor(np.asarray(clip_to_space(demonstrations.actions, space), dtype))

    def loss(self, steps: torch.Tensor) -> torch.Tensor:
        """Mean squared error of means, or cross entropy of logits, over these steps, ()."""
        predicted, actions = self._mean(steps), self._actions[steps].to(self.policy.device)
        if isinstance(self._space, gymnasium.spaces.Box):
            return (predicted - actions).square().sum(dim=1).mean()
        return -log_probability_and_entropy(self._space, predicted, actions)[0].mean()

    def mean_loss(self, steps: torch.Tensor) -> float:
        """The loss over any number of steps, without a gradient."""
        parts = steps.split(self._at_once)
        with torch.no_grad():
            return sum(float(self.loss(part)) * (len(part) / len(steps)) for part in parts)

    def deviation(self, steps: torch.Tensor) -> torch.Tensor:
        """(*action shape) root mean squared error of the mean action."""
        errors = [self._mean(part).cpu() - self._actions[part] for part in steps.split(self._at_once)]
        return torch.cat(errors).square().mean(dim=0).sqrt()

    def _mean(self, steps: torch.Tensor) -> torch.Tensor:
        seen = self._seen
        batch = seen[steps] if isinstance(seen, torch.Tensor) else torch.as_tensor(seen[steps.numpy()])
        return action_mean(self.policy, batch.to(self.policy.device))
