"""D-REX in tabular MDPs: noisy rollouts, ranked pairs, and a linear reward from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from drex.theory.mdps import Floats, TabularMDPs
from drex.theory.noise import mix_with_uniform

Generator = np.random.Generator
Integers = NDArray[np.int64]


def sample_rollouts(
    mdps: TabularMDPs, policies: Floats, *, which: Integers, steps: int, generator: Generator
) -> tuple[Integers, Integers]:
    """States and actions of rollouts, (rollouts, steps) each.

    Args:
        mdps: the MDPs.
        policies: one per rollout, (rollouts, states, actions).
        which: index of each rollout's MDP, (rollouts,).
        steps: length of every rollout.
        generator: of actions and transitions.
    """
    start = np.cumsum(mdps.start, -1)
    chances = np.cumsum(mdps.transitions, -1)
    acting = np.cumsum(policies, -1)
    rollouts = np.arange(len(which))
    states, actions = np.empty((2, len(which), steps), np.int64)
    state = _choose(start[which], generator)
    for step in range(steps):
        action = _choose(acting[rollouts, state], generator)
        states[:, step], actions[:, step] = state, action
        state = _choose(chances[which, state, action], generator)
    return states, actions


def clone_policies(
    mdps: TabularMDPs, demonstrators: Floats, *, demonstrations: int, steps: int, generator: Generator
) -> Floats:
    """Behavioral cloning by counting actions, a tenth of a count added to each: (mdps, states, actions)."""
    count, states, actions = demonstrators.shape
    which = np.repeat(np.arange(count), demonstrations)
    visits, taken = sample_rollouts(mdps, demonstrators[which], which=which, steps=steps, generator=generator)
    counts = np.full((count, states, actions), 0.1)
    np.add.at(counts, (np.repeat(which[:, None], steps, 1), visits, taken), 1.0)
    return np.asarray(counts / counts.sum(-1, keepdims=True))


def noisy_feature_sums(
    mdps: TabularMDPs, policies: Floats, *, levels: Floats, steps: int, generator: Generator
) -> Floats:
    """Σ_t φ(s_t) of one rollout at each noise level: (mdps, rollouts, features) for levels (rollouts,)."""
    count, rollouts = len(policies), len(levels)
    sums = np.zeros((count, rollouts, mdps.features.shape[-1]))
    which = np.arange(count)
    for rollout, level in enumerate(levels):
        noisy = mix_with_uniform(policies, float(level))
        states, _ = sample_rollouts(mdps, noisy, which=which, steps=steps, generator=generator)
        sums[:, rollout] = mdps.features[which[:, None], states].sum(1)
    return sums


def all_pairs(levels: Floats, *, margin: float = 0.3) -> tuple[Integers, Integers]:
    """Indices (better, worse) of all rollout pairs whose noise levels lie at least ``margin`` apart."""
    better, worse = np.nonzero(levels[None, :] - levels[:, None] >= margin - 1e-9)
    return better, worse


def fit_linear_rewards(differences: Floats, *, penalty: float = 1e-2, iterations: int = 30) -> Floats:
    """Weights that minimise the Bradley-Terry loss of ranked pairs plus penalty/2 ‖w‖², by Newton's method.

    Args:
        differences: better minus worse feature sums, (runs, pairs, features), scaled within each run to a
            mean square length of 1.
        penalty: coefficient of the squared norm; the loss is the mean over pairs.
        iterations: Newton steps; 30 reach machine precision.

    Returns:
        Unit vectors, (runs, features).
    """
    scale = np.sqrt((differences**2).sum(-1).mean(-1))[:, None, None]
    scaled = differences / np.where(scale > 0, scale, 1)
    runs, pairs, features = scaled.shape
    weights = np.zeros((runs, features))
    for _ in range(iterations):
        doubt = expit(-np.einsum("rpf,rf->rp", scaled, weights))
        gradient = -np.einsum("rp,rpf->rf", doubt, scaled) / pairs + penalty * weights
        curved = scaled * (doubt * (1 - doubt))[..., None]
        curvature = np.matmul(np.swapaxes(scaled, 1, 2), curved) / pairs + penalty * np.eye(features)
        weights = weights - np.linalg.solve(curvature, gradient[..., None])[..., 0]
    length = np.linalg.norm(weights, axis=1, keepdims=True)
    return np.asarray(weights / np.where(length > 0, length, 1))


def _choose(cumulative: Floats, generator: Generator) -> Integers:
    drawn = generator.random((len(cumulative), 1)) * cumulative[:, -1:]
    return np.asarray((cumulative <= drawn).sum(-1), np.int64)
