"""Preferences between trajectories, and where they come from: noise levels, or the user's own ranking."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from drex.envs.data.trajectories import Trajectories
from drex.errors import UserError

MINIMUM_GAP = 0.3
"""Noise levels closer than this are not compared (D-REX section 5.1)."""


@dataclass(frozen=True, eq=False)
class Preferences:
    """Which trajectory is better than which. Ties are pairs left out; contradictions are allowed.

    Args:
        better: (pairs,) index of the preferred trajectory.
        worse: (pairs,) index of the other one.
        weight: (pairs,) float32, how much each pair counts in the loss; not negative, some positive.
        source: where the pairs come from, for the report.

    Raises:
        UserError: no pair, lengths that differ, a trajectory preferred to itself, or weights that are none.
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
        if not (np.isfinite(self.weight).all() and (self.weight >= 0).all() and self.weight.any()):
            raise UserError(
                f"preferences from {self.source}",
                expected="weights that are finite, not negative, and not all 0",
                found=f"weights from {self.weight.min()} to {self.weight.max()}",
            )

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.better)

    def subset(self, chosen: npt.NDArray[np.bool_]) -> Preferences:
        """The pairs for which ``chosen``, (pairs,), is true; at least one."""
        return Preferences(self.better[chosen], self.worse[chosen], self.weight[chosen], self.source)

    def trajectories_compared(self) -> npt.NDArray[np.int64]:
        """The trajectories that some pair names, in ascending order."""
        return np.unique(np.concatenate([self.better, self.worse]))

    def contradictions(self) -> float:
        """Share of the pairs that lie on a circle: a over b over a, or a over b over c over a."""
        size = int(max(self.better.max(), self.worse.max())) + 1
        asserted = coo_array((np.ones(len(self)), (self.better, self.worse)), shape=(size, size))
        # exactly if its two trajectories can be reached from each other
        _, circle = connected_components(asserted, connection="strong")
        return float((circle[self.better] == circle[self.worse]).mean())

    def win_rate(self) -> npt.NDArray[np.float64]:
        """(compared,) the share of its comparisons that each trajectory of ``compared`` wins.

        One win and one loss are added to everyone's, so that few comparisons say less than many.
        """
        size = int(max(self.better.max(), self.worse.max())) + 1
        wins = np.bincount(self.better, self.weight, minlength=size)
        losses = np.bincount(self.worse, self.weight, minlength=size)
        share: npt.NDArray[np.float64] = (wins + 1) / (wins + losses + 2)
        return share[self.trajectories_compared()]

    def top_share(self, share: float) -> npt.NDArray[np.int64]:
        """The compared trajectories that win the most, at least such a share of them, ascending.

        Whoever wins as much as the last of them is among them: of tiers, the best whole ones.
        """
        won = self.win_rate()
        count = max(1, math.ceil(share * len(won) - 1e-9))
        least = np.sort(won)[-count]
        chosen: npt.NDArray[np.int64] = self.trajectories_compared()[won >= least - 1e-9]
        return chosen


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
    """Pairwise preferences as given.

    Raises:
        UserError: an index that is no whole number, or what ``Preferences`` refuses.
    """
    first, second = _indices(better, source), _indices(worse, source)
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
        scores: (trajectories,) used for their order, and for the gap where one is asked for; a trajectory
            whose score is NaN is compared with none.
        minimum_gap: smallest difference that counts.
        groups: (trajectories,) labels; only trajectories of one group are compared.
        source: for the report.

    Raises:
        UserError: scores that are no vector, infinite scores, groups of another number, or no pair at all.
    """
    values = np.asarray(scores, np.float64)
    if values.ndim != 1 or np.isinf(values).any():
        raise UserError(
            f"{source}: scores", expected="a vector of finite numbers", found=f"{values.tolist()}"
        )
    names = [""] * len(values) if groups is None else [str(group) for group in groups]
    if len(names) != len(values):
        raise UserError(f"{source}: groups", expected=f"{len(values)}, one a score", found=f"{len(names)}")
    # Trajectories of one score and group are compared with the same ones: of thousands of them a table of
    # everyone with everyone would take more memory than all of their pairs.
    _, labels = np.unique(np.array(names), return_inverse=True)
    distinct, index_of = np.unique(np.stack([values, labels], axis=1), axis=0, return_inverse=True)
    index_of = index_of.reshape(-1)
    gaps = distinct[:, None, 0] - distinct[None, :, 0]
    # Levels such as 0.6 and 0.9 differ by a rounding error less than 0.3: the pair counts all the same.
    prefer = (gaps > 0) & (gaps >= minimum_gap - 1e-9) & (distinct[:, None, 1] == distinct[None, :, 1])
    beaten = [np.flatnonzero(row[index_of]) for row in prefer]
    better = np.repeat(np.arange(len(values)), [len(beaten[index]) for index in index_of])
    worse = np.concatenate([np.zeros(0, np.int64), *(beaten[index] for index in index_of)])
    return Preferences(better, worse, np.ones(len(better), np.float32), source)


def from_order(worst_to_best: Sequence[int], *, source: str = "order") -> Preferences:
    """An order of trajectory indices, worst first; trajectories left out are compared with none.

    Raises:
        UserError: an index that is negative, no whole number, or named twice, or fewer than two of them.
    """
    return from_tiers([[trajectory] for trajectory in worst_to_best], source=source)


def from_tiers(
    tiers: Sequence[Sequence[int] | npt.NDArray[np.integer]], *, source: str = "tiers"
) -> Preferences:
    """Tiers of trajectory indices, worst tier first; no pairs within a tier, nor with those left out.

    Raises:
        UserError: an index that is negative, no whole number, or named twice, or fewer than two tiers.
    """
    members = _indices([trajectory for tier in tiers for trajectory in tier], source)
    named, times = np.unique(members, return_counts=True)
    if (named < 0).any() or (times > 1).any():
        raise UserError(
            f"preferences from {source}",
            expected="trajectory indices from 0, each named once",
            found=f"{named[(named < 0) | (times > 1)][0]}, named {times[(named < 0) | (times > 1)][0]} times",
        )
    rank_of_member = np.repeat(np.arange(len(tiers)), [len(tier) for tier in tiers])
    better, worse = np.nonzero(rank_of_member[:, None] > rank_of_member[None, :])
    return from_pairs(members[better], members[worse], source=source)


def from_noise_levels(
    levels: npt.ArrayLike, *, minimum_gap: float = MINIMUM_GAP, names: Sequence[Any] | None = None
) -> Preferences:
    """More noise is worse (D-REX section 4.2); levels closer than ``minimum_gap`` are not compared.

    Each noise is ranked within itself, since nothing says which of two harms more.
    """
    return from_scores(-np.asarray(levels, np.float64), minimum_gap=minimum_gap, groups=names, source="noise")


def shuffle_labels(preferences: Preferences, *, seed: int) -> Preferences:
    """The control: the same trajectories in an order drawn at random, so that the pairs say nothing."""
    involved = preferences.trajectories_compared()
    shuffled = np.arange(involved.max() + 1)
    # A stream of its own: learning from the same seed draws its held-out trajectories by a permutation too,
    # and the very same one would hold out what this made neighbours.
    stream = np.random.SeedSequence(seed, spawn_key=(0,))
    shuffled[involved] = np.random.default_rng(stream).permutation(involved)
    return Preferences(
        shuffled[preferences.better],
        shuffled[preferences.worse],
        preferences.weight,
        f"random instead of {preferences.source}",
    )


def balance_weights(*ranked: RankedTrajectories) -> list[RankedTrajectories]:
    """The same rankings with weights of one sum, so that many pairs do not drown few when combined."""
    sums = [float(part.preferences.weight.sum()) for part in ranked]
    return [
        RankedTrajectories(
            part.trajectories,
            replace(
                part.preferences, weight=(part.preferences.weight * (max(sums) / total)).astype(np.float32)
            ),
        )
        for part, total in zip(ranked, sums, strict=True)
    ]


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


def _indices(given: npt.ArrayLike, source: str) -> npt.NDArray[np.int64]:
    """Whole numbers as int64; others are refused rather than cut off."""
    array = np.asarray(given)
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise UserError(
            f"preferences from {source}",
            expected="trajectory indices, whole numbers",
            found=f"{array.dtype} {array.reshape(-1)[0]}",
        )
    return array.astype(np.int64)
