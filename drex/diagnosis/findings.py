"""What can be seen without the true reward, stage by stage.

No function here reads true returns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from drex.diagnosis.finding import Finding, light_of
from drex.envs.data.trajectories import Trajectories
from drex.rankings.apparent_noise import apparent_levels
from drex.rankings.noisy_rollouts import NoisyRollouts
from drex.rankings.preferences import RankedTrajectories
from drex.rewards.learned_reward import LearnedReward
from drex.rewards.normalize import MOSTLY, survival


def ranking_findings(
    demonstrations: Trajectories, rollouts: NoisyRollouts, ranked_kinds: Sequence[str]
) -> Iterator[Finding]:
    """Findings about the noisy rollouts: what noise does, and whether the clone is like its demonstrator.

    Args:
        demonstrations: that were cloned.
        rollouts: of the clone.
        ranked_kinds: kinds of noise that are ranked; the others grade behaviour less well.
    """
    levels, kinds = rollouts.levels, rollouts.kinds
    for kind, value in rollouts.grades.items():
        yield _graded(kind, value, ranked=kind in ranked_kinds)
    if len(ranked_kinds) > 1:
        chosen = np.isin(kinds, ranked_kinds)
        yield _across_kinds(rollouts.select(chosen))
    yield _like_demonstrations(demonstrations, rollouts, levels)
    if not rollouts.greedy.any():
        yield Finding(
            "greedy clone",
            "yellow",
            0.0,
            "Noise went into the sampling clone alone: the greedy clone was not asked for, or its rollouts "
            "look like more noise than none.",
        )


def _graded(kind: str, value: float, *, ranked: bool) -> Finding:
    light = light_of(value, 0.6, 0.35)
    seen = {"green": "grades behaviour", "yellow": "hardly grades behaviour", "red": "does not show"}[light]
    if not ranked and light != "red":  # noise that does not show at all says that the clone acts like chance
        seen, light = "is not ranked, since another kind grades behaviour better", "green"
    return Finding(
        f"{kind} noise",
        light,
        value,
        f"The level of {kind} noise {seen}: levels guessed from held-out episodes correlate by {value:.2f}.",
        "" if light == "green" else "Use other noise (--ranking.names), or better demonstrations.",
        one_kind=True,
    )


def _across_kinds(rollouts: NoisyRollouts) -> Finding:
    values, levels, kinds = [], rollouts.levels, rollouts.kinds
    for kind in dict.fromkeys(kinds.tolist()):
        here, there = np.flatnonzero(kinds == kind), np.flatnonzero(kinds != kind)
        parts = rollouts.trajectories.select(here), levels[here], rollouts.trajectories.select(there)
        values.append(_correlation(apparent_levels(*parts)[1], levels[there]))
    value = min(values)
    return Finding.graded(
        "kinds of noise",
        value,
        (0.4, 0.1),
        f"What one kind of noise does predicts the level of another kind with a correlation of {value:.2f}.",
        "The kinds disagree on what is worse: try each alone (--ranking.names).",
    )


def _like_demonstrations(
    demonstrations: Trajectories, rollouts: NoisyRollouts, levels: npt.NDArray[np.float64]
) -> Finding:
    sampling = np.flatnonzero(~rollouts.greedy) if not rollouts.greedy.all() else np.arange(len(levels))
    known = rollouts.trajectories.select(sampling)
    _, asked = apparent_levels(known, levels[sampling], demonstrations)
    value = float(np.median(asked))
    return Finding.graded(
        "clone",
        value,
        (0.3, 0.6),
        f"The demonstrations look like the clone with noise of level {max(value, 0.0):.2f}.",
        "The clone does not act like its demonstrator: give more demonstrations.",
    )


def reward_findings(
    demonstrations: Trajectories, ranked: RankedTrajectories, reward: LearnedReward, held_out: float | None
) -> Iterator[Finding]:
    """Findings about the learned reward: what ending means, what it follows, whether it generalizes."""
    returns, lengths = reward.returns(ranked.trajectories), ranked.trajectories.lengths
    pairs = ranked.preferences
    ordered = float(np.average(returns[pairs.better] > returns[pairs.worse], weights=pairs.weight))
    yield Finding.graded(
        "order",
        ordered,
        (0.75, 0.6),
        f"The learned returns of whole episodes order {ordered:.0%} of the ranked pairs.",
        "Offset and ranking contradict each other (--normalization.offset).",
    )
    if held_out is not None:
        yield Finding.graded(
            "held-out pairs",
            held_out,
            (0.7, 0.6),
            f"The reward orders {held_out:.0%} of the pairs of held-out episodes.",
            "The ranking is hardly learned: use more rollouts or other noise.",
        )
    yield _ending(demonstrations, ranked, returns, lengths)
    yield _time(ranked.trajectories, reward)


SURVIVAL_ALONE = 0.95
"""Share of the variance of learned returns explained by length, from which length alone is rewarded."""


def _ending(
    demonstrations: Trajectories,
    ranked: RankedTrajectories,
    returns: npt.NDArray[np.float64],
    lengths: npt.NDArray[np.int64],
) -> Finding:
    longer = survival(ranked)
    meaning = "noise shortens them" if longer > MOSTLY else "noise lengthens them"
    if not ranked.trajectories.terminated.any():
        return Finding("ending", "green", 0.0, "No episode terminates, so that living pays nothing.")
    if abs(longer) <= MOSTLY:
        return Finding(
            "ending",
            "yellow",
            longer,
            "Episodes terminate, noise neither shortens nor lengthens them: what ending means is unknown.",
            "Set --normalization.offset and --normalization.percentile if you know it.",
        )
    explained = float(np.corrcoef(returns, lengths)[0, 1] ** 2)
    lasting = float((~demonstrations.terminated).mean())
    if longer > 0 and explained > SURVIVAL_ALONE and 0.0 < lasting < 1.0:
        return Finding(
            "ending",
            "red",
            explained,
            f"The learned return is length alone ({explained:.0%} of its variance), but {lasting:.0%} of the "
            "demonstrations already last as long as the task allows: nothing better is left to learn.",
            "Use demonstrations that end in different ways, and rank them (--method trex).",
        )
    return Finding("ending", "green", longer, f"Episodes terminate, and {meaning} ({longer:+.2f}).")


def _time(trajectories: Trajectories, reward: LearnedReward) -> Finding:
    steps = np.arange(len(trajectories.observations)) - np.repeat(trajectories.starts, trajectories.lengths)
    value = abs(_correlation(reward.per_step(trajectories), steps))
    return Finding.graded(
        "time",
        value,
        (0.7, 0.95),
        f"The learned reward of a step correlates with its time in the episode by {value:.2f}.",
        "The reward may be a clock: compare snippets of equal times.",
    )


def _correlation(first: npt.NDArray[np.floating], second: npt.NDArray[np.generic]) -> float:
    """Spearman's rank correlation; 0 where one side is constant."""
    if np.ptp(first) == 0 or np.ptp(np.asarray(second, np.float64)) == 0:
        return 0.0
    return float(spearmanr(first, second).statistic)
