"""Weights in safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from drex.errors import UserError


def write_weights(file: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors of any device; OSError if the file cannot be written.

    Tensors that share memory are written apart. The bytes pass through memory: safetensors itself writes
    files for their owner alone, and reports a full disk by an error of its own.
    """
    apart = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    file.write_bytes(save(apart))


def read_weights(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file by name; UserError if it is missing or unreadable."""
    try:
        return load_file(file)
    except (OSError, SafetensorError) as reason:
        raise UserError(str(file), expected="weights in safetensors", found=str(reason)) from reason
