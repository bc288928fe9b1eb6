"""The remaining ambiguity of the reward of a finished run.

Thousands of pairs of a hundred rollouts are not independent. They are described by the share of rewards that
agree with them, the number of independent random pairs with the same share, and the difference between two of
the remaining rewards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from drex.errors import UserError
from drex.theory.half_spaces import equivalent_true_labels
from drex.theory.mdps import Floats
from drex.theory.volumes import consistent_rewards


@dataclass(frozen=True, kw_only=True)
class RunAmbiguity:
    """The information in the pairs of a run.

    Attributes:
        pairs: pairs given.
        used: pairs that differ in features and that the learned reward orders as labelled.
        contradicted: pairs that the learned reward orders otherwise.
        dimensions: rank of the used differences.
        effective_rank: exp of the entropy of the differences' normalised squared singular values (after Roy
            and Vetterli, 2007), from 1 for parallel differences to ``dimensions``.
        halvings: −log₂ of the share of rewards that agree with all used pairs: the k of Theorem 2's 2^-k.
        halvings_interval: 95 %, from independent repetitions of the sampler.
        independent_pairs: random pairs labelled by a true reward with the same share in as many dimensions:
            the k with E[(1 − θ/π)^k] = share.
        mean_angle: radians between two consistent rewards; π/2 without information.
        disagreement: chance that two consistent rewards order a fresh pair differently; ½ without
            information.
    """

    pairs: int
    used: int
    contradicted: int
    dimensions: int
    effective_rank: float
    halvings: float
    halvings_interval: tuple[float, float]
    independent_pairs: float
    mean_angle: float
    disagreement: float


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Difference between rewards: mean angle (radians) and chance of disagreement on a pair."""

    mean_angle: float
    disagreement: float


def run_ambiguity(
    differences: Floats,
    weights: Floats | None = None,
    *,
    fresh: Floats | None = None,
    particles: int = 400,
    repeats: int = 4,
    seed: int,
) -> RunAmbiguity:
    """Independent half-spaces with the information of a run's pairs, and the ambiguity of its reward.

    The prior is uniform on the unit sphere of reward weights, so that features must have comparable scales,
    as the standardised last hidden layer of a network, in which its reward is linear.

    Args:
        differences: Σφ of the better snippet minus Σφ of the worse, (pairs, features).
        weights: of the run's linear reward, (features,), or of an ensemble, (members, features), whose mean
            direction is used. Contradicted pairs are counted and omitted, since with wrong labels no reward
            agrees with every pair. ``None`` uses all pairs.
        fresh: differences of pairs for the disagreement, (fresh pairs, features), for example of the new
            policy's snippets; ``None`` takes random directions, with chance angle/π.
        particles: rewards in each repetition's population.
        repeats: independent repetitions for the interval, at least 2.
        seed: of all random numbers.

    Returns:
        See ``RunAmbiguity``. Time grows with pairs × particles × repeats × dimensions × halvings. The share
        of one set scatters about the mean of the law: ``independent_pairs`` is accurate to a factor of about
        1.5. Labels without meaning reduce ambiguity as well; ``contradicted`` is then near half of the pairs.

    Raises:
        UserError: shapes do not match, no pair is usable, or no reward agrees with all pairs.
    """
    if differences.ndim != 2 or repeats < 2:
        expected = "differences of shape (pairs, features) and at least 2 repeats"
        found = f"shape {differences.shape}, {repeats} repeats"
        raise UserError("run_ambiguity", expected=expected, found=found)
    agreeing, contradicted = _agreeing_pairs(differences, weights)
    basis, spectrum = _span(agreeing)
    dimensions = len(basis)
    normals = np.repeat((agreeing @ basis.T)[None], repeats, 0)
    sampled = consistent_rewards(normals, particles=particles, seed=seed)
    halvings = -sampled.log_share / np.log(2)
    half_width = float(student.ppf(0.975, repeats - 1) * halvings.std(ddof=1) / np.sqrt(repeats))
    # directions orthogonal to all pairs have the prior distribution
    generator = np.random.default_rng((seed, 1))
    features = differences.shape[1]
    inside = sampled.rewards.reshape(-1, dimensions)
    inside = inside[generator.permutation(len(inside))[:1000]]
    free = generator.standard_normal((len(inside), features))
    rewards = inside @ basis + free - free @ basis.T @ basis
    spread = spread_of_weights(rewards, fresh)
    mean = float(halvings.mean())
    return RunAmbiguity(
        pairs=len(differences),
        used=len(agreeing),
        contradicted=contradicted,
        dimensions=dimensions,
        effective_rank=float(np.exp(-(spectrum * np.log(spectrum)).sum())),
        halvings=mean,
        halvings_interval=(max(mean - half_width, 0.0), mean + half_width),
        independent_pairs=equivalent_true_labels(-mean * np.log(2), dimensions),
        mean_angle=spread.mean_angle,
        disagreement=spread.disagreement,
    )


def spread_of_weights(weights: Floats, fresh: Floats | None = None) -> Spread:
    """Mean difference between pairs of linear rewards: an ensemble's members, or posterior samples.

    Args:
        weights: (rewards, features), at least 2.
        fresh: differences of pairs for the disagreement, (fresh pairs, features); ``None`` takes random
            directions, with chance angle/π. A tie counts half.
    """
    unit = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    angle = _mean_over_pairs(np.arccos(np.clip(unit @ unit.T, -1, 1)))
    if fresh is None:
        return Spread(mean_angle=angle, disagreement=angle / np.pi)
    signs = np.sign(unit @ fresh.T)
    return Spread(mean_angle=angle, disagreement=_mean_over_pairs(0.5 - 0.5 * signs @ signs.T / len(fresh)))


def spread_of_returns(returns: Floats) -> Spread:
    """Mean difference between rewards of any form, by their predicted snippet returns.

    Args:
        returns: (members, snippets), at least 2 of each.

    Returns:
        ``disagreement``: over all pairs of snippets and of members, the chance that two members order the
        snippets differently, ties half ((1 − Kendall's τ_a)/2). ``mean_angle``: arccos of the members'
        Pearson correlation, the angle between their predictions without offset and scale.
    """
    if returns.ndim != 2 or min(returns.shape) < 2:
        where, expected = "spread_of_returns: returns", "shape (members, snippets), at least 2 of each"
        raise UserError(where, expected=expected, found=str(returns.shape))
    members, snippets = returns.shape
    agreement = np.zeros((members, members))
    for snippet in range(snippets - 1):
        signs = np.sign(returns[:, snippet + 1 :] - returns[:, snippet : snippet + 1])
        agreement += signs @ signs.T
    pairs = snippets * (snippets - 1) / 2
    centred = returns - returns.mean(1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    unit = centred / np.where(length > 0, length, 1)
    return Spread(
        mean_angle=_mean_over_pairs(np.arccos(np.clip(unit @ unit.T, -1, 1))),
        disagreement=_mean_over_pairs(0.5 - 0.5 * agreement / pairs),
    )


def _agreeing_pairs(differences: Floats, weights: Floats | None) -> tuple[Floats, int]:
    differing = np.linalg.norm(differences, axis=1) > 0
    agrees = differing
    if weights is not None:
        members = np.atleast_2d(weights)
        if members.shape[1] != differences.shape[1]:
            expected = f"{differences.shape[1]} features, as the differences have"
            raise UserError("run_ambiguity: weights", expected=expected, found=str(members.shape[1]))
        direction = (members / np.linalg.norm(members, axis=1, keepdims=True)).mean(0)
        agrees = differing & (differences @ direction > 0)
    if not agrees.any():
        expected = "at least one pair that differs in features and that the reward orders as labelled"
        found = f"none of {len(differences)}"
        raise UserError("run_ambiguity: differences", expected=expected, found=found)
    agreeing = differences[agrees]
    return agreeing / np.linalg.norm(agreeing, axis=1, keepdims=True), int(differing.sum() - agrees.sum())


def _span(normals: Floats) -> tuple[Floats, Floats]:
    """Orthonormal rows spanning the normals, and the normalised squares of their singular values."""
    _, values, rows = np.linalg.svd(normals, full_matrices=False)
    rank = int((values > values[0] * max(normals.shape) * np.finfo(float).eps).sum())
    squares = values[:rank] ** 2
    return rows[:rank], np.asarray(squares / squares.sum())


def _mean_over_pairs(matrix: Floats) -> float:
    """Mean of a symmetric matrix off its diagonal."""
    count = len(matrix)
    if count < 2:
        raise UserError("rewards to compare", expected="at least 2", found=str(count))
    return float((matrix.sum() - np.trace(matrix)) / (count * (count - 1)))
