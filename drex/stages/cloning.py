"""Behavioral cloning of all demonstrations (D-REX), or of the best-ranked ones (T-REX)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from stable_baselines3.common.policies import ActorCriticPolicy

from drex.agents.behavioral_cloning import clone
from drex.agents.policies.saved_actor_critic import load_policy, save_policy
from drex.envs.data.trajectories import Trajectories
from drex.envs.make import task_spaces
from drex.files.dataclass_json import settings_to_json
from drex.files.run_layout import CLONE, DEMONSTRATIONS
from drex.rankings.settings import UserRanking
from drex.rankings.user_ranking import Ranking
from drex.stages.context import Context


def clone_demonstrations(
    run: Context, demonstrations: Trajectories, *, episodes: Sequence[int] | None = None
) -> ActorCriticPolicy:
    """A clone of all demonstrations, or of some."""
    observation_space, action_space, _ = task_spaces(run.task)
    policy, bc = run.settings.policy, run.settings.bc
    chosen = {} if episodes is None else {"episodes": list(episodes)}
    return run.load_or_make(
        CLONE,
        lambda advance: clone(
            demonstrations if episodes is None else demonstrations.select(episodes),
            observation_space,
            action_space,
            policy_settings=policy,
            settings=bc,
            seed=CLONE.seed(run.seed),
            log=run.progress.advancing(advance),
            device=run.device,
            checkpoints=run.folder.unfinished(CLONE.name),
        ),
        save=lambda cloned, place: save_policy(cloned, policy, place),
        load=lambda place: load_policy(place, observation_space, action_space),
        settings=chosen | {"policy": settings_to_json(policy), "bc": settings_to_json(bc)},
        inputs=[DEMONSTRATIONS],
        bar=(bc.gradient_steps, "step"),
    )


def clone_best(run: Context, demonstrations: Trajectories, ranking: Ranking) -> ActorCriticPolicy | None:
    """A clone of the best-ranked demonstrations; ``None`` where no later stage starts from it."""
    if not run.settings.clones:
        return None
    return clone_demonstrations(run, demonstrations, episodes=best_episodes(run, demonstrations, ranking))


def best_episodes(run: Context, demonstrations: Trajectories, ranking: Ranking) -> list[int]:
    """The episodes that T-REX clones: those with the highest win rates."""
    share = cast("UserRanking", run.settings.ranking).clone_share
    return [int(episode) for episode in ranking.rank(demonstrations).preferences.top_share(share)]
