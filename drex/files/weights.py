"""Weights in safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save


def write_weights(file: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors of any device; OSError if the file cannot be written.

    Tensors that share memory are written apart. The bytes pass through memory: safetensors itself writes
    files for their owner alone, and reports a full disk by an error of its own.
    """
    apart = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    file.write_bytes(save(apart))
