"""Steps of many environments are cut into exactly the episodes that they were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drex.agents.rollouts import step_blocks
from drex.agents.rollouts.step_blocks import Spans, StepBlocks


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=12),
    environments=st.integers(1, 5),
    rows=st.integers(1, 7),
    shape=st.sampled_from([(), (2,), (2, 3)]),
    dtype=st.sampled_from([np.float64, np.float32, np.uint8, np.int64]),
)
def test_episodes_come_out_as_they_went_in(lengths, environments, rows, shape, dtype):
    """Each environment takes the next episode when it has finished one; blocks of any size."""
    generator = np.random.default_rng(0)
    episodes = [generator.integers(0, 200, (length, *shape)).astype(dtype) for length in lengths]
    spans = Spans(*(np.zeros(len(lengths), np.int64) for _ in range(3)))
    waiting = list(range(len(lengths)))
    playing = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step_blocks, "_BLOCK_STEPS", rows)
        kept, kept_so_far = StepBlocks(np.arange(environments)), environments
        for step in range(sum(lengths) + 1):
            for environment in range(environments):
                episode, done = playing.get(environment, (None, 0))
                if episode is not None and done < lengths[episode]:
                    continue
                playing[environment] = (waiting.pop(0), 0) if waiting else (None, 0)
                if playing[environment][0] is not None:
                    spans.environments[playing[environment][0]] = environment
                    spans.starts[playing[environment][0]] = step
            still = [environment for environment, (episode, _) in playing.items() if episode is not None]
            if not still:
                break
            if len(still) < kept_so_far:
                kept.keep_only(np.array(still))
                kept_so_far = len(still)
            values = np.full((environments, *shape), 77, dtype)
            for environment in still:
                episode, done = playing[environment]
                values[environment] = episodes[episode][done]
                playing[environment] = (episode, done + 1)
            kept.add(values)
            values[:] = 99  # what is kept is a copy
        spans.lengths[:] = lengths
        found = kept.cut(spans)
    assert found.dtype == (np.float32 if dtype == np.float64 else dtype)
    np.testing.assert_array_equal(found, np.concatenate(episodes))


def test_a_block_of_large_steps_stays_within_its_bytes(monkeypatch):
    monkeypatch.setattr(step_blocks, "_BLOCK_BYTES", 1000)
    kept = StepBlocks(np.arange(2))
    for step in range(7):
        kept.add(np.full((2, 100), step, np.uint8))
    assert [block.values.nbytes for block in kept._blocks] == [1000, 1000]
    spans = Spans(np.array([1]), np.array([3]), np.array([4]))
    np.testing.assert_array_equal(kept.cut(spans)[:, 0], [3, 4, 5, 6])
