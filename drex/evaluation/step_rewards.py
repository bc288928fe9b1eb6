"""Agreement of the learned and true rewards of steps, and a distance that shaping does not change."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import pearsonr

from drex.envs.data.trajectories import Trajectories

Floats = npt.NDArray[np.float64]

_GAMMA = 0.99
_STEPS = 20_000
_RIDGE = 1e-6


def step_agreement(
    trajectories: Trajectories, learned: npt.NDArray[np.floating], true: Floats | None
) -> dict[str, float | None]:
    """Pearson correlation of the rewards of steps, and the distance of the two rewards.

    The distance is STARC's (Skalse et al. 2024). Both rewards are freed of potential shaping, by that shaping
    which makes them smallest, and divided by their norm; half the norm of their difference is the distance.
    It is 0 for rewards that differ by shaping and scale alone, so that they have the same optimal policies,
    and 1 for opposite ones. Potentials are linear in observations and their squares, and 0 where an episode
    terminates.

    Args:
        trajectories: on whose steps the rewards are compared.
        learned: (steps,) learned rewards.
        true: (steps,) true rewards; ``None`` if unknown.

    Returns:
        ``step_pearson`` and ``distance``; ``None`` where a reward is unknown or constant, and the distance
        also for images.
    """
    nothing: dict[str, float | None] = {"step_pearson": None, "distance": None}
    if true is None or not np.isfinite(true).all() or np.ptp(true) == 0 or np.ptp(learned) == 0:
        return nothing
    found = nothing | {"step_pearson": float(pearsonr(learned, true).statistic)}
    observations = trajectories.observations
    if len(observations.shape) > 2:
        return found
    rows = np.arange(0, len(true), max(1, -(-len(true) // _STEPS)))
    shaping = _shaping(
        observations[rows], trajectories.next_observations()[rows], trajectories.terminated_steps()[rows]
    )
    one, other = (_standardized(rewards[rows].astype(np.float64), shaping) for rewards in (learned, true))
    if one is None or other is None:
        return found
    return found | {"distance": float(np.linalg.norm(one - other) / 2)}


def _shaping(
    observations: npt.NDArray[np.generic], ahead: npt.NDArray[np.generic], terminated: npt.NDArray[np.bool_]
) -> Floats:
    """(steps, potentials): what each potential adds to the reward of each step."""
    here, there = (array.reshape(len(array), -1).astype(np.float64) for array in (observations, ahead))
    centre, spread = here.mean(axis=0), np.maximum(here.std(axis=0), 1e-6)

    def potentials(states: Floats) -> Floats:
        scaled = np.clip((states - centre) / spread, -10.0, 10.0)
        return np.concatenate([np.ones((len(states), 1)), scaled, scaled**2], axis=1)

    return _GAMMA * potentials(there) * ~terminated[:, None] - potentials(here)


def _standardized(rewards: Floats, shaping: Floats) -> Floats | None:
    """The rewards less the shaping that makes them smallest, of norm 1; ``None`` if nothing is left."""
    gram = shaping.T @ shaping + _RIDGE * len(shaping) * np.eye(shaping.shape[1])
    left = rewards - shaping @ np.linalg.solve(gram, shaping.T @ rewards)
    norm = np.linalg.norm(left)
    return left / norm if norm > 1e-9 * np.linalg.norm(rewards) else None
