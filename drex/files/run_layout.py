"""The layout of a run folder: the stages' names, files, random streams and labels stand here alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

CONFIG, VERSIONS, RESULT, REPORT = "config.json", "versions.json", "evaluation.json", "report.html"
"""Files of the run itself: what it is, what it stands on, what it found, and the report of it."""
ROLLOUTS, NOISE, RANKING = "rollouts.npz", "noise.json", "ranking.json"
"""Files of a ranking: noisy rollouts and the noise of each, or the user's ranking."""


@dataclass(frozen=True)
class Stage:
    """One stage of a run.

    Args:
        name: of the stage and of its folder.
        stream: number of its random stream, which never changes: a recorded run could not be made again.
        label: in tables.
        files: that it may write, the main one first.
    """

    name: str
    stream: int
    label: str
    files: tuple[str, ...]

    def seed(self, run_seed: int) -> int:
        """The stage's seed in a run of this seed; a new stage has a new stream and changes no other."""
        stream = np.random.SeedSequence(run_seed, spawn_key=(self.stream,))
        return int(stream.generate_state(1)[0] % 2**30)

    def folder(self, run: Path) -> Path:
        """Where the stage lies in a run folder."""
        return run / self.name

    def file(self, run: Path) -> Path:
        """Where its main file lies in a run folder."""
        return run / self.name / self.files[0]


_POLICY_FILES = ("policy.safetensors", "policy.json")

DEMONSTRATIONS = Stage("demonstrations", 0, "demonstrations", ("demonstrations.npz",))
CLONE = Stage("bc", 1, "behavioral cloning", _POLICY_FILES)
ROLLOUT_POLICY = Stage("rollout_policy", 7, "choice of the rollout policy", ("rollout_policy.json",))
RANKED = Stage("ranked", 2, "ranking", (ROLLOUTS, NOISE, RANKING))
RANKED_NOISE = Stage("ranked-noise", 2, "noisy rollouts beside it", (ROLLOUTS, NOISE))
REWARD = Stage("reward", 3, "reward", ("reward.json", "reward.safetensors"))
HELD_OUT = Stage("held_out", 6, "rewards for held-out pairs", ("pairs.json",))
POLICY = Stage("policy", 4, "policy", (*_POLICY_FILES, "policy.zip"))
EVALUATION = Stage("evaluation", 5, "evaluation", ("facts.json",))

STAGES = (
    DEMONSTRATIONS,
    CLONE,
    ROLLOUT_POLICY,
    RANKED,
    RANKED_NOISE,
    REWARD,
    HELD_OUT,
    POLICY,
    EVALUATION,
)
"""In the order of the method, which is that of tables."""

CONTROLS = {"constant": "baseline: constant reward", "shuffled_labels": "baseline: shuffled labels"}
"""The controls' labels."""


def control_stage(stage: Stage, control: str) -> Stage:
    """The stage of a control that does what ``stage`` (reward, policy or evaluation) does for the run."""
    part = "" if stage is POLICY else f"-{stage.name}"
    return replace(
        stage, name=f"control-{control}{part}", label=f"{CONTROLS.get(control, control)}, {stage.label}"
    )


def stage_labels() -> dict[str, str]:
    """Label of every stage by its name, in the order of tables."""
    controls = [control_stage(stage, name) for name in CONTROLS for stage in (REWARD, POLICY, EVALUATION)]
    return {stage.name: stage.label for stage in (*STAGES, *controls)}


def noisy_rollout_folders(run: Path) -> list[Path]:
    """The stages of a run folder that hold noisy rollouts."""
    folders = [stage.folder(run) for stage in (RANKED, RANKED_NOISE)]
    return [folder for folder in folders if (folder / NOISE).is_file()]
