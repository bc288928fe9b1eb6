"""What a run's findings warn of: where an assumption of the method failed, or its result misleads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.stats import kendalltau

LOW_TAU = 0.5
"""Rank correlation of learned and true return below which the reward's order is called unreliable."""
LOW_ACCURACY = 0.75
"""Share of ranked pairs below which the reward is said not to fit its ranking."""
CONTRADICTORY = 0.2
"""Share of contradicted pairs above which the ranking is said to contradict itself."""
FALLING = -0.5
"""Rank correlation of noise level and mean true return above which the curve is said not to fall."""


def warnings_of(evaluation: Mapping[str, Any]) -> list[str]:
    """One sentence for each thing that a reader should know before trusting the result."""
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
        f"Of the {ranking['pairs']} ranked pairs from {ranking['source']}, {ranking['contradictions']:.0%} "
        "are contradicted by others, directly or in a circle: the reward cannot agree with all of them."
    ]


def _clone_is_random(evaluation: Mapping[str, Any]) -> list[str]:
    rollout_policy = evaluation.get("ranking", {}).get("rollout_policy") or {"chosen": "deterministic"}
    clone = evaluation.get("bc_stochastic" if rollout_policy["chosen"] == "stochastic" else "bc")
    random = evaluation.get("random")
    if clone is None or random is None or clone["mean"] is None or random["interval"] is None:
        return []
    if clone["mean"] > random["interval"][1]:
        return []
    what_for = "noise on it ranks nothing" if evaluation.get("noise") else "it is no start for training"
    return [
        f"The clone (mean return {clone['mean']:.0f}) is not clearly better than uniform random "
        f"actions ({random['mean']:.0f}): {what_for}. It needs more or better demonstrations."
    ]


def _noise_does_not_hurt(evaluation: Mapping[str, Any]) -> list[str]:
    curves: dict[str, list[tuple[float, float | None]]] = {}
    for point in evaluation.get("noise", []):
        curves.setdefault(point["name"], []).append((point["level"], point["return"]["mean"]))
    found = []
    for noise_name, curve in curves.items():
        returns = [value for _, value in curve if value is not None]
        if len(returns) < len(curve) or len(curve) < 3:
            continue
        fall = float(kendalltau([level for level, _ in curve], returns).statistic) if np.ptp(returns) else 0.0
        if fall > FALLING:
            found.append(
                f"More noise of the kind {noise_name!r} does not reliably mean less return (rank correlation "
                f"{fall:.2f} of level and mean return): the ranking behind the reward is doubtful."
            )
    return found


def _reward_orders_badly(evaluation: Mapping[str, Any]) -> list[str]:
    reward, found = evaluation["reward"], []
    if reward["pair_accuracy"] is not None and reward["pair_accuracy"] < LOW_ACCURACY:
        found.append(
            f"The reward orders only {reward['pair_accuracy']:.0%} of the ranked pairs as ranked: it has "
            "not learned its ranking. Train it longer, or weaken its regularisation."
        )
    if reward["kendall_tau"] is not None and reward["kendall_tau"] < LOW_TAU:
        found.append(
            f"The reward orders what was ranked unlike the true return (Kendall tau "
            f"{reward['kendall_tau']:.2f}): a policy that it prefers need not be better."
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
            f"By its own learned reward the policy is no better than the demonstrations (learned return "
            f"{ours:.1f} against {theirs:.1f}): train longer."
        ]
    if policy is None or demonstrator is None or policy > demonstrator:
        return []
    return [
        f"The reward misled: it calls the policy better than the demonstrations (learned return {ours:.1f} "
        f"against {theirs:.1f}), but its true return is not ({policy:.0f} against {demonstrator:.0f})."
    ]


def _clone_is_as_good(evaluation: Mapping[str, Any]) -> list[str]:
    policy, demonstrator = evaluation["policy"]["mean"], evaluation["demonstrator"]["mean"]
    if policy is None or demonstrator is None or policy <= demonstrator:
        return []  # that the reward misled, or was not optimised, says more
    clones = {
        "greedy": (evaluation.get("bc"), "cloning them without their randomness"),
        "sampled": (evaluation.get("bc_stochastic"), "cloning them"),
    }
    return [
        f"The clone's {name} actions reach {clone['mean']:.0f}, no less than the policy's {policy:.0f}: "
        f"what is above the demonstrations is owed to {cause}."
        for name, (clone, cause) in clones.items()
        if clone is not None and clone["mean"] is not None and clone["mean"] >= policy
    ]


def _control_is_as_good(evaluation: Mapping[str, Any]) -> list[str]:
    policy = evaluation["policy"]
    if policy["mean"] is None or policy["interval"] is None:
        return []
    low, high = policy["interval"]
    return [
        f"The control {name!r} reached {control['mean']:.0f}, which is not clearly below the policy's "
        f"{policy['mean']:.0f} [{low:.0f}, {high:.0f}]: what was gained need not be owed to the learned "
        "reward."
        for name, control in evaluation.get("controls", {}).items()
        if control["mean"] is not None and control["mean"] >= low
    ]
