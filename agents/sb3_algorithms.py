"""Other algorithms of stable-baselines3 or sb3-contrib on a learned reward, step by step."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, Literal, cast

import gymnasium
import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from drex.agents.policies.algorithm_registry import ALGORITHMS, Algorithm, SB3Name
from drex.agents.policies.network import PolicySettings, policy_arguments
from drex.agents.ppo.train import MakeEnvironments
from drex.envs.data.stacked_frames import holds_images
from drex.envs.json_options import json_object
from drex.envs.learned_reward import LearnedRewardVecEnv, RewardFunction
from drex.errors import UserError
from drex.ranges import Count, Share, check_ranges

_OURS_TO_SET = ("self", "policy", "env", "gamma", "seed", "device", "tensorboard_log", "_init_setup_model")
_REPLAY_BYTES = 2**31
"""Default size of the observations in a replay buffer."""


@dataclass(frozen=True, kw_only=True)
class SB3Settings:
    """Another algorithm than our PPO, of stable-baselines3 or sb3-contrib."""

    name: SB3Name
    """The algorithm; trpo, tqc and qrdqn need sb3-contrib. dqn and qrdqn choose Discrete actions; sac, td3,
    ddpg and tqc act in a Box."""
    environment_steps: Count = 300_000
    """Environment steps of training, over all environments."""
    environments: Count | None = None
    """Parallel environments; None takes 8 for a2c and trpo and 1 for the others, as in stable-baselines3."""
    gamma: Share = 0.99
    """Discount factor per step."""
    start_from: Literal["clone", "scratch"] = "clone"
    """Initial weights: the clone's where the algorithm trains such a network (a2c, trpo), or random ones."""
    arguments: str = "{}"
    """Arguments of the algorithm's class over its own defaults, a JSON object: {"learning_rate": 0.001}."""

    def __post_init__(self) -> None:
        check_ranges(self)
        self.parsed()

    @property
    def training_steps(self) -> int:
        """Environment steps of training."""
        return self.environment_steps

    @property
    def starts_from_clone(self) -> bool:
        """Whether the initial weights are the clone's, if there is a clone."""
        return ALGORITHMS[self.name].takes_clone and self.start_from == "clone"

    def parsed(self) -> dict[str, Any]:
        """The arguments, with tuples for lists; UserError if they are no JSON object."""
        found = json_object(self.arguments, "SB3Settings.arguments")
        return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}

    def how_it_starts(self, *, cloned: bool) -> str:
        """One line on the initial weights; ``cloned``: whether there is a clone."""
        name = self.name.upper()
        if not ALGORITHMS[self.name].takes_clone:
            return f"{name} starts from random weights: its network has another form than the clone's"
        if not cloned or self.start_from == "scratch":
            return f"{name} starts from random weights"
        return f"{name} starts from the clone"


def check_algorithm(settings: SB3Settings, action_space: gymnasium.Space[Any]) -> None:
    """Refuse an algorithm that cannot be trained, before the first stage.

    Raises:
        UserError: an algorithm that is not installed or does not support the action space, or names of
            arguments that it does not take.
    """
    algorithm = ALGORITHMS[settings.name]
    if not algorithm.acts_in(action_space):
        fitting = [name for name, other in ALGORITHMS.items() if other.acts_in(action_space)]
        raise UserError(
            "learner.name",
            expected=f"actions in {getattr(algorithm.actions, '__name__', '')}",
            found=f"{settings.name} for {action_space}",
            do=f"take one of {', '.join(fitting)}",
        )
    refused = {*_OURS_TO_SET, *(["policy_kwargs"] if algorithm.takes_clone else [])}
    known = [name for name in inspect.signature(algorithm.load()).parameters if name not in refused]
    unknown = sorted(set(settings.parsed()) - set(known))
    if unknown:
        raise UserError("learner.arguments", expected=f"some of {', '.join(known)}", found=", ".join(unknown))


def train(
    make: MakeEnvironments,
    settings: SB3Settings,
    *,
    policy_settings: PolicySettings,
    seed: int,
    reward: RewardFunction | None,
    start_from: ActorCriticPolicy | None,
    logger: Logger | None = None,
    callback: BaseCallback | None = None,
    device: str = "cpu",
) -> BaseAlgorithm:
    """Train another algorithm than PPO on a reward; without checkpoints, unlike ``train_ppo``.

    Args:
        make: makes the environments; a learned reward replaces theirs.
        settings: of the algorithm.
        policy_settings: the clone's network; algorithms that cannot train it use stable-baselines3's default.
        seed: of weights, environments and sampling.
        reward: the learned reward; ``None`` keeps the environments'.
        start_from: the clone.
        logger: receives scalars.
        callback: stable-baselines3's, called at every step.
        device: ``"cpu"``, ``"cuda"`` or ``"auto"``.

    Raises:
        UserError: what ``check_algorithm`` refuses, or values of arguments that the algorithm refuses.
    """
    algorithm = ALGORITHMS[settings.name]
    set_random_seed(seed)
    environments = make(settings.environments or algorithm.environments, seed)
    if reward is not None:
        environments = LearnedRewardVecEnv(environments, reward)
    try:
        check_algorithm(settings, environments.action_space)
        model = _make(algorithm, settings, policy_settings, environments, seed=seed, device=device)
        if algorithm.takes_clone and settings.start_from == "clone" and start_from is not None:
            cast("ActorCriticPolicy", model.policy).load_state_dict(start_from.state_dict())
        model.set_logger(logger or Logger(None, []))  # its own would leave a folder for temporary files
        watching = [_LearnedRewardWatch(), *([] if callback is None else [callback])]
        model.learn(settings.environment_steps, callback=CallbackList(watching))
        model.logger.dump(model.num_timesteps)
    finally:
        environments.close()
    return model


def _make(
    algorithm: Algorithm,
    settings: SB3Settings,
    policy_settings: PolicySettings,
    environments: VecEnv,
    *,
    seed: int,
    device: str,
) -> BaseAlgorithm:
    algorithm_class, space = algorithm.load(), environments.observation_space
    arguments: dict[str, Any] = {"gamma": settings.gamma}
    network = "MlpPolicy"
    if algorithm.takes_clone:
        arguments["policy_kwargs"] = policy_arguments(policy_settings)
    elif holds_images(space):
        network = "CnnPolicy"
    if issubclass(algorithm_class, OffPolicyAlgorithm):
        bytes_a_step = 2 * space.dtype.itemsize * int(np.prod(space.shape or ()))  # type: ignore[union-attr]
        arguments["buffer_size"] = min(settings.environment_steps, _REPLAY_BYTES // bytes_a_step)
    if settings.name in ("td3", "ddpg"):  # deterministic policies
        size = int(np.prod(environments.action_space.shape or ()))
        arguments["action_noise"] = NormalActionNoise(np.zeros(size), np.full(size, 0.1))
    try:
        arguments |= settings.parsed()
        return algorithm_class(network, environments, **arguments, seed=seed, device=device)
    except (AssertionError, TypeError, ValueError) as reason:
        expected = f"values that {algorithm.class_name} takes"
        raise UserError("learner.arguments", expected=expected, found=str(reason)) from reason


class _LearnedRewardWatch(BaseCallback):
    """Logs the learned reward per step under the same name as PPO."""

    def _on_step(self) -> bool:
        self.logger.record_mean("rollout/learned_reward_per_step", float(np.mean(self.locals["rewards"])))
        return True
