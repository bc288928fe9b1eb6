"""Two corridors: in one demonstrations do not reveal a danger, in one a little noise is the worst.

Proposition of D-REX: there are rewards R* and R̂ for which the demonstrations are optimal, and two policies of
equal return under R̂ and arbitrarily different return under R*; ranking the two resolves the tie. The family
here is a corridor. The demonstrator walks along white cells to a goal; below every white cell is a red one,
which it never enters. Red has a negative reward under R*, and none under R̂:

    start  □ □ □ … □ G      demonstration: walk right, stay at G
           ■ ■ ■ … ■        resting policy: stay at start;  reckless policy: step down and stay in red

Both rewards prefer the walk. Resting and reckless are equal under R̂, and γ/(1−γ) × (white − red) apart under
R*, which is unbounded as γ → 1 although every ‖w‖₁ ≤ 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drex.errors import UserError
from drex.theory.mdps import (
    Floats,
    TabularMDPs,
    deterministic_policies,
    feature_expectations,
    optimal_policies,
)

WHITE, RED, GOAL = 0, 1, 2
STAY, RIGHT, LEFT, DOWN, UP = range(5)


@dataclass(frozen=True, kw_only=True)
class AmbiguousCorridor:
    """One corridor, its three policies and its two rewards.

    Attributes:
        mdp: a batch of one MDP; features are one-hot white, red, goal.
        demonstrator: π_E, (1, states, actions), optimal under both rewards.
        resting: stays in the white start cell, (1, states, actions).
        reckless: stays in red, (1, states, actions).
        true_weights: R* = (0, −½, ½) over white, red, goal.
        blind_weights: R̂ = (0, 0, 1); it explains the demonstrations, too.
    """

    mdp: TabularMDPs
    demonstrator: Floats
    resting: Floats
    reckless: Floats
    true_weights: Floats
    blind_weights: Floats

    def gap(self, weights: Floats) -> float:
        """J(resting) − J(reckless) under weights (3,)."""
        return float(self._difference() @ weights)

    def explains_demonstrations(self, weights: Floats) -> NDArray[np.bool_]:
        """Whether the demonstrator is optimal under each of weights (rewards, 3): (rewards,)."""
        return is_optimal(self.mdp, self.demonstrator, weights)

    def ranks_resting_higher(self, weights: Floats) -> NDArray[np.bool_]:
        """Whether each of weights (rewards, 3) agrees with the ranked pair reckless < resting: (rewards,)."""
        return np.asarray(weights @ self._difference() > 0)

    def _difference(self) -> Floats:
        """Φ(resting) − Φ(reckless), (3,)."""
        resting, reckless = (feature_expectations(self.mdp, p) for p in (self.resting, self.reckless))
        return np.asarray((resting - reckless)[0])


def deterministic_mdp(
    next_states: NDArray[np.int64], colours: NDArray[np.int64], discount: float
) -> TabularMDPs:
    """One MDP from ``next_states`` (states, actions), with one-hot features ``colours`` (states,)."""
    states, actions = next_states.shape
    transitions = np.zeros((1, states, actions, states))
    transitions[0, np.arange(states)[:, None], np.arange(actions), next_states] = 1
    return TabularMDPs(
        transitions=transitions,
        features=np.eye(int(colours.max()) + 1)[colours][None],
        start=np.eye(states)[:1],
        discount=discount,
    )


def ambiguous_corridor(length: int, discount: float) -> AmbiguousCorridor:
    """The corridor with ``length`` white cells from the start to the goal, at discount γ."""
    if length < 1:
        raise UserError("ambiguous_corridor: length", expected="at least 1 white cell", found=str(length))
    goal = 2 * length
    states = goal + 1  # white cells, red cells below them, goal
    moves = np.tile(np.arange(states)[:, None], (1, 5))
    for cell in range(length):
        below = length + cell
        moves[cell, RIGHT] = cell + 1 if cell + 1 < length else goal
        moves[cell, LEFT] = max(cell - 1, 0)
        moves[cell, DOWN], moves[below, UP] = below, cell
        moves[below, RIGHT] = below + 1 if cell + 1 < length else below
        moves[below, LEFT] = max(below - 1, length)
    colours = np.array([WHITE] * length + [RED] * length + [GOAL])
    walk = np.array([RIGHT] * length + [UP] * length + [STAY])
    rest = np.full(states, STAY)
    fall = np.array([DOWN] * length + [STAY] * (length + 1))
    return AmbiguousCorridor(
        mdp=deterministic_mdp(moves, colours, discount),
        demonstrator=deterministic_policies(walk[None], 5),
        resting=deterministic_policies(rest[None], 5),
        reckless=deterministic_policies(fall[None], 5),
        true_weights=np.array([0.0, -0.5, 0.5]),
        blind_weights=np.array([0.0, 0.0, 1.0]),
    )


def is_optimal(mdp: TabularMDPs, policy: Floats, weights: Floats) -> NDArray[np.bool_]:
    """Whether ``policy`` (1, states, actions) is optimal under weights (rewards, features): (rewards,).

    Returns closer than 1e-9/(1−γ) count as equal.
    """
    arrays = {n: np.repeat(getattr(mdp, n), len(weights), 0) for n in ("transitions", "features", "start")}
    copies = TabularMDPs(**arrays, discount=mdp.discount)
    best = feature_expectations(copies, optimal_policies(copies, copies.linear_rewards(weights)))
    short = ((best - feature_expectations(mdp, policy)) * weights).sum(-1)
    return np.asarray(short <= 1e-9 / (1 - mdp.discount))


def precarious_corridor(door: int, cliff: int, discount: float) -> tuple[TabularMDPs, Floats, Floats]:
    """An MDP in which some noise is worse than pure noise, although the policy is far better than uniform.

    A corridor of ``door`` cells, where a wrong action leads back to the start, ``cliff`` cells, where it
    leads to an absorbing pit, and an absorbing goal. The reward is −1 in the pit and 1 at the goal. The
    policy walks straight. With a little noise it passes the door but not the cliff; pure noise rarely passes
    the door.

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
