"""PPO's checkpoints: weights, optimiser and counters, written in one rename."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from drex.agents.policies.saved_actor_critic import load_weights
from drex.agents.ppo.algorithm import PPO


def _checkpoint(folder: Path, model: PPO) -> None:
    """Write weights, optimiser and counters in one rename, then drop the checkpoint before."""
    place = folder / f"checkpoint-{model.num_timesteps}"
    partial = folder / f"writing-{model.num_timesteps}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    tensors = {f"policy/{name}": tensor.clone() for name, tensor in model.policy.state_dict().items()}
    state = model.policy.optimizer.state_dict()["state"]
    for index, entries in state.items():
        tensors |= {
            f"optimizer/{index}/{name}": torch.as_tensor(value).clone() for name, value in entries.items()
        }
    save_file(tensors, partial / "state.safetensors")
    counters: dict[str, Any] = {name: getattr(model, name) for name in _COUNTERS}
    (partial / "counters.json").write_text(json.dumps(counters))
    for file in partial.iterdir():
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
    older = [path for path in folder.glob("checkpoint-*") if path != place]
    partial.rename(place)
    for path in older:
        shutil.rmtree(path)


def _continue_from(folder: Path, model: PPO) -> int:
    """Load the newest checkpoint of the folder; the environment steps it has done, 0 if there is none."""
    for leftover in folder.glob("writing-*"):
        shutil.rmtree(leftover)
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    if not found:
        return 0
    tensors = load_file(found[-1] / "state.safetensors")
    weights = {name.removeprefix("policy/"): t for name, t in tensors.items() if name.startswith("policy/")}
    load_weights(model.policy, weights, str(found[-1]))
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer/"):
            _, index, entry = name.split("/")
            state.setdefault(int(index), {})[entry] = tensor
    groups = model.policy.optimizer.state_dict()["param_groups"]
    model.policy.optimizer.load_state_dict({"state": state, "param_groups": groups})
    for name, value in json.loads((found[-1] / "counters.json").read_text()).items():
        setattr(model, name, value)
    return int(model.num_timesteps)


_COUNTERS = ("num_timesteps", "rollouts_done", "_n_updates", "_episode_num")
