"""Files of demonstrations: what is saved comes back, and actions load as the environment would get them."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from demonstration_files import whole, with_row, write
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from drex.demonstrations.load_and_save import Demonstrations, load_demonstrations, save_demonstrations
from drex.envs.data.trajectories import Trajectories
from drex.envs.data.true_returns import TrueReturns
from drex.errors import UserError
from drex.files import npz


@pytest.mark.parametrize(
    ("actions", "space"),
    [
        (np.array([0, 1, 2, 3, 3, 0], np.uint8), spaces.Discrete(4)),
        (np.array([[0, 2]] * 6), spaces.MultiDiscrete([1, 3])),
        (np.array([[0, 1]] * 6, np.int8), spaces.MultiBinary(2)),
    ],
)
def test_integer_actions_within_their_space_come_back_exactly(actions, space, tmp_path, caplog) -> None:
    loaded = load_demonstrations(write(tmp_path / "demos.npz", actions=actions), action_space=space)
    np.testing.assert_array_equal(loaded.trajectories.actions, actions, strict=True)
    assert caplog.records == []


FROM_0_TO_1 = spaces.Box(0, 1, (3,), np.float32)
ANY = spaces.Box(-np.inf, np.inf, (3,), np.float32)


@pytest.mark.parametrize(
    ("seen", "space", "expected"),
    [
        (np.array([0, 2, 1, 1, 0, 2]), FROM_0_TO_1, np.eye(3)[[0, 2, 1, 1, 0, 2]]),  # options of a Discrete
        (np.eye(3, dtype=np.int64)[[0, 2, 1, 1, 0, 2]], FROM_0_TO_1, np.eye(3)[[0, 2, 1, 1, 0, 2]]),
        (np.full((6, 3), -7), ANY, np.full((6, 3), -7.0)),
        (np.arange(6.0), spaces.Box(-9, 9, (1,), np.float32), np.arange(6.0)[:, None]),
        (np.arange(6), spaces.Box(-9, 9, (1,), np.float32), np.arange(6.0)[:, None]),
    ],
)
def test_observations_take_the_form_of_the_environments(seen, space, expected, tmp_path) -> None:
    path = write(tmp_path / "demos.npz", observations=seen, last_observations=seen[: len(whole()["lengths"])])
    loaded = load_demonstrations(path, observation_space=space).trajectories
    np.testing.assert_array_equal(loaded.observations, expected)
    assert loaded.observations.dtype.kind == "f" and loaded.last_observations.shape[1:] == space.shape


@pytest.mark.parametrize(
    ("seen", "space"),
    [
        (np.array([0, 3, 1, 1, 0, 2]), FROM_0_TO_1),  # no such option
        (np.array([0, 2, 1, 1, 0, 2]), ANY),  # not one-hot there
        (np.full((6, 3), 255, np.uint8), FROM_0_TO_1),  # the environment divides by 255
        (np.full((6, 3), 2**53 + 1), ANY),  # would be rounded
    ],
)
def test_observations_that_would_change_are_refused(seen, space, tmp_path) -> None:
    path = write(tmp_path / "demos.npz", observations=seen, last_observations=None)
    with pytest.raises(UserError, match="are these demonstrations of this environment"):
        load_demonstrations(path, observation_space=space)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_published_file_loads_with_actions_clipped_as_the_environment_would(
    dtype, tmp_path, caplog
) -> None:
    # The layout published with D-REX: samples of a Gaussian policy, no flags, four fields.
    random = np.random.default_rng(0)
    lengths = np.array([295, 337, 299, 393])
    actions = random.normal(size=(1324, 3)).astype(dtype)
    actions[7] = [-4.0, 0.25, 4.0]
    rewards = random.uniform(1, 4, 1324).astype(np.float32)
    path = tmp_path / "published.npz"
    np.savez(
        path,
        observations=random.normal(3, 2, (1324, 11)).astype(dtype),
        actions=actions,
        rewards=rewards,
        lengths=lengths,
    )
    loaded = load_demonstrations(
        path,
        observation_space=spaces.Box(-np.inf, np.inf, (11,), np.float64),
        action_space=spaces.Box(-1, 1, (3,), np.float32),
        horizon=1000,
        task="Hopper-v5",
    )
    trajectories = loaded.trajectories
    assert trajectories.observations.dtype == dtype
    assert trajectories.actions.dtype == dtype
    np.testing.assert_array_equal(trajectories.actions, np.clip(actions, -1, 1))
    np.testing.assert_array_equal(trajectories.actions[7], [-1.0, 0.25, 1.0])
    assert trajectories.lengths.tolist() == [295, 337, 299, 393]
    assert trajectories.terminated.all()
    assert trajectories.last_observations is None
    sums = [part.sum() for part in np.split(rewards.astype(np.float64), np.cumsum(lengths)[:-1])]
    np.testing.assert_allclose(loaded.true_returns.values_for_evaluation(), sums, rtol=1e-12)
    outside = int((np.abs(actions) > 1).sum())
    [record] = caplog.records
    assert record.name == "drex"
    assert f"{path}: actions: clipped" in record.getMessage()
    assert f"{outside} of 3972 entries lay outside, from -4 to 4" in record.getMessage()


def test_without_an_action_space_actions_are_left_as_they_are(tmp_path, caplog) -> None:
    loaded = load_demonstrations(write(tmp_path / "demos.npz"))
    np.testing.assert_array_equal(loaded.trajectories.actions, whole()["actions"], strict=True)
    assert caplog.records == []


def test_returns_are_sums_of_rewards_and_unknown_where_a_reward_is(tmp_path) -> None:
    known = load_demonstrations(write(tmp_path / "known.npz"))
    assert known.true_returns.values_for_evaluation().tolist() == [3, 60, 100]
    partly = load_demonstrations(write(tmp_path / "partly.npz", rewards=with_row("rewards", 3, np.nan)))
    np.testing.assert_array_equal(partly.true_returns.values_for_evaluation(), [3, np.nan, 100])
    without = load_demonstrations(write(tmp_path / "without.npz", rewards=None))
    np.testing.assert_array_equal(without.true_returns.values_for_evaluation(), [np.nan] * 3)


@pytest.mark.parametrize(
    ("flags", "horizon", "terminated"),
    [
        (None, None, [False, False, False]),
        (None, 3, [True, False, True]),
        ([False, True, False], 3, [False, True, False]),
        ([False, True, False], None, [False, True, False]),
    ],
)
def test_episodes_shorter_than_the_horizon_ended_unless_the_file_says(flags, horizon, terminated, tmp_path):
    path = write(tmp_path / "demos.npz", terminated=None if flags is None else np.array(flags))
    assert load_demonstrations(path, horizon=horizon).trajectories.terminated.tolist() == terminated


@pytest.mark.parametrize(
    ("changes", "arguments", "sentence"),
    [
        ({"task": np.array("Hopper-v5")}, {"task": "Ant-v5"}, "task: expected Ant-v5, found Hopper-v5"),
        ({}, {"horizon": 2}, "lengths: expected at most 2, the task's time limit, found 3"),
        (
            {"infos": np.zeros(2), "dones": np.zeros(6)},
            {},
            "ignored, being no part of the format: dones.npy, infos.npy",
        ),
        ({"extra": np.array([{}])}, {}, "ignored, being no part of the format: extra.npy"),
    ],
)
def test_what_may_be_meant_is_logged_in_one_line(changes, arguments, sentence, tmp_path, caplog) -> None:
    path = write(tmp_path / "demos.npz", **changes)
    load_demonstrations(path, **arguments)
    assert [record.getMessage() for record in caplog.records] == [f"{path}: {sentence}"]


def test_the_files_own_task_is_known_and_agrees_silently(tmp_path, caplog) -> None:
    path = write(tmp_path / "demos.npz", task=np.array("Hopper-v5"), about=np.array('{"by": "hand"}'))
    loaded = load_demonstrations(path, task="Hopper-v5")
    assert (loaded.task, loaded.about, loaded.source) == ("Hopper-v5", {"by": "hand"}, str(path))
    assert caplog.records == []


def test_whole_floats_pass_as_lengths_and_one_long_episode_is_enough(tmp_path) -> None:
    loaded = load_demonstrations(write(tmp_path / "demos.npz", lengths=np.array([6.0])))
    assert loaded.trajectories.lengths.tolist() == [6]
    assert loaded.trajectories.lengths.dtype == np.int64


def test_foreign_byte_order_and_column_order_are_read_as_their_values(tmp_path) -> None:
    observations = np.asfortranarray(whole()["observations"].astype(">f4"))
    loaded = load_demonstrations(write(tmp_path / "demos.npz", observations=observations))
    assert loaded.trajectories.observations.dtype.isnative
    np.testing.assert_array_equal(loaded.trajectories.observations, whole()["observations"], strict=True)


NUMBERS = st.sampled_from([np.float16, np.float32, np.float64, np.uint8, np.int32, np.int64])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def arrays(dtype: object, shape: tuple[int, ...]) -> st.SearchStrategy[np.ndarray]:
    finite = {} if np.dtype(dtype).kind != "f" else {"allow_nan": False, "allow_infinity": False}
    return hnp.arrays(dtype, shape, elements=hnp.from_dtype(np.dtype(dtype), **finite))


@st.composite
def saved(draw: st.DrawFn) -> tuple[Trajectories, dict[str, object]]:
    lengths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4).filter(lambda some: max(some) > 1))
    steps, shapes = sum(lengths), hnp.array_shapes(min_dims=0, max_dims=3, max_side=3)
    seen, done = draw(NUMBERS), draw(NUMBERS)
    shape = draw(shapes)
    trajectories = Trajectories(
        draw(arrays(seen, (steps, *shape))),
        draw(arrays(done, (steps, *draw(shapes)))),
        np.array(lengths),
        draw(hnp.arrays(bool, len(lengths))),
        draw(st.none() | arrays(seen, (len(lengths), *shape))),
    )
    rewards = st.floats(-1e9, 1e9) | st.just(float("nan"))
    return trajectories, {
        "rewards": draw(st.none() | hnp.arrays(np.float64, steps, elements=rewards)),
        "task": draw(st.none() | st.sampled_from(["Hopper-v5", "ALE/Pong-v5", "π"])),
        "about": draw(st.dictionaries(st.text(), JSON, max_size=3)),
    }


@settings(max_examples=60, deadline=None)
@given(saved())
def test_save_then_load_is_identity(case: tuple[Trajectories, dict[str, object]]) -> None:
    trajectories, others = case
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "demos.npz")
        save_demonstrations(path, trajectories, **others)  # type: ignore[arg-type]
        loaded = load_demonstrations(path, horizon=3)
        assert os.listdir(folder) == ["demos.npz"]
    for name in ("observations", "actions", "lengths", "terminated", "last_observations"):
        before, after = getattr(trajectories, name), getattr(loaded.trajectories, name)
        if before is None:
            assert after is None
        else:
            assert (after.dtype, after.shape) == (before.dtype, before.shape)
            assert after.tobytes() == before.tobytes()
    rewards = others["rewards"]
    if rewards is None:
        rewards = np.full(len(trajectories.observations), np.nan)
    episodes = np.split(np.asarray(rewards), trajectories.ends[:-1])
    np.testing.assert_allclose(
        loaded.true_returns.values_for_evaluation(),
        [episode.sum() for episode in episodes],
        rtol=1e-12,
        atol=1e-6,
    )
    assert (loaded.task, loaded.about) == (others["task"], others["about"])


def sound_trajectories() -> Trajectories:
    fields = whole()
    return Trajectories(
        fields["observations"], fields["actions"], fields["lengths"], np.array([True, False, True])
    )


def test_equal_demonstrations_make_equal_bytes(tmp_path) -> None:
    for name in ("a.npz", "b.npz"):
        save_demonstrations(tmp_path / name, sound_trajectories(), task="Hopper-v5", about={"seed": 1})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_saved_file_needs_no_pickle_and_holds_rewards_only_if_given(tmp_path) -> None:
    save_demonstrations(tmp_path / "demos.npz", sound_trajectories())
    with np.load(tmp_path / "demos.npz", allow_pickle=False) as file:
        held = {name: file[name] for name in file.files}
    assert set(held) == {"observations", "actions", "lengths", "terminated", "format"}
    assert int(held["format"]) == 1


@pytest.mark.parametrize("fails", ["np.savez_compressed", "os.replace"])
def test_a_failed_save_leaves_the_old_file_and_nothing_else(fails: str, tmp_path, monkeypatch) -> None:
    path = tmp_path / "demos.npz"
    path.write_bytes(b"old")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(npz.np if fails.startswith("np") else os, fails.split(".")[1], full)
    with pytest.raises(UserError) as refused:
        save_demonstrations(path, sound_trajectories())
    found = "No space left on device; free it, or name another folder"
    assert str(refused.value) == f"{path}: expected a place to write, found {found}"
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["demos.npz"]


@pytest.mark.parametrize(
    ("place", "found"),
    [
        (".", "a folder"),
        ("none/demos.npz", "No such file or directory"),
        ("file/demos.npz", "Not a directory"),
    ],
)
def test_a_place_that_cannot_be_written_to_is_refused(place: str, found: str, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as refused:
        save_demonstrations(tmp_path / place, sound_trajectories())
    assert (refused.value.where, refused.value.found) == (str(tmp_path / place), found)


@pytest.mark.parametrize(
    ("others", "field", "found"),
    [
        ({"rewards": [1.0, 2.0]}, "rewards", "shape (2,)"),
        ({"rewards": ["a"] * 6}, "rewards", "<U1"),
        ({"about": {"space": object()}}, "about", "Object of type object is not JSON serializable"),
        ({"about": {"mean": float("nan")}}, "about", "Out of range float values are not JSON compliant"),
    ],
)
def test_what_could_not_be_read_again_is_not_saved(others, field: str, found: str, tmp_path) -> None:
    path = tmp_path / "demos.npz"
    with pytest.raises(UserError) as refused:
        save_demonstrations(path, sound_trajectories(), **others)
    assert refused.value.where == f"{path}: {field}"
    assert refused.value.found.startswith(found)
    assert not path.exists()


def test_true_returns_must_match_the_episodes() -> None:
    with pytest.raises(UserError, match="made here: true returns: expected 3, found 2"):
        Demonstrations(sound_trajectories(), TrueReturns([1, 2]), "made here")


def test_the_log_goes_to_the_one_logger(tmp_path) -> None:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logging.getLogger("drex").addHandler(handler)
    try:
        load_demonstrations(write(tmp_path / "demos.npz", extra=np.zeros(2)))
    finally:
        logging.getLogger("drex").removeHandler(handler)
    assert len(records) == 1
