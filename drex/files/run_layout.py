"""The layout of a run folder: names, files, random streams and labels of the stages."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

CONFIG, VERSIONS, RESULT, REPORT = "config.json", "versions.json", "evaluation.json", "report.html"
OPTIONS = "options.json"
"""Files of the run itself: config, versions of packages, results, the report, and options that repeat it."""
ROLLOUTS, NOISE, RANKING = "rollouts.npz", "noise.json", "ranking.json"
"""Files of a ranking: noisy rollouts and the noise of each, or the user's ranking."""


def file_name(text: str) -> str:
    """The name of a task, or any other, as a name of files."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-")[:100]


@dataclass(frozen=True)
class Stage:
    """One stage of a run.

    Args:
        name: of the stage and of its folder.
        stream: number of its random stream; another one would change the results of every seed.
        label: in tables.
        files: the files that it may write, the main one first.
    """

    name: str
    stream: int
    label: str
    files: tuple[str, ...]

    def seed(self, run_seed: int) -> int:
        """The stage's seed in a run of this seed, independent of other stages."""
        stream = np.random.SeedSequence(run_seed, spawn_key=(self.stream,))
        return int(stream.generate_state(1)[0] % 2**30)

    def folder(self, run: Path) -> Path:
        """The stage's folder in a run folder."""
        return run / self.name

    def file(self, run: Path) -> Path:
        """Its main file in a run folder."""
        return run / self.name / self.files[0]


_POLICY_FILES = ("policy.safetensors", "policy.json")

DEMONSTRATIONS = Stage("demonstrations", 0, "demonstrations", ("demonstrations.npz",))
CLONE = Stage("bc", 1, "behavioral cloning", _POLICY_FILES)
ROLLOUT_POLICY = Stage("rollout_policy", 7, "choice of the rollout policy", ("rollout_policy.json",))
RANKED = Stage("ranked", 2, "ranking", (ROLLOUTS, NOISE, RANKING))
RANKED_NOISE = Stage("ranked-noise", 2, "noisy rollouts beside it", (ROLLOUTS, NOISE))
REWARD = Stage("reward", 3, "reward", ("reward.json", "reward.safetensors"))
HELD_OUT = Stage("held_out", 6, "rewards for held-out pairs", ("pairs.json",))
DIAGNOSIS = Stage("diagnosis", 10, "diagnosis", ("diagnosis.json",))
JUDGES = Stage("judges", 9, "judges", ("judges.json",))
TRAINED = Stage("trained", 4, "training of the policy", (*_POLICY_FILES, "policy.zip"))
POLICY = Stage("policy", 8, "choice of the policy", (*_POLICY_FILES, "policy.zip", "choice.json"))
EVALUATION = Stage("evaluation", 5, "evaluation", ("facts.json",))

STAGES = (
    DEMONSTRATIONS,
    CLONE,
    ROLLOUT_POLICY,
    RANKED,
    RANKED_NOISE,
    REWARD,
    HELD_OUT,
    DIAGNOSIS,
    JUDGES,
    TRAINED,
    POLICY,
    EVALUATION,
)
"""In the order of the method and of tables."""

CEILING = "true_reward"
"""The control that is no baseline: the same training on the true reward."""
CONTROLS = {
    "constant": "baseline: constant reward",
    "shuffled_labels": "baseline: shuffled labels",
    CEILING: "ceiling: true reward",
}
"""Labels of the controls."""


def control_stage(stage: Stage, control: str) -> Stage:
    """The control's counterpart of a stage (reward, training or evaluation)."""
    part = "" if stage is TRAINED else f"-{stage.name}"
    label = f"{CONTROLS.get(control, control)}, {stage.label}"
    return replace(stage, name=f"control-{control}{part}", label=label)


def stage_labels() -> dict[str, str]:
    """Label of every stage by its name, in the order of tables."""
    controls = [control_stage(stage, name) for name in CONTROLS for stage in (REWARD, TRAINED, EVALUATION)]
    return {stage.name: stage.label for stage in (*STAGES, *controls)}


def noisy_rollout_folders(run: Path) -> list[Path]:
    """The folders of a run's stages with noisy rollouts."""
    folders = [stage.folder(run) for stage in (RANKED, RANKED_NOISE)]
    return [folder for folder in folders if (folder / NOISE).is_file()]
