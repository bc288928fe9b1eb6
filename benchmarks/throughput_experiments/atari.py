"""Breakout, against stable-baselines3: steps a second of environments alone, and of PPO on the true reward.

Both sides play with the standard training wrappers (lost lives end episodes, rewards are clipped, FIRE after
a lost life) and train with RL Zoo's hyperparameters for Atari.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO as StablePPO
from stable_baselines3.common.env_util import make_atari_env
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack

from benchmarks.throughput_experiments.comparison import Comparison, Experiments
from drex.agents.policies.acting import uniform
from drex.agents.policies.nature_cnn import BytesCNN, Precision
from drex.agents.ppo.algorithm import PPO
from drex.envs.atari.options import AtariOptions, register_atari
from drex.envs.make import make_environments, task_spaces, usable_cores

GAME = "Breakout"
TASK = f"ALE/{GAME}-v5"
TRAINING = AtariOptions(episodic_life=True, clip_rewards=True)
STEPS = 250
"""Of each environment, when environments are measured alone."""

RL_ZOO: dict[str, Any] = {
    "n_steps": 128,
    "batch_size": 256,
    "n_epochs": 4,
    "learning_rate": 2.5e-4,
    "clip_range": 0.1,
    "vf_coef": 0.5,
    "ent_coef": 0.01,
}
"""RL Zoo's hyperparameters for Atari (hyperparams/ppo.yml), its falling schedules held still."""
ENVIRONMENTS = 8
"""RL Zoo's number of them."""


def stepping(repeats: int) -> Comparison:
    """Environments as they are handed to an agent, with the training wrappers, uniform actions."""
    act = uniform(task_spaces(TASK)[1], seed=0)
    actions = [act(np.zeros(ENVIRONMENTS)) for _ in range(STEPS)]
    ours, theirs = our_environments(seed=0), their_environments(seed=0)

    def rate(environments: VecEnv) -> float:
        environments.reset()
        began = time.perf_counter()
        for action in actions:
            environments.step(action)
        return len(actions) * ENVIRONMENTS / (time.perf_counter() - began)

    rates = [(rate(ours), rate(theirs)) for _ in range(repeats + 1)][1:]
    return Comparison(
        what=f"environment steps, Breakout, {ENVIRONMENTS} environments, training wrappers, uniform actions",
        ours="make_environments, ALE's vectorised emulator",
        against="stable-baselines3's make_atari_env and VecFrameStack",
        unit="steps/s",
        ours_values=[mine for mine, _ in rates],
        against_values=[other for _, other in rates],
        target=2.5,
    )


def ppo(repeats: int, precision: Precision = "single") -> Comparison:
    """PPO on the true reward, equal hyperparameters and an equal network on both sides."""
    sides: tuple[Callable[[], StablePPO], ...] = (
        partial(our_ppo, seed=0, precision=precision),
        partial(their_ppo, seed=0),
    )
    values: tuple[list[float], list[float]] = ([], [])
    with all_usable_cores():
        for _ in range(repeats):
            for make, kept in zip(sides, values, strict=True):
                kept.append(training_rate(make))
    return Comparison(
        what=f"PPO on the true reward, Breakout, RL Zoo's hyperparameters, {precision} precision here",
        ours="drex.PPO on make_environments",
        against="stable-baselines3's PPO on make_atari_env, single precision",
        unit="steps/s",
        ours_values=values[0],
        against_values=values[1],
        target=1.5,
    )


def training_rate(make: Callable[[], StablePPO], rollouts: int = 2) -> float:
    """Environment steps a second of whole rollouts and their updates, after one of each to warm up."""
    model = make()
    a_rollout = model.n_steps * model.n_envs
    model.learn(a_rollout)
    began = time.perf_counter()
    model.learn(rollouts * a_rollout, reset_num_timesteps=False)
    seconds = time.perf_counter() - began
    if model.env is not None:
        model.env.close()
    return rollouts * a_rollout / seconds


def our_ppo(*, seed: int, precision: Precision = "single", device: str = "auto") -> PPO:
    """This package's, on this package's environments."""
    network = {
        "net_arch": [],
        "features_extractor_class": BytesCNN,
        "features_extractor_kwargs": {"precision": precision},
    }
    environments = our_environments(seed=seed)
    return PPO("CnnPolicy", environments, policy_kwargs=network, seed=seed, device=device, **RL_ZOO)


def their_ppo(*, seed: int, device: str = "auto") -> StablePPO:
    """stable-baselines3's, on its environments."""
    return StablePPO("CnnPolicy", their_environments(seed=seed), seed=seed, device=device, **RL_ZOO)


def our_environments(*, seed: int) -> VecEnv:
    """Breakout with the training options."""
    return make_environments(TASK, ENVIRONMENTS, seed=seed, reward="true", atari=TRAINING)


def their_environments(*, seed: int) -> VecEnv:
    """The same game with stable-baselines3's wrappers, no sticky actions."""
    register_atari()
    return VecFrameStack(make_atari_env(f"{GAME}NoFrameskip-v4", n_envs=ENVIRONMENTS, seed=seed), 4)


@contextmanager
def all_usable_cores() -> Iterator[None]:
    """Convolutions pay on every core, other than small networks."""
    before = torch.get_num_threads()
    torch.set_num_threads(usable_cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)


EXPERIMENTS: Experiments = {
    "stepping_breakout": stepping,
    "ppo_breakout": ppo,
    "ppo_breakout_bfloat16": partial(ppo, precision="bfloat16"),
}
