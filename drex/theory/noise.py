"""Degradation of a policy by noise: the assumption of D-REX's automatic ranking, computed exactly.

The noisy policy is π_ε = (1 − ε)π + ε·uniform, with expected return J(ε). D-REX ranks rollouts by ε and
assumes that J falls. It does on average if the policy is better than uniform.
"""

from __future__ import annotations

import numpy as np

from drex.errors import UserError
from drex.theory.mdps import (
    Floats,
    TabularMDPs,
    action_values,
    deterministic_policies,
    expected_returns,
    optimal_policies,
    state_values,
)


def mix_with_uniform(policies: Floats, level: float) -> Floats:
    """π_ε of policies (mdps, states, actions) at noise level ε in [0, 1]."""
    if not 0 <= level <= 1:
        raise UserError("mix_with_uniform: level", expected="0 <= ε <= 1", found=str(level))
    return np.asarray((1 - level) * policies + level / policies.shape[-1])


def noisy_returns(mdps: TabularMDPs, policies: Floats, rewards: Floats, *, levels: Floats) -> Floats:
    """J(ε) at each of ``levels``: (mdps, levels)."""
    noisy = (mix_with_uniform(policies, float(level)) for level in levels)
    return np.stack([expected_returns(mdps, policy, rewards) for policy in noisy], axis=1)


def largest_rise(returns: Floats) -> Floats:
    """Largest rise of J between two levels, as a share of max J − min J; 0 if monotone: (mdps,).

    Args:
        returns: J(ε) at rising levels, (mdps, levels).
    """
    best_later = np.maximum.accumulate(returns[:, ::-1], axis=1)[:, ::-1]
    spread = np.ptp(returns, axis=1)
    return np.asarray((best_later - returns).max(1) / np.where(spread > 0, spread, 1))


def share_ranked_right(returns: Floats, levels: Floats, *, margin: float = 0.3) -> Floats:
    """Share of pairs of levels at least ``margin`` apart whose lower level has the higher J: (mdps,).

    Equal returns count half. ``margin`` has a tolerance of 1e-9.
    """
    quiet, loud = np.nonzero(levels[None, :] - levels[:, None] >= margin - 1e-9)
    difference = returns[:, quiet] - returns[:, loud]
    return np.asarray((0.5 + 0.5 * np.sign(difference)).mean(1))


def softmax_policies(mdps: TabularMDPs, rewards: Floats, *, temperature: Floats) -> Floats:
    """Demonstrators of chosen skill: π(a|s) ∝ exp(A*(s, a)/(temperature × spread of A*)).

    Args:
        mdps: the MDPs.
        rewards: (mdps, states).
        temperature: (mdps,), without unit: near 0 optimal, large uniform, negative worse than uniform. The
            spread is the standard deviation of the optimal action values within states.
    """
    values = state_values(mdps, optimal_policies(mdps, rewards), rewards)
    q = action_values(mdps, values, rewards)
    advantage = q - q.mean(-1, keepdims=True)
    spread = np.sqrt((advantage**2).mean((1, 2), keepdims=True))
    logits = advantage / (np.where(spread > 0, spread, 1) * temperature[:, None, None])
    odds = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(odds / odds.sum(-1, keepdims=True))


def flawed_policies(mdps: TabularMDPs, rewards: Floats, *, competence: Floats, seed: int) -> Floats:
    """Policies that are optimal in some states only: (mdps, states, actions), one-hot.

    They make the same errors each time, as a policy cloned from little data, and noise can improve them; it
    makes a softmax of the optimal advantages worse in every state.

    Args:
        mdps: the MDPs.
        rewards: (mdps, states).
        competence: (mdps,), chance that a state's action is optimal; else it is a fixed random one.
        seed: of the choice.
    """
    generator = np.random.default_rng(seed)
    best = optimal_policies(mdps, rewards).argmax(-1)
    other = generator.integers(mdps.actions, size=best.shape)
    known = generator.random(best.shape) < competence[:, None]
    return deterministic_policies(np.where(known, best, other), mdps.actions)
