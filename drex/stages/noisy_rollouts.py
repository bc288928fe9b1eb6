"""Rollouts of the clone with noise injection (D-REX section 4.2), and the choice of the rollout policy."""

from __future__ import annotations

from contextlib import closing

from stable_baselines3.common.policies import ActorCriticPolicy

from drex.agents.policies.acting import deterministic, stochastic
from drex.agents.rollouts.collect import Advance
from drex.envs.data.trajectories import Trajectories
from drex.envs.make import make_environments
from drex.files.dataclass_json import settings_to_json
from drex.files.run_layout import CLONE, ROLLOUT_POLICY, Stage
from drex.rankings.noisy_rollouts import NoisyRollouts, of_both_clones, rank_by_noise
from drex.rankings.rollout_policy import EPISODES, RolloutPolicyChoice, choose_rollout_policy
from drex.rankings.settings import NoiseRanking
from drex.stages.context import Context


def roll_out_with_noise(
    run: Context, stage: Stage, cloned: Trajectories, bc: ActorCriticPolicy
) -> tuple[NoisyRollouts, RolloutPolicyChoice | None]:
    """Rollouts with every noise and level; the choice of their policy, ``None`` if the settings name it."""
    settings, seed = run.noise, stage.seed(run.seed)
    choice = _choose(run, cloned, bc) if settings.rollout_policy == "auto" else None
    chosen = settings.rollout_policy if choice is None else choice.chosen
    rollouts = run.load_or_make(
        stage,
        lambda advance: roll_out(run, bc, chosen, seed=seed, progress=advance),
        save=NoisyRollouts.save,
        load=NoisyRollouts.load,
        settings=settings_to_json(settings) | {"rollout_policy": chosen},
        inputs=[CLONE],
        bar=(episodes_of(settings, chosen), "episode"),
    )
    if chosen == "both" and not rollouts.greedy.any():
        run.progress.write("noise is injected into the sampling clone alone: the greedy one looks like noise")
    return rollouts, choice


def roll_out(
    run: Context, bc: ActorCriticPolicy, rollout_policy: str, *, seed: int, progress: Advance
) -> NoisyRollouts:
    """Rollouts of a clone, greedy or sampling or both, with every noise and level."""
    parts, both = [], rollout_policy == "both"
    for greedy in (False, True) if both else (rollout_policy == "deterministic",):
        own = seed + 1 if both and greedy else seed
        actor = deterministic(bc) if greedy else stochastic(bc, seed=own)
        with closing(make_environments(run.task, run.noise.environments, seed=own)) as environments:
            part = rank_by_noise(actor, environments, run.noise, seed=own, greedy=greedy, progress=progress)
        parts.append(part)
    return of_both_clones(*parts) if both else parts[0]


def episodes_of(settings: NoiseRanking, rollout_policy: str) -> int:
    """Episodes of the noisy rollouts."""
    return len(settings.jobs()) * (2 if rollout_policy == "both" else 1)


def _choose(run: Context, cloned: Trajectories, bc: ActorCriticPolicy) -> RolloutPolicyChoice:
    """The choice between the greedy and the sampling clone, a stage since it needs rollouts."""
    seed = ROLLOUT_POLICY.seed(run.seed)

    def make(_: Advance) -> RolloutPolicyChoice:
        policies = deterministic(bc), stochastic(bc, seed=seed)
        with closing(make_environments(run.task, EPISODES, seed=seed)) as environments:
            return choose_rollout_policy(cloned.lengths, *policies, environments, seed=seed)

    choice = run.load_or_make(
        ROLLOUT_POLICY,
        make,
        save=RolloutPolicyChoice.save,
        load=RolloutPolicyChoice.load,
        settings={},
        inputs=[CLONE],
    )
    steps = ", ".join(f"{name} {mean:,.0f}" for name, mean in choice.steps().items())
    run.progress.write(f"noise is injected into the {choice.actions} clone (steps an episode: {steps})")
    return choice
