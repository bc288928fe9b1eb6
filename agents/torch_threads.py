"""Threads of torch: small networks run on one.

On a busy machine, two are slower (``python -m benchmarks throughput --only ppo_one_thread_or_two_busy``). One
thread also fixes the order of sums, so that equal seeds give equal weights on any number of cores.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from drex.envs.make import task_spaces


@contextmanager
def limit_torch_threads(task: str) -> Iterator[None]:
    """One torch thread inside, for tasks with flat observations; images keep torch's number of threads."""
    before = torch.get_num_threads()
    if has_flat_observations(task):
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def has_flat_observations(task: str) -> bool:
    """Whether observations are vectors or single numbers."""
    observation_space, _, _ = task_spaces(task)
    return len(observation_space.shape or ()) <= 1
