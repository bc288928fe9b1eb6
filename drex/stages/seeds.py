"""The random streams of a run: each stage has its own, so that adding a stage changes no other."""

from __future__ import annotations

import numpy as np

_STAGES = (
    "demonstrations",
    "bc",
    "ranked",
    "reward",
    "policy",
    "evaluation",
    "held_out",
    "rollout_policy",
)
"""Their places are their streams: new ones go to the end."""


def stage_seed(run_seed: int, stage: str) -> int:
    """The stage's seed in a run of this seed.

    Raises:
        ValueError: no such stage.
    """
    stream = np.random.SeedSequence(run_seed, spawn_key=(_STAGES.index(stage),))
    return int(stream.generate_state(1)[0] % 2**30)
