"""The method on one screen: demonstrations, clone, noisy rollouts, reward, policy, judgement (D-REX)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import CallbackList
from stable_baselines3.common.policies import ActorCriticPolicy

from drex.agents.behavioral_cloning import clone
from drex.agents.improve import improve
from drex.agents.policies import Policy, deterministic, stochastic, uniform
from drex.agents.policy_files import load_policy, save_policy
from drex.agents.ppo import PPO
from drex.bundled import bundled_demonstrations
from drex.demonstrations import Demonstrations, load_demonstrations, save_demonstrations
from drex.durable_files import read_json, write_json
from drex.envs.learned_reward import RewardFunction
from drex.envs.make import make_environments, task_spaces
from drex.evaluation import TrueReturnWatch, assemble, judge
from drex.noise_ranking import NoisyRollouts, rank_by_noise
from drex.presets import Control, Settings, preset
from drex.progress import Progress, StepBar
from drex.ranking import RankedTrajectories, randomized
from drex.reward import LearnedReward, load_reward
from drex.reward_anchor import alive_bonus, anchor
from drex.reward_learning import learn_reward
from drex.run_folder import RunFolder, versions
from drex.settings_json import settings_to_json

_STAGES = ("demonstrations", "bc", "ranked", "reward", "policy", "evaluation")


def run(
    task: str,
    *,
    run_dir: str | Path,
    demonstrations: str | Path | None = None,
    settings: Settings | None = None,
    seed: int = 0,
    controls: Sequence[Control] = (),
    resume: bool = False,
    quiet: bool = False,
    device: str = "cpu",
) -> dict[str, Any]:
    """Learn a reward from unranked demonstrations and train a policy on it (D-REX).

    Args:
        task: a gymnasium id.
        run_dir: the folder that the run leaves; see the README for what it holds.
        demonstrations: an npz file; ``None`` takes those that come with the package.
        settings: ``None`` takes the default preset for the task.
        seed: of everything; each stage draws its own stream from it.
        controls: rewards that must be beaten, trained from the same clone and judged in the same table.
        resume: continue in a run folder that holds a part of this very run.
        quiet: no progress bars.
        device: ``"cpu"``, ``"cuda"`` or ``"auto"``, for PPO.

    Returns:
        The content of ``evaluation.json``.

    Raises:
        UserError: anything that the user can mend.
    """
    settings = preset("default", task) if settings is None else settings
    file = Path(bundled_demonstrations(task) if demonstrations is None else demonstrations)
    observation_space, action_space, horizon = task_spaces(task)
    given = load_demonstrations(
        file, observation_space=observation_space, action_space=action_space, horizon=horizon, task=task
    )
    config: dict[str, Any] = {
        "task": task,
        "method": "drex",
        "seed": seed,
        "settings": settings_to_json(settings),
    }
    with (
        RunFolder.open(Path(run_dir), config=config, resume=resume) as folder,
        closing(Progress(folder.path, quiet=quiet)) as progress,
    ):
        stages = _Stages(task, settings, seed, folder, progress, device)
        demos = stages.demonstrations(given, file)
        bc = stages.clone(demos)
        rollouts = stages.ranked(bc)
        reward = stages.reward(rollouts)
        policy = stages.policy("policy", reward, bc)
        beside = {name: stages.control(name, rollouts, bc) for name in controls}
        found = stages.evaluation(demos, bc, rollouts, reward, policy, beside)
        evaluation: dict[str, Any] = {"task": task, "method": "drex", "seed": seed} | found
        evaluation |= {"seconds": folder.seconds(), "environment_steps": stages.environment_steps(rollouts)}
        evaluation |= {"versions": versions()}
        write_json(folder.path / "evaluation.json", evaluation)
    return evaluation


@dataclass(frozen=True)
class _Stages:
    """Each stage of one run: made once, then loaded from the run folder."""

    task: str
    settings: Settings
    seed: int
    folder: RunFolder
    progress: Progress
    device: str

    def demonstrations(self, given: Demonstrations, file: Path) -> Demonstrations:
        """A copy of the demonstrations, so that the run folder stands on its own."""

        def save(demos: Demonstrations, place: Path) -> None:
            save_demonstrations(
                place / "demonstrations.npz",
                demos.trajectories,
                rewards=demos.true_returns.reveal_steps(),
                task=self.task,
                about=demos.about,
            )

        return self.folder.keep(
            "demonstrations",
            lambda: given,
            save=save,
            load=lambda place: load_demonstrations(place / "demonstrations.npz"),
            settings={"sha256": hashlib.sha256(file.read_bytes()).hexdigest()},
            seed=0,
        )

    def clone(self, demos: Demonstrations) -> ActorCriticPolicy:
        """Behavioral cloning."""
        observation_space, action_space, _ = task_spaces(self.task)
        settings, seed = self.settings, self._seed("bc")

        def make() -> ActorCriticPolicy:
            with self.progress.bar("bc", settings.bc.gradient_steps, "step") as advance:
                return clone(
                    demos.trajectories,
                    observation_space,
                    action_space,
                    policy_settings=settings.policy,
                    settings=settings.bc,
                    seed=seed,
                    log=self._advancing(advance),
                )

        return self.folder.keep(
            "bc",
            make,
            save=lambda policy, place: save_policy(policy, settings.policy, place),
            load=lambda place: load_policy(place, observation_space, action_space),
            settings={"policy": settings_to_json(settings.policy), "bc": settings_to_json(settings.bc)},
            seed=seed,
            inputs=["demonstrations"],
        )

    def ranked(self, bc: ActorCriticPolicy) -> NoisyRollouts:
        """Rollouts of the clone under graded noise."""
        settings, seed = self.settings, self._seed("ranked")

        def make() -> NoisyRollouts:
            environments = make_environments(self.task, settings.rollout_environments, seed=seed)
            sampled = settings.rollout_policy == "stochastic"
            actor = stochastic(bc, seed=seed) if sampled else deterministic(bc)
            with self.progress.bar("ranked", len(settings.noise.jobs()), "episode") as advance:
                rollouts = rank_by_noise(actor, environments, settings.noise, seed=seed, progress=advance)
            environments.close()
            return rollouts

        return self.folder.keep(
            "ranked",
            make,
            save=lambda rollouts, place: rollouts.save(place),
            load=NoisyRollouts.load,
            settings={
                "noise": settings_to_json(settings.noise),
                "environments": settings.rollout_environments,
                "rollout_policy": settings.rollout_policy,
            },
            seed=seed,
            inputs=["bc"],
        )

    def reward(
        self, rollouts: NoisyRollouts, *, stage: str = "reward", shuffle: bool = False
    ) -> LearnedReward:
        """The reward ensemble, anchored; with ``shuffle``, from rankings that say nothing."""
        settings, seed = self.settings, self._seed("reward")
        ranked = rollouts.ranked(minimum_gap=settings.minimum_level_gap)
        if shuffle:
            ranked = RankedTrajectories(ranked.trajectories, randomized(ranked.preferences, seed=seed))

        def make() -> LearnedReward:
            with self.progress.bar(stage, settings.reward.gradient_steps, "step") as advance:
                log = self._advancing(advance)
                learned = learn_reward(ranked, settings.reward, seed=seed, log=log)
            return anchor(learned, ranked.trajectories, settings.anchor, gamma=settings.ppo.gamma)

        return self.folder.keep(
            stage,
            make,
            save=lambda reward, place: reward.save(place),
            load=load_reward,
            settings={
                "reward": settings_to_json(settings.reward),
                "anchor": settings_to_json(settings.anchor) | {"gamma": settings.ppo.gamma},
                "minimum_level_gap": settings.minimum_level_gap,
                "shuffle": shuffle,
            },
            seed=seed,
            inputs=["ranked"],
        )

    def policy(
        self,
        stage: str,
        reward: RewardFunction,
        bc: ActorCriticPolicy,
        *,
        paid_by: Sequence[str] = ("reward",),
    ) -> ActorCriticPolicy:
        """PPO on a reward, started from the clone."""
        observation_space, action_space, _ = task_spaces(self.task)
        settings, seed = self.settings, self._seed("policy")

        def make() -> PPO:
            def log(name: str, value: float, step: int) -> None:
                self.progress.log(name if stage == "policy" else f"{stage}/{name}", value, step)

            with self.progress.bar(stage, settings.ppo.segments()[-1], "step") as advance:
                return improve(
                    lambda count, stream: make_environments(self.task, count, seed=stream),
                    settings.ppo,
                    policy_settings=settings.policy,
                    seed=seed,
                    reward=reward,
                    start_from=bc,
                    checkpoints=self.folder.unfinished(stage),
                    logger=self.progress.logger() if stage == "policy" else None,
                    callback=CallbackList([StepBar(advance), TrueReturnWatch(log)]),
                    device=self.device,
                )

        def save(model: PPO, place: Path) -> None:
            save_policy(model.policy, settings.policy, place)
            model.save(place / "policy.zip")

        return self.folder.keep(
            stage,
            make,
            save=save,
            load=lambda place: load_policy(place, observation_space, action_space),
            settings={"ppo": settings_to_json(settings.ppo), "policy": settings_to_json(settings.policy)},
            seed=seed,
            inputs=["bc", *paid_by],
        )

    def control(self, name: Control, rollouts: NoisyRollouts, bc: ActorCriticPolicy) -> ActorCriticPolicy:
        """PPO from the same clone on a reward that must be beaten."""
        stage = f"control-{name}"
        if name == "alive":
            return self.policy(stage, alive_bonus, bc, paid_by=())
        shuffled = self.reward(rollouts, stage=f"{stage}-reward", shuffle=True)
        return self.policy(stage, shuffled, bc, paid_by=(f"{stage}-reward",))

    def evaluation(
        self,
        demos: Demonstrations,
        bc: ActorCriticPolicy,
        rollouts: NoisyRollouts,
        reward: LearnedReward,
        policy: ActorCriticPolicy,
        controls: Mapping[Control, ActorCriticPolicy],
    ) -> dict[str, Any]:
        """Open the true returns, for the first time, and judge everything side by side."""
        seed = self._seed("evaluation")
        _, action_space, _ = task_spaces(self.task)
        policies: dict[str, Policy] = {
            "random": uniform(action_space, seed=seed),
            "bc": deterministic(bc),
            "policy": stochastic(policy, seed=seed),
            "policy_deterministic": deterministic(policy),
        }
        policies |= {f"control-{name}": stochastic(control, seed=seed) for name, control in controls.items()}

        def make() -> dict[str, Any]:
            episodes = self.settings.evaluation.episodes
            with self.progress.bar("evaluation", len(policies) * episodes, "episode") as advance:
                judged = {
                    name: judge(actor, self.task, self.settings.evaluation, seed=seed, progress=advance)
                    for name, actor in policies.items()
                }
            gap = self.settings.minimum_level_gap
            return assemble(demos, rollouts, reward, judged, minimum_gap=gap)

        return self.folder.keep(
            "evaluation",
            make,
            save=lambda facts, place: write_json(place / "facts.json", facts),
            load=lambda place: dict(read_json(place / "facts.json")),
            settings=settings_to_json(self.settings.evaluation),
            seed=seed,
            inputs=[
                "demonstrations",
                "bc",
                "ranked",
                "reward",
                "policy",
                *(f"control-{name}" for name in controls),
            ],
        )

    def environment_steps(self, rollouts: NoisyRollouts) -> int:
        """Steps that learning took: noisy rollouts and PPO, without controls and judging."""
        return int(rollouts.trajectories.lengths.sum()) + self.settings.ppo.segments()[-1]

    def _seed(self, stage: str) -> int:
        """The stage's own seed: adding a stage changes no other."""
        stream = np.random.SeedSequence(self.seed, spawn_key=(_STAGES.index(stage),))
        return int(stream.generate_state(1)[0] % 2**30)

    def _advancing(self, advance: Callable[[int], None]) -> Callable[[str, float, int], None]:
        """A log that also moves the bar to the step of each scalar."""
        seen = 0

        def log(name: str, value: float, step: int) -> None:
            nonlocal seen
            self.progress.log(name, value, step)
            advance(step - seen)
            seen = step

        return log
