"""The table of stages is the one place that knows names and files of a run folder."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest
from test_pipeline import TINY, demonstrate, start
from test_trex import OWN
from tiny_environments import WALK

import drex
from drex.files.run_layout import (
    CONFIG,
    CONTROLS,
    RESULT,
    STAGES,
    VERSIONS,
    control_stage,
    stage_labels,
)
from drex.rankings.settings import UserRanking

PACKAGE = Path(drex.__file__).parent
NAMES = {stage.name for stage in STAGES}
FILES = {file for stage in STAGES for file in stage.files} | {CONFIG, RESULT, VERSIONS}
WRITERS = {  # module: the files of a format of its own, which is of use outside run folders too
    "files/run_layout.py": {*FILES, "ranked-noise", "control-"},
    "stages/judges.py": {"judges.json"},
    "rewards/learned_reward.py": {"reward.json", "reward.safetensors"},
    "rewards/reward_json.py": {"reward.json", "reward.safetensors"},
}
CALLS = ("load_or_make", "stage_seed", "unfinished", "bar")  # whose first arguments are stages


def literals(source: str) -> list[str]:
    """Stages and their files that stand in the source as strings."""
    found = []
    for node in ast.walk(ast.parse(source)):
        parts: list[ast.expr] = []
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
            if text in FILES or text == "ranked-noise" or text.startswith("control-"):
                found.append(text)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            parts = [node.left, node.right]
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in (
            *CALLS,
            "Path",
            "joinpath",
        ):
            parts = list(node.args)
        found += [part.value for part in parts if isinstance(part, ast.Constant) and part.value in NAMES]
    return found


MODULES = [file for file in sorted(PACKAGE.rglob("*.py")) if not {"agents", "envs"} & set(file.parts)]


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_stage_and_no_file_of_one_is_named_outside_the_table(file):
    allowed = WRITERS.get(file.relative_to(PACKAGE).as_posix(), set())
    assert [text for text in literals(file.read_text()) if text not in allowed] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('run / "bc"', ["bc"]),
        ('Path(run, "policy")', ["policy"]),
        ('folder.load_or_make("reward", make)', ["reward"]),
        ('name = f"control-{control}"', ["control-"]),
        ('read(folder, "noise.json")', ["noise.json"]),
        ('evaluation["policy"]', []),
    ],
)
def test_the_guard_sees_stages(source, found):
    assert literals(source) == found


def test_a_run_leaves_the_files_of_the_table(tmp_path):
    """T-REX with noise, folds and controls: every stage that there is, but for the choice by lengths."""
    file = demonstrate(tmp_path / "walk.npz", WALK, with_rewards=True)
    (tmp_path / "walk.ranking.json").write_text('{"file_order": 4}')
    settings = replace(
        OWN, ranking=UserRanking(clone_share=1.0, noise=replace(TINY.ranking, rollout_policy="auto"))
    )
    start(tmp_path / "run", file, settings=settings, method="trex", controls=tuple(CONTROLS))
    controls = [control_stage(stage, name) for name in CONTROLS for stage in STAGES]
    left = {}
    for folder in (entry for entry in (tmp_path / "run").iterdir() if entry.is_dir()):
        left[folder.name] = {entry.name for entry in folder.iterdir() if entry.is_file()} - {
            "checksums.json",
            "fingerprint.json",
            "seconds.json",
        }
    files = {stage.name: set(stage.files) for stage in (*STAGES, *controls)}
    assert set(left) >= NAMES and set(left) <= set(stage_labels())
    assert all(left[name] and left[name] <= files[name] for name in left)
    assert {CONFIG, RESULT, VERSIONS} <= {entry.name for entry in (tmp_path / "run").iterdir()}


def test_stages_have_different_names_and_labels():
    labels = stage_labels()
    assert len(labels) == len(set(labels.values())) == len(STAGES) + 3 * len(CONTROLS)
