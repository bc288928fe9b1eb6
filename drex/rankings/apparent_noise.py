"""The noise level that an episode appears to have, by a linear regression on what it shows.

It finds out without a true reward whether the greedy clone acts like the sampling clone with less noise than
none, as most do, or gets lost, as one may that never has the luck of a random action (LunarLander-v3: the
greedy clone drifts off, at an apparent level of 1).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from drex.envs.data.stacked_frames import are_images
from drex.envs.data.trajectories import Trajectories

_RIDGE = 0.1
_BLOCKS = 6
_FRAMES = 32
_FOLDS = 5


def apparent_levels(
    known: Trajectories, levels: npt.ArrayLike, asked: Trajectories
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Apparent noise levels of the known episodes and of those asked about.

    A ridge regression of the known levels on the means and mean squares of each episode's observations, both
    standardized over the known episodes.

    Args:
        known: episodes with known noise levels.
        levels: (known episodes,).
        asked: other episodes of the same task.
    """
    given, other, wanted = _features(known), _features(asked), np.asarray(levels, np.float64)
    center, spread = given.mean(axis=0), given.std(axis=0)
    moving = spread > 1e-9
    given, other = ((x[:, moving] - center[moving]) / spread[moving] for x in (given, other))
    mean = wanted.mean()
    ridge = _RIDGE * len(given) * np.eye(given.shape[1])
    weights = np.linalg.solve(given.T @ given + ridge, given.T @ (wanted - mean))
    return given @ weights + mean, other @ weights + mean


def grade(trajectories: Trajectories, levels: npt.ArrayLike) -> float:
    """How well noise grades what is seen: from -1 to 1.

    Spearman's rank correlation of the noise levels and the apparent ones of held-out episodes, over five
    folds; 0 where one side is constant or there is one episode.

    Args:
        trajectories: episodes of one kind of noise.
        levels: (episodes,).
    """
    known, folds = np.asarray(levels, np.float64), min(_FOLDS, len(trajectories))
    if folds < 2:
        return 0.0
    guessed, fold = np.zeros(len(trajectories)), np.arange(len(trajectories)) % folds
    for out in (fold == index for index in range(folds)):
        rest, asked = (trajectories.select(np.flatnonzero(part)) for part in (~out, out))
        guessed[out] = apparent_levels(rest, known[~out], asked)[1]
    if np.ptp(guessed) == 0 or np.ptp(known) == 0:
        return 0.0
    return float(spearmanr(guessed, known).statistic)


def _features(trajectories: Trajectories) -> npt.NDArray[np.float64]:
    """(episodes, features): means and mean squares of observations; of images, of blocks of some frames."""
    rows = []
    for start, end in zip(trajectories.starts, trajectories.ends, strict=True):
        if are_images(trajectories.observations):
            steps = np.unique(np.linspace(start, end - 1, _FRAMES).astype(np.int64))
            frames = np.asarray(trajectories.observations[steps], np.float64)[:, -1] / 255.0
            bands = np.array_split(frames, _BLOCKS, axis=1)
            blocks = [np.array_split(band, _BLOCKS, axis=2) for band in bands]
            seen = np.array([[block.mean(axis=(1, 2)) for block in band] for band in blocks])
            seen = seen.reshape(-1, len(steps)).T
        else:
            seen = np.asarray(trajectories.observations[start:end], np.float64).reshape(end - start, -1)
        rows.append(np.concatenate([seen.mean(axis=0), np.square(seen).mean(axis=0)]))
    return np.array(rows)
