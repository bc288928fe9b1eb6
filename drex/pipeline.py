"""The method on one screen: demonstrations, clone, ranking, reward, policy, evaluation (D-REX and T-REX)."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stable_baselines3.common.policies import ActorCriticPolicy

from drex.agents.sb3_algorithms import SB3Settings, check_algorithm
from drex.agents.torch_threads import limit_torch_threads
from drex.demonstrations.inspect import unit_warnings
from drex.demonstrations.load_and_save import Demonstrations
from drex.diagnosis.finding import Finding, doubts_of
from drex.envs.data.trajectories import Trajectories
from drex.envs.make import task_spaces
from drex.envs.task_names import Factory, task_name
from drex.errors import UserError
from drex.evaluation.held_out import HeldOutPairs
from drex.files.atomic import os_errors_as_user_errors, write_json
from drex.files.dataclass_json import settings_to_json
from drex.files.run_folder import RunFolder, versions
from drex.files.run_layout import OPTIONS, RESULT
from drex.presets.names import Control, Device, Method
from drex.presets.presets import preset
from drex.presets.run_file import options_of_run
from drex.presets.settings import Settings
from drex.presets.unread import refuse_unread_by_task
from drex.ranges import SEEDS
from drex.rankings.preferences import Preferences
from drex.rankings.ranked_episodes import RankedEpisodes
from drex.rankings.user_ranking import Ranking
from drex.rewards.learned_reward import LearnedReward
from drex.stages.cloning import best_episodes, clone_best, clone_demonstrations
from drex.stages.context import Context
from drex.stages.controls import train_control
from drex.stages.demonstrations import copy_demonstrations, fit_episodes, given_demonstrations
from drex.stages.device import resolve_device
from drex.stages.diagnosis import diagnose_ranking_and_reward
from drex.stages.evaluation import evaluate, evaluate_control
from drex.stages.held_out import held_out_accuracy
from drex.stages.judges import learn_judges
from drex.stages.policy import environment_steps, fit_learner, train_policy
from drex.stages.progress import Progress
from drex.stages.ranking import given_ranking, rank_as_user, rank_noisy_rollouts
from drex.stages.reward import learn
from drex.stages.selection import select_policy

_TURN = threading.RLock()
"""Held by the run that is going on: runs of several threads would share torch's random stream and threads."""


def run(
    task: str | Factory,
    *,
    run_dir: str | Path,
    env_kwargs: Mapping[str, Any] | None = None,
    wrappers: Sequence[str | Factory] = (),
    demonstrations: str | Path | Demonstrations | Trajectories | None = None,
    method: Method = "drex",
    ranking: str | Path | Ranking | Preferences | None = None,
    settings: Settings | None = None,
    seed: int = 0,
    controls: Sequence[Control] = (),
    resume: bool = False,
    quiet: bool = False,
    device: Device = "auto",
    report: bool = True,
) -> dict[str, Any]:
    """Learn a reward from demonstrations and train a policy on it.

    Equal seeds give equal weights on one machine, from Python and from the command line. Tasks with flat
    observations compute on one torch thread, so that this holds for any number of cores. Runs of several
    threads take turns.

    Args:
        task: a gymnasium id (``module:Id`` imports the module first), or a class or function that makes an
            environment, or its name ``module:factory``.
        run_dir: output folder; the README lists its files.
        env_kwargs: keyword arguments of the environment, of types that JSON has.
        wrappers: wrapper classes or functions, or their names ``module:Wrapper``, innermost first.
        demonstrations: a file or folder of any format (docs/demonstrations.md), or data in memory; ``None``
            takes the bundled ones.
        method: ``"drex"`` ranks noisy rollouts, ``"trex"`` takes the user's ranking.
        ranking: T-REX only: a JSON or CSV file, or a ranking in memory; ``None`` takes the file next to the
            demonstrations.
        settings: ``None`` takes the default preset for the task and the method.
        seed: of the whole run; each stage has a stream of its own.
        controls: baseline rewards, trained from the same start and evaluated in the same table; they can be
            added to a finished run.
        resume: continue an unfinished run of the same configuration.
        quiet: no progress bars.
        device: for PPO and, for images, for cloning and the reward. ``"auto"`` takes the CPU for flat
            observations, else a GPU where there is one.
        report: write figures, a video where the task renders, and ``report.html`` into the folder.

    Returns:
        The content of ``evaluation.json``.

    Raises:
        UserError: any mistake that the user can correct.
    """
    task = task_name(task, kwargs=env_kwargs, wrappers=wrappers)
    asked = _Asked(task, run_dir, demonstrations, method, ranking, settings, seed, resume, quiet, device)
    with _opened(asked, controls) as (context, given, user):
        evaluation = asked.about() | _learn_and_evaluate(context, given, user, controls)
        evaluation |= {"versions": versions()}
        write_json(context.folder.path / RESULT, evaluation)
        if report:
            from drex.report.finished_run import read_finished_run
            from drex.report.html import write_report_of  # slow import: matplotlib

            context.progress.write("drawing figures and video")
            for note in write_report_of(read_finished_run(run_dir, task=task), tensorboard=True).notes:
                context.progress.write(note)
    return evaluation


def diagnose(
    task: str | Factory,
    *,
    run_dir: str | Path,
    env_kwargs: Mapping[str, Any] | None = None,
    wrappers: Sequence[str | Factory] = (),
    demonstrations: str | Path | Demonstrations | Trajectories | None = None,
    method: Method = "drex",
    ranking: str | Path | Ranking | Preferences | None = None,
    settings: Settings | None = None,
    seed: int = 0,
    resume: bool = False,
    quiet: bool = False,
    device: Device = "auto",
) -> list[Finding]:
    """Learn a reward, and say what is likely to fail before a policy is trained on it.

    ``run`` with the same arguments and ``resume=True`` continues in the folder.

    Args:
        task: as for ``run``.
        run_dir: output folder.
        env_kwargs: keyword arguments of the environment.
        wrappers: of the environment, innermost first.
        demonstrations: a file, a folder, data in memory, or ``None`` for the bundled ones.
        method: ``"drex"`` or ``"trex"``.
        ranking: T-REX only.
        settings: ``None`` takes the default preset.
        seed: of the whole run.
        resume: continue an unfinished run of the same configuration.
        quiet: no progress bars, and no lines of findings.
        device: of the training.

    Returns:
        What was found, none of it from true returns; after most red lights the clone is returned.

    Raises:
        UserError: any mistake that the user can correct.
    """
    task = task_name(task, kwargs=env_kwargs, wrappers=wrappers)
    asked = _Asked(task, run_dir, demonstrations, method, ranking, settings, seed, resume, quiet, device)
    with _opened(asked, ()) as (context, given, user):
        return _learn_reward(context, given, user).findings


@dataclass(frozen=True)
class _Asked:
    """The arguments that ``run`` and ``diagnose`` share, the task as one name."""

    task: str
    run_dir: str | Path
    demonstrations: str | Path | Demonstrations | Trajectories | None
    method: Method
    ranking: str | Path | Ranking | Preferences | None
    settings: Settings | None
    seed: int
    resume: bool
    quiet: bool
    device: Device

    def about(self) -> dict[str, Any]:
        """What names the run."""
        return {"task": self.task, "method": self.method, "seed": self.seed}


@contextmanager
def _opened(
    asked: _Asked, controls: Sequence[Control]
) -> Iterator[tuple[Context, Demonstrations, Ranking | None]]:
    """Check the arguments and open the run folder, with the demonstrations and the user's ranking."""
    task, method = asked.task, asked.method
    settings = preset("default", task, method) if asked.settings is None else asked.settings
    if settings.method != method:
        raise UserError("method", expected=f"{settings.method}, the method of the settings", found=method)
    SEEDS.check("seed", asked.seed)
    observation_space, action_space, _ = task_spaces(task)
    refuse_unread_by_task(settings, task, observation_space, action_space)
    if isinstance(settings.learner, SB3Settings):
        check_algorithm(settings.learner, action_space)
    resolved = resolve_device(task, asked.device)
    given = given_demonstrations(asked.demonstrations, task)
    user = given_ranking(asked.ranking, method, given)
    config = asked.about() | {"settings": settings_to_json(settings)}
    with (
        _TURN,
        os_errors_as_user_errors(Path(asked.run_dir), of_writing=True),
        limit_torch_threads(task),
        RunFolder.open(Path(asked.run_dir), config=config, resume=asked.resume) as folder,
        closing(Progress(folder.path, quiet=asked.quiet)) as progress,
    ):
        again = options_of_run(task, settings, seed=asked.seed, controls=controls, device=asked.device)
        write_json(folder.path / OPTIONS, again)
        yield Context(task, settings, asked.seed, folder, progress, resolved), given, user


@dataclass(frozen=True)
class _Learned:
    """What the stages before the policy have made."""

    run: Context
    demos: Demonstrations
    cloned: Trajectories
    bc: ActorCriticPolicy | None
    ranked: RankedEpisodes
    reward: LearnedReward
    held_out: HeldOutPairs
    findings: list[Finding]


def _learn_reward(run: Context, given: Demonstrations, user: Ranking | None) -> _Learned:
    """Run the stages up to the diagnosis, in order."""
    demos = copy_demonstrations(run, given)
    for warning in unit_warnings(demos.trajectories):
        run.progress.write(f"warning: {warning}")
    run = fit_episodes(run, demos.trajectories)
    bc: ActorCriticPolicy | None
    if user is None:  # D-REX: rollouts of the clone are ranked by their noise level
        cloned = demos.trajectories
        bc = clone_demonstrations(run, cloned)
        ranked = rank_noisy_rollouts(run, cloned, bc)
    else:  # T-REX: the demonstrations are ranked by the user, and the best are cloned
        cloned = demos.trajectories.select(best_episodes(run, demos.trajectories, user))
        bc = clone_best(run, demos.trajectories, user)
        ranked = rank_as_user(run, demos, user, bc)
    run = fit_learner(run, ranked)
    reward = learn(run, ranked)
    held_out = held_out_accuracy(run, ranked, reward)
    findings = diagnose_ranking_and_reward(run, demos.trajectories, ranked, reward, held_out)
    return _Learned(run, demos, cloned, bc, ranked, reward, held_out, findings)


def _learn_and_evaluate(
    run: Context, given: Demonstrations, user: Ranking | None, controls: Sequence[Control]
) -> dict[str, Any]:
    """Run the stages in order; returns their results."""
    learned = _learn_reward(run, given, user)
    run, bc, ranked, reward = learned.run, learned.bc, learned.ranked, learned.reward
    judges = learn_judges(run, learned.cloned, ranked)
    train_policy(run, reward, bc)
    policy = select_policy(run, bc, judges, ranked, reward, doubts=doubts_of(learned.findings))
    baselines = {name: train_control(run, name, ranked, bc) for name in controls}
    found = evaluate(run, learned.demos, bc, ranked, reward, policy)
    found["returned"] = policy.choice.to_json()
    found["diagnosis"] = [finding.to_json() for finding in learned.findings]
    found["controls"] = {name: evaluate_control(run, name, control) for name, control in baselines.items()}
    held_out = learned.held_out
    found["reward"] |= {"held_out_accuracy": held_out.accuracy, "held_out_pairs": held_out.pairs}
    return found | {
        "seconds": run.folder.seconds(),
        "environment_steps": environment_steps(run, ranked, judges, policy.choice),
    }
