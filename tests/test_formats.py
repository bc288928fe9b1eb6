"""Files of others: what their libraries wrote is read as they do, and what is converted comes back equal.

The files in ``real_files`` were made by Minari, imitation and datasets themselves, as was what is expected
of them (``real_files/make.py``).
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from pathlib import Path

import format_files
import h5py
import numpy as np
import pyarrow
import pytest
from demonstration_files import whole, write
from format_files import REAL
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from test_demonstrations import saved

from drex.cli.main import main
from drex.demonstrations.formats import minari_spaces, registry
from drex.demonstrations.load_and_save import convert_demonstrations, load_demonstrations
from drex.demonstrations.validation import DemonstrationFields
from drex.envs.data.stacked_frames import StackedFrames
from drex.errors import UserError

ARRAYS = ("observations", "actions", "lengths", "rewards", "terminated", "last_observations")
ENDINGS = {"npz": ".npz", "d4rl": ".hdf5", "minari": "", "imitation": ""}


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(REAL / "cache"))


def assert_equal(one: DemonstrationFields, other: DemonstrationFields) -> None:
    for name in ARRAYS:
        before, after = getattr(one, name), getattr(other, name)
        assert (before is None) == (after is None), name
        if before is not None:
            np.testing.assert_array_equal(np.asarray(after), np.asarray(before), strict=True, err_msg=name)
    assert (other.task, other.about) == (one.task, one.about)


# ------------------------------------------------------------------------- what their libraries made is read


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("cartpole/random-v0", "CartPole-v1"),
        ("room/random-v0", None),
        ("room/arrow-v0", None),
        ("room/parquet-v1", None),
        ("lake/random-v0", "FrozenLake-v1"),
        ("picture-v0", None),
    ],
)
def test_a_dataset_of_minari_is_read_as_minari_reads_it(name, task):
    read = registry.read(name)
    with np.load(REAL / f"{name.replace('/', '-')}.npz") as expected:
        for field in ARRAYS:
            wanted = expected[field].astype(np.float64) if field == "rewards" else expected[field]
            np.testing.assert_array_equal(getattr(read, field), wanted, strict=True, err_msg=field)
    assert read.task == task
    assert read.about["dataset_id"] == name
    assert_equal(read, registry.read(REAL / "cache" / name))
    assert_equal(read, registry.read(REAL / "cache" / name / "data"))


@pytest.mark.parametrize(
    ("name", "kind_of_observations"), [("imitation", np.float32), ("imitation-without-rewards", np.float64)]
)
def test_a_dataset_of_imitation_is_read_as_imitation_reads_it(name, kind_of_observations, caplog):
    read = registry.read(REAL / name)
    assert read.observations.dtype == kind_of_observations  # imitation itself widens them to 64 bits
    with np.load(REAL / f"{name}.npz") as expected:
        assert ("rewards" in expected) == (read.rewards is not None)
        for field in expected:
            np.testing.assert_array_equal(getattr(read, field), expected[field], err_msg=field)
    assert caplog.records == []


NESTED = spaces.Dict(
    {
        "b": spaces.Tuple((spaces.Discrete(3, start=-1), spaces.MultiDiscrete([[2, 3], [4, 1]]))),
        "a": spaces.Box(0, 9, (2, 2), np.float32),
        "c": spaces.Dict({"z": spaces.MultiBinary([2, 2]), "y": spaces.Box(-1, 1, (), np.float64)}),
    }
)


class Rows:
    """Samples of a space, as parts of a file."""

    def __init__(self, rows: list[object]) -> None:
        self.rows = rows

    def part(self, name: str, where: str) -> Rows:
        return Rows([row[int(name) if name.isdigit() else name] for row in self.rows])  # type: ignore[index]

    def array(self, where: str) -> np.ndarray:
        return np.stack([np.asarray(row) for row in self.rows])


def test_nested_observations_lie_in_the_order_of_gymnasiums_flatten():
    NESTED.seed(3)
    samples = [NESTED.sample() for _ in range(20)]
    flat = minari_spaces.flat_rows(NESTED, Rows(samples), "here", jpeg=False)
    expected = np.stack([spaces.utils.flatten(NESTED, sample) for sample in samples])
    np.testing.assert_array_equal(flat, expected, strict=True)
    assert flat.shape[1:] == spaces.utils.flatten_space(NESTED).shape


def test_a_dict_space_keeps_the_order_in_which_it_was_written():
    box = {"type": "Box", "dtype": "float32", "shape": [1], "low": [0.0], "high": [1.0]}
    space = minari_spaces.space_from_json(
        json.dumps({"type": "Dict", "subspaces": {"z": box, "a": box}}), "here"
    )
    assert list(space.spaces) == ["z", "a"]


def test_text_in_a_dict_is_left_out_with_a_warning(caplog):
    box = {"type": "Box", "dtype": "float32", "shape": [1], "low": [0.0], "high": [1.0]}
    text = {"type": "Text", "max_length": 14, "min_length": 0, "charset": "abc"}
    said = {"type": "Dict", "subspaces": {"place": box, "mission": text, "in": {"type": "Dict"}}}
    said["subspaces"]["in"]["subspaces"] = {"hint": text, "goal": box}
    space = minari_spaces.space_from_json(json.dumps(said), "here: observation_space")
    assert list(space.spaces) == ["place", "in"]
    assert list(space["in"].spaces) == ["goal"]
    assert [record.getMessage() for record in caplog.records] == [
        "here: observation_space: left out, being text: mission",
        "here: observation_space: left out, being text: hint",
    ]
    with pytest.raises(UserError, match=r"expected Box, Discrete, .* found Text"):
        minari_spaces.space_from_json(json.dumps(text), "here: observation_space")


# ------------------------------------------------------------- what is written has the form of the originals


def tree(file: Path) -> dict[str, object]:
    """Kind of every array and group of an HDF5 file, but for what a recorder adds: infos and statistics."""
    found: dict[str, object] = {}

    def note(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = (item.dtype, item.shape, item.maxshape)
        elif not name.endswith("/infos"):
            found[name] = sorted(
                key for key in item.attrs if key != "seed" and not key.startswith("rewards_")
            )

    with h5py.File(file) as opened:
        opened.visititems(note)
    return found


def test_a_minari_dataset_is_written_in_the_form_that_minari_writes(tmp_path):
    original = REAL / "cache/cartpole/random-v0/data"
    registry.write(tmp_path / "again-v3", registry.read("cartpole/random-v0"), "minari")
    written = tmp_path / "again-v3/data"
    assert tree(written / "main_data.hdf5") == tree(original / "main_data.hdf5")
    ours, theirs = (json.loads((each / "metadata.json").read_text()) for each in (written, original))
    described = {"author", "algorithm_name", "description"}  # kept in "drex", since not all formats have them
    assert set(ours) - {"drex"} == set(theirs) - described
    same = ("total_episodes", "total_steps", "data_format", "minari_version")
    assert [ours[name] for name in same] == [theirs[name] for name in same]
    assert ours["dataset_id"] == "again-v3"
    assert json.loads(ours["env_spec"])["id"] == "CartPole-v1"
    assert json.loads(ours["action_space"]) == json.loads(theirs["action_space"])


def test_a_minari_dataset_written_into_the_cache_is_found_there_by_its_name(tmp_path, monkeypatch):
    source = registry.read("room/random-v0")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    registry.write(tmp_path / "own/walk-v1", source, "minari")
    assert_equal(source, registry.read("own/walk-v1"))
    metadata = json.loads((tmp_path / "own/walk-v1/data/metadata.json").read_text())
    assert metadata["dataset_id"] == "own/walk-v1"


def test_an_imitation_dataset_is_written_in_the_form_that_datasets_writes(tmp_path):
    registry.write(tmp_path / "again", registry.read(REAL / "imitation"), "imitation")
    name = "data-00000-of-00001.arrow"
    schemas = []
    for folder in (tmp_path / "again", REAL / "imitation"):
        with pyarrow.memory_map(str(folder / name)) as source:
            schemas.append(pyarrow.ipc.open_stream(source).schema)
    assert schemas[0].equals(schemas[1])
    for file in ("state.json", "dataset_info.json"):
        ours, theirs = (
            json.loads((each / file).read_text()) for each in (tmp_path / "again", REAL / "imitation")
        )
        assert set(ours) == set(theirs)
        # Newer releases of datasets say List where older ones know Sequence alone; both read Sequence.
        as_written_before = json.loads(json.dumps(theirs).replace('"List"', '"Sequence"'))
        changed = {"_fingerprint", "description"}
        assert {k: v for k, v in ours.items() if k not in changed} == {
            k: v for k, v in as_written_before.items() if k not in changed
        }


# --------------------------------------------------------------------------------- conversion loses nothing


@st.composite
def fields(draw: st.DrawFn) -> DemonstrationFields:
    trajectories, others = draw(saved())
    rewards = others["rewards"]
    return DemonstrationFields(
        observations=trajectories.observations,
        actions=trajectories.actions,
        lengths=trajectories.lengths,
        rewards=None if rewards is None else np.asarray(rewards),
        terminated=draw(st.just(trajectories.terminated) | st.none()),
        last_observations=trajectories.last_observations,
        task=others["task"],  # type: ignore[arg-type]
        about=others["about"],  # type: ignore[arg-type]
    )


@settings(max_examples=12, deadline=None)
@given(fields(), st.permutations(sorted(ENDINGS)))
def test_a_way_through_all_formats_ends_where_it_began(case: DemonstrationFields, order: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder, "begin.npz")
        registry.write(before, case)
        for step, kind in enumerate(order):
            after = Path(folder, f"step-{step}{ENDINGS[kind]}")
            registry.write(after, registry.read(before), kind)
            assert registry.locate(after) == (after, kind)
            assert_equal(case, registry.read(after))
            before = after


@pytest.mark.parametrize("kind", ENDINGS)
@pytest.mark.parametrize("greatest", [1, 2**15, 2**40])
def test_whole_numbers_stay_what_they_are(kind, greatest, tmp_path):
    case = DemonstrationFields(
        observations=np.array([0, greatest, 1, 0]),
        actions=np.array([[0.0], [1.0], [0.5], [0.0]], np.float16),
        lengths=np.array([4]),
        rewards=None,
        terminated=np.array([False]),
        last_observations=None,
        task=None,
        about={},
    )
    after = tmp_path / f"after{ENDINGS[kind]}"
    registry.write(after, case, kind)
    assert_equal(case, registry.read(after))


def test_a_column_for_each_of_very_many_options_is_refused():
    rows = Rows([0, 2**30])
    with pytest.raises(UserError, match=rf"expected {2**16} options at most, found {2**31}"):
        minari_spaces.flat_rows(spaces.Discrete(2**31), rows, "here", jpeg=False)


@pytest.mark.parametrize(
    "name", ["cartpole/random-v0", "room/random-v0", "picture-v0", str(REAL / "imitation")]
)
@pytest.mark.parametrize("kind", ENDINGS)
def test_what_others_made_is_converted_there_and_back_with_equal_arrays(name, kind, tmp_path):
    there, back = tmp_path / f"there{ENDINGS[kind]}", tmp_path / "back.npz"
    convert_demonstrations(name, there, target_format=kind)
    convert_demonstrations(there, back)
    assert_equal(registry.read(name), registry.read(back))


def test_stacked_frames_are_converted_as_the_images_that_they_stand_for(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (7, 36, 36), dtype=np.uint8)
    rows = np.stack([np.arange(5), np.arange(1, 6)], axis=1)
    stacked = DemonstrationFields(
        StackedFrames(frames, rows), np.arange(5), np.array([5]), None, None, None, None, {}
    )
    registry.write(tmp_path / "a.npz", stacked)
    registry.write(tmp_path / "b", registry.read(tmp_path / "a.npz"), "minari")
    assert isinstance(registry.read(tmp_path / "a.npz").observations, StackedFrames)
    assert_equal(stacked, registry.read(tmp_path / "b"))


def test_a_conversion_shows_no_rewards(tmp_path):
    converted = convert_demonstrations(write(tmp_path / "a.npz"), tmp_path / "b.h5")
    assert repr(converted.true_returns) == "TrueReturns(3 episodes)"
    assert converted.true_returns.values_for_evaluation().tolist() == [3, 60, 100]


def test_an_existing_target_is_left_alone_and_a_failed_one_leaves_nothing(tmp_path, monkeypatch):
    source = write(tmp_path / "a.npz")
    (tmp_path / "b.h5").write_text("mine")
    with pytest.raises(UserError, match=r"b\.h5: expected a new path, found one that exists"):
        convert_demonstrations(source, tmp_path / "b.h5")
    assert (tmp_path / "b.h5").read_text() == "mine"

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(UserError, match="No space left on device"):
        convert_demonstrations(source, tmp_path / "c", target_format="minari")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.npz", "b.h5"]


def test_a_target_whose_ending_tells_no_format_needs_one(tmp_path):
    with pytest.raises(UserError, match="format: expected one of npz, minari, imitation, d4rl"):
        convert_demonstrations(write(tmp_path / "a.npz"), tmp_path / "b")


# -------------------------------------------------------------------------- what layouts of one format mean


def test_d4rl_flags_end_episodes_and_the_file_cuts_off_the_last(tmp_path, caplog):
    timeouts = np.array([0, 0, 1, 0, 0, 0], np.float32)  # D4RL also keeps flags as numbers
    terminals = np.array([True, False, False, False, False, False])
    read = registry.read(format_files.d4rl(tmp_path / "a.hdf5", terminals=terminals, timeouts=timeouts))
    assert read.lengths.tolist() == [1, 2, 3]
    assert read.terminated is not None
    assert read.terminated.tolist() == [True, False, False]
    assert read.last_observations is None
    assert caplog.records == []


def test_d4rl_next_observations_give_the_last_ones_and_betray_a_missing_flag(tmp_path, caplog):
    following = np.roll(whole()["observations"], -1, axis=0)
    following[format_files.ENDS] = 7
    read = registry.read(format_files.d4rl(tmp_path / "a.h5", next_observations=following))
    np.testing.assert_array_equal(read.last_observations, np.full((3, 3), 7, np.float32), strict=True)
    assert caplog.records == []
    registry.read(format_files.d4rl(tmp_path / "b.h5", next_observations=following, timeouts=None))
    missing, jump = (record.getMessage() for record in caplog.records)
    assert "timeouts: missing" in missing
    assert "next_observations: 1 differ from the observation after them, the first in row 4" in jump


def test_a_folder_of_npz_files_is_no_format_and_the_way_to_join_them_is_named(tmp_path):
    write(tmp_path / "whole.npz")
    with pytest.raises(UserError, match=r"a folder of whole.npz; join .* by drex.Trajectories.from_episodes"):
        registry.read(tmp_path)


def test_episodes_that_end_without_a_flag_are_counted_in_the_log(tmp_path, caplog):
    data = format_files.minari(tmp_path / "cart") / "data/main_data.hdf5"
    for name in ("terminations", "truncations"):
        format_files.change_hdf5(data, f"episode_1/{name}", np.zeros_like)
    registry.read(tmp_path / "cart")
    [record] = caplog.records
    assert record.getMessage().endswith("1 episodes end without a flag and count as truncated")


def test_infos_of_imitation_are_never_decoded(tmp_path):
    evil = json.dumps({"py/reduce": [{"py/function": "os.system"}, {"py/tuple": ["touch evil"]}]})
    read = registry.read(format_files.imitation(tmp_path / "data", infos=[[evil, evil], [evil]]))
    assert read.lengths.tolist() == [2, 1]
    assert not Path("evil").exists()
    assert "jsonpickle" not in sys.modules


# --------------------------------------------------------------------------------------------- which format


@pytest.mark.parametrize("kind", ENDINGS)
def test_a_format_is_recognised_whatever_the_name(kind, tmp_path):
    registry.write(tmp_path / f"a{ENDINGS[kind]}", registry.read(REAL / "imitation"), kind)
    (tmp_path / f"a{ENDINGS[kind]}").rename(tmp_path / "data.bin")
    assert registry.locate(tmp_path / "data.bin")[1] == kind


def test_an_explicit_format_overrides_what_the_path_looks_like(tmp_path):
    file = format_files.d4rl(tmp_path / "a.npz")
    with pytest.raises(UserError, match="found an HDF5 file"):
        registry.read(file)
    assert registry.read(file, "d4rl").lengths.tolist() == [2, 3, 1]


def test_minaris_cache_lies_at_home_unless_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.delenv("MINARI_DATASETS_PATH")
    monkeypatch.setenv("HOME", str(tmp_path))
    place = format_files.minari(tmp_path / ".minari/datasets/walk/few-v2")
    assert registry.locate("walk/few-v2") == (place, "minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "elsewhere"))
    with pytest.raises(UserError, match="found none of them; minari download walk/few-v2"):
        registry.locate("walk/few-v2")


@pytest.mark.parametrize(
    ("package", "name"),
    [("h5py", "cartpole/random-v0"), ("pyarrow", "room/arrow-v0"), ("pyarrow", REAL / "imitation")],
)
def test_a_missing_library_is_named_with_the_line_that_installs_it(package, name, monkeypatch):
    for module in [each for each in sys.modules if each.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError) as refused:
        registry.read(name)
    assert f"expected {package} to be installed" in str(refused.value)
    assert str(refused.value).endswith(f"pip install {package}")


# ------------------------------------------------------------------------------------------------- commands


def test_the_commands_convert_and_inspect_any_format(tmp_path, capsys):
    target = tmp_path / "cart.npz"
    assert main(["demos", "convert", "cartpole/random-v0", str(target)]) == 0
    said = capsys.readouterr().out
    assert f"file          {target}" in said
    assert main(["demos", "convert", str(target), str(tmp_path / "cart"), "--to", "imitation"]) == 0
    capsys.readouterr()
    assert (
        main(["demos", "inspect", str(tmp_path / "cart"), "--format", "imitation", "--task", "CartPole-v1"])
        == 0
    )
    inspected = capsys.readouterr().out
    assert inspected.splitlines()[1:6] == said.splitlines()[1:6]
    assert (
        inspected.splitlines()[-1] == "fits CartPole-v1: shapes, numbers and ranges are those of its spaces"
    )


def test_inspecting_says_what_does_not_fit_a_task(tmp_path, capsys):
    assert main(["demos", "inspect", "cartpole/random-v0", "--task", "Pendulum-v1"]) == 2
    error = capsys.readouterr().err
    assert "expected (3,) float32 a step, the environment's Box, found (4,) float32" in error


def test_load_demonstrations_takes_every_format(tmp_path, caplog):
    caplog.set_level(logging.ERROR)
    for path in (
        write(tmp_path / "a.npz"),
        format_files.d4rl(tmp_path / "a.hdf5"),
    ):
        loaded = load_demonstrations(path)
        np.testing.assert_array_equal(loaded.trajectories.actions, whole()["actions"], strict=True)
        assert loaded.true_returns.values_for_evaluation().tolist() == [3, 60, 100]
