"""Making demonstrations: an imperfect demonstrator is trained on the true reward and recorded.

For D-REX the last policy is recorded, for T-REX one episode of each of many policies of its training, whose
order in the file is a ranking.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from stable_baselines3.common.policies import ActorCriticPolicy

from drex.agents.demonstrator import DemonstratorSettings, PolicyHistory, train_demonstrator
from drex.agents.policies.acting import stochastic
from drex.agents.rollouts.collect import collect_on
from drex.agents.torch_threads import limit_torch_threads
from drex.demonstrations.load_and_save import Demonstrations, load_demonstrations, save_demonstrations
from drex.envs.atari.options import atari_options
from drex.envs.data.trajectories import Trajectories
from drex.envs.data.true_returns import TrueReturns
from drex.envs.make import make_environments
from drex.errors import UserError
from drex.files.atomic import read_json, refuse_existing, write_json
from drex.files.dataclass_json import JSON, settings_to_json
from drex.files.run_folder import versions
from drex.progress_bar import progress_bar
from drex.ranges import Count, Range, check_ranges


@dataclass(frozen=True, kw_only=True)
class MakingSettings:
    """A demonstrator and how many of its episodes are recorded."""

    episodes: Count = 10
    """Episodes recorded of the trained demonstrator, actions sampled."""
    history: Annotated[int, Range(0)] = 0
    """Episodes recorded instead, one per policy, of policies evenly spread over the training, with their
    order as the ranking, for --method trex; 0 records the trained demonstrator."""
    demonstrator: Annotated[DemonstratorSettings, tyro.conf.arg(name="")] = field(
        default_factory=DemonstratorSettings
    )
    """The demonstrator."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.history == 1:
            raise UserError("MakingSettings.history", expected="0, or at least 2 policies", found="1")


def make_demonstrations(
    task: str,
    out: str | os.PathLike[str],
    settings: MakingSettings,
    *,
    seed: int,
    command: str = "",
    quiet: bool = True,
) -> Demonstrations:
    """Train a demonstrator to its target return, record its episodes and write them to a file.

    A killed training continues from its last checkpoint, next to the file; one with ``history`` starts anew.

    Args:
        task: a gymnasium id.
        out: the npz file; an existing one is not overwritten.
        settings: of the demonstrator and the recording.
        seed: of all random streams.
        command: the command line, recorded in the file.
        quiet: no progress bar.

    Raises:
        UserError: the file exists, checkpoints of another training are next to it, or the target was not
            reached.
    """
    file = Path(out)
    refuse_existing(file)
    history = PolicyHistory() if settings.history else None
    unfinished = file.with_name(f"{file.name}.unfinished")
    atari = atari_options(task, settings.demonstrator.atari)
    if history is None:
        _claim(unfinished, {"task": task, "seed": seed, "settings": settings_to_json(settings.demonstrator)})
    steps = settings.demonstrator.ppo.environment_steps
    try:
        bar = progress_bar("demonstrator", steps, "step", hidden=quiet)
        with limit_torch_threads(task), bar:

            def show(steps: int, mean_return: float) -> None:
                bar.set_description(f"mean return {mean_return:.4g}", refresh=False)
                bar.update(steps - bar.n)

            model = train_demonstrator(
                lambda count, stream: make_environments(task, count, seed=stream, reward="true", atari=atari),
                settings.demonstrator,
                seed=seed,
                history=history,
                checkpoints=unfinished if history is None else None,
                progress=show,
            )
    except UserError:  # nothing to continue
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    if history is None:
        recorded = [_record(model.policy, task, settings.episodes, seed)]
    else:
        policies = history.spread(settings.history)
        recorded = [_record(policy, task, 1, seed + place) for place, policy in enumerate(policies)]
    trajectories = Trajectories.concatenate([trajectories for trajectories, _ in recorded])
    rewards = TrueReturns.concatenate([returns for _, returns in recorded]).step_values_for_evaluation()
    about = {
        "command": command,
        "target_return": settings.demonstrator.target_return,
        "environment_steps": model.num_timesteps,
        "recorded": f"{settings.history} stages of the training" if history else "the last policy",
        "seed": seed,
        "versions": dict(versions()),
    }
    save_demonstrations(file, trajectories, rewards=rewards, task=task, about=about)
    if history is None:
        shutil.rmtree(unfinished)
    return load_demonstrations(file)


def _claim(unfinished: Path, asked: JSON) -> None:
    """Record the training next to its checkpoints, so that those of another one are not continued."""
    note = unfinished / "training.json"
    if note.exists() and read_json(note) != asked:
        expected = "an unfinished training of the same task, seed and settings"
        advice = "finish that one, or remove the folder"
        raise UserError(str(note), expected=expected, found="one of others", do=advice)
    unfinished.mkdir(parents=True, exist_ok=True)
    write_json(note, asked)


def _record(
    policy: ActorCriticPolicy, task: str, episodes: int, seed: int
) -> tuple[Trajectories, TrueReturns]:
    return collect_on(task, stochastic(policy, seed=seed), episodes, seed=seed + 1, environments=episodes)
