"""Warnings of a finished run: violated assumptions of the method, and misleading results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from scipy.stats import kendalltau

from drex.files.run_layout import CEILING

LOW_TAU = 0.5
"""Rank correlation of learned and true return below which the reward is reported as unreliable."""
LOW_ACCURACY = 0.75
"""Pair accuracy below which the reward is reported as not fitting its ranking."""
CONTRADICTORY = 0.2
"""Share of contradicted preferences above which the ranking is reported as contradictory."""
ALARM = 0.1
"""Fall of the judges' rating along the training, as a share of the clone's, above which it is reported."""
FALLING = -0.5
"""Rank correlation of noise level and mean true return above which the curve is reported as not falling."""


def warnings_of(evaluation: Mapping[str, Any]) -> list[str]:
    """One or two sentences for each warning."""
    checks = (_ranking, _clone, _noise, _reward, _policy, _alarm, _clone_as_baseline, _controls)
    return [warning for check in checks for warning in check(evaluation)]


def _ranking(evaluation: Mapping[str, Any]) -> Iterator[str]:
    ranking = evaluation.get("ranking", {})
    if ranking.get("contradictions", 0.0) > CONTRADICTORY:
        yield (
            f"The ranking is contradictory: {ranking['contradictions']:.0%} of {ranking['pairs']} preferences"
            f" from {ranking['source']} contradict others, directly or in a cycle. No reward satisfies all."
        )


def _clone(evaluation: Mapping[str, Any]) -> Iterator[str]:
    rollout_policy = evaluation.get("ranking", {}).get("rollout_policy") or {"chosen": "deterministic"}
    clone = evaluation.get("bc_stochastic" if rollout_policy["chosen"] == "stochastic" else "bc")
    random = evaluation.get("random")
    if clone is None or random is None or clone["mean"] is None or random["interval"] is None:
        return
    effect = "its noisy rollouts give no ranking" if evaluation.get("noise") else "it is a poor start for PPO"
    if clone["mean"] <= random["interval"][1]:
        yield (
            f"The clone (mean return {clone['mean']:.0f}) is not clearly better than uniform random actions "
            f"({random['mean']:.0f}): {effect}. Use more or better demonstrations."
        )


def _noise(evaluation: Mapping[str, Any]) -> Iterator[str]:
    points = evaluation.get("noise", [])
    for noise_name in dict.fromkeys(point["name"] for point in points):
        curve = [point for point in points if point["name"] == noise_name]
        levels, returns = [p["level"] for p in curve], [p["return"]["mean"] for p in curve]
        if None in returns or len(curve) < 3:
            continue
        fall = float(kendalltau(levels, returns).statistic) if np.ptp(returns) else 0.0
        if fall > FALLING:
            yield (
                f"Return does not fall reliably with the level of {noise_name!r} noise (rank correlation "
                f"{fall:.2f}): the noise ranking is doubtful."
            )


def _reward(evaluation: Mapping[str, Any]) -> Iterator[str]:
    accuracy, tau = evaluation["reward"]["pair_accuracy"], evaluation["reward"]["kendall_tau"]
    if accuracy is not None and accuracy < LOW_ACCURACY:
        yield (
            f"The reward does not fit its ranking: pair accuracy is only {accuracy:.0%}. "
            "Train it longer, or weaken its regularization."
        )
    if tau is not None and tau < LOW_TAU:
        yield (
            f"The learned return orders the ranked trajectories unlike the true return (Kendall tau "
            f"{tau:.2f}): a policy of higher learned return need not be better."
        )


def _policy(evaluation: Mapping[str, Any]) -> Iterator[str]:
    points = evaluation.get("predicted_and_true", {})
    policy, demonstrator = evaluation["policy"]["mean"], evaluation["demonstrator"]["mean"]
    if not points.get("policy") or not points.get("demonstrations"):
        return
    ours, theirs = (
        np.mean([learned for learned, _ in points[name]]) for name in ("policy", "demonstrations")
    )
    if ours <= theirs:
        yield (
            f"The policy's learned return is no higher than the demonstrations' ({ours:.1f} against "
            f"{theirs:.1f}): train longer."
        )
    elif policy is not None and demonstrator is not None and policy <= demonstrator:
        yield (
            f"The reward is misleading: the policy's learned return is above the demonstrations' ({ours:.1f} "
            f"against {theirs:.1f}), but its true return is not ({policy:.0f} against {demonstrator:.0f})."
        )


def _alarm(evaluation: Mapping[str, Any]) -> Iterator[str]:
    ratings = [r for r in evaluation.get("returned", {}).get("ratings", []) if r["candidate"]["trained"]]
    if not ratings:
        return
    best, last = max(ratings, key=lambda r: float(r["lower"])), ratings[-1]["candidate"]["steps"]
    ends = [rating for rating in ratings if rating["candidate"]["steps"] == last]
    highest = max(rating["lower"] for rating in ends)
    if highest < best["lower"] - ALARM and max(r["learned"] for r in ends) >= best["learned"]:
        yield (
            f"From {best['candidate']['steps']:,} steps on, the learned return rose while the judges' rating "
            f"fell from {best['lower']:+.0%} to {highest:+.0%}: the policy exploits errors of the reward."
        )


def _clone_as_baseline(evaluation: Mapping[str, Any]) -> Iterator[str]:
    policy, demonstrator = evaluation["policy"]["mean"], evaluation["demonstrator"]["mean"]
    if policy is None or demonstrator is None or policy <= demonstrator:
        return  # covered by the warning about a misleading reward
    for key, name, cause in (
        ("bc", "greedy", "cloning without the demonstrator's randomness"),
        ("bc_stochastic", "sampling", "cloning"),
    ):
        clone = evaluation.get(key)
        if clone is not None and clone["mean"] is not None and clone["mean"] >= policy:
            yield (
                f"The {name} clone reaches {clone['mean']:.0f}, no less than the policy's {policy:.0f}: the "
                f"gain over the demonstrations comes from {cause}."
            )


def _controls(evaluation: Mapping[str, Any]) -> Iterator[str]:
    policy = evaluation["policy"]
    if policy["mean"] is None or policy["interval"] is None:
        return
    low, high = policy["interval"]
    for name, control in evaluation.get("controls", {}).items():
        if name != CEILING and control["mean"] is not None and control["mean"] >= low:
            yield (
                f"The baseline {name!r} reaches {control['mean']:.0f}, not clearly below the policy's "
                f"{policy['mean']:.0f} [{low:.0f}, {high:.0f}]: the gain need not come from the "
                "learned reward."
            )
