"""Noise degrades a policy: the assumption behind D-REX's automatic ranking, computed exactly.

With chance ε a step's action is drawn uniformly, otherwise by the policy: π_ε = (1 − ε)π + ε·uniform. The
expected return J(ε) runs from the policy's at ε = 0 to the uniform policy's at ε = 1. D-REX ranks rollouts
by ε and so assumes that J falls. It does on average when the policy is better than uniform; nothing
guarantees it for one MDP, as ``precarious_corridor`` shows.
"""

from __future__ import annotations

import numpy as np

from drex.errors import UserError
from drex.theory.mdps import (
    Floats,
    TabularMDPs,
    action_values,
    deterministic_mdp,
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
    """J(ε), exactly, at each of ``levels``: (mdps, levels)."""
    return np.stack(
        [expected_returns(mdps, mix_with_uniform(policies, float(e)), rewards) for e in levels], axis=1
    )


def largest_rise(returns: Floats) -> Floats:
    """Largest gain of J from a level to any later one, as a part of max J − min J; 0 is monotone: (mdps,).

    Args:
        returns: J(ε) at rising levels, (mdps, levels).
    """
    best_later = np.maximum.accumulate(returns[:, ::-1], axis=1)[:, ::-1]
    spread = np.ptp(returns, axis=1)
    return np.asarray((best_later - returns).max(1) / np.where(spread > 0, spread, 1))


def share_ranked_right(returns: Floats, levels: Floats, *, margin: float = 0.3) -> Floats:
    """Share of level pairs at least ``margin`` apart whose quieter side has the higher J: (mdps,).

    Equal returns count half. ``margin`` is compared with a tolerance of 1e-9.
    """
    quiet, loud = np.nonzero(levels[None, :] - levels[:, None] >= margin - 1e-9)
    difference = returns[:, quiet] - returns[:, loud]
    return np.asarray((0.5 + 0.5 * np.sign(difference)).mean(1))


def softmax_policies(mdps: TabularMDPs, rewards: Floats, *, temperature: Floats) -> Floats:
    """Demonstrators of chosen skill: π(a|s) ∝ exp(A*(s, a)/(temperature × spread of A*)).

    Args:
        mdps: the MDPs.
        rewards: (mdps, states).
        temperature: (mdps,); near 0 optimal, large uniform, negative worse than uniform. The spread is the
            standard deviation of the optimal action values within states, so that it has no unit.
    """
    values = state_values(mdps, optimal_policies(mdps, rewards), rewards)
    worth = action_values(mdps, values, rewards)
    advantage = worth - worth.mean(-1, keepdims=True)
    spread = np.sqrt((advantage**2).mean((1, 2), keepdims=True))
    logits = advantage / (np.where(spread > 0, spread, 1) * temperature[:, None, None])
    odds = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(odds / odds.sum(-1, keepdims=True))


def flawed_policies(mdps: TabularMDPs, rewards: Floats, *, competence: Floats, seed: int) -> Floats:
    """Policies that know what to do in some states only: (mdps, states, actions), one-hot.

    Args:
        mdps: the MDPs.
        rewards: (mdps, states).
        competence: (mdps,), chance that a state's action is optimal; elsewhere it is a fixed random one.
        seed: of the draw.

    Unlike a softmax of the optimal advantages, which noise makes worse in every state, such a policy errs the
    same way each time, as a policy cloned from little data does; noise can free it.
    """
    generator = np.random.default_rng(seed)
    best = optimal_policies(mdps, rewards).argmax(-1)
    other = generator.integers(mdps.actions, size=best.shape)
    known = generator.random(best.shape) < competence[:, None]
    return deterministic_policies(np.where(known, best, other), mdps.actions)


def precarious_corridor(door: int, cliff: int, discount: float) -> tuple[TabularMDPs, Floats, Floats]:
    """An MDP in which some noise is worse than pure noise, although the policy is far better than uniform.

    ``door`` cells in which a wrong action leads back to the start, then ``cliff`` cells in which it leads
    into a pit for ever, then a goal for ever. Pit pays −1 a step, goal +1. The policy walks straight through.
    A little noise passes the door but not the cliff; pure noise hardly ever passes the door.

    Returns:
        The MDP (a batch of one, 4 actions), the policy (1, states, 4) and the rewards (1, states).
    """
    goal, pit = door + cliff, door + cliff + 1
    moves = np.zeros((door + cliff + 2, 4), np.int64)
    moves[door:goal] = pit
    moves[:goal, 0] = np.arange(goal) + 1
    moves[goal], moves[pit] = goal, pit
    colours = np.array([0] * goal + [1, 2])
    mdp = deterministic_mdp(moves, colours, discount)
    walk = deterministic_policies(np.zeros((1, goal + 2), np.int64), 4)
    return mdp, walk, mdp.linear_rewards(np.array([0.0, 1.0, -1.0]))
