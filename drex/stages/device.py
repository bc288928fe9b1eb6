"""The device of a run."""

from __future__ import annotations

import torch

from drex.agents.torch_threads import has_flat_observations
from drex.errors import UserError
from drex.presets.names import Device


def resolve_device(task: str, device: Device) -> str:
    """The device for PPO: ``auto`` is the CPU for flat observations, else a GPU if there is one.

    Raises:
        UserError: a GPU that torch does not have.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device", expected="a GPU that torch can use", found="none", do="take auto or cpu")
    return "cpu" if device == "auto" and has_flat_observations(task) else device
