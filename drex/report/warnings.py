"""Warnings of a finished run: violated assumptions of the method, and misleading results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.stats import kendalltau

LOW_TAU = 0.5
"""Rank correlation of learned and true return below which the reward is reported as unreliable."""
LOW_ACCURACY = 0.75
"""Pair accuracy below which the reward is reported as not fitting its ranking."""
CONTRADICTORY = 0.2
"""Share of contradicted preferences above which the ranking is reported as contradictory."""
FALLING = -0.5
"""Rank correlation of noise level and mean true return above which the curve is reported as not falling."""


def warnings_of(evaluation: Mapping[str, Any]) -> list[str]:
    """One or two sentences for each warning."""
    return [
        *_ranking_contradicts_itself(evaluation),
        *_clone_is_random(evaluation),
        *_noise_does_not_hurt(evaluation),
        *_reward_orders_badly(evaluation),
        *_reward_misled(evaluation),
        *_clone_is_as_good(evaluation),
        *_control_is_as_good(evaluation),
    ]


def _ranking_contradicts_itself(evaluation: Mapping[str, Any]) -> list[str]:
    ranking = evaluation.get("ranking", {})
    if ranking.get("contradictions", 0.0) <= CONTRADICTORY:
        return []
    return [
        f"The ranking is contradictory: {ranking['contradictions']:.0%} of {ranking['pairs']} preferences "
        f"from {ranking['source']} contradict others, directly or in a cycle. No reward satisfies all."
    ]


def _clone_is_random(evaluation: Mapping[str, Any]) -> list[str]:
    rollout_policy = evaluation.get("ranking", {}).get("rollout_policy") or {"chosen": "deterministic"}
    clone = evaluation.get("bc_stochastic" if rollout_policy["chosen"] == "stochastic" else "bc")
    random = evaluation.get("random")
    if clone is None or random is None or clone["mean"] is None or random["interval"] is None:
        return []
    if clone["mean"] > random["interval"][1]:
        return []
    effect = "its noisy rollouts give no ranking" if evaluation.get("noise") else "it is a poor start for PPO"
    return [
        f"The clone (mean return {clone['mean']:.0f}) is not clearly better than uniform random actions "
        f"({random['mean']:.0f}): {effect}. Use more or better demonstrations."
    ]


def _noise_does_not_hurt(evaluation: Mapping[str, Any]) -> list[str]:
    points, found = evaluation.get("noise", []), []
    for noise_name in dict.fromkeys(point["name"] for point in points):
        curve = [point for point in points if point["name"] == noise_name]
        levels, returns = [p["level"] for p in curve], [p["return"]["mean"] for p in curve]
        if None in returns or len(curve) < 3:
            continue
        fall = float(kendalltau(levels, returns).statistic) if np.ptp(returns) else 0.0
        if fall > FALLING:
            found.append(
                f"Return does not fall reliably with the level of {noise_name!r} noise (rank correlation "
                f"{fall:.2f}): the noise ranking is doubtful."
            )
    return found


def _reward_orders_badly(evaluation: Mapping[str, Any]) -> list[str]:
    reward, found = evaluation["reward"], []
    if reward["pair_accuracy"] is not None and reward["pair_accuracy"] < LOW_ACCURACY:
        found.append(
            f"The reward does not fit its ranking: pair accuracy is only {reward['pair_accuracy']:.0%}. "
            "Train it longer, or weaken its regularization."
        )
    if reward["kendall_tau"] is not None and reward["kendall_tau"] < LOW_TAU:
        found.append(
            f"The learned return orders the ranked trajectories unlike the true return (Kendall tau "
            f"{reward['kendall_tau']:.2f}): a policy of higher learned return need not be better."
        )
    return found


def _reward_misled(evaluation: Mapping[str, Any]) -> list[str]:
    points = evaluation.get("predicted_and_true", {})
    policy, demonstrator = evaluation["policy"]["mean"], evaluation["demonstrator"]["mean"]
    if not points.get("policy") or not points.get("demonstrations"):
        return []
    ours = float(np.mean([predicted for predicted, _ in points["policy"]]))
    theirs = float(np.mean([predicted for predicted, _ in points["demonstrations"]]))
    if ours <= theirs:
        return [
            f"The policy's learned return is no higher than the demonstrations' ({ours:.1f} against "
            f"{theirs:.1f}): train longer."
        ]
    if policy is None or demonstrator is None or policy > demonstrator:
        return []
    return [
        f"The reward is misleading: the policy's learned return is above the demonstrations' ({ours:.1f} "
        f"against {theirs:.1f}), but its true return is not ({policy:.0f} against {demonstrator:.0f})."
    ]


def _clone_is_as_good(evaluation: Mapping[str, Any]) -> list[str]:
    policy, demonstrator = evaluation["policy"]["mean"], evaluation["demonstrator"]["mean"]
    if policy is None or demonstrator is None or policy <= demonstrator:
        return []  # covered by the warning about a misleading reward
    clones = {
        "greedy": (evaluation.get("bc"), "cloning without the demonstrator's randomness"),
        "sampling": (evaluation.get("bc_stochastic"), "cloning"),
    }
    return [
        f"The {name} clone reaches {clone['mean']:.0f}, no less than the policy's {policy:.0f}: the gain "
        f"over the demonstrations comes from {cause}."
        for name, (clone, cause) in clones.items()
        if clone is not None and clone["mean"] is not None and clone["mean"] >= policy
    ]


def _control_is_as_good(evaluation: Mapping[str, Any]) -> list[str]:
    policy = evaluation["policy"]
    if policy["mean"] is None or policy["interval"] is None:
        return []
    low, high = policy["interval"]
    return [
        f"The baseline {name!r} reaches {control['mean']:.0f}, not clearly below the policy's "
        f"{policy['mean']:.0f} [{low:.0f}, {high:.0f}]: the gain need not come from the learned reward."
        for name, control in evaluation.get("controls", {}).items()
        if control["mean"] is not None and control["mean"] >= low
    ]
