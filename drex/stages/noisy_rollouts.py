"""Rollouts of the clone under graded noise (D-REX section 4.2)."""

from __future__ import annotations

from contextlib import closing

from stable_baselines3.common.policies import ActorCriticPolicy

from drex.agents.policies.acting import deterministic, stochastic
from drex.agents.rollouts.collect import Advance
from drex.envs.make import make_environments
from drex.files.run_layout import CLONE, Stage
from drex.rankings.noisy_rollouts import NoisyRollouts, rank_by_noise
from drex.rankings.rollout_policy import RolloutPolicyChoice
from drex.stages.context import Context


def roll_out_with_noise(
    run: Context, stage: Stage, bc: ActorCriticPolicy, choice: RolloutPolicyChoice | None
) -> NoisyRollouts:
    """Rollouts under every kind and level of noise of the settings.

    Args:
        run: the run.
        stage: where they lie.
        bc: the clone.
        choice: whether it acts greedily or samples; ``None`` as the settings say.
    """
    settings, seed = run.settings, run.stage_seed(stage)
    chosen = settings.rollout_policy if choice is None else choice.chosen

    def make(advance: Advance) -> NoisyRollouts:
        actor = stochastic(bc, seed=seed) if chosen == "stochastic" else deterministic(bc)
        with closing(make_environments(run.task, settings.rollout_environments, seed=seed)) as environments:
            return rank_by_noise(actor, environments, settings.noise, seed=seed, progress=advance)

    return run.load_or_make(
        stage,
        make,
        save=NoisyRollouts.save,
        load=NoisyRollouts.load,
        settings={
            "noise": settings.noise,
            "environments": settings.rollout_environments,
            "rollout_policy": chosen,
        },
        inputs=[CLONE],
        bar=(len(settings.noise.jobs()), "episode"),
    )
