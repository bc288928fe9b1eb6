"""How many threads, and which device: small networks are computed on one CPU thread.

Two may be faster where nothing else runs; where anything does, every small operation waits for a thread that
has no core (``python -m benchmarks throughput --only ppo_one_thread_or_two_busy``). One thread also has one
order of sums, so that equal seeds give equal weights on any number of cores.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from drex.envs.make import task_spaces

Device = Literal["auto", "cpu", "cuda"]


@contextmanager
def limit_torch_threads(task: str) -> Iterator[None]:
    """Let torch compute on one thread for tasks with flat observations, and as before afterwards.

    Tasks with images keep torch's threads: their sums depend on the number of threads.
    """
    before = torch.get_num_threads()
    if _flat(task):
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def resolve_device(task: str, device: Device) -> str:
    """The device for PPO: ``auto`` is the CPU for flat observations, else a GPU where there is one."""
    return "cpu" if device == "auto" and _flat(task) else device


def _flat(task: str) -> bool:
    observation_space, _, _ = task_spaces(task)
    return len(observation_space.shape or ()) <= 1
