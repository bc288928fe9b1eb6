"""The random streams of a run: each stage has its own, so that adding a stage changes no other."""

from __future__ import annotations

import numpy as np

from drex.files.run_layout import Stage


def stage_seed(run_seed: int, stage: Stage) -> int:
    """The stage's seed in a run of this seed."""
    stream = np.random.SeedSequence(run_seed, spawn_key=(stage.stream,))
    return int(stream.generate_state(1)[0] % 2**30)
