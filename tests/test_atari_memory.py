"""What many steps of Atari take is measured as told, here on a few of them."""

from __future__ import annotations

import sys

import pytest

from benchmarks import atari_memory
from benchmarks.atari_memory import BYTES_A_STEP, Options, clone_all, learn, measure, rows, set_anchor
from drex.envs.data.stacked_frames import StackedFrames
from drex.errors import UserError
from drex.rankings.noisy_rollouts import NoisyRollouts

FEW = Options(steps=800, gradient_steps=1, cloned_share=0.01)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_few_games_are_kept_in_few_bytes_a_step_and_learned_from(tmp_path):
    made = atari_memory._in_a_process("collect", FEW, tmp_path)
    kept = NoisyRollouts.load(tmp_path)
    observations = kept.trajectories.observations
    assert isinstance(observations, StackedFrames)
    assert made["games"] == len(kept.trajectories) == 5
    assert made["steps"] == len(observations) > 400
    assert made["frames"] == len(observations.frames)
    assert sorted({job.level for job in kept.jobs}) == [0.02, 0.25, 0.5, 0.75, 1.0]
    # Each frame once, which is 7,056 bytes, and of a game some two more; what else there is takes little.
    assert made["bytes_a_step"] < 7100 * (1 + 2 * 5 / made["steps"]) < BYTES_A_STEP
    assert 5e7 < made["peak_anonymous_bytes"] < made["peak_resident_bytes"] < 1e9
    assert atari_memory._in_a_process("collect", FEW, tmp_path) == made  # not played again
    assert learn(FEW, tmp_path) == {"gradient_steps": 1, "pairs": 10}
    assert set_anchor(FEW, tmp_path) == {"scored_steps": made["steps"]}
    assert clone_all(FEW, tmp_path) == {"gradient_steps": 1}


def test_a_folder_of_another_command_is_not_taken_for_this_ones(tmp_path):
    (tmp_path / "atari-memory").mkdir()
    (tmp_path / "atari-memory" / "command.txt").write_text("another")
    with pytest.raises(UserError, match=r"expected python -m .* --steps 9 .* found another"):
        measure(Options(steps=9, runs=tmp_path, results=tmp_path / "results"))


def test_rows_say_what_was_measured_and_whether_it_is_within_the_limit():
    memory = {"peak_resident_bytes": 1_990_000_000, "peak_anonymous_bytes": 500_000_000}
    made = {"steps": 1000, "games": 5, "frames": 1010, "bytes_on_disk": 7_200_000, "bytes_a_step": 7200.4}
    stages = {
        "collect": made | memory,
        "learn": {"gradient_steps": 20, "pairs": 4000} | memory | {"peak_resident_bytes": 2_010_000_000},
    }
    limits = {"bytes_a_step": 7300, "resident_bytes": 2e9}
    assert rows({"stages": stages, "limits": limits}) == [
        "| on disk: 1,000 steps of 5 games, 1,010 frames | **0.0072 GB**, 7,200 bytes a step "
        "| 7,300 bytes a step, reached |",
        "| collecting and saving 1,000 steps | **1.99 GB** resident, at most 0.50 GB of it anonymous "
        "| 2 GB, reached |",
        "| loading, then 20 gradient steps of the reward on 4,000 pairs | **2.01 GB** resident, "
        "at most 0.50 GB of it anonymous | 2 GB, not reached |",
    ]
