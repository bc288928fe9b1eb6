"""Guards over the package: names, import time, files without pickle, no machine traces, no dead options."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

import drex
from drex.demonstrations.make import MakingSettings
from drex.demonstrations.record import RecordingSettings
from drex.presets.settings import Settings

ROOT = Path(__file__).parent.parent
SOURCES = sorted(file for folder in ("drex", "agents", "envs") for file in (ROOT / folder).rglob("*.py"))


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run in a new interpreter, at the root of the checkout."""
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


# ---------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize("name", ["agents", "envs"])
def test_a_folder_imported_by_its_own_name_is_refused_with_the_name_to_use(name):
    finished = python(f"import {name}")
    assert finished.returncode == 1
    assert f"ImportError: import drex.{name}, not {name}" in finished.stderr


def test_public_names_load_at_first_use_from_where_they_are_declared():
    declared = ast.parse((ROOT / "drex/__init__.py").read_text())
    typed = {
        (alias.name, node.module)
        for block in declared.body
        if isinstance(block, ast.If)
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {name for name, _ in typed} == set(drex.__all__)
    assert len(drex.__all__) == len(set(drex.__all__))
    for name, module in typed:
        assert getattr(drex, name) is getattr(importlib.import_module(str(module)), name), name


@pytest.mark.parametrize("name", drex.__all__)
def test_every_public_name_says_what_it_is(name):
    documented = getattr(drex, name).__doc__
    assert documented and not documented.startswith(f"{name}("), "dataclasses have a generated docstring"


def test_public_names_are_listed_in_the_order_of_the_method():
    order = ("load_demonstrations", "clone", "rank_by_noise", "learn_reward", "normalize_reward", "train_ppo")
    assert sorted(order, key=drex.__all__.index) == list(order)


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'drex' has no attribute 'nonsense'"):
        _ = drex.nonsense  # type: ignore[attr-defined]
    assert set(drex.__all__) <= set(dir(drex))


def test_importing_drex_is_quick_and_leaves_torch_alone():
    finished = python(
        "import sys, time; begun = time.process_time(); import drex; took = time.process_time() - begun;"
        "print(took, [name for name in ('torch', 'numpy', 'stable_baselines3') if name in sys.modules])"
    )
    took, loaded = finished.stdout.split(" ", 1)
    assert float(took) < 0.3
    assert loaded.strip() == "[]"


# -------------------------------------------------------------------------- files are read without pickle


def unpickling(source: str) -> list[str]:
    """Every import or call in the source that can run code out of a file."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            )
            if [alias.name for alias in node.names] == ["UnpicklingError"]:
                modules = []  # torch's name for what it refuses to unpickle
            found += [
                name
                for name in modules
                if name.split(".")[0] in ("pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve")
            ]
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            owner, _, method = called.rpartition(".")
            weights_only = any(ast.unparse(keyword) == "weights_only=True" for keyword in node.keywords)
            if called == "torch.load" and weights_only:
                continue
            if called in ("torch.load", "torch.jit.load", "load_from_zip_file", "load_from_pkl"):
                found.append(called)
            if method in ("load", "set_parameters") and owner.split(".")[-1] in (
                "PPO",
                "StablePPO",
                "ActorCriticPolicy",
                "VecNormalize",
            ):
                found.append(called)
            found += [
                ast.unparse(keyword)
                for keyword in node.keywords
                if keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False"
            ]
    return found


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_unpickles_a_file(file):
    assert unpickling(file.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from cloudpickle import loads",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "from pickle import UnpicklingError, loads",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "model = PPO.load('policy.zip')",
    ],
)
def test_the_guard_against_pickle_sees(source):
    assert len(unpickling(source)) == 1


# ------------------------------------------------------------------------------ no traces of a machine

TRACES = re.compile(
    r"(?<![\w.])/(work|opt|root)/"
    r"|\b(pypi\.org|pythonhosted\.org|npmjs\.(org|com)|download\.pytorch\.org|debian\.org|crates\.io)\b"
)
BINARY = (".pyc", ".npz", ".png", ".mp4", ".TXT", ".hdf5", ".arrow", ".parquet")


def texts() -> Iterator[tuple[Path, str]]:
    """Every text file of the repository."""
    folders = ("drex", "agents", "envs", "benchmarks", "tests", "docs", ".ci")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*")]
    for file in sorted([*files, *ROOT.glob("*.*"), ROOT / "Makefile"]):
        if file.is_file() and file.suffix not in BINARY:
            yield file, file.read_text(encoding="utf-8")


def test_no_file_names_a_path_of_some_machine_or_a_registry():
    found = [
        f"{file.relative_to(ROOT)}: {match[0]}" for file, text in texts() for match in TRACES.finditer(text)
    ]
    assert found == []


def test_the_guard_against_traces_sees_them():
    home, host = "/" + "root/x", "https://" + "pypi" + ".org/simple"
    assert TRACES.search(f"cd {home}") and TRACES.search(host)
    assert not TRACES.search("runs/work/now")


# -------------------------------------------------------------------------------------- no dead options


def settings_classes(*roots: type) -> set[type]:
    """The dataclasses that these are composed of."""
    found: set[type] = set()
    waiting: list[object] = list(roots)
    while waiting:
        hint = waiting.pop()
        waiting += typing.get_args(hint)
        if isinstance(hint, type) and dataclasses.is_dataclass(hint) and hint not in found:
            found.add(hint)
            waiting += typing.get_type_hints(hint).values()
    return found


def attributes_read(source: str) -> set[str]:
    """Names of all attributes that are read, but for a dataclass's checks of itself."""
    tree = ast.parse(source)
    checks = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and function.name == "__post_init__"
        for node in ast.walk(function)
    }
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and id(node) not in checks
    }


OPTIONS = sorted(
    (kind.__name__, field.name)
    for kind in settings_classes(Settings, MakingSettings, RecordingSettings)
    for field in dataclasses.fields(kind)
)


def test_the_settings_of_every_stage_are_looked_at():
    assert {kind for kind, _ in OPTIONS} >= {
        "Settings",
        "CloningSettings",
        "NoiseRanking",
        "UserRanking",
        "RewardSettings",
        "SnippetSettings",
        "RewardNormalization",
        "PPOSettings",
        "SB3Settings",
        "EvaluationSettings",
    }


def test_every_option_is_read_by_some_stage():
    read = set().union(*(attributes_read(file.read_text()) for file in SOURCES))
    assert [f"{kind}.{name}" for kind, name in OPTIONS if name not in read] == []


def test_an_option_that_is_only_checked_or_set_counts_as_unread():
    source = "class S:\n    def __post_init__(self): assert self.checked\ndef f(s): s.set = s.used"
    assert attributes_read(source) == {"used"}
