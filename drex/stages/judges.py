"""The judges: rewards learned from fresh noisy rollouts of another clone, before the policy is trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from drex.agents.behavioral_cloning import clone
from drex.agents.rollouts.collect import Advance
from drex.envs.data.trajectories import Trajectories
from drex.envs.make import task_spaces
from drex.files.atomic import read_json, write_json
from drex.files.dataclass_json import JSON, settings_to_json
from drex.files.run_layout import CLONE, DEMONSTRATIONS, JUDGES
from drex.rankings.noisy_rollouts import NoisyRollouts
from drex.rankings.ranked_episodes import RankedEpisodes
from drex.rewards.learned_reward import LearnedReward, load_reward
from drex.selection.choice import Judge
from drex.stages.context import Context
from drex.stages.noisy_rollouts import episodes_of, roll_out
from drex.stages.reward import learn_and_normalize, reward_settings

_FILE = "judges.json"


@dataclass(frozen=True)
class Judges:
    """The judges, and the environment steps of the rollouts that they were learned from."""

    judges: tuple[Judge, ...]
    environment_steps: int


def learn_judges(run: Context, cloned: Trajectories, episodes: RankedEpisodes) -> Judges | None:
    """A judge for each ranked kind of noise, of noisy rollouts of another clone; ``None`` if none are asked.

    A judge that shares the clone, the rollouts and the noise with the training reward shares its errors.
    These have another clone and one kind of noise each.
    """
    settings, seed = run.settings, JUDGES.seed(run.seed)
    if not settings.selection.judge or episodes.noise is None:
        return None
    choice = episodes.rollout_policy
    rollout_policy = run.noise.rollout_policy if choice is None else choice.chosen
    observation_space, action_space, _ = task_spaces(run.task)

    def make(advance: Advance) -> Judges:
        other = clone(
            cloned,
            observation_space,
            action_space,
            policy_settings=settings.policy,
            settings=settings.bc,
            seed=seed,
            device=run.device,
        )
        rollouts = roll_out(run, other, rollout_policy, seed=seed, progress=advance)
        judges = [
            _judge(run, f"{kind} noise", rollouts.select(rollouts.kinds == kind), seed + index)
            for index, kind in enumerate(rollouts.ranked_kinds(run.noise.grade_margin))
        ]
        return Judges(tuple(judges), int(rollouts.trajectories.lengths.sum()))

    return run.load_or_make(
        JUDGES,
        make,
        save=_save,
        load=_load,
        settings=reward_settings(run)
        | {
            "bc": settings_to_json(settings.bc),
            "ranking": settings_to_json(run.noise),
            "rollout_policy": rollout_policy,
            "policy": settings_to_json(settings.policy),
        },
        inputs=[DEMONSTRATIONS, CLONE],
        bar=(episodes_of(run.noise, rollout_policy), "episode"),
    )


def _judge(run: Context, name: str, rollouts: NoisyRollouts, seed: int) -> Judge:
    reward = learn_and_normalize(run, rollouts.ranked(minimum_gap=run.noise.minimum_gap), seed=seed)
    return as_judge(name, reward, rollouts)


def as_judge(name: str, reward: LearnedReward, rollouts: NoisyRollouts) -> Judge:
    """The reward with its mean return of the noisiest rollouts, which sets the unit of gains."""
    return Judge(name, reward, float(reward.returns(rollouts.noisiest()).mean()))


def _save(learned: Judges, place: Path) -> None:
    for index, judge in enumerate(learned.judges):
        judge.reward.save(place / f"judge-{index}")
    facts: list[JSON] = [{"name": judge.name, "noisiest": judge.noisiest} for judge in learned.judges]
    write_json(place / _FILE, {"judges": facts, "environment_steps": learned.environment_steps})


def _load(place: Path) -> Judges:
    facts = read_json(place / _FILE)
    judges = tuple(
        Judge(judge["name"], load_reward(place / f"judge-{index}"), judge["noisiest"])
        for index, judge in enumerate(facts["judges"])
    )
    return Judges(tuple(judges), facts["environment_steps"])
