"""The choice between the greedy and the sampling clone as the policy that noise is injected into."""

from __future__ import annotations

from contextlib import closing

from stable_baselines3.common.policies import ActorCriticPolicy

from drex.agents.policies.acting import deterministic, stochastic
from drex.agents.rollouts.collect import Advance
from drex.envs.data.trajectories import Trajectories
from drex.envs.make import make_environments
from drex.files.run_layout import CLONE, ROLLOUT_POLICY
from drex.rankings.rollout_policy import EPISODES, RolloutPolicyChoice, choose_rollout_policy
from drex.stages.context import Context


def choose(run: Context, cloned: Trajectories, bc: ActorCriticPolicy) -> RolloutPolicyChoice | None:
    """The choice by episode lengths; ``None`` where the settings name the policy.

    Args:
        run: the run.
        cloned: the demonstrations that were cloned.
        bc: their clone.
    """
    if run.settings.rollout_policy != "auto":
        return None
    seed = run.stage_seed(ROLLOUT_POLICY)

    def make(_: Advance) -> RolloutPolicyChoice:
        with closing(make_environments(run.task, EPISODES, seed=seed)) as environments:
            return choose_rollout_policy(
                cloned.lengths, deterministic(bc), stochastic(bc, seed=seed), environments, seed=seed
            )

    choice = run.load_or_make(
        ROLLOUT_POLICY,
        make,
        save=RolloutPolicyChoice.save,
        load=RolloutPolicyChoice.load,
        settings={},
        inputs=[CLONE],
    )
    steps = ", ".join(f"{name} {mean:,.0f}" for name, mean in choice.steps().items())
    run.progress.say(f"noise is injected into the {choice.actions} clone (steps an episode: {steps})")
    return choice
