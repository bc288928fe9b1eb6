"""PPO's checkpoints: weights, optimizer state and counters, written atomically."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from drex.agents.policies.saved_actor_critic import load_weights
from drex.agents.ppo.algorithm import PPO
from drex.files.atomic import read_json_object, write_json, written_whole
from drex.files.checksums import check_checksums, write_checksums
from drex.files.weights import read_weights, write_weights

SNAPSHOTS = "policies"
"""Folder of the policies along the training."""
_COUNTERS = ("num_timesteps", "rollouts_done", "_n_updates", "_episode_num")


def save_checkpoint(folder: Path, model: PPO) -> None:
    """Write a checkpoint into the folder, then remove the previous one."""
    place = folder / f"checkpoint-{model.num_timesteps}"
    tensors = {f"policy/{name}": tensor for name, tensor in model.policy.state_dict().items()}
    for index, entries in model.policy.optimizer.state_dict()["state"].items():
        for name, value in entries.items():
            tensors[f"optimizer/{index}/{name}"] = torch.as_tensor(value)
    folder.mkdir(parents=True, exist_ok=True)
    with written_whole(place) as whole:
        whole.mkdir()
        write_weights(whole / "state.safetensors", tensors)
        write_json(whole / "counters.json", {name: getattr(model, name) for name in _COUNTERS})
        write_checksums(whole)
    for path in [path for path in folder.glob("checkpoint-*") if path != place]:
        shutil.rmtree(path)


def save_snapshot(folder: Path, model: PPO) -> None:
    """Write the policy alone, as ``policies/STEPS.safetensors``; later checkpoints leave it in place."""
    place = folder / SNAPSHOTS
    place.mkdir(parents=True, exist_ok=True)
    with written_whole(place / f"{model.num_timesteps}.safetensors") as whole:
        write_weights(whole, model.policy.state_dict())


def load_checkpoint(folder: Path, model: PPO) -> int:
    """Load the newest checkpoint of the folder; its environment steps, 0 without a checkpoint.

    Raises:
        UserError: a file of the checkpoint has changed or cannot be read.
    """
    for leftover in folder.glob(".checkpoint-*"):
        shutil.rmtree(leftover)
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    if not found:
        return 0
    check_checksums(found[-1], advice=f"remove {folder} to train from the start")
    tensors = read_weights(found[-1] / "state.safetensors")
    weights = {name.removeprefix("policy/"): t for name, t in tensors.items() if name.startswith("policy/")}
    load_weights(model.policy, weights, str(found[-1]))
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer/"):
            _, index, entry = name.split("/")
            state.setdefault(int(index), {})[entry] = tensor
    groups = model.policy.optimizer.state_dict()["param_groups"]
    model.policy.optimizer.load_state_dict({"state": state, "param_groups": groups})
    for name, value in read_json_object(found[-1] / "counters.json").items():
        setattr(model, name, value)
    return int(model.num_timesteps)
