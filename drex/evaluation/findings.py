"""The results of a run, in the layout of ``evaluation.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from drex.demonstrations.load_and_save import Demonstrations
from drex.evaluation.evaluate import PolicyEvaluation
from drex.evaluation.statistics import agreement, summarize
from drex.evaluation.step_rewards import step_agreement
from drex.rankings.noisy_rollouts import NoisyRollouts
from drex.rankings.ranked_episodes import RankedEpisodes
from drex.rewards.learned_reward import LearnedReward


def assemble(
    demonstrations: Demonstrations,
    episodes: RankedEpisodes,
    reward: LearnedReward,
    evaluated: Mapping[str, PolicyEvaluation],
) -> dict[str, Any]:
    """All results but those of the controls, with the data of the figures.

    Args:
        demonstrations: with their true returns.
        episodes: the ranked trajectories, with theirs.
        reward: the normalized reward.
        evaluated: ``random``, ``policy`` (the returned one), ``trained`` and
            ``trained_deterministic``, and with a clone ``bc`` and ``bc_stochastic``.
    """
    given = PolicyEvaluation(demonstrations.true_returns.values_for_evaluation(), demonstrations.trajectories)
    ranked_returns = episodes.true_returns.values_for_evaluation()
    summaries: dict[str, Any] = {name: found.summary() for name, found in evaluated.items()}
    policy, demonstrator = summaries["policy"], given.summary()
    known = policy["mean"] is not None and demonstrator["best"] is not None
    trajectories, pairs = episodes.ranked.trajectories, episodes.ranked.preferences
    steps = reward.per_step(trajectories)
    predicted = np.add.reduceat(steps.astype(np.float64), trajectories.starts)
    scored = {"demonstrations": given} | {n: evaluated[n] for n in ("bc", "policy") if n in evaluated}
    returns = {name: (reward.returns(found.trajectories), found.returns) for name, found in scored.items()}
    return {
        "demonstrator": demonstrator,
        **dict.fromkeys(("random", "bc", "bc_stochastic")),  # no clone: null
        **summaries,
        "beats_best_demonstration": policy["mean"] > demonstrator["best"] if known else None,
        "reward": agreement(predicted, ranked_returns)
        | step_agreement(trajectories, steps, episodes.true_returns.step_values_for_evaluation())
        | {"pair_accuracy": float((predicted[pairs.better] > predicted[pairs.worse]).mean())},
        "ranking": describe_ranking(episodes, predicted),
        "noise": [] if episodes.noise is None else noise_curve(episodes.noise),
        "predicted_and_true": {
            name: [[_or_null(x), _or_null(y)] for x, y in zip(*both, strict=True)]
            for name, both in (returns | {"ranked": (predicted, ranked_returns)}).items()
        },
    }


def describe_ranking(episodes: RankedEpisodes, predicted: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Source, size and contradictions of the ranking, with ``predicted``, (episodes,) learned returns."""
    pairs, user = episodes.ranked.preferences, episodes.user
    shares = np.zeros(0) if user is None else user.win_rate()
    compared = np.zeros(0, np.int64) if user is None else user.trajectories_compared()
    return {
        "source": pairs.source,
        "trajectories": len(episodes.ranked.trajectories),
        "compared": len(pairs.trajectories_compared()),
        "pairs": len(pairs),
        "contradictions": pairs.contradictions(),
        "rollout_policy": None if episodes.rollout_policy is None else asdict(episodes.rollout_policy),
        "user": [
            {"episode": int(episode), "win_rate": float(share), "predicted": float(predicted[episode])}
            for episode, share in zip(compared, shares, strict=True)
        ],
    }


def noise_curve(rollouts: NoisyRollouts) -> list[dict[str, Any]]:
    """Mean true return and mean length for every noise and level; the return is ``None`` if unknown."""
    returns, lengths = rollouts.true_returns.values_for_evaluation(), rollouts.trajectories.lengths
    members: dict[tuple[str, float], list[int]] = {}
    mixed = len(np.unique(rollouts.greedy)) == 2
    for index, (job, greedy) in enumerate(zip(rollouts.jobs, rollouts.greedy, strict=True)):
        name = f"{job.name}, greedy" if mixed and greedy else job.name
        members.setdefault((name, job.level), []).append(index)
    return [
        {"name": name, "level": level, "length": float(lengths[rows].mean())}
        | {"return": summarize(returns[rows])}
        for (name, level), rows in sorted(members.items())
    ]


def _or_null(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
