"""Better than the demonstrator: the sufficient condition of D-REX's Theorem 1.

Let R̂(s) = w·φ(s) with ‖w‖₁ ≤ 1 be the learned reward, R* = R̂ + ε the true one, π* optimal for R*, π̂ the
learned policy and D the demonstrator. Then

    J(π*|R*) − J(π̂|R*) ≤ ε_Φ + 2‖ε‖∞/(1−γ),   ε_Φ = ‖Φ_π* − Φ_π̂‖∞,

so π̂ beats D under R* if the gap of the demonstrator, J(π*|R*) − J(D|R*), exceeds the right-hand side. The
bound holds for any π̂ and is tight (the tests have an MDP of three states with equality). If π̂ is optimal
for R̂, a sharper one holds: w·(Φ_π* − Φ_π̂) ≤ 0, and a constant added to a reward changes no comparison, so
the shortfall is at most (max ε − min ε)/(1−γ).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drex.errors import UserError
from drex.theory.mdps import Floats, TabularMDPs, expected_returns, feature_expectations, optimal_policies


@dataclass(frozen=True, kw_only=True)
class Guarantee:
    """Both sides of Theorem 1 for a batch of MDPs; every array is (mdps,), returns are under R*.

    Attributes:
        optimal: J(π*|R*).
        learned: J(π̂|R*).
        demonstrator: J(D|R*).
        feature_gap: ε_Φ.
        reward_error: ‖ε‖∞.
        error_span: max ε − min ε, at most 2‖ε‖∞.
        discount: γ.
    """

    optimal: Floats
    learned: Floats
    demonstrator: Floats
    feature_gap: Floats
    reward_error: Floats
    error_span: Floats
    discount: float

    @property
    def room(self) -> Floats:
        """J(π*|R*) − J(D|R*): the gap of the demonstrator."""
        return self.optimal - self.demonstrator

    @property
    def shortfall(self) -> Floats:
        """J(π*|R*) − J(π̂|R*): the gap of the learned policy."""
        return self.optimal - self.learned

    @property
    def bound(self) -> Floats:
        """The theorem's bound on the shortfall: ε_Φ + 2‖ε‖∞/(1−γ)."""
        return self.feature_gap + 2 * self.reward_error / (1 - self.discount)

    @property
    def sharper_bound(self) -> Floats:
        """(max ε − min ε)/(1−γ): bound of the shortfall if π̂ is optimal for R̂."""
        return self.error_span / (1 - self.discount)

    @property
    def guaranteed(self) -> NDArray[np.bool_]:
        """Where the theorem implies that the learned policy beats the demonstrator."""
        return np.asarray(self.room > self.bound)

    @property
    def better(self) -> NDArray[np.bool_]:
        """Where the learned policy beats the demonstrator."""
        return np.asarray(self.learned > self.demonstrator)

    def violations(self, bound: Floats | None = None) -> NDArray[np.bool_]:
        """Where ``bound`` (default: the theorem's) is exceeded, or implies a gain that is absent.

        Differences of returns below 1e-9/(1−γ) count as rounding.
        """
        limit = self.bound if bound is None else bound
        rounding = 1e-9 / (1 - self.discount)
        promised = self.room > limit + rounding
        return np.asarray((self.shortfall > limit + rounding) | (promised & ~self.better))


def better_than_demonstrator(
    mdps: TabularMDPs,
    weights: Floats,
    reward_errors: Floats,
    *,
    demonstrators: Floats,
    learned: Floats | None = None,
) -> Guarantee:
    """Compute both sides of D-REX's Theorem 1.

    Args:
        mdps: the MDPs.
        weights: w of the learned reward R̂ = w·φ, (mdps, features).
        reward_errors: ε(s) = R*(s) − R̂(s), (mdps, states).
        demonstrators: policies, (mdps, states, actions).
        learned: π̂, (mdps, states, actions); ``None`` takes one that is optimal for R̂.

    Raises:
        UserError: ‖w‖₁ exceeds 1, which the theorem excludes.
    """
    size = np.abs(weights).sum(-1)
    if np.any(size > 1 + 1e-9):
        where, found = "better_than_demonstrator: weights", f"‖w‖₁ = {size.max():.4g}"
        do = "divide the weights and the reward errors by it: no policy's rank changes"
        raise UserError(where, expected="‖w‖₁ <= 1 in every row", found=found, do=do)
    estimate = mdps.linear_rewards(weights)
    true = estimate + reward_errors
    best = optimal_policies(mdps, true)
    chosen = optimal_policies(mdps, estimate) if learned is None else learned
    gap = feature_expectations(mdps, best) - feature_expectations(mdps, chosen)
    return Guarantee(
        optimal=expected_returns(mdps, best, true),
        learned=expected_returns(mdps, chosen, true),
        demonstrator=expected_returns(mdps, demonstrators, true),
        feature_gap=np.abs(gap).max(-1),
        reward_error=np.abs(reward_errors).max(-1),
        error_span=np.ptp(reward_errors, axis=-1),
        discount=mdps.discount,
    )
