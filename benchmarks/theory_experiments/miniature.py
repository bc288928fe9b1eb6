"""D-REX in miniature for several experiments: MDPs, demonstrators, clones, and the clones' noisy rollouts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drex.theory import (
    TabularMDPs,
    clone_policies,
    noisy_feature_sums,
    random_mdps,
    softmax_policies,
    unit_rewards,
)

Floats = NDArray[np.float64]
STEPS = 50
LEVELS: Floats = np.linspace(0, 0.95, 20)


@dataclass(frozen=True)
class Miniature:
    """MDPs (count), true weights (count, d), policies, levels (n,), feature sums (count, n, d)."""

    mdps: TabularMDPs
    true: Floats
    demonstrators: Floats
    clones: Floats
    levels: Floats
    sums: Floats


def miniature(
    count: int, dimensions: int, generator: np.random.Generator, *, rollouts: int, temperature: float = 1.0
) -> Miniature:
    """Sparse MDPs, softmax demonstrators, clones of 10 demonstrations, rollouts at the 20 levels."""
    mdps = random_mdps(
        count, 30, 4, features=dimensions, branching=3, discount=0.95, seed=int(generator.integers(2**31))
    )
    true = unit_rewards(count, dimensions, generator)
    demonstrators = softmax_policies(mdps, mdps.linear_rewards(true), temperature=np.full(count, temperature))
    clones = clone_policies(mdps, demonstrators, demonstrations=10, steps=STEPS, generator=generator)
    levels: Floats = LEVELS[np.arange(rollouts) % len(LEVELS)]
    sums = noisy_feature_sums(mdps, clones, levels=levels, steps=STEPS, generator=generator)
    return Miniature(mdps, true, demonstrators, clones, levels, sums)
