"""Checkpoints of a training: tensors and counters, written atomically, the newest alone."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from drex.files.atomic import read_json_object, write_json, written_whole
from drex.files.checksums import check_checksums, write_checksums
from drex.files.weights import read_weights, write_weights

Tensors = Mapping[str, torch.Tensor]


class Checkpoint(NamedTuple):
    """Tensors by the name of their part and their own, and JSON values by name."""

    parts: dict[str, dict[str, torch.Tensor]]
    counters: dict[str, Any]


def save_checkpoint(
    folder: Path, steps: int, parts: Mapping[str, Tensors], counters: Mapping[str, Any]
) -> None:
    """Write the checkpoint of so many steps into the folder, then remove the previous one."""
    place = folder / f"checkpoint-{steps}"
    folder.mkdir(parents=True, exist_ok=True)
    with written_whole(place) as whole:
        whole.mkdir()
        named = {
            f"{part}/{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()
        }
        write_weights(whole / "state.safetensors", named)
        write_json(whole / "counters.json", dict(counters))
        write_checksums(whole)
    for path in [path for path in folder.glob("checkpoint-*") if path != place]:
        shutil.rmtree(path)


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest checkpoint of the folder; ``None`` without one.

    Raises:
        UserError: a file of the checkpoint has changed or cannot be read.
    """
    for leftover in folder.glob(".checkpoint-*"):
        shutil.rmtree(leftover)
    found = max(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]), default=None)
    if found is None:
        return None
    check_checksums(found, advice=f"remove {folder} to train from the start")
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for path, tensor in read_weights(found / "state.safetensors").items():
        part, _, name = path.partition("/")
        parts.setdefault(part, {})[name] = tensor
    return Checkpoint(parts, read_json_object(found / "counters.json"))


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The state of the optimizer, each entry as ``parameter/name``."""
    return {
        f"{index}/{name}": torch.as_tensor(value)
        for index, entries in optimizer.state_dict()["state"].items()
        for name, value in entries.items()
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Give the optimizer the state that ``optimizer_tensors`` returned."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for path, tensor in tensors.items():
        index, name = path.split("/")
        state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
