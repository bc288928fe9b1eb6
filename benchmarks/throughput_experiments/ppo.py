"""PPO on HalfCheetah: steps a second on a learned reward, time to a true return, threads and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from stable_baselines3 import PPO as StablePPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from benchmarks.throughput_experiments.comparison import Comparison, Experiments
from drex.agents.demonstrator import DemonstratorSettings, train_demonstrator
from drex.agents.policies.network import PolicySettings, policy_arguments
from drex.agents.ppo.algorithm import PPO
from drex.agents.ppo.settings import PPOSettings
from drex.envs.learned_reward import LearnedRewardVecEnv, RewardFunction
from drex.envs.make import make_environments
from drex.presets.presets import default
from drex.rewards.fields import RewardFields
from drex.rewards.learned_reward import LearnedReward
from drex.rewards.mlp import EnsembleMLP
from drex.rewards.settings import raw_members

TASK = "HalfCheetah-v5"
RETURN = 2000.0
EPISODES = 20
MOST_STEPS = 1_000_000
MEMORY_LIMIT = 1.5

RL_ZOO: dict[str, Any] = {
    "n_steps": 512,
    "batch_size": 64,
    "n_epochs": 20,
    "gamma": 0.98,
    "gae_lambda": 0.92,
    "learning_rate": 2.0633e-05,
    "ent_coef": 0.000401762,
    "vf_coef": 0.58096,
    "clip_range": 0.1,
    "max_grad_norm": 0.8,
    "policy_kwargs": {
        "log_std_init": -2.0,
        "ortho_init": False,
        "activation_fn": torch.nn.ReLU,
        "net_arch": {"pi": [256, 256], "vf": [256, 256]},
    },
}
"""RL Zoo's hyperparameters for HalfCheetah (hyperparams/ppo.yml), with one environment."""


def learned_reward_rl_zoo(repeats: int) -> Comparison:
    """PPO on a learned reward with RL Zoo's hyperparameters, equal for both."""

    def ours() -> PPO:
        model = PPO("MlpPolicy", make_environments(TASK, 1, seed=0), seed=0, device="cpu", **RL_ZOO)
        model.set_reward(random_reward())
        return model

    def theirs() -> StablePPO:
        environments = LearnedRewardVecEnv(make_vec_env(TASK, n_envs=1, seed=0), random_reward())
        return StablePPO("MlpPolicy", environments, seed=0, device="cpu", **RL_ZOO)

    return _steps_per_second(
        repeats,
        4096,
        (ours, theirs),
        what="PPO on a learned reward, HalfCheetah, RL Zoo's hyperparameters",
        ours="rewards computed once per rollout",
        against="stable-baselines3's PPO and make_vec_env, rewards computed at every step",
        target=2.0,
    )


def learned_reward_preset(repeats: int) -> Comparison:
    """The same with the settings that ``drex run`` trains with."""

    def theirs() -> StablePPO:
        count = _learner().environments
        environments = LearnedRewardVecEnv(make_vec_env(TASK, n_envs=count, seed=0), random_reward())
        return StablePPO("MlpPolicy", environments, seed=0, device="cpu", **_preset())

    return _steps_per_second(
        repeats,
        16_384,
        (lambda: _ours_at_preset(learned=True), theirs),
        what="PPO on a learned reward, HalfCheetah, the default preset's hyperparameters",
        ours="rewards computed once per rollout",
        against="stable-baselines3's PPO and make_vec_env, rewards computed at every step",
        target=2.0,
    )


def learned_or_true_reward(repeats: int) -> Comparison:
    """What the learned reward costs."""
    return _steps_per_second(
        repeats,
        32_768,
        (lambda: _ours_at_preset(learned=True), lambda: _ours_at_preset(learned=False)),
        what="cost of a learned reward in PPO, HalfCheetah, the default preset's hyperparameters",
        ours="learned reward",
        against="the environment's reward",
        target=0.95,
    )


def one_thread_or_two(repeats: int, *, others: int = 0) -> Comparison:
    """Torch threads on small networks, while so many other processes keep a core busy each."""

    def ours_with(threads: int) -> PPO:
        torch.set_num_threads(threads)
        return _ours_at_preset(learned=True)

    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(others)]
    try:
        return _steps_per_second(
            repeats,
            4096 if others else 16_384,
            (partial(ours_with, 1), partial(ours_with, 2)),
            what="PPO on small networks, HalfCheetah, the default preset's hyperparameters"
            + (", another process on one of two cores" if others else ""),
            ours="one torch thread",
            against="two torch threads",
            target=1.0,
        )
    finally:
        torch.set_num_threads(1)
        for process in busy:
            process.kill()
            process.wait()


def time_to_return(repeats: int) -> Comparison:
    """Seconds until the latest 20 training episodes have a mean true return of 2000; a seed a repeat."""
    seeds = range(min(repeats, 3))
    ours, theirs = [], []
    for seed in seeds:
        theirs.append(1.0 / _seconds(partial(_stable_to_return, seed)))
        ours.append(1.0 / _seconds(partial(_ours_to_return, seed)))
    return Comparison(
        what=f"time to a true return of {RETURN:.0f}, HalfCheetah, mean of the latest {EPISODES} episodes",
        ours="PPOSettings.fast_from_scratch(), networks of 128-128 ReLU",
        against="stable-baselines3's PPO, RL Zoo's hyperparameters",
        unit="1/s",
        ours_values=ours,
        against_values=theirs,
        target=4.0,
    )


def memory(repeats: int) -> Comparison:
    """Peak resident memory of a whole ``drex run HalfCheetah-v5``; once, whatever ``repeats`` says."""
    program = (
        "import resource, sys\n"
        "from drex.cli.main import main\n"
        "status = main(sys.argv[1:])\n"
        "children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n"
        "own = next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmHWM'))\n"
        "print(max(own, children))\n"
        "sys.exit(status)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        words = ["run", TASK, "--seed", "0", "--quiet", "--run-dir", f"{folder}/run"]
        command = [sys.executable, "-c", program, *words]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        finished = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    gigabytes = int(finished.stdout.split()[-1]) * 1024 / 1e9
    return Comparison(
        what="peak resident memory of `drex run HalfCheetah-v5`",
        ours="one run",
        against="the limit",
        unit="1/GB",
        ours_values=[1.0 / gigabytes],
        against_values=[1.0 / MEMORY_LIMIT],
        target=1.0,
    )


def random_reward() -> RewardFunction:
    """An untrained reward ensemble of the default preset's shape, which scores as fast as a trained one."""
    settings = default(TASK).reward
    width = 17 + 6
    network = EnsembleMLP(
        width,
        members=settings.members,
        hidden_sizes=settings.hidden_sizes,
        generator=torch.Generator().manual_seed(0),
    )
    fields = RewardFields(
        inputs=settings.inputs_of(images=False),
        input_shift=(0.0,) * width,
        input_spread=(1.0,) * width,
        raw_members=raw_members(settings.input_scaling, settings.members),
        member_mean=(0.0,) * settings.members,
        member_std=(1.0,) * settings.members,
        offset=0.0,
        scale=1.0,
        pessimism=0.0,
        control_cost=0.0,
    )
    return LearnedReward(network, fields)


def _preset() -> dict[str, Any]:
    """The default preset as arguments of stable-baselines3's PPO."""
    learner = _learner()
    return {
        "n_steps": learner.rollout_steps,
        "batch_size": learner.batch_size,
        "n_epochs": learner.epochs,
        "gamma": learner.gamma,
        "gae_lambda": learner.gae_lambda,
        "learning_rate": learner.learning_rate,
        "policy_kwargs": policy_arguments(default(TASK).policy),
    }


def _learner() -> PPOSettings:
    return cast("PPOSettings", default(TASK).learner).fitted(terminates=False)


def _ours_at_preset(*, learned: bool) -> PPO:
    count = _learner().environments
    environments = make_environments(TASK, count, seed=0, reward="none" if learned else "true")
    model = PPO("MlpPolicy", environments, seed=0, device="cpu", **_preset())
    model.set_reward(random_reward() if learned else None)
    return model


def _steps_per_second(
    repeats: int,
    environment_steps: int,
    sides: tuple[Callable[[], StablePPO], Callable[[], StablePPO]],
    **words: Any,
) -> Comparison:
    """Train both in turn, each after a rollout and an update to warm up."""
    values: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for make, kept in zip(sides, values, strict=True):
            model = make()
            model.learn(1)
            seconds = _seconds(partial(model.learn, environment_steps, reset_num_timesteps=False))
            kept.append(environment_steps / seconds)
            cast("VecEnv", model.get_env()).close()
    return Comparison(unit="steps/s", ours_values=values[0], against_values=values[1], **words)


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _ours_to_return(seed: int) -> None:
    train_demonstrator(
        lambda count, stream: make_environments(TASK, count, seed=stream, reward="true"),
        DemonstratorSettings(
            target_return=RETURN,
            episodes_watched=EPISODES,
            ppo=PPOSettings.fast_from_scratch(environment_steps=MOST_STEPS, checkpoint_steps=MOST_STEPS),
            policy=PolicySettings(
                policy_hidden_sizes=(128, 128), value_hidden_sizes=(128, 128), activation="relu"
            ),
        ),
        seed=seed,
    )


def _stable_to_return(seed: int) -> None:
    """Ends at the return, or at a million steps, whose time is then a lower bound."""
    environments = VecNormalize(make_vec_env(TASK, n_envs=1, seed=seed), gamma=RL_ZOO["gamma"])
    model = StablePPO("MlpPolicy", environments, seed=seed, device="cpu", **RL_ZOO)
    model.learn(MOST_STEPS, callback=_StopAtMonitoredReturn())
    environments.close()


class _StopAtMonitoredReturn(BaseCallback):
    """Stops as ``train_demonstrator`` does, by the returns that stable-baselines3's monitor notes."""

    def __init__(self) -> None:
        super().__init__()
        self._latest: deque[float] = deque(maxlen=EPISODES)

    def _on_step(self) -> bool:
        self._latest.extend(info["episode"]["r"] for info in self.locals["infos"] if "episode" in info)
        return len(self._latest) < EPISODES or float(np.mean(self._latest)) < RETURN


EXPERIMENTS: Experiments = {
    "ppo_learned_reward_rl_zoo": learned_reward_rl_zoo,
    "ppo_learned_reward_preset": learned_reward_preset,
    "ppo_learned_or_true_reward": learned_or_true_reward,
    "ppo_one_thread_or_two": one_thread_or_two,
    "ppo_one_thread_or_two_busy": partial(one_thread_or_two, others=1),
    "ppo_time_to_return": time_to_return,
    "run_memory": memory,
}
