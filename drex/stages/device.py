"""How many threads, and which device: small networks are computed on one CPU thread.

Two may be faster where nothing else runs; where anything does, every small operation waits for a thread that
has no core (``python -m benchmarks throughput --only ppo_one_thread_or_two_busy``).
"""

from __future__ import annotations

from typing import Literal

import torch

from drex.envs.make import task_spaces


def limit_torch_threads(task: str) -> None:
    """Let torch compute on one thread for tasks with flat observations; others are left as they are."""
    if _flat(task):
        torch.set_num_threads(1)


def resolve_device(task: str, device: Literal["auto", "cpu", "cuda"]) -> str:
    """The device for PPO: ``auto`` is the CPU for flat observations, else a GPU where there is one."""
    return "cpu" if device == "auto" and _flat(task) else device


def _flat(task: str) -> bool:
    observation_space, _, _ = task_spaces(task)
    return len(observation_space.shape or ()) <= 1
