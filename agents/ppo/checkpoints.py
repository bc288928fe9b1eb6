"""PPO's checkpoints, and the policies that stay beside them."""

from __future__ import annotations

from pathlib import Path

from drex.agents.checkpoints import load_checkpoint, load_optimizer, optimizer_tensors, save_checkpoint
from drex.agents.policies.saved_actor_critic import load_weights
from drex.agents.ppo.algorithm import PPO
from drex.files.atomic import written_whole
from drex.files.weights import write_weights

SNAPSHOTS = "policies"
"""Folder of the policies along the training."""
_COUNTERS = ("num_timesteps", "rollouts_done", "_n_updates", "_episode_num")


def save_ppo(folder: Path, model: PPO) -> None:
    """Write a checkpoint of weights, optimizer and counters into the folder; the previous one is removed."""
    parts = {"policy": model.policy.state_dict(), "optimizer": optimizer_tensors(model.policy.optimizer)}
    counters = {name: getattr(model, name) for name in _COUNTERS}
    save_checkpoint(folder, model.num_timesteps, parts, counters)


def save_snapshot(folder: Path, model: PPO) -> None:
    """Write the policy alone, as ``policies/STEPS.safetensors``; later checkpoints leave it in place."""
    place = folder / SNAPSHOTS
    place.mkdir(parents=True, exist_ok=True)
    with written_whole(place / f"{model.num_timesteps}.safetensors") as whole:
        write_weights(whole, model.policy.state_dict())


def load_ppo(folder: Path, model: PPO) -> int:
    """Load the newest checkpoint of the folder; its environment steps, 0 without a checkpoint.

    Raises:
        UserError: a file of the checkpoint has changed or cannot be read.
    """
    found = load_checkpoint(folder)
    if found is None:
        return 0
    load_weights(model.policy, found.parts["policy"], str(folder))
    load_optimizer(model.policy.optimizer, found.parts.get("optimizer", {}))
    for name, value in found.counters.items():
        setattr(model, name, value)
    return int(model.num_timesteps)
