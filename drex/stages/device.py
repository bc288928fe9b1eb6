"""Threads and device: small networks run on one CPU thread.

On a busy machine, two are slower (``python -m benchmarks throughput --only ppo_one_thread_or_two_busy``). One
thread also fixes the order of sums, so that equal seeds give equal weights on any number of cores.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from drex.envs.make import task_spaces
from drex.errors import UserError
from drex.presets.names import Device


@contextmanager
def limit_torch_threads(task: str) -> Iterator[None]:
    """One torch thread inside, for tasks with flat observations; images keep torch's number of threads."""
    before = torch.get_num_threads()
    if _flat(task):
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def resolve_device(task: str, device: Device) -> str:
    """The device for PPO: ``auto`` is the CPU for flat observations, else a GPU if there is one.

    Raises:
        UserError: a GPU that torch does not have.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device", expected="a GPU that torch can use", found="none", do="take auto or cpu")
    return "cpu" if device == "auto" and _flat(task) else device


def _flat(task: str) -> bool:
    observation_space, _, _ = task_spaces(task)
    return len(observation_space.shape or ()) <= 1
