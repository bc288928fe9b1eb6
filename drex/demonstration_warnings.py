"""What in demonstrations will hurt what is learned from them, told before anything is learned."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from drex.envs.stacked_frames import Observations, StackedFrames
from drex.envs.trajectories import Trajectories


def what_will_hurt(trajectories: Trajectories) -> tuple[str, ...]:
    """One sentence for each thing; empty when nothing stands out. NaN needs none: trajectories refuse it."""
    actions = trajectories.actions.reshape(len(trajectories.actions), -1)
    steps, lengths = len(actions), trajectories.lengths
    constant = np.flatnonzero((actions == actions[0]).all(axis=0))
    extreme = _extreme_share(actions)
    unmarked = len(lengths) > 1 and not trajectories.terminated.any()
    same_length = bool((lengths == lengths[0]).all())
    repeats = _repeated_episodes(trajectories)
    sentences = {
        f"only {steps} steps: cloning needs about 1000 or more": steps < 1000,
        f"constant actions, coordinates {constant.tolist()}: nothing to clone there": len(constant) > 0,
        f"{extreme:.1%} of the action entries lie on the least or greatest value of their coordinate: "
        "clipped, or driven hard from end to end": extreme > 0.01,
        f"{repeats} of {len(lengths)} episodes repeat an earlier one: which count twice": (repeats > 0),
        "observations look already normalised: the policy must see them normalised in the same way": (
            _looks_normalised(trajectories.observations)
        ),
        f"all episodes are {lengths[0]} steps long and none is marked as terminated: right only if the task "
        "ends at a time limit alone": unmarked and same_length,
        "episodes differ in length and none is marked as terminated: add `terminated` or name the task's "
        "time limit": unmarked and not same_length,
    }
    return tuple(sentence for sentence, holds in sentences.items() if holds)


def _repeated_episodes(trajectories: Trajectories) -> int:
    """How many episodes have the observations and actions of an earlier one; their hashes are compared."""
    seen: set[bytes] = set()
    for start, end in zip(trajectories.starts, trajectories.ends, strict=True):
        content = hashlib.sha256(np.ascontiguousarray(trajectories.actions[start:end]).tobytes())
        content.update(np.ascontiguousarray(trajectories.observations[start:end]).tobytes())
        seen.add(content.digest())
    return len(trajectories) - len(seen)


def _extreme_share(actions: npt.NDArray[Any]) -> float:
    """Share of entries on an extreme of their coordinate that occurs more than once: what clipping leaves."""
    if actions.dtype.kind != "f":
        return 0.0
    least, greatest = actions.min(axis=0), actions.max(axis=0)
    counts = np.stack([(actions == least).sum(axis=0), (actions == greatest).sum(axis=0)])
    counts[:, least == greatest] = 0  # constant: another sentence's business
    return float(counts[counts > 1].sum() / actions.size)


def _looks_normalised(observations: Observations) -> bool:
    """Float images within 0 and 1, or vectors whose coordinates nearly all have mean 0 and deviation 1."""
    if observations.dtype.kind != "f" or isinstance(observations, StackedFrames):
        return False
    if observations.ndim > 2:
        return bool(observations.min() >= 0 and observations.max() <= 1)
    vectors = observations.reshape(len(observations), -1).astype(np.float64)
    deviation = vectors.std(axis=0)
    varies = deviation > 1e-6
    usual = (np.abs(vectors.mean(axis=0)) < 0.25) & (np.abs(deviation - 1) < 0.25)
    return bool(varies.any() and usual[varies].mean() >= 0.9)
