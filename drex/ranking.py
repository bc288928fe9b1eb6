"""Preferences between trajectories, and where they come from: noise levels, or the user's own ranking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from drex.envs.trajectories import Trajectories
from drex.errors import UserError


@dataclass(frozen=True, eq=False)
class Preferences:
    """Which trajectory is better than which. Ties are pairs left out; contradictions are allowed.

    Args:
        better: (pairs,) index of the preferred trajectory.
        worse: (pairs,) index of the other one.
        weight: (pairs,) float32, how much each pair counts in the loss.
        source: where the pairs come from, for the report.
    """

    better: npt.NDArray[np.int64]
    worse: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float32]
    source: str

    def __post_init__(self) -> None:
        if not self.better.shape == self.worse.shape == self.weight.shape or self.better.ndim != 1:
            raise UserError(
                f"preferences from {self.source}",
                expected="better, worse and weight of one length",
                found=f"{self.better.shape}, {self.worse.shape}, {self.weight.shape}",
            )
        if len(self.better) == 0:
            raise UserError(f"preferences from {self.source}", expected="at least one pair", found="none")
        if (self.better == self.worse).any():
            raise UserError(
                f"preferences from {self.source}",
                expected="two different trajectories in each pair",
                found=f"trajectory {self.better[self.better == self.worse][0]} preferred to itself",
            )

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.better)

    def contradictions(self) -> float:
        """Share of the pairs whose reverse is also asserted."""
        asserted = set(zip(self.better.tolist(), self.worse.tolist(), strict=True))
        return float(np.mean([(worse, better) in asserted for better, worse in asserted]))


@dataclass(frozen=True, eq=False)
class RankedTrajectories:
    """Trajectories and the preferences between them: all that reward learning gets to see."""

    trajectories: Trajectories
    preferences: Preferences

    def __post_init__(self) -> None:
        pairs = self.preferences
        highest, lowest = (
            max(pairs.better.max(), pairs.worse.max()),
            min(pairs.better.min(), pairs.worse.min()),
        )
        if highest >= len(self.trajectories) or lowest < 0:
            raise UserError(
                f"preferences from {pairs.source}",
                expected=f"indices from 0 to {len(self.trajectories) - 1}",
                found=f"{lowest} to {highest}",
            )


def from_pairs(
    better: npt.ArrayLike, worse: npt.ArrayLike, *, weight: npt.ArrayLike | None = None, source: str = "pairs"
) -> Preferences:
    """Pairwise preferences as given."""
    first, second = np.asarray(better, np.int64), np.asarray(worse, np.int64)
    weights = np.ones(first.shape, np.float32) if weight is None else np.asarray(weight, np.float32)
    return Preferences(first, second, weights, source)


def from_scores(
    scores: npt.ArrayLike,
    *,
    minimum_gap: float = 0.0,
    groups: Sequence[Any] | None = None,
    source: str = "scores",
) -> Preferences:
    """All pairs whose scores differ by at least ``minimum_gap`` (and differ at all); higher is better.

    Args:
        scores: (trajectories,) used for their order, and for the gap where one is asked for.
        minimum_gap: smallest difference that counts.
        groups: (trajectories,) labels; only trajectories of one group are compared.
        source: for the report.
    """
    values = np.asarray(scores, np.float64)
    gaps = values[:, None] - values[None, :]
    # Levels such as 0.3 and 0.6 differ by a rounding error less than 0.3: the pair counts all the same.
    prefer = (gaps > 0) & (gaps >= minimum_gap - 1e-9)
    if groups is not None:
        labels = np.array([str(group) for group in groups])
        prefer &= labels[:, None] == labels[None, :]
    better, worse = np.nonzero(prefer)
    return from_pairs(better, worse, source=source)


def from_order(worst_to_best: Sequence[int], *, source: str = "order") -> Preferences:
    """A full order of trajectory indices, worst first."""
    ranks = np.full(max(worst_to_best) + 1, np.nan)
    ranks[list(worst_to_best)] = np.arange(len(worst_to_best))
    return from_scores(ranks, source=source)  # those left out compare as NaN: no pair


def from_tiers(tiers: Sequence[Sequence[int]], *, source: str = "tiers") -> Preferences:
    """Tiers of trajectory indices, worst tier first; no pairs within a tier."""
    ranks = np.full(max(max(tier) for tier in tiers if tier) + 1, np.nan)
    for rank, tier in enumerate(tiers):
        ranks[list(tier)] = rank
    return from_scores(ranks, source=source)


def from_noise_levels(
    levels: npt.ArrayLike, *, minimum_gap: float = 0.3, kinds: Sequence[Any] | None = None
) -> Preferences:
    """More noise is worse (D-REX section 4.2); levels closer than ``minimum_gap`` are not compared.

    Each kind of noise is ranked within itself, since nothing says which of two kinds harms more.
    """
    return from_scores(-np.asarray(levels, np.float64), minimum_gap=minimum_gap, groups=kinds, source="noise")


def randomized(preferences: Preferences, *, seed: int) -> Preferences:
    """The control: the same trajectories in an order drawn at random, so that the pairs say nothing."""
    involved = np.unique(np.concatenate([preferences.better, preferences.worse]))
    shuffled = np.arange(involved.max() + 1)
    shuffled[involved] = np.random.default_rng(seed).permutation(involved)
    return Preferences(
        shuffled[preferences.better],
        shuffled[preferences.worse],
        preferences.weight,
        f"random instead of {preferences.source}",
    )


def combine(*ranked: RankedTrajectories) -> RankedTrajectories:
    """All trajectories and all preferences of several rankings; nothing is compared across them."""
    offsets = np.cumsum([0] + [len(part.trajectories) for part in ranked[:-1]])
    preferences = Preferences(
        np.concatenate(
            [part.preferences.better + offset for part, offset in zip(ranked, offsets, strict=True)]
        ),
        np.concatenate(
            [part.preferences.worse + offset for part, offset in zip(ranked, offsets, strict=True)]
        ),
        np.concatenate([part.preferences.weight for part in ranked]),
        " + ".join(dict.fromkeys(part.preferences.source for part in ranked)),
    )
    return RankedTrajectories(Trajectories.concatenate([part.trajectories for part in ranked]), preferences)
