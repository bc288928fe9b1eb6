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
    """Single precision inside and, for tasks with flat observations, one torch thread; images keep theirs."""
    threads, precision = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    if has_flat_observations(task):
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(precision)


def has_flat_observations(task: str) -> bool:
    """Whether observations are vectors or single numbers."""
    return len(task_spaces(task)[0].shape or ()) <= 1
