"""Recording demonstrations of an existing policy: of a run, of stable-baselines3, or any callable."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy

from drex.agents.policies.acting import Policy
from drex.agents.policies.saved import as_callable, load_trained
from drex.agents.policies.sb3_zips import load_zip
from drex.agents.rollouts.collect import collect_on
from drex.agents.rollouts.noise import NoiseJob, NoiseName
from drex.demonstrations.load_and_save import Demonstrations, load_demonstrations, save_demonstrations
from drex.envs.make import task_spaces
from drex.envs.task_names import Factory, task_name
from drex.errors import UserError
from drex.files.atomic import refuse_existing
from drex.files.dataclass_json import settings_to_json
from drex.files.run_folder import versions
from drex.files.run_layout import POLICY
from drex.ranges import Count, Share, check_ranges, refuse_unread

_ENVIRONMENTS = 16


@dataclass(frozen=True, kw_only=True)
class RecordingSettings:
    """How many episodes are recorded, and how the policy acts in them."""

    episodes: Count = 10
    """Whole episodes."""
    deterministic: bool = False
    """Take greedy actions instead of sampling; plain callables act as they do."""
    noise_level: Share = 0.0
    """Probability at each step that the whole action is replaced, for demonstrations of chosen quality; the
    executed actions are recorded."""
    noise_name: NoiseName = "uniform"
    """Kind of noise. uniform: a random action; sticky: a random action that is repeated for some steps;
    no_op: zeros."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if not self.noise_level:
            refuse_unread(self, "noise_name", read_by="a noise_level above 0")


def record(
    policy: Policy | BasePolicy | BaseAlgorithm,
    task: str | Factory,
    out: str | os.PathLike[str],
    *,
    settings: RecordingSettings | None = None,
    seed: int = 0,
    about: Mapping[str, Any] | None = None,
) -> Demonstrations:
    """Record episodes of a policy in a file of demonstrations, with the true rewards for evaluation.

    Args:
        policy: an algorithm or a policy of stable-baselines3, or any callable that maps (n, *observation
            shape) to (n, *action shape).
        task: a gymnasium id, or a class or function that makes an environment, itself or by its name.
        out: the npz file; an existing one is not overwritten.
        settings: ``None`` records ten episodes with sampled actions.
        seed: of environments, sampled actions and noise.
        about: description of the policy, JSON values, recorded in the file.

    Raises:
        UserError: the file exists, the policy has other spaces than the task, or its actions are not finite.
    """
    settings, task = settings or RecordingSettings(), task_name(task)
    file = Path(out)
    refuse_existing(file)
    if isinstance(policy, BaseAlgorithm):
        policy = policy.policy
    if isinstance(policy, BasePolicy):
        _check_spaces(policy, task)
        policy = as_callable(policy, seed=None if settings.deterministic else seed)
    jobs = [NoiseJob(settings.noise_name, settings.noise_level)] * settings.episodes
    parallel = min(len(jobs), _ENVIRONMENTS)
    trajectories, true_returns = collect_on(task, policy, jobs, seed=seed, environments=parallel)
    rewards = true_returns.step_values_for_evaluation()
    facts = {**(about or {}), **settings_to_json(settings), "seed": seed, "versions": dict(versions())}
    save_demonstrations(file, trajectories, rewards=rewards, task=task, about=facts)
    return load_demonstrations(file)


def open_policy(path: str | Path, task: str) -> BasePolicy:
    """The policy in a run folder, in a stage of it, or in a zip of stable-baselines3, without unpickling.

    Raises:
        UserError: there is none, it cannot be read, or it does not fit the task.
    """
    place, (observations, actions, _) = Path(path), task_spaces(task)
    if place.is_dir():
        inside = POLICY.folder(place)
        return load_trained(inside if inside.is_dir() else place, observations, actions)
    return load_zip(place, observations, actions)


def _check_spaces(policy: BasePolicy, task: str) -> None:
    pairs = zip(task_spaces(task)[:2], (policy.observation_space, policy.action_space), strict=True)
    for name, (wanted, found) in zip(("observations", "actions"), pairs, strict=True):
        if found.shape != wanted.shape or type(found) is not type(wanted):
            raise UserError(f"policy: {name}", expected=f"{wanted}, as {task} has", found=str(found))
