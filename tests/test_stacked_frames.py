"""Stacked frames give back what the environment showed, from a fraction of the bytes and of the memory."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import tracemalloc
import zipfile

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_image_environments import ENDING_MEET, MEET, best_actions

from drex.agents.policies.acting import uniform
from drex.agents.rollouts.collect import collect
from drex.agents.rollouts.episode_recorder import Recording
from drex.agents.rollouts.noise import NoiseJob
from drex.demonstrations.load_and_save import load_demonstrations, save_demonstrations
from drex.envs.data.stacked_frames import FramePool, StackedFrames, StackRecorder, are_images, holds_images
from drex.envs.data.trajectories import Trajectories
from drex.envs.make import make_environments, task_spaces
from drex.envs.vector.same_step import TransitionEnds
from drex.errors import UserError


def recorded(episodes):
    """Episodes [(steps + 1, stack, h, w)] as trajectories, the last observation of each apart."""
    pool = FramePool()
    rows = []
    for episode in episodes:
        recorder = StackRecorder(pool)
        for stack in episode:
            recorder.append(stack)
        rows.append(recorder.rows())
    frames = pool.mapped()
    lengths = np.array([len(episode) - 1 for episode in episodes])
    return Trajectories(
        StackedFrames(frames, np.concatenate([some[:-1] for some in rows])),
        np.arange(lengths.sum()),
        lengths,
        np.zeros(len(lengths), np.bool_),
        StackedFrames(frames, np.stack([some[-1] for some in rows])),
    )


def played(steps, *, seed=0, stack=4, size=6, padding="zeros"):
    """One episode of stacks over random frames, its first stacks padded as environments do."""
    frames = np.random.default_rng(seed).integers(0, 256, (steps + 1, size, size), np.uint8)
    first = np.zeros_like(frames[:1]) if padding == "zeros" else frames[:1]
    padded = np.concatenate([*[first] * (stack - 1), frames])
    return np.stack([padded[step : step + stack] for step in range(steps + 1)])


def same(kept, episodes):
    np.testing.assert_array_equal(kept.observations[:], np.concatenate([e[:-1] for e in episodes]))
    np.testing.assert_array_equal(kept.last_observations[:], np.stack([e[-1] for e in episodes]))
    np.testing.assert_array_equal(kept.next_observations()[:], np.concatenate([e[1:] for e in episodes]))


@pytest.mark.parametrize(("padding", "extra"), [("zeros", 1), ("first frame", 0)])
def test_each_frame_is_kept_once_however_the_first_stacks_are_padded(padding, extra):
    episodes = [played(30, seed=seed, padding=padding) for seed in range(3)]
    kept = recorded(episodes)
    same(kept, episodes)
    assert len(kept.observations.frames) == 3 * (31 + extra)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_sequence_of_stacks_comes_back_unchanged(data):
    stack = data.draw(st.integers(1, 4))
    values = st.lists(st.integers(0, 2), min_size=stack, max_size=stack)  # few values, so that frames repeat
    episodes = [
        np.array(episode, np.uint8)[:, :, None, None]
        for episode in data.draw(st.lists(st.lists(values, min_size=2, max_size=8), min_size=1, max_size=3))
    ]
    kept = recorded(episodes)
    same(kept, episodes)
    picked = kept.select([len(episodes) - 1, 0])
    same(picked, [episodes[-1], episodes[0]])
    same(Trajectories.concatenate([picked, kept]), [episodes[-1], episodes[0], *episodes])


def test_joining_what_lies_in_two_files_keeps_only_the_frames_that_are_used():
    one, other = [played(5, seed=1), played(7, seed=2)], [played(4, seed=3)]
    joined = Trajectories.concatenate([recorded(one).select([1]), recorded(other)])
    same(joined, [one[1], other[0]])
    assert len(joined.observations.frames) == 9 + 6


def test_a_stack_of_84_by_84_takes_less_than_seven_thousand_one_hundred_bytes_a_step():
    steps = 400
    kept = recorded([played(steps, size=84)])
    arrays = (kept.observations.frames, kept.observations.rows, kept.actions)
    assert sum(array.nbytes for array in arrays) / steps < 7.1e3 * (1 + 2 / steps)


class Watched:
    """Frames that remember which of them were read."""

    def __init__(self, frames):
        self.frames, self.read = frames, set()
        self.shape, self.dtype, self.base = frames.shape, frames.dtype, None

    def __len__(self):
        return len(self.frames)

    def __getitem__(self, rows):
        self.read.update(np.ravel(rows).tolist())
        return self.frames[rows]


def test_only_the_frames_that_are_asked_for_are_read():
    plain = recorded([played(50)]).observations
    watched = Watched(plain.frames)
    stacks = StackedFrames(watched, plain.rows)
    ahead = stacks.take(np.arange(20, 30))
    assert watched.read == set()
    np.testing.assert_array_equal(ahead[np.array([0, 4])], plain[np.array([20, 24])])
    assert watched.read == set(plain.rows[[20, 24]].ravel().tolist())
    assert len(watched.read) == 8


def test_it_reads_like_the_array_that_it_stands_for():
    episode = played(9)
    stacks, array = recorded([episode]).observations, episode[:-1]
    assert (stacks.shape, stacks.ndim, stacks.size, len(stacks)) == (array.shape, 4, array.size, 9)
    for index in (3, -1, slice(2, 7, 2), np.array([[1, 2], [8, 0]]), array[:, 0, 0, 0] > 100):
        np.testing.assert_array_equal(stacks[index], array[index])
    np.testing.assert_array_equal(np.asarray(stacks), array)
    assert np.asarray(stacks, np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="first axis"):
        stacks.take(np.array([0]), axis=1)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (np.array([[0, 9]]), "stacks: expected rows of the 9 frames, from 0, found rows from 0 to 9"),
        (np.array([[-1, 0]]), "found rows from -1 to 0"),
        (np.array([0, 1]), r"expected \(observations, stack\) integers, found \(2,\) int64"),
        (np.array([[0.0]]), "found .* float64"),
    ],
)
def test_rows_that_name_no_frame_are_refused(rows, sentence):
    with pytest.raises(UserError, match=sentence):
        StackedFrames(np.zeros((9, 6, 6), np.uint8), rows)


def test_last_observations_must_stand_in_the_same_frames():
    kept = recorded([played(5)])
    elsewhere = recorded([played(5)]).last_observations
    for last in (elsewhere, np.asarray(elsewhere)):
        with pytest.raises(UserError, match="last_observations: expected stacks of the same frames"):
            Trajectories(kept.observations, kept.actions, kept.lengths, kept.terminated, last)


# What environments show


class Eavesdropper:
    """A policy that keeps all that it sees, and sees one environment only."""

    def __init__(self, policy):
        self.policy, self.seen = policy, []

    def __call__(self, observations):
        self.seen.append(observations[0].copy())
        return self.policy(observations)


@pytest.mark.parametrize("task", [MEET, ENDING_MEET])
def test_collected_stacks_equal_what_the_environment_gave_over_whole_episodes(task):
    policy = Eavesdropper(best_actions)
    environments = make_environments(task, 1, seed=3)
    kept, _ = collect(policy, environments, [NoiseJob("uniform", 0.5)] * 6, seed=0)
    assert isinstance(kept.observations, StackedFrames)
    np.testing.assert_array_equal(kept.observations[:], np.stack(policy.seen))
    newest = kept.last_observations[:, -1]
    under = newest[:, 10].argmax(axis=1) == newest[:, 28].argmax(axis=1)
    if task == ENDING_MEET:
        assert kept.terminated.tolist() == under.tolist()
    assert len(kept.observations.frames) <= len(policy.seen) + 2 * len(kept)


def test_a_finished_episode_leaves_no_image_in_memory():
    space, picture = gymnasium.spaces.Box(0, 255, (4, 84, 84), np.uint8), np.zeros((1, 4, 84, 84), np.uint8)
    recording = Recording(space, 1, 300)
    tracemalloc.start()
    for episode in range(300):
        recording.begin(0, episode)
        for step in range(4):
            picture[:, -1] = step
            recording.add(picture, np.zeros(1, np.int64))
        recording.finish(0, TransitionEnds(picture, np.array([True]), np.array([False])), {})
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < 300 * picture.nbytes / 10
    assert len(recording.join()[0]) == 300


def test_side_by_side_episodes_keep_their_frames_apart():
    kept, _ = collect(uniform(task_spaces(MEET)[1], seed=0), make_environments(MEET, 3, seed=0), 5, seed=0)
    stacks, ahead = kept.observations, kept.next_observations()
    within = np.setdiff1d(np.arange(len(stacks)), kept.ends - 1)
    np.testing.assert_array_equal(ahead[within], stacks[within + 1])
    np.testing.assert_array_equal(ahead[:][:, 0], stacks[:][:, 1])  # the newest becomes the older one
    assert (stacks[kept.starts][:, 0] == 0).all()


def test_what_counts_as_images():
    box = gymnasium.spaces.Box
    assert holds_images(box(0, 255, (4, 84, 84), np.uint8))
    assert not holds_images(box(0, 255, (7, 7, 3), np.uint8))  # too small for convolutions
    assert not holds_images(box(0, 1, (4, 84, 84), np.float32))
    assert not holds_images(gymnasium.spaces.Discrete(4))
    with pytest.raises(UserError, match=r"stack, height, width\), found \(84, 84, 4\)"):
        holds_images(box(0, 255, (84, 84, 4), np.uint8))
    assert are_images(recorded([played(3, size=36)]).observations)
    assert not are_images(recorded([played(3)]).observations)


# Files


@pytest.mark.parametrize("in_place", [False, True])
def test_files_give_back_the_stacks_and_hold_only_the_frames_in_use(tmp_path, in_place):
    episodes = [played(20, seed=seed) for seed in range(3)]
    kept = recorded(episodes)
    path = tmp_path / "some.npz"
    save_demonstrations(path, kept.select([2, 0]), map_frames=in_place, task="a")
    loaded = load_demonstrations(path).trajectories
    same(loaded, [episodes[2], episodes[0]])
    assert loaded.actions.tolist() == [*range(40, 60), *range(20)]
    assert len(loaded.observations.frames) == 2 * 22
    with np.load(path) as arrays:  # any reader of npz can read it
        assert arrays["frames"].shape == (44, 6, 6)
        np.testing.assert_array_equal(
            arrays["frames"][arrays["stacks"]], np.concatenate([episodes[2][:-1], episodes[0][:-1]])
        )
        assert int(arrays["format"]) == 2
    save_demonstrations(tmp_path / "again.npz", loaded, map_frames=in_place, task="a")
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()


def test_frames_that_repeat_compress_and_those_of_a_run_lie_ready(tmp_path):
    kept, _ = collect(best_actions, make_environments(MEET, 4, seed=0), 20, seed=0)
    sizes = {}
    for name, in_place in (("small", False), ("ready", True)):
        path = tmp_path / f"{name}.npz"
        save_demonstrations(path, kept, map_frames=in_place)
        sizes[name] = path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            entry = archive.getinfo("frames.npy")
            assert (entry.compress_type == zipfile.ZIP_STORED) == in_place
    assert sizes["small"] < 0.1 * sizes["ready"]


def spoil(path, **changes):
    with np.load(path) as arrays:
        held = dict(arrays)
    np.savez(path, **{name: array for name, array in (held | changes).items() if array is not None})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"stacks": None}, "stacks: expected an array beside frames, found none"),
        ({"frames": None}, "frames: expected an array beside stacks, found none"),
        (
            {"stacks": np.full((5, 4), 99)},
            "stacks: expected rows of the 7 frames, from 0, found rows from 99",
        ),
        ({"stacks": np.zeros((4, 4), np.int32)}, "actions: expected shape .4,., as many steps"),
        ({"last_stacks": np.zeros((2, 4), np.int32)}, "last_observations: expected shape .1, 4, 6, 6."),
        ({"frames": np.zeros((7, 6, 6))}, "frames: expected uint8 .stored, height, width., found float64"),
    ],
)
def test_files_whose_stacks_do_not_fit_are_refused(tmp_path, changes, sentence):
    path = tmp_path / "some.npz"
    save_demonstrations(path, recorded([played(5)]))
    spoil(path, **changes)
    with pytest.raises(UserError, match=sentence):
        load_demonstrations(path)


def test_frames_laid_out_by_columns_are_read_all_the_same(tmp_path):
    kept = recorded([played(5)])
    path = tmp_path / "some.npz"
    save_demonstrations(path, kept, map_frames=True)
    spoil(path, frames=np.asfortranarray(kept.observations.frames))
    same(load_demonstrations(path).trajectories, [played(5)])


def test_reading_a_file_larger_than_the_limit_keeps_little_of_it_in_memory(tmp_path):
    """A process that reads 140 MB of mapped frames, several times over at random, keeps a third of them."""
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")
    code = """
        import numpy as np
        import drex.envs.data.stacked_frames as module
        module._FRAMES_BETWEEN_RELEASES = 256

        def resident():
            lines = open("/proc/self/status").read().splitlines()
            return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024

        pool = module.FramePool()
        for number in range(20_000):
            pool.add(np.full((84, 84), number % 256, np.uint8))
        frames = pool.mapped()
        steps = np.arange(3, len(frames))
        stacks = module.StackedFrames(frames, (steps[:, None] + np.arange(-3, 1)).astype(np.int32))
        before, peak, random = resident(), 0.0, np.random.default_rng(0)
        for _ in range(100):
            chosen = random.integers(0, len(stacks), 64)
            seen = stacks[chosen]
            assert (seen[:, -1, 0, 0] == steps[chosen] % 256).all()
            peak = max(peak, resident() - before)
        print(peak)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        check=True,
        capture_output=True,
        text=True,
        env={"TMPDIR": str(tmp_path), "PATH": ""},
    )
    assert float(done.stdout) < 50
