"""Broken files of demonstrations: each is refused in one sentence naming file, field, expected and found."""

from __future__ import annotations

import io
import json
import os
import pickle
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from demonstration_files import whole, with_row, write
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from drex.demonstrations.load_and_save import load_demonstrations
from drex.errors import UserError
from drex.files import npz

VECTORS = spaces.Box(-np.inf, np.inf, (3,), np.float64)
TORQUES = spaces.Box(-1, 1, (2,), np.float32)


def header(shape: tuple[int, ...], dtype: str = "<f4") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def write_raw(path: Path, name: str, content: bytes) -> Path:
    """The sound file with the bytes of one array replaced."""
    write(path, **{name: None})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.npy", content)
    return path


BROKEN_FIELDS: dict[str, tuple[dict[str, object], str, str, str]] = {
    # name: (replaced fields, field named, expected, found)
    "no observations": ({"observations": None}, "observations", "an array of this name", "actions, lengths"),
    "no actions": ({"actions": None}, "actions", "an array of this name", "lengths, observations, rewards"),
    "no lengths": ({"lengths": None}, "lengths", "an array of this name", "actions, observations"),
    "no steps": ({"observations": np.zeros((0, 3))}, "observations", "at least one", "shape (0, 3)"),
    "no numbers in a step": ({"actions": np.zeros((6, 0))}, "actions", "at least one", "shape (6, 0)"),
    "one number": ({"observations": np.array(1.0)}, "observations", "one row a step", "shape ()"),
    "NaN observation": (
        {"observations": with_row("observations", (4, 1), np.nan)},
        "observations",
        "finite numbers",
        "NaN in row 4",
    ),
    "NaN action": ({"actions": with_row("actions", (2, 0), np.nan)}, "actions", "finite", "NaN in row 2"),
    "infinite action": (
        {"actions": with_row("actions", 5, -np.inf)},
        "actions",
        "finite",
        "infinity in row 5",
    ),
    "fewer actions": ({"actions": np.zeros((5, 2))}, "actions", "shape (6, 2), as many", "shape (5, 2)"),
    "string actions": ({"actions": np.array(["left"] * 6)}, "actions", "integers or floats", "<U4"),
    "bool actions": ({"actions": np.zeros((6, 2), bool)}, "actions", "integers or floats", "bool"),
    "complex observations": (
        {"observations": np.zeros((6, 3), complex)},
        "observations",
        "integers or floats",
        "complex128",
    ),
    "record observations": (
        {"observations": np.zeros(6, [("x", "f4")])},
        "observations",
        "integers or floats",
        "[('x', '<f4')]",
    ),
    "object observations": (
        {"observations": np.array([[1.0], [1.0, 2.0]], object)},
        "observations",
        "plain numbers",
        "Python objects (pickle), which are never read",
    ),
    "object lengths": ({"lengths": np.array([None])}, "lengths", "plain numbers", "Python objects"),
    "lengths too short": ({"lengths": np.array([2, 3])}, "lengths", "a sum of 6", "5 over 2 episodes"),
    "lengths too long": ({"lengths": np.array([2, 3, 2])}, "lengths", "a sum of 6", "7 over 3 episodes"),
    "lengths that overflow": (
        {"lengths": np.array([2**63 - 1, 2**63 - 1, 8])},
        "lengths",
        "a sum of 6",
        "18446744073709551616 over 3 episodes",
    ),
    "negative length": ({"lengths": np.array([9, -3])}, "lengths", "positive integers", "-3 in row 1"),
    "zero length": ({"lengths": np.array([0, 6])}, "lengths", "positive integers", "0 in row 0"),
    "fractional length": ({"lengths": np.array([3.5, 2.5])}, "lengths", "positive integers", "3.5 in row 0"),
    "NaN length": ({"lengths": np.array([6, np.nan])}, "lengths", "positive integers", "nan in row 1"),
    "infinite length": ({"lengths": np.array([6, np.inf])}, "lengths", "a sum of 6", "inf over 2 episodes"),
    "lengths in two dimensions": ({"lengths": np.array([[2, 4]])}, "lengths", "a vector", "shape (1, 2)"),
    "no lengths inside": ({"lengths": np.zeros(0, int)}, "lengths", "a vector", "shape (0,)"),
    "string lengths": ({"lengths": np.array(["6"])}, "lengths", "integers", "<U1"),
    "bool lengths": ({"lengths": np.array([True])}, "lengths", "integers", "bool"),
    "all episodes of one step": (
        {"lengths": np.ones(6, int)},
        "lengths",
        "at least one episode of two steps",
        "6 episodes of one step each",
    ),
    "rewards an episode": ({"rewards": np.ones(3)}, "rewards", "shape (6,), one a step", "shape (3,)"),
    "rewards in a column": ({"rewards": np.ones((6, 1))}, "rewards", "shape (6,)", "shape (6, 1)"),
    "infinite reward": (
        {"rewards": with_row("rewards", 3, np.inf)},
        "rewards",
        "finite",
        "infinity in row 3",
    ),
    "string rewards": ({"rewards": np.array(["1"] * 6)}, "rewards", "integers or floats", "<U1"),
    "terminated a step": (
        {"terminated": np.zeros(6, bool)},
        "terminated",
        "shape (3,), one an episode",
        "shape (6,)",
    ),
    "integer terminated": ({"terminated": np.zeros(3, int)}, "terminated", "bool", "int64"),
    "last observations of another shape": (
        {"last_observations": np.zeros((3, 4), np.float32)},
        "last_observations",
        "shape (3, 3), one an episode",
        "shape (3, 4)",
    ),
    "last observations of another dtype": (
        {"last_observations": np.zeros((3, 3), np.uint8)},
        "last_observations",
        "float32 as observations",
        "uint8",
    ),
    "NaN last observation": (
        {"last_observations": np.full((3, 3), np.nan, np.float32)},
        "last_observations",
        "finite numbers",
        "NaN in row 0",
    ),
    "newer format": ({"format": np.array(3)}, "format", "at most 2", "3; update drex"),
    "format zero": ({"format": np.array(0)}, "format", "one positive integer", "int64 of shape (): 0"),
    "format in words": ({"format": np.array("v1")}, "format", "one positive integer", "<U2 of shape ()"),
    "several tasks": ({"task": np.array(["a", "b"])}, "task", "one string", "<U1 of shape (2,)"),
    "a number as about": ({"about": np.array(3)}, "about", "one string", "int64 of shape (): 3"),
    "about in prose": ({"about": np.array("made by hand")}, "about", "a JSON object", "other text"),
    "about a list": ({"about": np.array("[1]")}, "about", "a JSON object", "JSON of type list"),
}


def assert_refused(path: Path, field: str, expected: str, found: str, **environment: object) -> None:
    with pytest.raises(UserError) as refused:
        load_demonstrations(path, **environment)  # type: ignore[arg-type]
    error, sentence = refused.value, str(refused.value)
    assert error.where == (f"{path}: {field}" if field else str(path))
    assert expected in error.expected
    assert found in sentence.split(", found ", 1)[1]
    assert "\n" not in sentence


@pytest.mark.parametrize("broken", BROKEN_FIELDS)
def test_a_broken_field_is_refused_naming_file_field_expected_and_found(broken: str, tmp_path: Path) -> None:
    changes, field, expected, found = BROKEN_FIELDS[broken]
    assert_refused(write(tmp_path / "demos.npz", **changes), field, expected, found)


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="long double is double on this machine")
def test_floats_wider_than_64_bits_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "demos.npz", actions=np.zeros((6, 2), np.longdouble))
    assert_refused(path, "actions", "at most 64 bits", str(np.dtype(np.longdouble)))


def one_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def another_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing here")


def scrambled(path: Path) -> None:
    content = bytearray(
        write(path, observations=np.random.default_rng(1).normal(size=(6, 1000))).read_bytes()
    )
    content[5000:5100] = bytes(100)
    path.write_bytes(content)


def two_of_one_name(path: Path) -> None:
    with zipfile.ZipFile(write(path), "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("actions.npy", header((6, 2)) + bytes(48))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("observation,action\n1,2\n"),
    "a pickle": lambda path: path.write_bytes(pickle.dumps(whole())),
    "one array": one_array,
    "HDF5": lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100)),
    "cut short": lambda path: path.write_bytes(write(path).read_bytes()[:-100]),
    "another zip": another_zip,
    "no header": lambda path: write_raw(path, "actions", b"not an array"),
    "header cut short": lambda path: write_raw(path, "actions", header((6, 2))[:40]),
    "array cut short": lambda path: write_raw(path, "actions", header((6, 2)) + bytes(40)),
    "negative shape": lambda path: write_raw(path, "actions", header((-6, 2))),
    "bomb": lambda path: write_raw(path, "actions", header((2**40, 2))),
    "scrambled": scrambled,
    "two of one name": two_of_one_name,
}


@pytest.mark.parametrize(
    ("how", "field", "expected", "found"),
    [
        ("missing", "", "an npz file of demonstrations", "no such file"),
        ("a folder", "", "an npz file of demonstrations", "a folder"),
        ("a pipe", "", "an npz file of demonstrations", "no regular file"),
        ("empty", "", "an npz file of demonstrations", "an empty file"),
        ("text", "", "an npz file of demonstrations", "a file that begins with b'obse'"),
        ("a pickle", "", "an npz file of demonstrations", "a file that begins with b'\\x80"),
        ("one array", "", "an npz file of demonstrations", "a single array (.npy)"),
        ("HDF5", "", "an npz file of demonstrations", "an HDF5 file"),
        ("cut short", "", "an npz file of demonstrations", "a zip file that is cut short"),
        ("another zip", "observations", "an array of this name", "none of the format's arrays"),
        ("no header", "actions", "a whole array", "damage"),
        ("header cut short", "actions", "a whole array", "damage"),
        ("array cut short", "actions", "48 bytes for (6, 2) float32", "40 bytes"),
        ("negative shape", "actions", "-48 bytes for (-6, 2) float32", "0 bytes"),
        ("bomb", "actions", "at most 68719476736 bytes once unpacked", "8796093022208 of them here"),
        ("scrambled", "observations", "a whole array", "damage"),
        ("two of one name", "actions", "one array of this name", "more than one"),
    ],
)
def test_a_damaged_file_is_refused_naming_it(
    how: str, field: str, expected: str, found: str, tmp_path: Path
) -> None:
    path = tmp_path / "demos.npz"
    DAMAGES[how](path)
    assert_refused(path, field, expected, found)


def test_a_true_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch) -> None:
    path = write(tmp_path / "demos.npz", observations=np.zeros((6, 10_000), np.float64))
    assert path.stat().st_size < 5_000
    monkeypatch.setattr(npz, "LARGEST_BYTES", 400_000)
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("unpacked"))
    assert_refused(path, "observations", "at most 400000 bytes", "480000 of them here")


IMAGES = spaces.Box(0, 255, (4, 8, 8), np.uint8)


@pytest.mark.parametrize(
    ("changes", "environment", "field", "expected", "found"),
    [
        (
            {},
            {"observation_space": spaces.Box(-1, 1, (4,))},
            "observations",
            "(4,) float32 a step",
            "(3,) float32",
        ),
        ({}, {"observation_space": spaces.Discrete(5)}, "observations", "() int64 a step", "(3,) float32"),
        ({}, {"observation_space": IMAGES}, "observations", "(4, 8, 8) uint8 a step", "(3,) float32"),
        (
            {"observations": np.zeros((6, 4, 8, 8), np.float32)},
            {"observation_space": IMAGES},
            "observations",
            "(4, 8, 8) uint8 a step",
            "(4, 8, 8) float32",
        ),
        (
            {"observations": np.full((6, 4, 8, 8), 256)},
            {"observation_space": IMAGES},
            "observations",
            "integers from 0 to 255",
            "256 in row 0",
        ),
        (
            {"observations": np.zeros((6, 3), np.uint8)},
            {"observation_space": VECTORS},
            "observations",
            "(3,) float64 a step",
            "(3,) uint8",
        ),
        (
            {"observations": np.arange(6), "last_observations": np.array([1, 2, 6])},
            {"observation_space": spaces.Discrete(6)},
            "last_observations",
            "integers from 0 to 5",
            "6 in row 2",
        ),
        ({}, {"observation_space": spaces.Dict(x=VECTORS)}, "observations", "Box, Discrete", "Dict"),
        (
            {},
            {"action_space": spaces.Discrete(4)},
            "actions",
            "() int64 a step, the environment's Disc",
            "(2,) fl",
        ),
        ({}, {"action_space": spaces.Box(-1, 1, (3,))}, "actions", "(3,) float32 a step", "(2,) float32"),
        (
            {"actions": np.arange(6)},
            {"action_space": TORQUES},
            "actions",
            "(2,) float32 a step, the environment's Box",
            "() int64; are these demonstrations of this environment?",
        ),
        (
            {"actions": np.arange(6.0)},
            {"action_space": spaces.Discrete(6)},
            "actions",
            "() int64 a step",
            "() float64",
        ),
        (
            {"actions": np.array([0, 1, 2, 3, 4, 3])},
            {"action_space": spaces.Discrete(4)},
            "actions",
            "integers from 0 to 3",
            "4 in row 4",
        ),
        (
            {"actions": np.array([1, 2, 3, 4, 0, 1], np.uint8)},
            {"action_space": spaces.Discrete(4, start=1)},
            "actions",
            "integers from 1 to 4",
            "0 in row 4",
        ),
        (
            {"actions": np.array([[1, 2]] * 5 + [[1, 3]])},
            {"action_space": spaces.MultiDiscrete([3, 3])},
            "actions",
            "integers from 0 to 2",
            "3 in row 5",
        ),
        (
            {"actions": np.full((6, 2), 2)},
            {"action_space": spaces.MultiBinary(2)},
            "actions",
            "integers from 0 to 1",
            "2 in row 0",
        ),
    ],
)
def test_another_environments_file_is_refused(changes, environment, field, expected, found, tmp_path) -> None:
    path = write(tmp_path / "demos.npz", **changes)
    assert_refused(path, field, expected, found, **environment)


SOUND = io.BytesIO()
np.savez_compressed(SOUND, **whole(), terminated=np.ones(3, bool), about=np.array(json.dumps({"seed": 1})))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(SOUND.getvalue()) - 1), st.integers(1, 255)), min_size=1, max_size=4
    )
)
def test_flipped_bytes_load_unchanged_or_are_refused_in_a_sentence(flips: list[tuple[int, int]]) -> None:
    content = bytearray(SOUND.getvalue())
    for at, change in flips:
        content[at] ^= change
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "flipped.npz")
        path.write_bytes(content)
        try:
            trajectories = load_demonstrations(path).trajectories
        except UserError as error:
            assert error.where.startswith(str(path))
        else:
            np.testing.assert_array_equal(trajectories.observations, whole()["observations"], strict=True)
            np.testing.assert_array_equal(trajectories.actions, whole()["actions"], strict=True)


ACTIONS = io.BytesIO()
np.save(ACTIONS, whole()["actions"])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 127), st.integers(1, 255)), min_size=1, max_size=3))
def test_any_array_header_is_read_or_refused_in_a_sentence(flips: list[tuple[int, int]]) -> None:
    content = bytearray(ACTIONS.getvalue())
    for at, change in flips:
        content[at] ^= change
    with tempfile.TemporaryDirectory() as folder:
        path = write_raw(Path(folder, "flipped.npz"), "actions", bytes(content))
        try:
            actions = load_demonstrations(path).trajectories.actions
        except UserError as error:
            assert error.where == f"{path}: actions"
        else:
            assert len(actions) == 6
            assert actions.nbytes == 48
