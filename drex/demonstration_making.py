"""Making demonstrations: a demonstrator trained on the true reward, stopped while imperfect, and recorded."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from drex.agents.demonstrator import DemonstratorSettings, train_demonstrator
from drex.agents.policies import stochastic
from drex.agents.rollouts import collect
from drex.demonstrations import Demonstrations, load_demonstrations, save_demonstrations
from drex.envs.make import make_environments
from drex.errors import UserError
from drex.run_folder import versions


@dataclass(frozen=True, kw_only=True)
class MakingSettings:
    """A demonstrator and how many of its episodes are recorded."""

    episodes: int = 10
    """Episodes recorded, with the demonstrator's own randomness."""
    demonstrator: DemonstratorSettings = field(default_factory=DemonstratorSettings)
    """The demonstrator."""

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise UserError("episodes", expected="at least one", found=str(self.episodes))


def make_demonstrations(
    task: str, out: str | os.PathLike[str], settings: MakingSettings, *, seed: int, command: str = ""
) -> Demonstrations:
    """Train a demonstrator to its target return, record its episodes and write them to a file.

    Args:
        task: a gymnasium id.
        out: the npz file; an existing one is not overwritten.
        settings: of the demonstrator and the recording.
        seed: of everything.
        command: the command line that asked for it, kept in the file.

    Raises:
        UserError: the file exists, or the target was not reached.
    """
    file = Path(out)
    if file.exists():
        raise UserError(
            str(file), expected="a new file", found="one that exists", do="name another or remove it"
        )
    model = train_demonstrator(
        lambda count, stream: make_environments(task, count, seed=stream, reward="true"),
        settings.demonstrator,
        seed=seed,
    )
    environments = make_environments(task, settings.episodes, seed=seed + 1)
    trajectories, sealed = collect(
        stochastic(model.policy, seed=seed), environments, settings.episodes, seed=seed
    )
    environments.close()
    save_demonstrations(
        file,
        trajectories,
        rewards=sealed.reveal_steps(),
        task=task,
        about={
            "command": command,
            "target_return": settings.demonstrator.target_return,
            "environment_steps": model.num_timesteps,
            "seed": seed,
            "versions": dict(versions()),
        },
    )
    return load_demonstrations(file)
