"""The stages of learning, each made once, then loaded from its folder; ``pipeline.run`` puts them in order.

What comes of it is judged, by true returns, in ``judging``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import CallbackList
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from drex.agents.behavioral_cloning import Log, clone
from drex.agents.policies.acting import deterministic, stochastic
from drex.agents.policies.saved import load_trained, save_trained
from drex.agents.policies.saved_actor_critic import load_policy, save_policy
from drex.agents.ppo.train import train_ppo
from drex.agents.sb3_algorithms import train
from drex.demonstrations.formats import registry
from drex.demonstrations.load_and_save import Demonstrations, load_demonstrations, save_demonstrations
from drex.envs.atari.options import atari_options, is_atari
from drex.envs.data.trajectories import Trajectories
from drex.envs.learned_reward import RewardFunction
from drex.envs.make import make_environments, task_spaces
from drex.evaluation.held_out import HeldOutPairs, count_ordered, cross_validate
from drex.evaluation.training_curve import TrueReturnWatch
from drex.files.atomic import read_json, write_json
from drex.files.dataclass_json import JSON, settings_to_json
from drex.files.run_folder import RunFolder
from drex.presets.settings import Control, Settings
from drex.rankings.noisy_rollouts import NoisyRollouts, rank_by_noise
from drex.rankings.preferences import RankedTrajectories, shuffle_labels
from drex.rankings.ranked_episodes import RankedEpisodes, from_noise, from_user_ranking
from drex.rankings.rollout_policy import EPISODES, RolloutPolicyChoice, choose_rollout_policy
from drex.rankings.user_ranking import Ranking
from drex.rankings.user_ranking_files import load_ranking, save_ranking
from drex.rewards.learned_reward import LearnedReward, load_reward
from drex.rewards.learning import learn_reward, left_out_of_training
from drex.rewards.normalize import normalize_reward
from drex.stages.controls import constant_reward
from drex.stages.progress import Progress, StepBar
from drex.stages.seeds import stage_seed


@dataclass(frozen=True)
class Stages:
    """One run's stages.

    Args:
        task: a gymnasium id.
        settings: of every stage.
        seed: of the run; each stage draws its own stream from it.
        folder: where the stages are kept.
        progress: bars and scalars.
        device: of the policy's training and, for images, of cloning and of the reward.
    """

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
                rewards=demos.true_returns.step_values_for_evaluation(),
                task=self.task,
                about=demos.about,
            )

        return self.folder.load_or_make(
            "demonstrations",
            lambda: given,
            save=save,
            load=lambda place: load_demonstrations(place / "demonstrations.npz"),
            settings={"sha256": registry.sha256(file)},
            seed=0,
        )

    def clone(
        self, demonstrations: Trajectories, *, episodes: Sequence[int] | None = None
    ) -> ActorCriticPolicy:
        """Behavioral cloning, of all demonstrations or of some."""
        observation_space, action_space, _ = task_spaces(self.task)
        settings, seed = self.settings, self._seed("bc")
        chosen: dict[str, JSON] = {} if episodes is None else {"episodes": list(episodes)}

        def make() -> ActorCriticPolicy:
            with self.progress.bar("bc", settings.bc.gradient_steps, "step") as advance:
                return clone(
                    demonstrations if episodes is None else demonstrations.select(episodes),
                    observation_space,
                    action_space,
                    policy_settings=settings.policy,
                    settings=settings.bc,
                    seed=seed,
                    log=self.progress.advancing(advance),
                    device=self.device,
                )

        return self.folder.load_or_make(
            "bc",
            make,
            save=lambda policy, place: save_policy(policy, settings.policy, place),
            load=lambda place: load_policy(place, observation_space, action_space),
            settings=chosen
            | {"policy": settings_to_json(settings.policy), "bc": settings_to_json(settings.bc)},
            seed=seed,
            inputs=["demonstrations"],
        )

    def clone_of_best(self, demonstrations: Trajectories, own: Ranking) -> ActorCriticPolicy | None:
        """A clone of the best-ranked demonstrations; ``None`` where nothing starts from it, as published."""
        if not self.settings.starts_from_clone and not self.settings.trex.mix_noise:
            return None
        return self.clone(demonstrations, episodes=self._best(demonstrations, own))

    def _best(self, demonstrations: Trajectories, own: Ranking) -> list[int]:
        best = own.rank(demonstrations).preferences.top_share(self.settings.trex.clone_share)
        return [int(episode) for episode in best]

    def ranked_by_noise(self, cloned: Trajectories, bc: ActorCriticPolicy) -> RankedEpisodes:
        """Rollouts of the clone under graded noise."""
        source = self._rollout_choice(cloned, bc)
        rollouts = self._noisy_rollouts("ranked", bc, source)
        return from_noise(rollouts, minimum_gap=self.settings.minimum_level_gap, rollout_policy=source)

    def ranked_as_given(
        self, demos: Demonstrations, own: Ranking, bc: ActorCriticPolicy | None
    ) -> RankedEpisodes:
        """The demonstrations as the user ranks them, with noisy rollouts beside them where asked for."""
        kept = self.folder.load_or_make(
            "ranked",
            lambda: own,
            save=lambda ranking, place: save_ranking(place / "ranking.json", ranking),
            load=lambda place: load_ranking(place / "ranking.json"),
            settings={"ranking": own.to_json()},
            seed=0,
            inputs=["demonstrations"],
        )
        ranked, gap = kept.rank(demos.trajectories), self.settings.minimum_level_gap
        if not self.settings.trex.mix_noise or bc is None:
            return from_user_ranking(demos, ranked, minimum_gap=gap)
        cloned = demos.trajectories.select(self._best(demos.trajectories, kept))
        source = self._rollout_choice(cloned, bc)
        noisy = self._noisy_rollouts("ranked-noise", bc, source)
        return from_user_ranking(demos, ranked, extra=noisy, minimum_gap=gap, rollout_policy=source)

    def _rollout_choice(self, cloned: Trajectories, bc: ActorCriticPolicy) -> RolloutPolicyChoice | None:
        """Which clone is disturbed; ``None`` where the settings say it."""
        if self.settings.rollout_policy != "auto":
            return None
        seed = self._seed("rollout_policy")

        def make() -> RolloutPolicyChoice:
            environments = make_environments(self.task, EPISODES, seed=seed)
            choice = choose_rollout_policy(
                cloned.lengths, deterministic(bc), stochastic(bc, seed=seed), environments, seed=seed
            )
            environments.close()
            return choice

        choice = self.folder.load_or_make(
            "rollout_policy",
            make,
            save=RolloutPolicyChoice.save,
            load=RolloutPolicyChoice.load,
            settings={},
            seed=seed,
            inputs=["bc"],
        )
        steps = ", ".join(f"{name} {mean:,.0f}" for name, mean in choice.steps().items())
        self.progress.say(f"noise is injected into the {choice.actions} clone (steps per episode: {steps})")
        return choice

    def _noisy_rollouts(
        self, stage: str, bc: ActorCriticPolicy, rollout_policy: RolloutPolicyChoice | None
    ) -> NoisyRollouts:
        settings, seed = self.settings, self._seed("ranked")
        chosen = settings.rollout_policy if rollout_policy is None else rollout_policy.chosen

        def make() -> NoisyRollouts:
            environments = make_environments(self.task, settings.rollout_environments, seed=seed)
            actor = stochastic(bc, seed=seed) if chosen == "stochastic" else deterministic(bc)
            with self.progress.bar(stage, len(settings.noise.jobs()), "episode") as advance:
                rollouts = rank_by_noise(actor, environments, settings.noise, seed=seed, progress=advance)
            environments.close()
            return rollouts

        return self.folder.load_or_make(
            stage,
            make,
            save=lambda rollouts, place: rollouts.save(place),
            load=NoisyRollouts.load,
            settings={
                "noise": settings_to_json(settings.noise),
                "environments": settings.rollout_environments,
                "rollout_policy": chosen,
            },
            seed=seed,
            inputs=["bc"],
        )

    def reward(
        self, episodes: RankedEpisodes, *, stage: str = "reward", shuffle: bool = False
    ) -> LearnedReward:
        """The reward ensemble, anchored; with ``shuffle``, from rankings that say nothing."""
        settings, seed, ranked = self.settings, self._seed("reward"), episodes.ranked
        if shuffle:
            ranked = RankedTrajectories(ranked.trajectories, shuffle_labels(ranked.preferences, seed=seed))

        def make() -> LearnedReward:
            with self.progress.bar(stage, settings.reward.gradient_steps, "step") as advance:
                return self._learned(ranked, log=self.progress.advancing(advance))

        return self.folder.load_or_make(
            stage,
            make,
            save=lambda reward, place: reward.save(place),
            load=load_reward,
            settings=self._reward_settings() | {"shuffle": shuffle},
            seed=seed,
            inputs=episodes.stages(),
        )

    def held_out(self, episodes: RankedEpisodes, reward: LearnedReward) -> HeldOutPairs:
        """How well the reward, or others learned without a part, orders what it never saw."""
        settings, seed = self.settings, self._seed("reward")
        if not settings.held_out_folds:
            left_out = left_out_of_training(episodes.ranked, settings.reward, seed=seed)
            return HeldOutPairs(0, 0) if left_out is None else count_ordered(reward, left_out)

        def make() -> HeldOutPairs:
            with self.progress.bar("held_out", settings.held_out_folds, "reward") as advance:

                def learn(part: RankedTrajectories) -> LearnedReward:
                    advance(1)
                    return self._learned(part, log=None)

                folds = settings.held_out_folds
                return cross_validate(episodes.ranked, learn, folds=folds, seed=self._seed("held_out"))

        return self.folder.load_or_make(
            "held_out",
            make,
            save=lambda found, place: write_json(place / "pairs.json", asdict(found)),
            load=lambda place: HeldOutPairs(**read_json(place / "pairs.json")),
            settings=self._reward_settings() | {"folds": settings.held_out_folds},
            seed=self._seed("held_out"),
            inputs=episodes.stages(),
        )

    def _learned(self, ranked: RankedTrajectories, *, log: Log | None) -> LearnedReward:
        settings = self.settings
        learned = learn_reward(
            ranked, settings.reward, seed=self._seed("reward"), log=log, device=self.device
        )
        return normalize_reward(learned, ranked.trajectories, settings.normalization, gamma=settings.gamma)

    def _reward_settings(self) -> dict[str, JSON]:
        return {
            "reward": settings_to_json(self.settings.reward),
            "normalization": settings_to_json(self.settings.normalization) | {"gamma": self.settings.gamma},
            "minimum_level_gap": self.settings.minimum_level_gap,
        }

    def policy(
        self,
        stage: str,
        reward: RewardFunction,
        bc: ActorCriticPolicy | None,
        *,
        reward_stages: Sequence[str] = ("reward",),
    ) -> BasePolicy:
        """PPO on a reward, started from the clone, where there is one; or another algorithm.

        A PPO that was killed continues from its checkpoint, another algorithm starts anew.
        """
        observation_space, action_space, _ = task_spaces(self.task)
        settings, seed = self.settings, self._seed("policy")
        others = settings.algorithm.name != "ppo"

        def make() -> BaseAlgorithm:
            def log(name: str, value: float, step: int) -> None:
                self.progress.log(name if stage == "policy" else f"{stage}/{name}", value, step)

            with self.progress.bar(stage, settings.training_steps, "step") as advance:
                shared: dict[str, Any] = {
                    "policy_settings": settings.policy,
                    "seed": seed,
                    "reward": reward.on(self.device) if isinstance(reward, LearnedReward) else reward,
                    "start_from": bc,
                    "logger": self.progress.logger() if stage == "policy" else None,
                    "callback": CallbackList([StepBar(advance), TrueReturnWatch(log)]),
                    "device": self.device,
                }
                if others:
                    self.progress.say(settings.algorithm.how_it_starts(cloned=bc is not None))
                    return train(self._environments, settings.algorithm, **shared)
                checkpoints = self.folder.unfinished(stage)
                return train_ppo(self._environments, settings.ppo, checkpoints=checkpoints, **shared)

        trained = {"algorithm": settings_to_json(settings.algorithm)} if others else {}
        trained = trained or {"ppo": settings_to_json(settings.ppo)}
        if is_atari(self.task):
            trained["atari"] = settings_to_json(settings.atari)
        return self.folder.load_or_make(
            stage,
            make,
            save=lambda model, place: save_trained(model, settings.policy, place),
            load=lambda place: load_trained(place, observation_space, action_space),
            settings=trained | {"policy": settings_to_json(settings.policy)},
            seed=seed,
            inputs=[*([] if bc is None else ["bc"]), *reward_stages],
        )

    def _environments(self, count: int, seed: int) -> VecEnv:
        return make_environments(
            self.task, count, seed=seed, atari=atari_options(self.task, self.settings.atari)
        )

    def control(self, name: Control, episodes: RankedEpisodes, bc: ActorCriticPolicy | None) -> BasePolicy:
        """The same training from the same start on a reward that must be beaten."""
        stage = f"control-{name}"
        if name == "constant":
            return self.policy(stage, constant_reward, bc, reward_stages=())
        shuffled = self.reward(episodes, stage=f"{stage}-reward", shuffle=True)
        return self.policy(stage, shuffled, bc, reward_stages=(f"{stage}-reward",))

    def environment_steps(self, episodes: RankedEpisodes) -> int:
        """Steps that learning took: noisy rollouts and the policy, without controls and judging."""
        noisy = 0 if episodes.noise is None else int(episodes.noise.trajectories.lengths.sum())
        return noisy + self.settings.training_steps

    def _seed(self, stage: str) -> int:
        return stage_seed(self.seed, stage)
