"""What the theory means for a finished run: what its pairs are worth, and how ambiguous its reward still is.

Thousands of pairs made from a hundred rollouts are not thousands of independent half-spaces. Three numbers
say what they are: the share of rewards that agree with them, the number of independent random pairs that
would leave the same share, and how much two of the remaining rewards still differ.
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
    """What a run's pairs leave open.

    Attributes:
        pairs: pairs given.
        used: pairs that differ in features and that the learned reward orders as labelled.
        contradicted: pairs that the learned reward orders the other way; no half-space around it.
        dimensions: rank of the used differences: directions of reward on which the pairs speak at all.
        effective_rank: exp of the entropy of the differences' normalised squared singular values (after Roy
            and Vetterli, 2007): near 1 when all pairs say the same thing, ``dimensions`` when they say
            different things equally loudly.
        halvings: −log₂ of the share of rewards that agree with all used pairs: independent half-spaces under
            Theorem 2's 2^-k.
        halvings_interval: 95 %, from independent repetitions of the sampler.
        independent_pairs: random pairs labelled by a true reward that leave the same share in as many
            dimensions: the k with E[(1 − θ/π)^k] = share.
        mean_angle: radians between two consistent rewards; π/2 when nothing is known.
        disagreement: chance that two consistent rewards order a fresh pair differently; ½ when nothing is
            known.
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
    """How much several rewards differ: mean angle (radians) and chance of disagreement on a pair."""

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
    """Say how many independent half-spaces a run's pairs amount to, and how ambiguous its reward still is.

    The prior is a reward direction uniform on the sphere of the features' own units, so give features of
    comparable scale (a network's last hidden layer, standardised, linearises its reward).

    Args:
        differences: Σφ of the better snippet minus Σφ of the worse, (pairs, features).
        weights: the run's linear reward, (features,), or an ensemble's, (members, features), of which the
            mean direction is taken. Pairs it contradicts are counted and set aside: noise makes some labels
            wrong, and then no reward at all agrees with every pair. If None, all pairs are used.
        fresh: differences of pairs to judge disagreement on, (fresh pairs, features), for example pairs of
            the new policy's own snippets; random directions if None, for which the chance is angle/π.
        particles: rewards in each repetition's population.
        repeats: independent repetitions, at least 2; they make the interval.
        seed: of everything random.

    Returns:
        See ``RunAmbiguity``. Time grows with pairs × particles × repeats × dimensions × halvings. Two limits:
        one set's share scatters about the mean that the law speaks of, so ``independent_pairs`` of one run is
        good to a factor of 1.5 or so; and pairs pin a reward down whether or not their labels mean anything,
        so read ``contradicted`` with it: near half of the pairs, the certainty is about nothing.

    Raises:
        UserError: on shapes that do not match, on no usable pair, or when no reward agrees with all pairs.
    """
    if differences.ndim != 2 or repeats < 2:
        raise UserError(
            "run_ambiguity",
            expected="differences of shape (pairs, features) and at least 2 repeats",
            found=f"shape {differences.shape}, {repeats} repeats",
        )
    kept, contradicted = _agreeing_pairs(differences, weights)
    basis, spectrum = _span(kept)
    dimensions = len(basis)
    normals = np.repeat((kept @ basis.T)[None], repeats, 0)
    sampled = consistent_rewards(normals, particles=particles, seed=seed)
    halvings = -sampled.log_share / np.log(2)
    half_width = float(student.ppf(0.975, repeats - 1) * halvings.std(ddof=1) / np.sqrt(repeats))
    # directions on which no pair speaks keep their prior
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
        used=len(kept),
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
    """How much linear rewards differ, over all pairs of them: an ensemble's members, or posterior samples.

    Args:
        weights: (rewards, features), at least 2.
        fresh: differences of pairs to judge disagreement on, (fresh pairs, features); random directions if
            None, for which the chance of disagreement is angle/π. A tie counts half.
    """
    unit = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    angle = _mean_over_pairs(np.arccos(np.clip(unit @ unit.T, -1, 1)))
    if fresh is None:
        return Spread(mean_angle=angle, disagreement=angle / np.pi)
    signs = np.sign(unit @ fresh.T)
    return Spread(mean_angle=angle, disagreement=_mean_over_pairs(0.5 - 0.5 * signs @ signs.T / len(fresh)))


def spread_of_returns(returns: Floats) -> Spread:
    """How much rewards of any form differ, by the snippet returns they predict.

    Args:
        returns: one row a member, (members, snippets), at least 2 members and 2 snippets.

    Returns:
        ``disagreement``: over all pairs of snippets and of members, the chance that two members order the
        snippets differently, ties half ((1 − Kendall's τ_a)/2). ``mean_angle``: arccos of the members'
        Pearson correlation, the angle between their predictions once offset and scale are taken away.
    """
    if returns.ndim != 2 or min(returns.shape) < 2:
        raise UserError(
            "spread_of_returns: returns",
            expected="shape (members, snippets), at least 2 of each",
            found=str(returns.shape),
        )
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
            raise UserError(
                "run_ambiguity: weights",
                expected=f"{differences.shape[1]} features, as the differences have",
                found=str(members.shape[1]),
            )
        direction = (members / np.linalg.norm(members, axis=1, keepdims=True)).mean(0)
        agrees = differing & (differences @ direction > 0)
    if not agrees.any():
        raise UserError(
            "run_ambiguity: differences",
            expected="at least one pair that differs in features and that the reward orders as labelled",
            found=f"none of {len(differences)}",
        )
    kept = differences[agrees]
    return kept / np.linalg.norm(kept, axis=1, keepdims=True), int(differing.sum() - agrees.sum())


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
