"""The returned policy: chosen by the judges among the trained policy, its snapshots and the clone."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy

from drex.agents.policies.acting import Policy
from drex.agents.policies.saved import as_callable, load_trained, write_zip_of
from drex.agents.policies.saved_actor_critic import load_weights
from drex.agents.ppo.checkpoints import SNAPSHOTS
from drex.agents.rollouts.collect import Advance, collect_on
from drex.envs.data.trajectories import Trajectories
from drex.envs.make import task_spaces
from drex.files.atomic import read_json, write_json
from drex.files.dataclass_json import settings_to_json
from drex.files.run_layout import CLONE, JUDGES, POLICY, TRAINED
from drex.files.weights import read_weights
from drex.rankings.ranked_episodes import RankedEpisodes
from drex.rewards.learned_reward import LearnedReward
from drex.selection.choice import Actions, Candidate, PolicyChoice, choose
from drex.stages.context import Context
from drex.stages.judges import Judges, as_judge
from drex.stages.ranking import ranked_stages

_WEIGHTS, _NETWORK, _ZIP, _CHOICE = POLICY.files


@dataclass(frozen=True)
class Returned:
    """The policy that the run returns, and the choice that led to it."""

    policy: BasePolicy
    choice: PolicyChoice

    def acting(self, seed: int) -> Policy:
        """The policy as it was judged: greedy, or sampling with this seed."""
        return as_callable(self.policy, seed=None if self.choice.returned.actions == "greedy" else seed)


def select_policy(
    run: Context,
    bc: ActorCriticPolicy | None,
    judges: Judges | None,
    episodes: RankedEpisodes,
    reward: LearnedReward,
    *,
    doubts: Sequence[str] = (),
) -> Returned:
    """The policy that the judges choose; without judges, the trained one.

    Args:
        run: whose policy is trained.
        bc: the clone.
        judges: learned from another clone; ``None`` returns the trained policy.
        episodes: the ranked ones; where they leave out the greedy clone, it is no candidate.
        reward: that the policy was trained on, to show beside the judges.
        doubts: reasons why no learned reward can be trusted on this task.
    """
    observation_space, action_space, _ = task_spaces(run.task)
    selection, judged = run.settings.selection, judges is not None and bc is not None
    candidates = _candidates(run, episodes)
    each = cast("int", selection.episodes)  # see fit_episodes

    def make(advance: Advance) -> PolicyChoice:
        steps = run.settings.learner.training_steps
        if judges is None or bc is None or episodes.noise is None:
            reason = "the trained policy, since there are no judges"
            return PolicyChoice(Candidate(True, steps, "sampling"), reason)
        played = _play(run, bc, candidates, each, advance)
        learned = as_judge("learned reward", reward, episodes.noise)
        noise = episodes.noise.noisiest()
        choice = choose(played, judges.judges, learned=learned, noise=noise, doubts=doubts)
        _log(run, choice)
        return choice

    def save(choice: PolicyChoice, place: Path) -> None:
        weights, network = _files(run.folder.path, choice.returned)
        shutil.copyfile(weights, place / _WEIGHTS)
        shutil.copyfile(network, place / _NETWORK)
        trained = TRAINED.folder(run.folder.path)
        if network.read_bytes() == (trained / _NETWORK).read_bytes():
            write_zip_of(load_trained(place, observation_space, action_space), trained / _ZIP, place / _ZIP)
        write_json(place / _CHOICE, choice.to_json())

    def load(place: Path) -> Returned:
        choice = PolicyChoice.from_json(read_json(place / _CHOICE))
        return Returned(load_trained(place, observation_space, action_space), choice)

    returned = run.load_or_make(
        POLICY,
        make,
        save=save,
        load=load,
        settings=settings_to_json(selection) | {"doubts": list(doubts)},
        inputs=[
            *([CLONE] if bc is not None else []),
            *([JUDGES] if judged else []),
            *ranked_stages(episodes),
            TRAINED,
        ],
        bar=(len(candidates) * each, "episode") if judged else None,
    )
    run.progress.write(f"returned: {returned.choice.reason}")
    return returned


def _play(
    run: Context, bc: ActorCriticPolicy, candidates: Sequence[Candidate], episodes: int, advance: Advance
) -> dict[Candidate, Trajectories]:
    """Episodes of every candidate."""
    seed, played = POLICY.seed(run.seed), {}
    for candidate in candidates:
        policy = load_candidate(run.folder.path, run.task, candidate) if candidate.trained else bc
        actor = as_callable(policy, seed=None if candidate.actions == "greedy" else seed)
        count = min(16, episodes)
        played[candidate], _ = collect_on(
            run.task, actor, episodes, seed=seed, environments=count, progress=advance
        )
    return played


def _log(run: Context, choice: PolicyChoice) -> None:
    """The gains along the training, for TensorBoard."""
    for rating in choice.ratings:
        candidate = rating.candidate
        for name, gain in (rating.gains | {"learned reward": rating.learned}).items():
            if candidate.trained:
                run.progress.log(f"judges/{name}, {candidate.actions}", gain, candidate.steps)


def _candidates(run: Context, episodes: RankedEpisodes) -> list[Candidate]:
    """All, without the greedy clone where it was to be ranked and its rollouts looked like more noise."""
    found, noise = candidates_of(run.folder.path, run.settings.learner.training_steps), episodes.noise
    lost = noise is not None and run.noise.rollout_policy == "both" and not noise.greedy.any()
    return found[1:] if lost else found


def candidates_of(run_dir: Path, last: int) -> list[Candidate]:
    """The clone, the policies along the training and that of its ``last`` step, greedy and sampling each."""
    kept = (TRAINED.folder(run_dir) / SNAPSHOTS).glob("*.safetensors")
    steps = sorted({int(file.stem) for file in kept} | {last})
    policies = [(False, 0), *((True, each) for each in steps)]
    modes: tuple[Actions, ...] = ("greedy", "sampling")
    return [Candidate(trained, each, actions) for trained, each in policies for actions in modes]


def _files(run_dir: Path, candidate: Candidate) -> tuple[Path, Path]:
    """Weights and network of a candidate in the run folder."""
    folder = (TRAINED if candidate.trained else CLONE).folder(run_dir)
    weights = folder / SNAPSHOTS / f"{candidate.steps}.safetensors"
    return weights if weights.is_file() else folder / _WEIGHTS, folder / _NETWORK


def load_candidate(run_dir: Path, task: str, candidate: Candidate) -> BasePolicy:
    """The clone, or a policy of the training."""
    weights, network = _files(run_dir, candidate)
    policy = load_trained(network.parent, *task_spaces(task)[:2])
    load_weights(policy, read_weights(weights), str(weights))
    return policy
