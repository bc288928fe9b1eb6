"""Preferences between trajectories, from noise levels (D-REX) or the user's ranking (T-REX)."""

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
    """Preferred pairs of trajectories. Ties are left out; contradictions are allowed.

    Args:
        better: (pairs,) index of the preferred trajectory.
        worse: (pairs,) index of the other one.
        weight: (pairs,) float32, weight of each pair in the loss; not negative, some positive.
        source: origin of the pairs, for the report.

    Raises:
        UserError: no pair, lengths that differ, a trajectory preferred to itself, or invalid weights.
    """

    better: npt.NDArray[np.int64]
    worse: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float32]
    source: str

    def __post_init__(self) -> None:
        if not self.better.shape == self.worse.shape == self.weight.shape or self.better.ndim != 1:
            found = f"{self.better.shape}, {self.worse.shape}, {self.weight.shape}"
            raise _wrong(self.source, "better, worse and weight of one length", found)
        if len(self.better) == 0:
            raise _wrong(self.source, "at least one pair", "none")
        if (self.better == self.worse).any():
            found = f"trajectory {self.better[self.better == self.worse][0]} preferred to itself"
            raise _wrong(self.source, "two different trajectories in each pair", found)
        if not (np.isfinite(self.weight).all() and (self.weight >= 0).all() and self.weight.any()):
            found = f"weights from {self.weight.min()} to {self.weight.max()}"
            raise _wrong(self.source, "weights that are finite, not negative, and not all 0", found)

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.better)

    def subset(self, chosen: npt.NDArray[np.bool_]) -> Preferences:
        """The pairs for which ``chosen``, (pairs,), is true; at least one."""
        return Preferences(self.better[chosen], self.worse[chosen], self.weight[chosen], self.source)

    def trajectories_compared(self) -> npt.NDArray[np.int64]:
        """The trajectories that occur in some pair, in ascending order."""
        return np.unique(np.concatenate([self.better, self.worse]))

    def contradictions(self) -> float:
        """Share of the pairs that lie on a cycle, such as a over b over a, or a over b over c over a."""
        size = int(max(self.better.max(), self.worse.max())) + 1
        graph = coo_array((np.ones(len(self)), (self.better, self.worse)), shape=(size, size))
        # a pair lies on a cycle if and only if its trajectories are strongly connected
        _, component = connected_components(graph, connection="strong")
        return float((component[self.better] == component[self.worse]).mean())

    def win_rate(self) -> npt.NDArray[np.float64]:
        """(compared,) share of comparisons won by each of ``trajectories_compared``.

        One win and one loss are added to each, so that few comparisons count less than many.
        """
        size = int(max(self.better.max(), self.worse.max())) + 1
        wins = np.bincount(self.better, self.weight, minlength=size)
        losses = np.bincount(self.worse, self.weight, minlength=size)
        share: npt.NDArray[np.float64] = (wins + 1) / (wins + losses + 2)
        return share[self.trajectories_compared()]

    def top_share(self, share: float) -> npt.NDArray[np.int64]:
        """At least this share of the compared trajectories, those with the highest win rates, ascending.

        Ties at the threshold are included: of tiers, the best whole ones.
        """
        won = self.win_rate()
        count = max(1, math.ceil(share * len(won) - 1e-9))
        least = np.sort(won)[-count]
        chosen: npt.NDArray[np.int64] = self.trajectories_compared()[won >= least - 1e-9]
        return chosen


@dataclass(frozen=True, eq=False)
class RankedTrajectories:
    """Trajectories and the preferences between them: the input of reward learning."""

    trajectories: Trajectories
    preferences: Preferences

    def __post_init__(self) -> None:
        compared = self.preferences.trajectories_compared()
        if compared[-1] >= len(self.trajectories) or compared[0] < 0:
            expected = f"indices from 0 to {len(self.trajectories) - 1}"
            raise _wrong(self.preferences.source, expected, f"{compared[0]} to {compared[-1]}")


def _wrong(source: str, expected: str, found: str) -> UserError:
    return UserError(f"preferences from {source}", expected=expected, found=found)


def from_pairs(
    better: npt.ArrayLike, worse: npt.ArrayLike, *, weight: npt.ArrayLike | None = None, source: str = "pairs"
) -> Preferences:
    """Pairwise preferences.

    Raises:
        UserError: an index that is no integer, or what ``Preferences`` refuses.
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
    """All pairs of different scores that differ by at least ``minimum_gap``; higher is better.

    Args:
        scores: (trajectories,), NaN for trajectories that are not compared.
        minimum_gap: minimum difference of compared scores.
        groups: (trajectories,) labels; only trajectories of one group are compared.
        source: for the report.

    Raises:
        UserError: scores that are no vector, infinite scores, groups of another number, or no pair.
    """
    values = np.asarray(scores, np.float64)
    if values.ndim != 1 or np.isinf(values).any():
        found = f"{values.tolist()}"
        raise UserError(f"{source}: scores", expected="a vector of finite numbers", found=found)
    names = [""] * len(values) if groups is None else [str(group) for group in groups]
    if len(names) != len(values):
        raise UserError(f"{source}: groups", expected=f"{len(values)}, one a score", found=f"{len(names)}")
    # Trajectories of one score and group are compared with the same ones; a table of all trajectories would
    # take more memory than their pairs.
    _, labels = np.unique(np.array(names), return_inverse=True)
    distinct, index_of = np.unique(np.stack([values, labels], axis=1), axis=0, return_inverse=True)
    index_of = index_of.reshape(-1)
    gaps = distinct[:, None, 0] - distinct[None, :, 0]
    # By rounding, levels such as 0.6 and 0.9 differ by less than 0.3.
    prefer = (gaps > 0) & (gaps >= minimum_gap - 1e-9) & (distinct[:, None, 1] == distinct[None, :, 1])
    beaten = [np.flatnonzero(row[index_of]) for row in prefer]
    better = np.repeat(np.arange(len(values)), [len(beaten[index]) for index in index_of])
    worse = np.concatenate([np.zeros(0, np.int64), *(beaten[index] for index in index_of)])
    return Preferences(better, worse, np.ones(len(better), np.float32), source)


def from_order(worst_to_best: Sequence[int], *, source: str = "order") -> Preferences:
    """An order of trajectory indices, worst first; other trajectories are not compared.

    Raises:
        UserError: an index that is negative, no integer, or repeated, or fewer than two of them.
    """
    return from_tiers([[trajectory] for trajectory in worst_to_best], source=source)


def from_tiers(
    tiers: Sequence[Sequence[int] | npt.NDArray[np.integer]], *, source: str = "tiers"
) -> Preferences:
    """Tiers of trajectory indices, worst tier first; no pairs within a tier, nor with other trajectories.

    Raises:
        UserError: an index that is negative, no integer, or repeated, or fewer than two tiers.
    """
    members = _indices([trajectory for tier in tiers for trajectory in tier], source)
    named, times = np.unique(members, return_counts=True)
    wrong = (named < 0) | (times > 1)
    if wrong.any():
        found = f"{named[wrong][0]}, named {times[wrong][0]} times"
        raise _wrong(source, "trajectory indices from 0, each named once", found)
    rank_of_member = np.repeat(np.arange(len(tiers)), [len(tier) for tier in tiers])
    better, worse = np.nonzero(rank_of_member[:, None] > rank_of_member[None, :])
    return from_pairs(members[better], members[worse], source=source)


def from_noise_levels(
    levels: npt.ArrayLike, *, minimum_gap: float = MINIMUM_GAP, names: Sequence[Any] | None = None
) -> Preferences:
    """More noise is worse (D-REX section 4.2), within each kind of noise (``names``).

    Levels closer than ``minimum_gap`` are not compared.
    """
    return from_scores(-np.asarray(levels, np.float64), minimum_gap=minimum_gap, groups=names, source="noise")


def shuffle_labels(preferences: Preferences, *, seed: int) -> Preferences:
    """The shuffled-label baseline: the same trajectories in a random order."""
    compared = preferences.trajectories_compared()
    shuffled = np.arange(compared.max() + 1)
    # A stream of its own: reward learning of the same seed draws its held-out trajectories by a permutation,
    # which must be another one.
    stream = np.random.SeedSequence(seed, spawn_key=(0,))
    shuffled[compared] = np.random.default_rng(stream).permutation(compared)
    better, worse = shuffled[preferences.better], shuffled[preferences.worse]
    return Preferences(better, worse, preferences.weight, f"random instead of {preferences.source}")


def balance_weights(*ranked: RankedTrajectories) -> list[RankedTrajectories]:
    """The same rankings with weights of one sum, so that each has the same influence when combined."""
    sums = [float(part.preferences.weight.sum()) for part in ranked]
    balanced = []
    for part, total in zip(ranked, sums, strict=True):
        weight = (part.preferences.weight * (max(sums) / total)).astype(np.float32)
        balanced.append(replace(part, preferences=replace(part.preferences, weight=weight)))
    return balanced


def combine(*ranked: RankedTrajectories) -> RankedTrajectories:
    """All trajectories and all preferences of several rankings; nothing is compared across them."""
    trajectories = Trajectories.concatenate([part.trajectories for part in ranked])
    pairs = [part.preferences for part in ranked]
    offsets = np.cumsum([0] + [len(part.trajectories) for part in ranked[:-1]])
    better = np.concatenate([part.better + offset for part, offset in zip(pairs, offsets, strict=True)])
    worse = np.concatenate([part.worse + offset for part, offset in zip(pairs, offsets, strict=True)])
    weight = np.concatenate([part.weight for part in pairs])
    source = " + ".join(dict.fromkeys(part.source for part in pairs))
    return RankedTrajectories(trajectories, Preferences(better, worse, weight, source))


def _indices(given: npt.ArrayLike, source: str) -> npt.NDArray[np.int64]:
    """Integers as int64; other numbers are refused, not truncated."""
    array = np.asarray(given)
    if array.size and not np.issubdtype(array.dtype, np.integer):
        found = f"{array.dtype} {array.reshape(-1)[0]}"
        raise _wrong(source, "trajectory indices, whole numbers", found)
    return array.astype(np.int64)
