"""How fast ranked pairs cut the space of rewards: the laws, in closed form.

A ranked pair says w·Δ > 0 for the difference Δ of its two feature sums: w must lie in a half-space. Take w
uniform on the unit sphere and pairs drawn independently of one another. One law covers every kind of pair:

    E[share of rewards that agree with all k pairs] = E_w[a(w)^k],  a(w) = chance that w agrees with a pair.

- Sides independent of the reward, as in D-REX's Theorem 2: a(w) = ½ for every w, so the share is 2^-k.
- Random pairs labelled by one true reward w*, as a user's would be: a(w) = 1 − θ/π, θ the angle between w and
  w*. The share is E[(1 − θ/π)^k], 1/(k+1) in two dimensions: it falls like k^-(dimensions − 1), since rewards
  near w* survive.
- Pairs labelled by noise: a(w) is w's pair accuracy, measured on a pool of pairs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import gammaln, logsumexp

from drex.errors import UserError
from drex.theory.mdps import Floats


def share_with_independent_sides(pairs: ArrayLike) -> Floats:
    """2^-k: expected share after k pairs whose sides do not depend on the reward (D-REX, Theorem 2)."""
    return np.asarray(np.exp2(-np.asarray(pairs, np.float64)))


def pairs_for_reduction(percent: float) -> float:
    """Pairs with independent sides that remove x % of the rewards: log₂(1/(1 − x/100)) (Theorem 2)."""
    if not 0 <= percent < 100:
        raise UserError("pairs_for_reduction: percent", expected="0 <= x < 100", found=str(percent))
    return float(-np.log2(1 - percent / 100))


def demonstrations_for_reduction(percent: float) -> int:
    """Fewest totally ranked demonstrations m with m(m−1)/2 >= k (Theorem 2's corollary).

    It counts all m(m−1)/2 pairs as independent, which pairs that share demonstrations are not: see
    ``run_ambiguity`` for what such pairs are worth.
    """
    return int(np.ceil((1 + np.sqrt(1 + 8 * pairs_for_reduction(percent))) / 2))


def log_share_with_true_labels(pairs: float, dimensions: int) -> float:
    """Natural logarithm of E[(1 − θ/π)^k], for real k >= 0 and w, w* uniform on the sphere.

    θ has density ∝ sin^(d−2) θ on (0, π). Integrated by Gauss-Legendre on panels that grow geometrically from
    0 past the integrand's mass near θ = π(d−1)/(k+d−1), in logarithms, so that it holds for k up to 1e6.
    """
    if dimensions < 2:
        raise UserError(
            "log_share_with_true_labels: dimensions", expected="at least 2", found=str(dimensions)
        )
    centre = np.pi * (dimensions - 1) / (pairs + dimensions - 1)
    edges = np.unique(np.minimum(np.append(0.0, centre * np.exp2(np.arange(-12, 24, 0.25))), np.pi))
    edges = np.append(edges[edges < np.pi * (1 - 1e-12)], np.pi)
    nodes, node_weights = np.polynomial.legendre.leggauss(32)
    half = np.diff(edges)[:, None] / 2
    angles = edges[:-1, None] + half * (nodes + 1)
    density = (dimensions - 2) * np.log(np.sin(angles)) + np.log(half * node_weights)
    return float(logsumexp(density + pairs * np.log1p(-angles / np.pi)) - logsumexp(density))


def share_with_true_labels(pairs: float, dimensions: int) -> float:
    """E[(1 − θ/π)^k]: expected share after k random pairs labelled by one true reward; 1/(k+1) if d = 2."""
    return float(np.exp(log_share_with_true_labels(pairs, dimensions)))


def equivalent_true_labels(log_share: float, dimensions: int) -> float:
    """The k at which E[(1 − θ/π)^k] equals the share exp(``log_share``); 0 for a share of 1.

    In one dimension a reward is a sign, which the first pair settles: the answer is then 1 for any share < 1.

    Raises:
        UserError: for a share of zero or above one.
    """
    if not -np.inf < log_share <= 1e-12:
        raise UserError("equivalent_true_labels: log_share", expected="finite and <= 0", found=str(log_share))
    if log_share > -1e-12:
        return 0.0
    if dimensions == 1:
        return 1.0
    highest = 1.0
    while log_share_with_true_labels(highest, dimensions) > log_share:
        highest *= 2

    def above(pairs: float) -> float:
        return log_share_with_true_labels(pairs, dimensions) - log_share

    return float(brentq(above, 0.0, highest, xtol=1e-9))


def chance_of_no_contradiction(pairs: ArrayLike, dimensions: int) -> Floats:
    """Chance that some reward agrees with k random pairs with independent sides (Wendel, 1962).

    2^(1−k) Σ_{i<d} C(k−1, i): 1 up to k = d, ½ at k = 2d, then falling to 0. Beyond 2d pairs the 2^-k of
    Theorem 2 is an average over sets of pairs most of which no reward satisfies at all.
    """
    count = np.asarray(pairs, np.float64)[..., None]
    chosen = np.arange(dimensions)
    fits = chosen <= count - 1
    left = np.where(fits, count - 1 - chosen, 0)
    ways = gammaln(np.maximum(count, 1)) - gammaln(chosen + 1.0) - gammaln(left + 1)
    total = np.where(fits, np.exp(ways + (1 - count) * np.log(2)), 0).sum(-1)
    return np.asarray(np.where(count[..., 0] == 0, 1.0, np.minimum(total, 1.0)))


def share_by_agreement(agreeing: Floats, pool: int, pairs: int) -> Floats:
    """E_w[a(w)^k] from a pool: unbiased estimate of each reward's a^k, to be averaged over rewards.

    Args:
        agreeing: how many of the pool's independent pairs each reward agrees with, (rewards,).
        pool: number of pairs in the pool.
        pairs: k, at most ``pool``.

    The plain (agreeing/pool)^k is biased upwards by the pool's noise; C(agreeing, k)/C(pool, k) is not.
    """
    fits = agreeing >= pairs
    kept = np.where(fits, agreeing, pairs)
    log = gammaln(kept + 1) - gammaln(kept - pairs + 1) - gammaln(pool + 1.0) + gammaln(pool - pairs + 1.0)
    return np.where(fits, np.exp(log), 0.0)
