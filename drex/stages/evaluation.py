"""The stages that open true returns: everything is judged side by side, and nothing learns from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy

from drex.agents.policies.acting import Policy, deterministic, stochastic, uniform
from drex.agents.policies.saved import as_callable
from drex.demonstrations.load_and_save import Demonstrations
from drex.envs.make import task_spaces
from drex.evaluation.evaluate import EvaluationSettings, PolicyEvaluation, evaluate_policy
from drex.evaluation.findings import assemble
from drex.files.atomic import read_json, write_json
from drex.files.dataclass_json import settings_to_json
from drex.files.run_folder import RunFolder
from drex.presets.settings import Control
from drex.rankings.ranked_episodes import RankedEpisodes
from drex.rewards.learned_reward import LearnedReward
from drex.stages.progress import Progress
from drex.stages.seeds import stage_seed


@dataclass(frozen=True)
class Judging:
    """One run's judging.

    Args:
        task: a gymnasium id.
        settings: of the judging.
        seed: of the run.
        folder: where it is kept.
        progress: bars.
    """

    task: str
    settings: EvaluationSettings
    seed: int
    folder: RunFolder
    progress: Progress

    def evaluation(
        self,
        demos: Demonstrations,
        bc: ActorCriticPolicy | None,
        episodes: RankedEpisodes,
        reward: LearnedReward,
        policy: BasePolicy,
    ) -> dict[str, Any]:
        """Open the true returns, for the first time, and judge everything side by side."""
        seed = self._seed
        _, action_space, _ = task_spaces(self.task)
        policies: dict[str, Policy] = {
            "random": uniform(action_space, seed=seed),
            **({} if bc is None else {"bc": deterministic(bc), "bc_stochastic": stochastic(bc, seed=seed)}),
            "policy": as_callable(policy, seed=seed),
            "policy_deterministic": as_callable(policy, seed=None),
        }
        return self._judged(
            "evaluation",
            policies,
            lambda judged: assemble(demos, episodes, reward, judged),
            inputs=[
                "demonstrations",
                *([] if bc is None else ["bc"]),
                *episodes.stages(),
                "reward",
                "policy",
            ],
        )

    def control(self, name: Control, control: BasePolicy) -> dict[str, Any]:
        """A control, judged as the policy is; a stage of its own, so that controls may be added later."""
        seed, stage = self._seed, f"control-{name}"
        return self._judged(
            f"{stage}-evaluation",
            {stage: as_callable(control, seed=seed)},
            lambda judged: judged[stage].summary(),
            inputs=[stage],
        )

    def _judged(
        self,
        stage: str,
        policies: Mapping[str, Policy],
        facts: Callable[[Mapping[str, PolicyEvaluation]], dict[str, Any]],
        *,
        inputs: Sequence[str],
    ) -> dict[str, Any]:
        settings, seed = self.settings, self._seed

        def make() -> dict[str, Any]:
            with self.progress.bar(stage, len(policies) * settings.episodes, "episode") as advance:
                return facts(
                    {
                        name: evaluate_policy(actor, self.task, settings, seed=seed, progress=advance)
                        for name, actor in policies.items()
                    }
                )

        return self.folder.load_or_make(
            stage,
            make,
            save=lambda found, place: write_json(place / "facts.json", found),
            load=lambda place: dict(read_json(place / "facts.json")),
            settings=settings_to_json(settings),
            seed=seed,
            inputs=inputs,
        )

    @property
    def _seed(self) -> int:
        return stage_seed(self.seed, "evaluation")
