"""PPO's checkpoints: weights, optimiser and counters, written in one rename."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from drex.agents.policies.saved_actor_critic import load_weights
from drex.agents.ppo.algorithm import PPO
from drex.files.atomic import read_json_object, write_json, written_whole


def _checkpoint(folder: Path, model: PPO) -> None:
    """Write weights, optimiser and counters in one rename, then drop the checkpoint before."""
    place = folder / f"checkpoint-{model.num_timesteps}"
    tensors = {f"policy/{name}": tensor.clone() for name, tensor in model.policy.state_dict().items()}
    state = model.policy.optimizer.state_dict()["state"]
    for index, entries in state.items():
        tensors |= {
            f"optimizer/{index}/{name}": torch.as_tensor(value).clone() for name, value in entries.items()
        }
    folder.mkdir(parents=True, exist_ok=True)
    with written_whole(place) as whole:
        whole.mkdir()
        save_file(tensors, whole / "state.safetensors")
        write_json(whole / "counters.json", {name: getattr(model, name) for name in _COUNTERS})
    for path in [path for path in folder.glob("checkpoint-*") if path != place]:
        shutil.rmtree(path)


def _continue_from(folder: Path, model: PPO) -> int:
    """Load the newest checkpoint of the folder; the environment steps it has done, 0 if there is none."""
    for leftover in folder.glob(".checkpoint-*"):
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
    for name, value in read_json_object(found[-1] / "counters.json").items():
        setattr(model, name, value)
    return int(model.num_timesteps)


_COUNTERS = ("num_timesteps", "rollouts_done", "_n_updates", "_episode_num")
