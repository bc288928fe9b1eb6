"""Training PPO on a reward, from a clone, in segments that can be killed and resumed exactly."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gymnasium
import torch
from safetensors.torch import load_file, save_file
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from drex.agents.policies import PolicySettings, StandardizedObservations, policy_arguments
from drex.agents.policy_files import load_weights
from drex.agents.ppo import PPO
from drex.agents.standardizing import StandardizeAsSeen
from drex.envs.learned_reward import RewardFunction
from drex.errors import UserError


@dataclass(frozen=True, kw_only=True)
class PPOSettings:
    """PPO on the learned reward (Schulman et al. 2017), started from the clone."""

    environment_steps: int = 1_000_000
    """Steps of all environments together."""
    environments: int = 16
    """Environments stepped side by side."""
    rollout_steps: int = 128
    """Steps of each environment between two updates."""
    batch_size: int = 256
    """Transitions a gradient step."""
    epochs: int = 10
    """Passes over each rollout."""
    learning_rate: float = 3e-4
    """Adam's step size at the start."""
    final_learning_rate: float = 0.0
    """Adam's step size at the end; it falls linearly."""
    clip_range: float = 0.2
    """Clipping of the probability ratio at the start."""
    final_clip_range: float | None = None
    """Clipping at the end, reached linearly; None keeps it as at the start."""
    gamma: float = 0.99
    """Discount a step."""
    gae_lambda: float = 0.95
    """Decay of generalised advantage estimation a step."""
    entropy_weight: float = 0.0
    """Weight of the entropy bonus."""
    value_weight: float = 0.5
    """Weight of the value loss."""
    largest_gradient: float = 0.5
    """Gradients of a larger norm are scaled down to it."""
    start_from: Literal["clone", "scratch"] = "clone"
    """Weights at the start: the cloned policy's, or random ones."""
    initial_std: float | None = None
    """Standard deviation of Box actions at the start, in the actions' own unit; None keeps the clone's
    own, or 1 from scratch."""
    leaving_penalty: float = 0.0
    """Weight of the squared distance of the mean action from the clone's, in standard deviations; falls
    linearly to 0 over training."""
    standardize_as_seen: bool = False
    """Whether observations, no images, are standardised by all that training has seen so far. Only from
    scratch: a clone standardises by its demonstrations."""
    value_only_rollouts: int = 8
    """Rollouts at the start on which only the value network learns, so that it cannot mislead the clone."""
    checkpoint_steps: int = 100_000
    """Environment steps between two checkpoints, where environments start anew so that resuming is exact."""

    def __post_init__(self) -> None:
        rollout = self.environments * self.rollout_steps
        if self.batch_size > rollout:
            raise UserError(
                "ppo.batch_size",
                expected=f"at most environments × rollout_steps = {rollout}",
                found=str(self.batch_size),
            )
        if self.start_from == "scratch" and self.leaving_penalty:
            raise UserError(
                "ppo.leaving_penalty",
                expected="0 when starting from scratch",
                found=str(self.leaving_penalty),
            )
        if self.start_from == "clone" and self.standardize_as_seen:
            raise UserError(
                "ppo.standardize_as_seen",
                expected="false when starting from the clone, which standardises by its demonstrations",
                found="true",
            )

    @classmethod
    def soonest_from_scratch(cls, **changes: Any) -> PPOSettings:
        """From random weights on a dense reward whose episodes never end early, least wall time to a return.

        Many environments and gradient steps on large minibatches, an eighth as many a step as RL Zoo's for
        HalfCheetah; little noise on the actions. On HalfCheetah, with two networks of 128-128 ReLU, a mean
        return of 2000 took 112,000 steps, where observations as they come and 64-64 tanh took 272,000 (a seed
        each). ``python -m benchmarks throughput --only ppo_time_to_return`` measures it.

        Args:
            changes: fields that are to differ.
        """
        return cls(**{**_SOONEST_FROM_SCRATCH, **changes})

    def segments(self) -> list[int]:
        """Environment steps at which each segment ends: whole rollouts, about ``checkpoint_steps`` apart."""
        rollout = self.environments * self.rollout_steps
        rollouts = math.ceil(self.environment_steps / rollout)
        each = max(1, round(self.checkpoint_steps / rollout))
        return [min(end, rollouts) * rollout for end in range(each, rollouts + each, each)]


_SOONEST_FROM_SCRATCH: dict[str, Any] = {
    "rollout_steps": 64,
    "final_learning_rate": 3e-4,
    "gamma": 0.98,
    "gae_lambda": 0.92,
    "start_from": "scratch",
    "initial_std": 0.2,
    "standardize_as_seen": True,
    "value_only_rollouts": 0,
}

MakeEnvironments = Callable[[int, int], VecEnv]
"""Makes so many environments with such a seed."""


def improve(
    make: MakeEnvironments,
    settings: PPOSettings,
    *,
    policy_settings: PolicySettings,
    seed: int,
    reward: RewardFunction | None,
    start_from: ActorCriticPolicy | None,
    checkpoints: Path | None = None,
    logger: Logger | None = None,
    callback: BaseCallback | None = None,
    device: str = "cpu",
) -> PPO:
    """Train PPO on a reward.

    Training runs in segments, each with environments and random streams of its own seed, and a checkpoint
    between them, so that a run that was killed ends with the same weights as one that was not.

    Args:
        make: makes the environments; they pay 0 unless they are a demonstrator's.
        settings: of PPO.
        policy_settings: the network; the clone's own.
        seed: of weights, environments and sampling.
        reward: pays the transitions; ``None`` leaves the environment's reward, for demonstrators.
        start_from: the clone.
        checkpoints: folder for checkpoints, continued from where it holds one.
        logger: where PPO's scalars go.
        callback: told of every step.
        device: ``"cpu"``, ``"cuda"`` or ``"auto"``.
    """
    if settings.start_from == "clone" and start_from is None:
        raise UserError(
            "ppo.start_from", expected="a cloned policy", found="none", do="use start_from='scratch'"
        )
    set_random_seed(seed)
    environments = make(settings.environments, seed)
    model = PPO(
        "MlpPolicy",
        environments,
        n_steps=settings.rollout_steps,
        batch_size=settings.batch_size,
        n_epochs=settings.epochs,
        learning_rate=LinearSchedule(settings.learning_rate, settings.final_learning_rate),
        clip_range=LinearSchedule(
            settings.clip_range,
            settings.clip_range if settings.final_clip_range is None else settings.final_clip_range,
        ),
        gamma=settings.gamma,
        gae_lambda=settings.gae_lambda,
        ent_coef=settings.entropy_weight,
        vf_coef=settings.value_weight,
        max_grad_norm=settings.largest_gradient,
        policy_kwargs=policy_arguments(policy_settings) | {"optimizer_kwargs": {"eps": 1e-5, "fused": True}},
        device=device,
    )
    if settings.start_from == "clone" and start_from is not None:
        model.policy.load_state_dict(start_from.state_dict())
        model.stay_near(start_from, penalty=settings.leaving_penalty)
    if isinstance(model.action_space, gymnasium.spaces.Box) and settings.initial_std is not None:
        torch.nn.init.constant_(model.policy.log_std, math.log(settings.initial_std))
    model.value_only_rollouts = settings.value_only_rollouts if settings.start_from == "clone" else 0
    model.pay_by(reward)
    if settings.standardize_as_seen:
        if not isinstance(model.policy.features_extractor, StandardizedObservations):
            raise UserError("ppo.standardize_as_seen", expected="observations in numbers", found="images")
        callback = CallbackList([StandardizeAsSeen(), *([] if callback is None else [callback])])
    if logger is not None:
        model.set_logger(logger)
    segments = settings.segments()
    model.planned_steps = segments[-1]
    done = 0 if checkpoints is None else _continue_from(checkpoints, model)
    for segment, end in enumerate(segments):
        if end <= done:
            continue
        if segment:
            environments.close()
            environments = make(settings.environments, seed + 10_000 * segment)
            model.set_env(environments)
        set_random_seed(seed + 10_000 * segment)
        steps = end - (segments[segment - 1] if segment else 0)
        before = model.num_timesteps
        model.learn(steps, callback=callback, reset_num_timesteps=False)
        if model.num_timesteps < before + steps:
            break  # the callback asked to stop
        if checkpoints is not None:
            _checkpoint(checkpoints, model)
    environments.close()
    return model


@dataclass(frozen=True)
class LinearSchedule:
    """A value that falls linearly from ``start`` to ``end`` over training."""

    start: float
    end: float

    def __call__(self, progress_remaining: float) -> float:
        """The value when this share of training remains."""
        return self.end + (self.start - self.end) * progress_remaining


def _checkpoint(folder: Path, model: PPO) -> None:
    """Write weights, optimiser and counters in one rename, then drop the checkpoint before."""
    place = folder / f"checkpoint-{model.num_timesteps}"
    partial = folder / f"writing-{model.num_timesteps}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    tensors = {f"policy/{name}": tensor.clone() for name, tensor in model.policy.state_dict().items()}
    state = model.policy.optimizer.state_dict()["state"]
    for index, entries in state.items():
        tensors |= {
            f"optimizer/{index}/{name}": torch.as_tensor(value).clone() for name, value in entries.items()
        }
    save_file(tensors, partial / "state.safetensors")
    counters: dict[str, Any] = {name: getattr(model, name) for name in _COUNTERS}
    (partial / "counters.json").write_text(json.dumps(counters))
    for file in partial.iterdir():
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
    older = [path for path in folder.glob("checkpoint-*") if path != place]
    partial.rename(place)
    for path in older:
        shutil.rmtree(path)


def _continue_from(folder: Path, model: PPO) -> int:
    """Load the newest checkpoint of the folder; the environment steps it has done, 0 if there is none."""
    for leftover in folder.glob("writing-*"):
        shutil.rmtree(leftover)
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    if not found:
        return 0
    tensors = load_file(found[-1] / "state.safetensors")
    weights = {name.removeprefix("policy/"): t for name, t in tensors.items() if name.startswith("policy/")}
    load_weights(model.policy, weights, str(found[-1]))
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer/"):
            _, index, entry = name.split("/")
            state.setdefault(int(index), {})[entry] = tensor
    groups = model.policy.optimizer.state_dict()["param_groups"]
    model.policy.optimizer.load_state_dict({"state": state, "param_groups": groups})
    for name, value in json.loads((found[-1] / "counters.json").read_text()).items():
        setattr(model, name, value)
    return int(model.num_timesteps)


_COUNTERS = ("num_timesteps", "rollouts_done", "_n_updates", "_episode_num")
