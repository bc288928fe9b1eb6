"""Evaluation of every policy by true returns, which no other stage reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy

from drex.agents.policies.acting import Policy, deterministic, stochastic, uniform
from drex.agents.policies.saved import as_callable, load_trained
from drex.agents.rollouts.collect import Advance
from drex.demonstrations.load_and_save import Demonstrations
from drex.envs.make import task_spaces
from drex.evaluation.evaluate import PolicyEvaluation, evaluate_policy
from drex.evaluation.findings import assemble
from drex.files.atomic import read_json, write_json
from drex.files.dataclass_json import settings_to_json
from drex.files.run_layout import (
    CLONE,
    DEMONSTRATIONS,
    EVALUATION,
    POLICY,
    REWARD,
    TRAINED,
    Stage,
    control_stage,
)
from drex.presets.names import Control
from drex.rankings.ranked_episodes import RankedEpisodes
from drex.rewards.learned_reward import LearnedReward
from drex.stages.context import Context
from drex.stages.ranking import ranked_stages
from drex.stages.selection import Returned


def evaluate(
    run: Context,
    demonstrations: Demonstrations,
    bc: ActorCriticPolicy | None,
    episodes: RankedEpisodes,
    reward: LearnedReward,
    returned: Returned,
) -> dict[str, Any]:
    """Evaluate random actions, clone and policies by true returns, and the reward by agreement with them."""
    seed = EVALUATION.seed(run.seed)
    observation_space, action_space, _ = task_spaces(run.task)
    trained = load_trained(TRAINED.folder(run.folder.path), observation_space, action_space)
    policies: dict[str, Policy] = {
        "random": uniform(action_space, seed=seed),
        **({} if bc is None else {"bc": deterministic(bc), "bc_stochastic": stochastic(bc, seed=seed)}),
        "policy": returned.acting(seed),
        "trained": as_callable(trained, seed=seed),
        "trained_deterministic": as_callable(trained, seed=None),
    }
    clone = [] if bc is None else [CLONE]
    inputs = [DEMONSTRATIONS, *clone, *ranked_stages(episodes), REWARD, TRAINED, POLICY]
    return _evaluated(
        run, EVALUATION, policies, lambda found: assemble(demonstrations, episodes, reward, found), inputs
    )


def evaluate_control(run: Context, name: Control, policy: BasePolicy) -> dict[str, Any]:
    """Evaluate a control like the policy; a stage of its own, so that controls can be added later."""
    policies: dict[str, Policy] = {name: as_callable(policy, seed=EVALUATION.seed(run.seed))}
    inputs = [control_stage(TRAINED, name)]
    return _evaluated(
        run, control_stage(EVALUATION, name), policies, lambda found: found[name].summary(), inputs
    )


def _evaluated(
    run: Context,
    stage: Stage,
    policies: Mapping[str, Policy],
    facts: Callable[[Mapping[str, PolicyEvaluation]], dict[str, Any]],
    inputs: Sequence[Stage],
) -> dict[str, Any]:
    settings, seed, file = run.settings.evaluation, stage.seed(run.seed), stage.files[0]

    def make(advance: Advance) -> dict[str, Any]:
        evaluated = {
            name: evaluate_policy(actor, run.task, settings, seed=seed, progress=advance)
            for name, actor in policies.items()
        }
        return facts(evaluated)

    return run.load_or_make(
        stage,
        make,
        save=lambda found, place: write_json(place / file, found),
        load=lambda place: dict(read_json(place / file)),
        settings=settings_to_json(settings),
        inputs=inputs,
        bar=(len(policies) * cast("int", settings.episodes), "episode"),  # see fit_episodes
    )
