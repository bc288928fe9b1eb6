"""The method on one screen: demonstrations, clone, ranking, reward, policy, judgement (D-REX and T-REX)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from stable_baselines3.common.policies import ActorCriticPolicy

from drex.agents.sb3_algorithms import SB3Settings, check_algorithm
from drex.demonstrations.bundled import bundled_demonstrations
from drex.demonstrations.load_and_save import Demonstrations, load_demonstrations
from drex.envs.make import task_spaces
from drex.envs.task_names import Factory, task_name
from drex.errors import UserError
from drex.files.atomic import write_json
from drex.files.dataclass_json import settings_to_json
from drex.files.run_folder import RunFolder, versions
from drex.presets.presets import preset
from drex.presets.settings import Control, Method, Settings
from drex.presets.unread import refuse_unread_by_task
from drex.ranges import SEEDS
from drex.rankings.user_ranking import Ranking
from drex.rankings.user_ranking_files import load_ranking, ranking_beside
from drex.stages.evaluation import Judging
from drex.stages.learning import Stages
from drex.stages.progress import Progress


def run(
    task: str | Factory,
    *,
    run_dir: str | Path,
    env_kwargs: Mapping[str, Any] | None = None,
    wrappers: Sequence[str | Factory] = (),
    demonstrations: str | Path | None = None,
    method: Method = "drex",
    ranking: str | Path | None = None,
    settings: Settings | None = None,
    seed: int = 0,
    controls: Sequence[Control] = (),
    resume: bool = False,
    quiet: bool = False,
    device: str = "cpu",
) -> dict[str, Any]:
    """Learn a reward from demonstrations and train a policy on it.

    Args:
        task: a gymnasium id (``module:Id`` imports the module first), or a class or function that makes an
            environment, itself or by its name ``module:factory``.
        run_dir: the folder that the run leaves; see the README for what it holds.
        env_kwargs: keyword arguments of the environment, of what JSON can hold.
        wrappers: classes or functions around each environment, or their names ``module:Wrapper``, innermost
            first.
        demonstrations: a file or folder of any format (docs/demonstrations.md); ``None`` takes those
            that come with the package.
        method: ``"drex"`` for unranked demonstrations, ``"trex"`` for those that carry a ranking.
        ranking: the user's ranking, a JSON or CSV file; ``None`` takes that beside the demonstrations.
        settings: ``None`` takes the default preset for the task and the method.
        seed: of everything; each stage draws its own stream from it.
        controls: rewards that must be beaten, trained from the same start and judged in the same table. They
            may be added to a finished run.
        resume: continue in a run folder that holds a part of this very run.
        quiet: no progress bars.
        device: ``"cpu"``, ``"cuda"`` or ``"auto"``, for PPO and, for images, for cloning and the reward.

    Returns:
        The content of ``evaluation.json``.

    Raises:
        UserError: anything that the user can mend.
    """
    task = task_name(task, kwargs=env_kwargs, wrappers=wrappers)
    settings = preset("default", task, method) if settings is None else settings
    if settings.method != method:
        raise UserError(
            "method", expected=f"{settings.method}, whose ranking the settings hold", found=method
        )
    SEEDS.check("seed", seed)
    file = Path(bundled_demonstrations(task) if demonstrations is None else demonstrations)
    observation_space, action_space, horizon = task_spaces(task)
    refuse_unread_by_task(settings, task, observation_space, action_space)
    if isinstance(settings.learner, SB3Settings):
        check_algorithm(settings.learner, action_space)
    given = load_demonstrations(
        file, observation_space=observation_space, action_space=action_space, horizon=horizon, task=task
    )
    own = _own_ranking(method, ranking, file, given)
    about: dict[str, Any] = {"task": task, "method": method, "seed": seed}
    with (
        RunFolder.open(
            Path(run_dir), config=about | {"settings": settings_to_json(settings)}, resume=resume
        ) as folder,
        closing(Progress(folder.path, quiet=quiet)) as progress,
    ):
        stages = Stages(task, settings, seed, folder, progress, device)
        judging = Judging(task, settings.evaluation, seed, folder, progress)
        demos = stages.demonstrations(given, file)
        bc: ActorCriticPolicy | None
        if own is None:  # D-REX: a clone of all demonstrations, disturbed by degrees, ranks itself
            bc = stages.clone(demos.trajectories)
            ranked = stages.ranked_by_noise(demos.trajectories, bc)
        else:  # T-REX: the demonstrations are ranked, and the best of them are cloned
            bc = stages.clone_of_best(demos.trajectories, own)
            ranked = stages.ranked_as_given(demos, own, bc)
        reward = stages.reward(ranked)
        policy = stages.policy("policy", reward, bc)
        beside = {name: stages.control(name, ranked, bc) for name in controls}
        held_out = stages.held_out(ranked, reward)
        found = judging.evaluation(demos, bc, ranked, reward, policy) | {
            "controls": {name: judging.control(name, control) for name, control in beside.items()}
        }
        found["reward"] |= {"held_out_accuracy": held_out.accuracy, "held_out_pairs": held_out.pairs}
        evaluation = about | found
        evaluation |= {"seconds": folder.seconds(), "environment_steps": stages.environment_steps(ranked)}
        evaluation |= {"versions": versions()}
        write_json(folder.path / "evaluation.json", evaluation)
    return evaluation


def _own_ranking(
    method: Method, ranking: str | Path | None, file: Path, given: Demonstrations
) -> Ranking | None:
    """The user's ranking for T-REX, checked; ``None`` for D-REX, which would not read it."""
    if method == "drex":
        if ranking is not None:
            raise UserError(
                "ranking", expected="none with method drex", found=str(ranking), do="add --method trex"
            )
        return None
    own = load_ranking(ranking_beside(file) if ranking is None else ranking)
    own.rank(given.trajectories)
    return own
