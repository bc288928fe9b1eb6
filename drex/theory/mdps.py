"""Exact solutions of batches of small MDPs.

Rewards are functions of the state, as in the paper: J(π|R) = E[Σ_t γ^t R(s_t)], from the start state at t=0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drex.errors import UserError

Floats = NDArray[np.float64]
_SAME = 1e-10  # action values closer than this are ties, else policy iteration could cycle by rounding


@dataclass(frozen=True, kw_only=True)
class TabularMDPs:
    """A batch of finite MDPs of one size.

    Attributes:
        transitions: chance of the next state, (mdps, states, actions, states); the last axis sums to 1.
        features: φ(s), (mdps, states, features).
        start: chance of each first state, (mdps, states); sums to 1.
        discount: γ in [0, 1).

    Raises:
        UserError: shapes disagree, a row is no distribution, or the discount is outside [0, 1).
    """

    transitions: Floats
    features: Floats
    start: Floats
    discount: float

    def __post_init__(self) -> None:
        """Check shapes and distributions."""
        shape = self.transitions.shape
        count, states = shape[0], shape[-1]
        if len(shape) != 4 or shape[1] != states:
            expected = "shape (mdps, states, actions, states)"
            raise UserError("TabularMDPs.transitions", expected=expected, found=str(shape))
        for name, found, wanted in (
            ("features", self.features.shape[:2], (count, states)),
            ("start", self.start.shape, (count, states)),
        ):
            if found != wanted:
                raise UserError(f"TabularMDPs.{name}", expected=f"leading shape {wanted}", found=str(found))
        for name, chances in (("transitions", self.transitions), ("start", self.start)):
            sums = chances.sum(-1)
            if np.any(chances < 0) or not np.allclose(sums, 1):
                expected = "distributions: no negative entry, the last axis sums to 1"
                sizes = f"minimum {chances.min():.3g}, sums from {sums.min():.3g} to {sums.max():.3g}"
                raise UserError(f"TabularMDPs.{name}", expected=expected, found=sizes)
        if not 0 <= self.discount < 1:
            raise UserError("TabularMDPs.discount", expected="0 <= γ < 1", found=str(self.discount))

    @property
    def actions(self) -> int:
        """Number of actions."""
        return int(self.transitions.shape[2])

    def linear_rewards(self, weights: Floats) -> Floats:
        """R(s) = w·φ(s) for weights (mdps, features) or (features,): (mdps, states)."""
        return np.asarray((self.features * weights[..., None, :]).sum(-1))


def random_mdps(
    count: int,
    states: int,
    actions: int,
    *,
    features: int,
    branching: int | None = None,
    discount: float = 0.95,
    seed: int,
) -> TabularMDPs:
    """Random MDPs in which every action leads to ``branching`` random states (Garnet; ``None``: all states).

    Transition probabilities are uniform on the simplex, features uniform in [−1, 1], the first state is 0.
    """
    generator = np.random.default_rng(seed)
    reachable = states if branching is None else branching
    if not 1 <= reachable <= states:
        raise UserError("random_mdps: branching", expected=f"1 to {states}", found=str(branching))
    size = (count, states, actions, states)
    order = generator.random(size).argsort(-1).argsort(-1)
    chances = np.where(order < reachable, generator.exponential(size=size), 0.0)
    start = np.zeros((count, states))
    start[:, 0] = 1
    return TabularMDPs(
        transitions=chances / chances.sum(-1, keepdims=True),
        features=generator.uniform(-1, 1, (count, states, features)),
        start=start,
        discount=discount,
    )


def deterministic_policies(choices: NDArray[np.int64], actions: int) -> Floats:
    """One-hot policies of the actions ``choices`` (mdps, states): (mdps, states, actions)."""
    return np.asarray(np.eye(actions)[choices])


def uniform_policies(mdps: TabularMDPs) -> Floats:
    """Policies of uniform random actions: (mdps, states, actions)."""
    return np.full(mdps.transitions.shape[:3], 1 / mdps.actions)


def state_values(mdps: TabularMDPs, policies: Floats, rewards: Floats) -> Floats:
    """V(s) of policies (mdps, states, actions) under rewards (mdps, states): (mdps, states)."""
    return np.asarray(np.linalg.solve(_resolvent(mdps, policies), rewards[..., None])[..., 0])


def action_values(mdps: TabularMDPs, values: Floats, rewards: Floats) -> Floats:
    """Q(s, a) = R(s) + γ E[V(s')] for values (mdps, states): (mdps, states, actions)."""
    ahead = np.matmul(mdps.transitions, values[:, None, :, None])[..., 0]
    return np.asarray(rewards[..., None] + mdps.discount * ahead)


def optimal_policies(mdps: TabularMDPs, rewards: Floats) -> Floats:
    """A deterministic optimal policy of each MDP, by policy iteration: (mdps, states, actions), one-hot."""
    choices = np.zeros(rewards.shape, np.int64)
    while True:
        policies = deterministic_policies(choices, mdps.actions)
        q = action_values(mdps, state_values(mdps, policies, rewards), rewards)
        current = np.take_along_axis(q, choices[..., None], -1)[..., 0]
        scale = 1 + np.abs(q).max(-1)
        better = q.max(-1) > current + _SAME * scale
        if not better.any():
            return policies
        choices = np.where(better, q.argmax(-1), choices)


def occupancies(mdps: TabularMDPs, policies: Floats) -> Floats:
    """Expected discounted visits Σ_t γ^t P(s_t = s): (mdps, states), each row sums to 1/(1−γ)."""
    backward = np.swapaxes(_resolvent(mdps, policies), -1, -2)
    return np.asarray(np.linalg.solve(backward, mdps.start[..., None])[..., 0])


def feature_expectations(mdps: TabularMDPs, policies: Floats) -> Floats:
    """Φ_π = E[Σ_t γ^t φ(s_t)], so that J(π|w·φ) = w·Φ_π: (mdps, features)."""
    return np.asarray(np.einsum("ms,msf->mf", occupancies(mdps, policies), mdps.features))


def expected_returns(mdps: TabularMDPs, policies: Floats, rewards: Floats) -> Floats:
    """J(π|R) of policies under rewards (mdps, states): (mdps,)."""
    return np.asarray((occupancies(mdps, policies) * rewards).sum(-1))


def _resolvent(mdps: TabularMDPs, policies: Floats) -> Floats:
    moves = np.matmul(policies[:, :, None, :], mdps.transitions)[:, :, 0]
    return np.asarray(np.eye(moves.shape[-1]) - mdps.discount * moves)
