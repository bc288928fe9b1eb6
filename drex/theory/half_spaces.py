"""The reduction of the reward space by ranked pairs, in closed form.

A ranked pair is a half-space w·Δ > 0, Δ the difference of its feature sums. For w uniform on the unit sphere
and independent pairs,

    E[share of rewards that agree with all k pairs] = E_w[a(w)^k],  a(w) = chance that w agrees with a pair.

- Sides independent of the reward, as in D-REX's Theorem 2: a(w) = ½ for every w, and the share is 2^-k.
- Random pairs labelled by one true reward w*, as by a user: a(w) = 1 − θ/π, θ the angle between w and w*. The
  share is E[(1 − θ/π)^k], 1/(k+1) in two dimensions; it falls like k^-(dimensions − 1).
- Pairs labelled by noise: a(w) is the pair accuracy of w. With wrong labels no w reaches 1 and the share
  tends to 0, so that a loss must tolerate errors, as that of D-REX does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import gammaln, logsumexp

from drex.errors import UserError
from drex.theory.mdps import Floats

_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(32)
_TOWARDS_PI = np.exp2(-np.arange(1.0, 21.0))


def share_with_independent_sides(pairs: ArrayLike) -> Floats:
    """2^-k: expected share after k pairs whose sides do not depend on the reward (D-REX, Theorem 2)."""
    return np.asarray(np.exp2(-np.asarray(pairs, np.float64)))


def pairs_for_reduction(percent: float) -> float:
    """Pairs with independent sides that remove x % of the rewards: log₂(1/(1 − x/100)) (Theorem 2)."""
    if not 0 <= percent < 100:
        raise UserError("pairs_for_reduction: percent", expected="0 <= x < 100", found=str(percent))
    return float(-np.log2(1 - percent / 100))


def demonstrations_for_reduction(percent: float) -> int:
    """Fewest totally ranked demonstrations m with m(m−1)/2 >= k (corollary of Theorem 2).

    Pairs count as independent, although those that share demonstrations are not; see ``run_ambiguity``.
    """
    return int(np.ceil((1 + np.sqrt(1 + 8 * pairs_for_reduction(percent))) / 2))


def log_share_with_true_labels(pairs: float, dimensions: int) -> float:
    """Natural logarithm of E[(1 − θ/π)^k], for real k >= 0 and w, w* uniform on the sphere.

    θ has density ∝ sin^(d−2) θ on (0, π). Gauss-Legendre quadrature on panels that grow geometrically from 0
    past the integrand's mass near θ = π(d−1)/(k+d−1) and shrink towards π, where (1 − θ/π)^k has a kink for
    small k; in logarithms, accurate for k up to 1e6.
    """
    if dimensions < 2:
        where = "log_share_with_true_labels: dimensions"
        raise UserError(where, expected="at least 2", found=str(dimensions))
    centre = np.pi * (dimensions - 1) / (pairs + dimensions - 1)
    outwards = centre * np.exp2(np.arange(-12, 24, 0.5))
    edges = np.unique(
        np.concatenate([[0, np.pi], outwards[outwards < np.pi * (1 - 1e-6)], np.pi * (1 - _TOWARDS_PI)])
    )
    half = np.diff(edges)[:, None] / 2
    angles = edges[:-1, None] + half * (_NODES + 1)
    density = (dimensions - 2) * np.log(np.sin(angles)) + np.log(half * _NODE_WEIGHTS)
    return float(logsumexp(density + pairs * np.log1p(-angles / np.pi)) - logsumexp(density))


def share_with_true_labels(pairs: float, dimensions: int) -> float:
    """E[(1 − θ/π)^k]: expected share after k random pairs labelled by one true reward; 1/(k+1) if d = 2."""
    return float(np.exp(log_share_with_true_labels(pairs, dimensions)))


def equivalent_true_labels(log_share: float, dimensions: int) -> float:
    """The k at which E[(1 − θ/π)^k] equals the share exp(``log_share``); 0 for a share of 1.

    In one dimension a reward is a sign, which one pair determines: k is 1 for any share < 1.

    Raises:
        UserError: the share is 0 or above 1.
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

    2^(1−k) Σ_{i<d} C(k−1, i): 1 up to k = d, ½ at k = 2d, then falling to 0. Beyond 2d pairs most sets of
    pairs are satisfied by no reward.
    """
    count = np.asarray(pairs, np.float64)[..., None]
    chosen = np.arange(dimensions)
    fits = chosen <= count - 1
    left = np.where(fits, count - 1 - chosen, 0)
    ways = gammaln(np.maximum(count, 1)) - gammaln(chosen + 1.0) - gammaln(left + 1)
    total = np.where(fits, np.exp(ways + (1 - count) * np.log(2)), 0).sum(-1)
    return np.asarray(np.where(count[..., 0] == 0, 1.0, np.minimum(total, 1.0)))
