"""Monte Carlo estimates of the share of unit-sphere rewards that agree with ranked pairs.

*Rejection*: sample rewards and count survivors, with a Wilson interval. *Adding pairs* (nested sampling): a
population of rewards is filtered by one pair after another; when half of it is gone, the survivors are copied
and moved by hit-and-run within the remaining cone; the share is the product of the surviving fractions.
*Relaxing*: all pairs at once, w·Δ > floor, with a floor that rises to 0 by halving the population, for any
share. The last two have intervals from independent repetitions.

Rewards are Gaussian vectors: the share of a cone is that on the sphere, and on a line a Gaussian is a
truncated normal with an exact sampler, so that hit-and-run has no step size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import norm

from drex.errors import UserError
from drex.theory.mdps import Floats

Generator = np.random.Generator
_TOUCHING = 1e-300


def wilson_interval(successes: Floats, trials: int, level: float = 0.95) -> tuple[Floats, Floats]:
    """Wilson's score interval of a proportion; ``successes`` of any shape, ``level`` its coverage."""
    z = float(norm.ppf(0.5 + level / 2))
    rate = successes / trials
    centre = (rate + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(rate * (1 - rate) / trials + z**2 / (4 * trials**2))
    return np.asarray(np.maximum(centre - half, 0.0)), np.asarray(np.minimum(centre + half, 1.0))


def unit_rewards(count: int, dimensions: int, generator: Generator) -> Floats:
    """Rewards uniform on the unit sphere: (count, dimensions)."""
    drawn = generator.standard_normal((count, dimensions))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=-1, keepdims=True))


def survivors_by_rejection(
    rewards: Floats, pairs: int, agree: Callable[[NDArray[np.int64]], NDArray[np.bool_]]
) -> NDArray[np.int64]:
    """Numbers of rewards that agree with 0, 1, …, ``pairs`` pairs, independent for each reward.

    Each count is binomial. The cost is trials × E[pairs survived].

    Args:
        rewards: (trials, dimensions), of which only the number is used.
        pairs: the last k.
        agree: maps the indices of the survivors to their agreement with one fresh pair each.
    """
    alive = np.arange(len(rewards))
    counts = np.zeros(pairs + 1, np.int64)
    counts[0] = len(alive)
    for pair in range(1, pairs + 1):
        alive = alive[agree(alive)]
        counts[pair] = len(alive)
        if not len(alive):
            break
    return counts


@dataclass(frozen=True)
class Consistent:
    """The result of nested sampling: natural log of the share (sets,), and rewards (sets, particles, d)."""

    log_share: Floats
    rewards: Floats


def shares_by_adding_pairs(
    normals: Floats, *, particles: int = 200, moves: int | None = None, seed: int
) -> Floats:
    """Share of rewards that agree with the first 0, 1, …, k pairs of each set.

    Args:
        normals: Δ, better minus worse, of any length, (sets, pairs, dimensions).
        particles: rewards in each set's population.
        moves: hit-and-run moves after each refill; ``None``: twice the dimensions + 8.
        seed: of all random numbers.

    Returns:
        (sets, pairs + 1). Estimates are unbiased except for the use of the particles' covariance in the
        moves. A population without survivors leaves 0: correct for contradictions, and else rare with a few
        hundred particles.
    """
    generator = np.random.default_rng(seed)
    unit = _unit_rows(normals)
    sets, pairs, dimensions = unit.shape
    steps = 2 * dimensions + 8 if moves is None else moves
    points = generator.standard_normal((sets, particles, dimensions))
    alive = np.ones((sets, particles), bool)
    log_before = np.zeros(sets)
    shares = np.ones((sets, pairs + 1))
    for pair in range(pairs):
        alive &= np.matmul(points, unit[:, pair, :, None])[..., 0] > 0
        fraction = alive.mean(1)
        shares[:, pair + 1] = np.exp(log_before) * fraction
        refill = np.flatnonzero((fraction < 0.5) & (fraction > 0))
        if len(refill):
            inside = _refill(points[refill], alive[refill], generator)
            points[refill] = hit_and_run(
                inside, unit[refill, : pair + 1], moves=steps, generator=generator, population=points[refill]
            )
            log_before[refill] += np.log(fraction[refill])
            alive[refill] = True
    return shares


def consistent_rewards(
    normals: Floats, *, particles: int = 500, moves: int | None = None, seed: int
) -> Consistent:
    """Share of rewards that agree with all pairs of each set, and rewards drawn from among them.

    Args:
        normals: Δ, better minus worse, of any length, (sets, pairs, dimensions).
        particles: rewards in each set's population.
        moves: hit-and-run moves per level; ``None``: twice the dimensions + 8.
        seed: of all random numbers.

    Returns:
        Log shares, and Gaussian rewards, of which only the directions matter.

    Raises:
        UserError: no reward agrees with all pairs of a set (share below 2^-400).
    """
    generator = np.random.default_rng(seed)
    unit = _unit_rows(normals)
    sets, _, dimensions = unit.shape
    steps = 2 * dimensions + 8 if moves is None else moves
    points = generator.standard_normal((sets, particles, dimensions))
    log_share = np.zeros(sets)
    open_sets = np.arange(sets)
    for _ in range(400):
        margin = np.matmul(points[open_sets], np.swapaxes(unit[open_sets], 1, 2)).min(-1)
        floor = np.minimum(np.median(margin, axis=1), 0.0)
        alive = margin > floor[:, None]
        if not alive.any(1).all():
            break
        log_share[open_sets] += np.log(alive.mean(1))
        inside = _refill(points[open_sets], alive, generator)
        points[open_sets] = hit_and_run(
            inside,
            unit[open_sets],
            moves=steps,
            generator=generator,
            floor=floor,
            population=points[open_sets],
        )
        open_sets = open_sets[floor < 0]
        if not len(open_sets):
            return Consistent(log_share, points)
    expected, found = "pairs that some reward satisfies", "a share of rewards below 2^-400"
    do = "leave out the pairs that the learned reward contradicts"
    raise UserError("consistent_rewards: normals", expected=expected, found=found, do=do)


def hit_and_run(
    points: Floats,
    normals: Floats,
    *,
    moves: int,
    generator: Generator,
    floor: Floats | None = None,
    population: Floats | None = None,
) -> Floats:
    """Move Gaussian rewards within the half-spaces w·Δ > floor by a kernel that preserves their distribution.

    The particles of a set share the direction of a move, so that a move costs particles × pairs. Directions
    have the covariance of the population, along thin regions.

    Args:
        points: within the half-spaces, (sets, particles, dimensions).
        normals: unit rows, (sets, pairs, dimensions).
        moves: number of moves.
        generator: of directions and steps.
        floor: (sets,), at most 0; ``None``: 0.
        population: for the covariance, (sets, particles, dimensions); ``None``: ``points``. Copies of a few
            survivors span too little.
    """
    sets, _, dimensions = points.shape
    threshold = np.zeros(sets) if floor is None else floor
    points = points.copy()
    shape = np.linalg.cholesky(_covariance(points if population is None else population))
    slack = np.matmul(points, np.swapaxes(normals, 1, 2)) - threshold[:, None, None]
    np.maximum(slack, _TOUCHING, out=slack)
    for _ in range(moves):
        direction = np.matmul(shape, generator.standard_normal((sets, dimensions, 1)))[..., 0]
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        change = np.matmul(normals, direction[..., None])[..., 0]
        # a half-space ends at step -slack/change; the nearest ends are the extremes of change/slack
        with np.errstate(divide="ignore", over="ignore"):
            rate = change[:, None, :] / slack
            lowest = -1 / np.maximum(rate.max(-1), 0.0)
            highest = 1 / np.maximum(-rate.min(-1), 0.0)
        along = np.matmul(points, direction[..., None])[..., 0]
        step = _truncated_normal(lowest + along, highest + along, generator) - along
        step = np.clip(step, np.minimum(lowest, 0), np.maximum(highest, 0))
        points += step[..., None] * direction[:, None, :]
        slack += step[..., None] * change[:, None, :]
        np.maximum(slack, _TOUCHING, out=slack)  # against rounding
    return points


def _truncated_normal(lowest: Floats, highest: Floats, generator: Generator) -> Floats:
    # ndtr loses digits in the upper tail, which is therefore mirrored
    mirrored = lowest > 0
    low, high = np.where(mirrored, -highest, lowest), np.where(mirrored, -lowest, highest)
    chance = generator.random(low.shape)
    below, above = ndtr(low), ndtr(high)
    drawn = ndtri(below + chance * (above - below))
    # the density is constant over intervals too short for ndtr
    with np.errstate(invalid="ignore"):
        drawn = np.where(high - low < 1e-7, low + chance * (high - low), drawn)
    drawn = np.clip(drawn, low, high)
    return np.asarray(np.where(mirrored, -drawn, drawn))


def _covariance(points: Floats) -> Floats:
    # centred, else most directions would be along the axis of the cone
    centred = points - points.mean(1, keepdims=True)
    spread = np.matmul(np.swapaxes(centred, 1, 2), centred) / points.shape[1]
    return np.asarray(spread + 1e-12 * np.eye(points.shape[2]))


def _refill(points: Floats, alive: NDArray[np.bool_], generator: Generator) -> Floats:
    """Replace the others by copies of the survivors, with numbers of copies that differ by at most one."""
    order = np.argsort(~alive + generator.random(alive.shape) * 0.5, axis=1)
    count = alive.sum(1, keepdims=True)
    place = np.arange(alive.shape[1])[None, :] % count
    return np.asarray(np.take_along_axis(points, np.take_along_axis(order, place, 1)[..., None], 1))


def _unit_rows(normals: Floats) -> Floats:
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    zeros, infinite = int((length == 0).sum()), int((~np.isfinite(length)).sum())
    if normals.ndim != 3 or zeros or infinite:
        expected = "shape (sets, pairs, dimensions), finite, no row all zero"
        found = f"shape {normals.shape}, {zeros} rows all zero, {infinite} not finite"
        do = "leave out pairs whose two sides have equal features"
        raise UserError("normals", expected=expected, found=found, do=do)
    return np.asarray(normals / length)
