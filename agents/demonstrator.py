"""Demonstrators: PPO on the true reward, stopped while still imperfect."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, cast

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.policies import ActorCriticPolicy

from drex.agents.policies.network import PolicySettings
from drex.agents.ppo.algorithm import PPO
from drex.agents.ppo.settings import PPOSettings
from drex.agents.ppo.train import MakeEnvironments, train_ppo
from drex.envs.atari.options import AtariOptions
from drex.envs.vector.scaled_reward import ScaledReward
from drex.envs.vector.true_reward_ledger import take_true_return
from drex.errors import UserError
from drex.ranges import Count, Positive, Range, check_ranges

Watcher = Callable[[int, float], None]
"""Receives the environment steps done and the mean true return of the latest episodes."""


def _true_reward_ppo() -> PPOSettings:
    return PPOSettings(
        start_from="scratch",
        initial_std=0.6,
        environment_steps=3_000_000,
        final_learning_rate=3e-4,
        gamma=0.99,
        gae_lambda=0.95,
    )


@dataclass(frozen=True, kw_only=True)
class DemonstratorSettings:
    """How a demonstrator is trained."""

    target_return: Annotated[float, Range(nan=True)] = 1000.0
    """Mean true return of the latest episodes at which training stops."""
    episodes_watched: Count = 20
    """Number of latest episodes whose mean return is compared with the target."""
    reward_scale: Positive = 0.1
    """Factor on the true reward, so that values are of the order of 10."""
    ppo: PPOSettings = field(default_factory=_true_reward_ppo)
    """PPO on the true reward; environment_steps is its maximum."""
    policy: PolicySettings = field(default_factory=lambda: PolicySettings(policy_hidden_sizes=(64, 64)))
    """The demonstrator's network."""
    atari: AtariOptions = field(default_factory=AtariOptions)
    """Atari games only: how training differs from the recorded games."""

    def __post_init__(self) -> None:
        check_ranges(self)


def train_demonstrator(
    make: MakeEnvironments,
    settings: DemonstratorSettings,
    *,
    seed: int,
    history: PolicyHistory | None = None,
    checkpoints: Path | None = None,
    progress: Watcher | None = None,
) -> PPO:
    """Train on the true reward until the mean return of the latest episodes first reaches the target.

    Args:
        make: makes environments with their true reward (``reward="true"``).
        settings: target and training.
        seed: of all random streams.
        history: records the policies of the training, in memory.
        checkpoints: folder for checkpoints; training continues from the last one in it.
        progress: called at the end of each rollout.

    Raises:
        UserError: the target was not reached within ``settings.ppo.environment_steps``.
    """
    watch = _StopAtReturn(settings.target_return, settings.episodes_watched, progress)
    scale = settings.reward_scale
    model = train_ppo(
        lambda count, stream: ScaledReward(make(count, stream), scale),
        settings.ppo,
        policy_settings=settings.policy,
        seed=seed,
        reward=None,
        start_from=None,
        checkpoints=checkpoints,
        callback=watch if history is None else CallbackList([watch, history]),
    )
    if not watch.reached:
        best = f"{watch.best:.0f}" if np.isfinite(watch.best) else "no whole episodes"
        expected = f"a mean of {settings.target_return:.0f} within {settings.ppo.environment_steps} steps"
        advice = "lower the target or train longer"
        raise UserError("target_return", expected=expected, found=best, do=advice)
    return model


class PolicyHistory(BaseCallback):
    """The weights of every policy of a training, from the untrained one to the last."""

    def __init__(self) -> None:
        super().__init__()
        self._weights: dict[int, dict[str, torch.Tensor]] = {}

    def spread(self, policies: int) -> list[ActorCriticPolicy]:
        """At least two policies, evenly spaced over the training, earliest first; UserError for too many."""
        updates = sorted(self._weights)
        if not 2 <= policies <= len(updates):
            expected = f"2 to {len(updates)} policies of this training"
            raise UserError("history", expected=expected, found=str(policies))
        found = []
        for place in np.linspace(0, len(updates) - 1, policies).round().astype(int).tolist():
            policy = copy.deepcopy(cast("PPO", self.model).policy)
            policy.load_state_dict(self._weights[updates[place]])
            found.append(policy)
        return found

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        model = cast("PPO", self.model)
        weights = {name: part.clone() for name, part in model.policy.state_dict().items()}
        self._weights[model.rollouts_done] = weights

    _on_training_end = _on_rollout_end


class _StopAtReturn(BaseCallback):
    """Stops training once the mean return of the latest episodes reaches the target."""

    def __init__(self, target: float, episodes: int, progress: Watcher | None) -> None:
        super().__init__()
        self._target, self._progress = target, progress
        self._latest: deque[float] = deque(maxlen=episodes)
        self.best = -np.inf
        self.reached = False

    def _on_step(self) -> bool:
        for index in np.flatnonzero(self.locals["dones"]):
            info = self.locals["infos"][index]
            if "true_return" in info:  # absent where a lost life ends the episode and the game continues
                self._latest.append(float(take_true_return(info).values_for_evaluation()[0]))
        if len(self._latest) == self._latest.maxlen:
            self.best = max(self.best, float(np.mean(self._latest)))
            self.reached = self.best >= self._target
        return not self.reached

    def _on_rollout_end(self) -> None:
        if self._progress is not None:
            self._progress(self.num_timesteps, float(np.mean(self._latest)) if self._latest else float("nan"))

    _on_training_end = _on_rollout_end
