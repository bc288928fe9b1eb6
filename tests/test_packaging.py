"""What is built works away from the checkout: links become files, data comes along, the command starts.

The source distribution is built from a copy, the wheel from that distribution, and the wheel runs in an
environment of its own, which borrows only the dependencies that are installed here.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

SMOKE = """
import pathlib, sys
import drex, drex.agents, drex.envs, drex.theory
from drex.demonstrations.bundled import bundled_demonstrations, bundled_tasks
from drex.demonstrations.load_and_save import load_demonstrations

for module in (drex, drex.agents, drex.envs):
    assert pathlib.Path(module.__file__).is_relative_to(sys.prefix), module.__file__
for name in drex.__all__:
    getattr(drex, name)
for task in bundled_tasks():
    assert len(load_demonstrations(bundled_demonstrations(task)).trajectories) > 0
print(*bundled_tasks())
"""


def succeed(*command: str | Path, cwd: Path) -> str:
    """Run a command that must succeed; its output."""
    finished = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def build(kind: str, source: Path, place: Path) -> Path:
    """Build a distribution with the installed setuptools, without a network."""
    code = f"from setuptools import build_meta; print(build_meta.build_{kind}({str(place)!r}))"
    return place / succeed(sys.executable, "-c", code, cwd=source).splitlines()[-1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("checkout")
    for folder in ("drex", "agents", "envs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, copy / folder, symlinks=True, ignore=ignored)
    for file in (ROOT / "pyproject.toml", ROOT / "LICENSE", *ROOT.glob("*.md")):
        shutil.copy(file, copy)
    return build("sdist", copy, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    return build("wheel", next(unpacked.iterdir()), tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the programs of an environment with the wheel, which sees the dependencies installed here."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, with_pip=False)
    bin_folder = place / "bin"
    libraries = sysconfig.get_path("purelib", vars={"base": str(place)})
    Path(libraries, "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    install = ("install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", wheel)
    succeed(sys.executable, "-m", "pip", "--python", bin_folder / "python", *install, cwd=place)
    return bin_folder


def modules(folder: str) -> set[str]:
    """Every module of the checkout, as the path that it has inside the package."""
    return {str(file.relative_to(ROOT)) for file in (ROOT / folder).rglob("*.py")}


def expected_modules() -> set[str]:
    linked = modules("agents") | modules("envs")
    return modules("drex") | {f"drex/{name}" for name in linked}


def test_the_source_distribution_holds_every_module_as_a_file_once(sdist):
    with tarfile.open(sdist) as archive:
        files = [member for member in archive.getmembers() if member.name.endswith(".py")]
    assert all(member.isreg() and member.size > 0 for member in files)
    assert {member.name.partition("/")[2] for member in files} == expected_modules()


def test_the_wheel_holds_every_module_data_and_licence_and_nothing_at_the_top_but_drex(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name for name in names if name.endswith(".py")} == expected_modules()
    data = {str(file.relative_to(ROOT)) for file in (ROOT / "drex/demonstrations/bundled_data").glob("*.*")}
    assert names >= {"drex/py.typed", *data}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"drex", "drex_rl"}


def test_the_installed_wheel_imports_and_brings_its_demonstrations(environment, tmp_path):
    tasks = succeed(environment / "python", "-c", SMOKE, cwd=tmp_path).split()
    assert tasks == sorted(
        file.stem.replace("ALE-", "ALE/")
        for file in (ROOT / "drex/demonstrations/bundled_data").glob("*.npz")
    )


def test_the_installed_command_starts_away_from_the_checkout(environment, tmp_path):
    assert "drex run" in succeed(environment / "drex", "--help", cwd=tmp_path)
    assert "drex 0." in succeed(environment / "drex", "--version", cwd=tmp_path)
