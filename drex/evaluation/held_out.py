"""Held-out pair accuracy of a reward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from drex.rankings.preferences import Preferences, RankedTrajectories
from drex.rewards.learned_reward import LearnedReward


@dataclass(frozen=True)
class HeldOutPairs:
    """Comparisons of held-out pairs.

    Args:
        ordered: comparisons that a reward orders correctly.
        pairs: all comparisons; a pair across two folds is compared twice.
    """

    ordered: int
    pairs: int

    @property
    def accuracy(self) -> float | None:
        """Share of the pairs, from 0 to 1; ``None`` without pairs."""
        return self.ordered / self.pairs if self.pairs else None


def count_ordered(reward: LearnedReward, ranked: RankedTrajectories) -> HeldOutPairs:
    """Pairs that the learned returns of whole trajectories order correctly."""
    returns, pairs = reward.returns(ranked.trajectories), ranked.preferences
    return HeldOutPairs(int((returns[pairs.better] > returns[pairs.worse]).sum()), len(pairs))


def cross_validate(
    ranked: RankedTrajectories, learn: Callable[[RankedTrajectories], LearnedReward], *, folds: int, seed: int
) -> HeldOutPairs:
    """Learn once without each fold of the compared trajectories; evaluate on all pairs that touch the fold.

    Every pair is evaluated by rewards trained without at least one of its trajectories: with a dozen
    trajectories, pairs within one fold would be too few. A pair across two folds is evaluated twice.

    Args:
        ranked: all trajectories and preferences.
        learn: learns and normalizes a reward.
        folds: number of folds, at most the number of compared trajectories.
        seed: of the split.
    """
    compared = ranked.preferences.trajectories_compared()
    parts = np.array_split(np.random.default_rng(seed).permutation(compared), min(folds, len(compared)))
    ordered = pairs = 0
    for part in parts:
        rest = _among(ranked, [t for t in range(len(ranked.trajectories)) if t not in set(part.tolist())])
        touched = np.isin(ranked.preferences.better, part) | np.isin(ranked.preferences.worse, part)
        if rest is None:
            continue  # no preference remains without this fold
        left_out = RankedTrajectories(ranked.trajectories, ranked.preferences.subset(touched))
        found = count_ordered(learn(rest), left_out)
        ordered, pairs = ordered + found.ordered, pairs + found.pairs
    return HeldOutPairs(ordered, pairs)


def _among(ranked: RankedTrajectories, chosen: Sequence[int]) -> RankedTrajectories | None:
    """These trajectories and the preferences among them; ``None`` if there are none."""
    place: npt.NDArray[np.int64] = np.full(len(ranked.trajectories), -1)
    place[list(chosen)] = np.arange(len(chosen))
    inside = (place[ranked.preferences.better] >= 0) & (place[ranked.preferences.worse] >= 0)
    if not inside.any():
        return None
    pairs = ranked.preferences.subset(inside)
    renamed = Preferences(place[pairs.better], place[pairs.worse], pairs.weight, pairs.source)
    return RankedTrajectories(ranked.trajectories.select(list(chosen)), renamed)
