"""Broken files of other formats: each is refused in one sentence naming file, field, expected and found."""

from __future__ import annotations

import json
import pickle
import resource
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import format_files as sound
import h5py
import numpy as np
import pyarrow
import pytest
from demonstration_files import whole, with_row
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from drex.demonstrations.formats import registry
from drex.errors import UserError
from drex.files import arrow, hdf5
from drex.files.arrow import read_table

HDF5 = "data/main_data.hdf5"
METADATA = "data/metadata.json"
ARROW = "data-00000-of-00001.arrow"


def hdf5_link(path: Path) -> Path:
    """Actions that lie in another file of the user's."""
    sound.d4rl(path, actions=None)
    with h5py.File(path, "a") as file:
        file["actions"] = h5py.ExternalLink("/secret.h5", "keys")
    return path


def hdf5_outside(path: Path) -> Path:
    """Actions whose bytes lie in another file of the user's."""
    sound.d4rl(path, actions=None)
    with h5py.File(path, "a") as file:
        file.create_dataset("actions", (6, 2), "f4", external=[("/secret.bin", 0, 48)])
    return path


def hdf5_bomb(path: Path) -> Path:
    """A few kilobytes that say they are terabytes."""
    sound.d4rl(path, actions=None)
    with h5py.File(path, "a") as file:
        file.create_dataset("actions", (6, 2**40), "f8", chunks=(1, 2**10), compression="gzip")
    return path


def hdf5_group(path: Path) -> Path:
    sound.d4rl(path, rewards=None)
    with h5py.File(path, "a") as file:
        file["rewards/all"] = np.zeros(6)
    return path


def hdf5_kept(path: Path, text: str) -> Path:
    with h5py.File(sound.d4rl(path), "a") as file:
        file["metadata/drex"] = text
    return path


def written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def halved(path: Path, within: str = "") -> Path:
    """The path, with a file in it cut off in the middle."""
    file = path / within if within else path
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    return path


def minari(path: Path, name: str = "cartpole/random-v0", **changes: object) -> Path:
    """A dataset of Minari with other metadata."""
    sound.change_json(sound.minari(path, name) / METADATA, **changes)
    return path


def minari_array(path: Path, name: str, change: Callable | None, dataset: str = "cartpole/random-v0") -> Path:
    sound.change_hdf5(sound.minari(path, dataset) / HDF5, name, change)
    return path


def without(folder: Path, name: str) -> Path:
    entry = folder / name
    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    return folder


def imitation(path: Path, file: str, **changes: object) -> Path:
    """A dataset of imitation with other JSON."""
    sound.change_json(sound.imitation(path) / file, **changes)
    return path


def bare(path: Path, file: str, text: str) -> Path:
    (sound.imitation(path) / file).write_text(text)
    return path


KEPT = {"drex": 1, "task": None, "about": {}, "unknown": []}
ROOM = "room/random-v0"

# name: (made of a path, file and field named, expected, found)
BROKEN: dict[str, tuple[Callable[[Path], Path], str, str, str]] = {
    # HDF5 as D4RL lays it out
    "d4rl: text": (
        lambda p: written(p / "a.hdf5", b"observation,action\n"),
        "a.hdf5",
        "an HDF5 file",
        "begins with b'obse'",
    ),
    "d4rl: empty": (lambda p: written(p / "a.h5", b""), "a.h5", "an HDF5 file", "an empty file"),
    "d4rl: missing": (lambda p: p / "a.h5", "a.h5", "an HDF5 file", "no such file"),
    "d4rl: pickle": (
        lambda p: written(p / "a.h5", pickle.dumps(whole())),
        "a.h5",
        "an HDF5 file",
        "begins with b'\\x80",
    ),
    "d4rl: cut short": (
        lambda p: halved(sound.d4rl(p / "a.h5")),
        "a.h5",
        "a whole HDF5 file",
        "damage (Unable",
    ),
    "d4rl: no actions": (
        lambda p: sound.d4rl(p / "a.h5", actions=None),
        "a.h5: actions",
        "an array of this name",
        "observations, rew",
    ),
    "d4rl: no terminals": (
        lambda p: sound.d4rl(p / "a.h5", terminals=None),
        "a.h5: terminals",
        "an array of this name",
        "timeouts",
    ),
    "d4rl: NaN": (
        lambda p: sound.d4rl(p / "a.h5", observations=with_row("observations", (4, 1), np.nan)),
        "a.h5: observations",
        "finite numbers",
        "NaN in row 4",
    ),
    "d4rl: fewer actions": (
        lambda p: sound.d4rl(p / "a.h5", actions=np.zeros((5, 2))),
        "a.h5: actions",
        "shape (6, 2)",
        "shape (5, 2)",
    ),
    "d4rl: fewer flags": (
        lambda p: sound.d4rl(p / "a.h5", timeouts=np.zeros(5, bool)),
        "a.h5: timeouts",
        "shape (6,)",
        "shape (5,)",
    ),
    "d4rl: flags that are none": (
        lambda p: sound.d4rl(p / "a.h5", terminals=np.arange(6)),
        "a.h5: terminals",
        "flags",
        "2 in row 2",
    ),
    "d4rl: a flag at every step": (
        lambda p: sound.d4rl(p / "a.h5", terminals=np.ones(6, bool)),
        "a.h5: terminals and timeouts",
        "at least one episode of two steps",
        "6 episodes of one step each",
    ),
    "d4rl: rewards in a column": (
        lambda p: sound.d4rl(p / "a.h5", rewards=np.ones((6, 1))),
        "a.h5: rewards",
        "shape (6,)",
        "shape (6, 1)",
    ),
    "d4rl: next observations of another shape": (
        lambda p: sound.d4rl(p / "a.h5", next_observations=np.zeros((6, 4))),
        "a.h5: next_observations",
        "shape (6, 3), as observations",
        "shape (6, 4)",
    ),
    "d4rl: next observations of another dtype": (
        lambda p: sound.d4rl(p / "a.h5", next_observations=np.zeros((6, 3))),
        "a.h5: next_observations",
        "float32 as observations",
        "float64",
    ),
    "d4rl: text in place of numbers": (
        lambda p: sound.d4rl(p / "a.h5", actions=["left"] * 6),
        "a.h5: actions",
        "plain numbers",
        "text of varying",
    ),
    "d4rl: records": (
        lambda p: sound.d4rl(p / "a.h5", actions=np.zeros(6, [("x", "f4")])),
        "a.h5: actions",
        "plain numbers",
        "'x'",
    ),
    "d4rl: no steps": (
        lambda p: sound.d4rl(p / "a.h5", observations=np.zeros((0, 3))),
        "a.h5: observations",
        "at least one step",
        "shape (0, 3)",
    ),
    "d4rl: a group": (lambda p: hdf5_group(p / "a.h5"), "a.h5: rewards", "an array", "a group"),
    "d4rl: a link": (lambda p: hdf5_link(p / "a.h5"), "a.h5: actions", "the data itself", "not followed"),
    "d4rl: bytes elsewhere": (
        lambda p: hdf5_outside(p / "a.h5"),
        "a.h5: actions",
        "the data itself",
        "lie in another file",
    ),
    "d4rl: bomb": (
        lambda p: hdf5_bomb(p / "a.h5"),
        "a.h5: actions",
        "at most 68719476736 bytes",
        "52776558133248",
    ),
    "d4rl: extra fields of others": (
        lambda p: hdf5_kept(p / "a.h5", json.dumps({"by": "hand"})),
        "a.h5: metadata/drex",
        'a JSON object with a whole number "drex"',
        "{'by': 'hand'}",
    ),
    "d4rl: text that is none": (
        lambda p: hdf5_kept(p / "a.h5", json.dumps(KEPT | {"about": "by hand"})),
        "a.h5: metadata/drex: about",
        "a JSON object",
        "'by hand'",
    ),
    "d4rl: a task that is none": (
        lambda p: hdf5_kept(p / "a.h5", json.dumps(KEPT | {"task": 3})),
        "a.h5: metadata/drex: task",
        "text or null",
        "3",
    ),
    "d4rl: unknown to be unknown": (
        lambda p: hdf5_kept(p / "a.h5", json.dumps(KEPT | {"unknown": ["actions"]})),
        "a.h5: metadata/drex: unknown",
        "a list of some of rewards",
        "['actions']",
    ),
    "d4rl: newer format": (
        lambda p: hdf5_kept(p / "a.h5", json.dumps(KEPT | {"drex": 2})),
        "a.h5: metadata/drex",
        '"drex" to be 1',
        "2; update drex",
    ),
    "d4rl: prose beside": (
        lambda p: hdf5_kept(p / "a.h5", "made by hand"),
        "a.h5: metadata/drex",
        "JSON",
        "other text",
    ),
    # Minari
    "minari: no metadata": (
        lambda p: without(sound.minari(p / "a"), METADATA),
        f"a/{METADATA}",
        "a JSON file",
        "No such file",
    ),
    "minari: no data": (
        lambda p: without(sound.minari(p / "a"), HDF5),
        f"a/{HDF5}",
        "an HDF5 file",
        "no such file",
    ),
    "minari: data cut short": (
        lambda p: halved(sound.minari(p / "a"), HDF5),
        f"a/{HDF5}",
        "a whole HDF5 file",
        "damage",
    ),
    "minari: metadata cut short": (
        lambda p: halved(sound.minari(p / "a"), METADATA),
        f"a/{METADATA}",
        "a JSON object",
        "other text (",
    ),
    "minari: newer version": (
        lambda p: minari(p / "a", minari_version="1.0.0"),
        f"a/{METADATA}: minari_version",
        "0.x",
        "1.0.0; update",
    ),
    "minari: no version": (
        lambda p: minari(p / "a", minari_version=None),
        f"a/{METADATA}: minari_version",
        "type str",
        "none",
    ),
    "minari: unknown data format": (
        lambda p: minari(p / "a", data_format="zarr"),
        f"a/{METADATA}: data_format",
        "hdf5, arrow or",
        "'zarr'",
    ),
    "minari: fewer steps than it says": (
        lambda p: minari(p / "a", total_steps=99),
        f"a/{METADATA}: total_steps",
        "24, as in the episodes",
        "99",
    ),
    "minari: fewer episodes than it says": (
        lambda p: minari(p / "a", total_episodes=3),
        f"a/{HDF5}: episode_2",
        "a group of this name",
        "none",
    ),
    "minari: no episodes": (
        lambda p: minari(p / "a", total_episodes=0),
        "a/data",
        "at least one episode",
        "none",
    ),
    "minari: a space that is none": (
        lambda p: minari(p / "a", observation_space='{"type": "Graph"}'),
        f"a/{METADATA}: observation_space",
        "Box, Discrete",
        "Graph",
    ),
    "minari: a space without bounds": (
        lambda p: minari(p / "a", observation_space='{"type": "Box"}'),
        f"a/{METADATA}: observation_space",
        "a space in JSON",
        '{"type": "Box"}',
    ),
    "minari: no rewards": (
        lambda p: minari_array(p / "a", "episode_1/rewards", None),
        f"a/{HDF5}: episode_1/rewards",
        "array",
        "none",
    ),
    "minari: NaN": (
        lambda p: minari_array(p / "a", "episode_1/observations", lambda a: a * np.nan),
        f"a/{HDF5}: episode_1/observations",
        "finite numbers",
        "NaN in row 0",
    ),
    "minari: no last observation": (
        lambda p: minari_array(p / "a", "episode_0/observations", lambda a: a[:-1]),
        f"a/{HDF5}: episode_0/observations",
        "13 rows beside 12 actions",
        "12",
    ),
    "minari: another shape than the space": (
        lambda p: minari_array(p / "a", "episode_0/observations", lambda a: a[:, :3]),
        f"a/{HDF5}: episode_0/observations",
        "rows of shape (4,), as the space",
        "(13, 3)",
    ),
    "minari: an end before the last step": (
        lambda p: minari_array(p / "a", "episode_0/terminations", lambda a: ~a),
        f"a/{HDF5}: episode_0/terminations",
        "true on the last step alone",
        "true in row 0 of 12",
    ),
    "minari: another dtype": (
        lambda p: minari_array(p / "a", "episode_1/actions", lambda a: a.astype(np.float32)),
        f"a/{HDF5}: episode_1/actions",
        "() int64 a step, as in the first episode",
        "() float32",
    ),
    "minari: a missing part": (
        lambda p: minari_array(p / "a", "episode_0/observations/where/grid", None, ROOM),
        f"a/{HDF5}: episode_0/observations/where/grid",
        "an array or a group of this name",
        "none",
    ),
    "minari: a value beyond its Discrete": (
        lambda p: minari_array(p / "a", "episode_0/observations/door", lambda a: a + 3, ROOM),
        f"a/{HDF5}: episode_0/observations/door",
        "values of which there are 3",
        "in row 0",
    ),
    "minari: nested actions": (
        lambda p: minari(p / "a", action_space=json.dumps({"type": "Tuple", "subspaces": []})),
        f"a/{HDF5}: episode_0/actions",
        "no Dict or Tuple",
        "Tuple()",
    ),
    "minari: an image that is none": (
        lambda p: minari_array(
            p / "a", "episode_0/observations", lambda a: np.zeros((4, 9), np.uint8), "picture-v0"
        ),
        f"a/{HDF5}: episode_0/observations",
        "JPEG images",
        "damage in row 0",
    ),
    "minari: images of numbers": (
        lambda p: minari_array(p / "a", "episode_0/observations", lambda a: np.zeros((4, 9)), "picture-v0"),
        f"a/{HDF5}: episode_0/observations",
        "rows of bytes",
        "float64 of shape (4, 9)",
    ),
    "minari: no Arrow episode": (
        lambda p: without(sound.minari(p / "a", "room/arrow-v0"), "data/1"),
        "a/data/1",
        "one .arrow file",
        "no such",
    ),
    "minari: Arrow cut short": (
        lambda p: halved(sound.minari(p / "a", "room/arrow-v0"), "data/0/part-0.arrow"),
        "a/data/0/part-0.arrow",
        "a whole Arrow file",
        "damage (",
    ),
    "minari: Parquet cut short": (
        lambda p: halved(sound.minari(p / "a", "room/parquet-v1"), "data/0/part-0.parquet"),
        "a/data/0/part-0.parquet",
        "a whole Parquet file",
        "damage (",
    ),
    # imitation
    "imitation: no state": (
        lambda p: without(sound.imitation(p / "a"), "state.json"),
        "a/state.json",
        "a JSON file",
        "No such file",
    ),
    "imitation: no data": (
        lambda p: without(sound.imitation(p / "a"), "data.arrow"),
        "a/data.arrow",
        "a whole Arrow",
        "no such file",
    ),
    "imitation: data cut short": (
        lambda p: halved(sound.imitation(p / "a"), "data.arrow"),
        "a/data.arrow",
        "a whole Arrow file",
        "damage (",
    ),
    "imitation: pickle": (
        lambda p: written(sound.imitation(p / "a") / "data.arrow", pickle.dumps(whole())).parent,
        "a/data.arrow",
        "a whole Arrow file",
        "damage (",
    ),
    "imitation: no JSON": (
        lambda p: bare(p / "a", "state.json", "{'a': 1}"),
        "a/state.json",
        "a JSON object",
        "other text (",
    ),
    "imitation: JSON of another type": (
        lambda p: bare(p / "a", "dataset_info.json", "[]"),
        "a/dataset_info.json",
        "a JSON object",
        "type list",
    ),
    "imitation: data elsewhere": (
        lambda p: imitation(p / "a", "state.json", _data_files=[{"filename": "../other/data.arrow"}]),
        "a/state.json: _data_files",
        "names of files of this folder",
        "'../other/data.arrow'",
    ),
    "imitation: a choice of rows": (
        lambda p: imitation(p / "a", "state.json", _indices_data_files=[{"filename": "indices.arrow"}]),
        "a/state.json",
        "whole data files",
        "a choice of rows",
    ),
    "imitation: several datasets": (
        lambda p: written(p / "a/dataset_dict.json", b'{"splits": ["train", "test"]}').parent,
        "a",
        "one dataset",
        "several: ['train', 'test']",
    ),
    "imitation: no terminal": (
        lambda p: sound.imitation(p / "a", terminal=None),
        "a/data.arrow: terminal",
        "a column",
        "obs, acts, infos",
    ),
    "imitation: terminal a number": (
        lambda p: sound.imitation(p / "a", terminal=[1, 0]),
        "a/data.arrow: row 0: terminal",
        "true or false",
        "int64",
    ),
    "imitation: no last observation": (
        lambda p: sound.imitation(p / "a", obs=[[[0.0], [1.0]], [[2.0], [3.0]]]),
        "a/data.arrow: row 0: obs",
        "3 rows beside 2 actions",
        "2",
    ),
    "imitation: ragged observations": (
        lambda p: sound.imitation(p / "a", obs=[[[0.0], [1.0, 2.0], [3.0]], [[2.0], [3.0]]]),
        "a/data.arrow: row 0: obs",
        "lists of equal length",
        "lengths from 1 to 2",
    ),
    "imitation: a hole": (
        lambda p: sound.imitation(p / "a", acts=[[1, 2], [None]]),
        "a/data.arrow: row 1: acts",
        "numbers throughout",
        "1 holes (null)",
    ),
    "imitation: a hole in place of a list": (
        lambda p: sound.imitation(p / "a", acts=[None, [1]]),
        "a/data.arrow: row 0: acts",
        "a list",
        "none (null)",
    ),
    "imitation: words": (
        lambda p: sound.imitation(p / "a", acts=[["left", "up"], ["up"]]),
        "a/data.arrow: row 0: acts",
        "numbers, in lists",
        "string",
    ),
    "imitation: more rewards than actions": (
        lambda p: sound.imitation(p / "a", rews=[[1.0, 2.0, 3.0], [1.0]]),
        "a/data.arrow: row 0: rews",
        "shape (2,), one a step",
        "shape (3,)",
    ),
    "imitation: no rows": (
        lambda p: sound.imitation(
            p / "a", obs=[], acts=[], infos=[], terminal=pyarrow.array([], "bool"), rews=[]
        ),
        "a",
        "at least one episode",
        "none",
    ),
    # none of them
    "text without an ending": (
        lambda p: written(p / "a", b"observation,action\n"),
        "a",
        "an npz or HDF5 file",
        "a file of another kind",
    ),
    "nothing": (lambda p: p / "a", "a", "an npz or HDF5 file", "no such file"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_file_is_refused_in_one_sentence_naming_file_field_expected_and_found(broken, tmp_path):
    make, where, expected, found = BROKEN[broken]
    path = make(tmp_path)
    with pytest.raises(UserError) as refused:
        registry.read(path)
    error, sentence = refused.value, str(refused.value)
    assert error.where == str(tmp_path / where)
    assert expected in error.expected
    assert found in sentence.split(", found ", 1)[1]
    assert "\n" not in sentence


@pytest.mark.parametrize("kind", ["minari", "imitation"])
def test_a_file_in_place_of_a_folder_is_refused(kind, tmp_path):
    with pytest.raises(UserError, match=f"expected the folder of {kind}, found no such file"):
        registry.read(tmp_path / "a", kind)


def test_a_format_that_nobody_knows_is_refused(tmp_path):
    with pytest.raises(UserError, match="format: expected one of npz, minari, imitation, d4rl, found 'csv'"):
        registry.read(tmp_path / "a", "csv")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    path = sound.d4rl(tmp_path / "a.h5")
    monkeypatch.setattr(hdf5, "LARGEST_BYTES", 71)  # observations take 72
    with pytest.raises(UserError, match="observations: expected at most 71 bytes once unpacked, found 72"):
        registry.read(path)


def test_more_than_a_small_file_can_hold_is_refused_before_it_is_unpacked(tmp_path):
    path = sound.d4rl(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:  # chunks that were never written take no place
        del file["observations"]
        file.create_dataset("observations", (10**9, 3), "f4", chunks=(1000, 3))
    assert path.stat().st_size < 20_000
    with pytest.raises(UserError, match=r"observations: expected at most [0-9]+ bytes once unpacked, since"):
        registry.read(path)


@pytest.fixture
def pool_that_keeps_nothing():
    """So that what writing took is not there for reading."""
    usual = pyarrow.default_memory_pool()
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())
    yield
    pyarrow.set_memory_pool(usual)


@pytest.mark.usefixtures("pool_that_keeps_nothing")
@pytest.mark.parametrize("container", ["stream", "file", "parquet"])
def test_a_small_file_that_takes_much_memory_is_refused_while_it_is_read(container, tmp_path, monkeypatch):
    monkeypatch.setattr(arrow, "_SMALL_BYTES", 2**26)
    numbers = 2**25  # of 8 bytes: 256 MiB
    one = pyarrow.ListArray.from_arrays(
        pyarrow.array([0, numbers], pyarrow.int32()), pyarrow.array(np.broadcast_to(0.0, numbers))
    )
    path, table = tmp_path / "a", pyarrow.table({"obs": one})
    if container == "parquet":
        parquet.write_table(table, path, compression="zstd")
    else:
        create = pyarrow.ipc.new_stream if container == "stream" else pyarrow.ipc.new_file
        options = pyarrow.ipc.IpcWriteOptions(compression="zstd")
        with pyarrow.OSFile(str(path), "w") as file, create(file, table.schema, options=options) as to:
            to.write_table(table)
    del one, table
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    packed = path.stat().st_size
    assert packed < 200_000
    with pytest.raises(UserError, match=f"bytes once unpacked, since the file has {packed}, found more"):
        read_table(path, container)
    assert resource.getrlimit(resource.RLIMIT_DATA) == limits


def test_two_columns_of_one_name_are_refused(tmp_path):
    table = pyarrow.Table.from_arrays([pyarrow.array([1]), pyarrow.array([2])], names=["obs", "obs"])
    with (
        pyarrow.OSFile(str(tmp_path / "a.arrow"), "w") as file,
        pyarrow.ipc.new_stream(file, table.schema) as to,
    ):
        to.write_table(table)
    with pytest.raises(UserError, match=r"expected columns of different names, found .'obs', 'obs'"):
        read_table(tmp_path / "a.arrow", "stream")


FILES = {
    "d4rl": (lambda path: sound.d4rl(path / "a.h5"), "a.h5"),
    "minari": (lambda path: sound.minari(path / "a"), "a/data/main_data.hdf5"),
    "imitation": (lambda path: sound.imitation(path / "a"), "a/data.arrow"),
    "parquet": (lambda path: sound.minari(path / "a", "room/parquet-v1"), "a/data/0/part-0.parquet"),
}


def test_a_nested_column_whose_name_is_no_text_is_refused_in_a_sentence(tmp_path):
    path = sound.minari(tmp_path / "a", "room/parquet-v1")
    file = path / "data" / "0" / "part-0.parquet"
    content = bytearray(file.read_bytes())
    content[1281] ^= 128  # the first letter of a part of the observations
    file.write_bytes(content)
    with pytest.raises(UserError, match="expected a whole Parquet file, found damage"):
        registry.read(path)


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_flipped_bytes_are_read_or_refused_in_a_sentence(name: str, data: st.DataObject) -> None:
    make, within = FILES[name]
    with tempfile.TemporaryDirectory() as folder:
        path, file = make(Path(folder)), Path(folder, within)
        content = bytearray(file.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        file.write_bytes(content)
        try:
            read = registry.read(path)
        except UserError as error:
            assert error.where.startswith(folder)
        else:
            assert len(read.observations) == len(read.actions) == read.lengths.sum()
