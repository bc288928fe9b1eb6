"""Stacked image observations that store each frame once: 7.1 kB per step of 84×84×4 instead of 28 kB.

Images are channel first everywhere in this package, (stack, height, width) uint8 with the newest frame last,
as in EnvPool, ALE and stable-baselines3's convolutions. Frames are in memory or in a mapped file, so that
millions of steps fit; stacks are assembled when they are read.
"""

from __future__ import annotations

import mmap
import tempfile
import weakref
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import gymnasium
import numpy as np
import numpy.typing as npt

from drex.errors import UserError

_FRAMES_BETWEEN_RELEASES = 2048
"""Frames read from a mapped file before its pages are released: the kernel maps 64 KiB around each, so that
at most 128 MiB stay resident between two reads."""


class StackedFrames:
    """Observations (n, stack, *frame shape), indexed like an array, with each frame stored once.

    Args:
        frames: (stored, *frame shape), in memory or mapped from a file.
        rows: (n, stack) integers, the row in ``frames`` of each frame of each observation.

    Raises:
        UserError: rows outside ``frames``, or of another shape or dtype.
    """

    def __init__(self, frames: npt.NDArray[Any], rows: npt.NDArray[Any]) -> None:
        if rows.ndim != 2 or rows.dtype.kind not in "iu":
            found = f"{rows.shape} {rows.dtype}"
            raise UserError("stacks", expected="(observations, stack) integers", found=found)
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(frames):
            expected = f"rows of the {len(frames)} frames, from 0"
            found = f"rows from {rows.min()} to {rows.max()}"
            raise UserError("stacks", expected=expected, found=found)
        self.frames, self.rows = frames, rows
        self._frames_since_release = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, stack, *frame shape)."""
        return (*self.rows.shape, *self.frames.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of every entry."""
        return self.frames.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of entries of all stacks."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        """Number of observations."""
        return len(self.rows)

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:  # noqa: ANN401 (any index of numpy)
        """The observations of these steps, a new array; only their frames are read."""
        rows = self.rows[index]
        stacks = np.asarray(self.frames[rows])
        self._frames_since_release += rows.size
        if self._frames_since_release > _FRAMES_BETWEEN_RELEASES:
            self._release()
        return stacks

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:  # noqa: ANN401
        """All observations at once: ``stack`` times the memory of the frames."""
        stacks = self[:]
        return stacks if dtype is None else stacks.astype(dtype, copy=False)  # None would mean float64

    def take(self, steps: npt.NDArray[np.int64], axis: int = 0) -> StackedFrames:
        """The observations of these steps over the same frames; no frame is read."""
        if axis != 0:
            raise ValueError("stacked frames are taken along their first axis only")
        return StackedFrames(self.frames, self.rows[steps])

    def in_order_of_use(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """The used frames in the order of their first use, and rows (n, stack) among them."""
        used, first, rows = np.unique(self.rows, return_index=True, return_inverse=True)
        order = np.argsort(first, kind="stable")
        place = np.empty(len(order), np.int32)
        place[order] = np.arange(len(order), dtype=np.int32)
        return used[order].astype(np.int64), place[rows.reshape(self.rows.shape)]

    def _release(self) -> None:
        """Release the pages of a mapped file."""
        mapping = self.frames.base
        if isinstance(mapping, mmap.mmap) and hasattr(mapping, "madvise"):
            mapping.madvise(mmap.MADV_DONTNEED)
        self._frames_since_release = 0


Observations: TypeAlias = npt.NDArray[Any] | StackedFrames
"""(steps, *observation shape), as an array or as stacked frames."""

SMALLEST_IMAGE = 36
"""Minimum height and width of images in pixels, that of the Nature CNN."""


def holds_images(space: gymnasium.Space[Any]) -> bool:
    """Whether a space is of images, uint8 (stack, height, width) from 36×36; UserError for channels last."""
    if not isinstance(space, gymnasium.spaces.Box) or space.dtype != np.uint8 or len(space.shape) != 3:
        return False
    height, width, last = space.shape
    if min(height, width) >= SMALLEST_IMAGE and last <= min(4, height, width):
        expected = "images with channels or stacked frames first, (stack, height, width)"
        advice = "put a wrapper around the environment that transposes them"
        raise UserError("observation space", expected=expected, found=str(space.shape), do=advice)
    return min(space.shape[1:]) >= SMALLEST_IMAGE


def are_images(observations: Observations) -> bool:
    """Whether observations (n, stack, height, width) are such images."""
    shape = observations.shape
    return bool(observations.dtype == np.uint8) and len(shape) == 4 and min(shape[2:]) >= SMALLEST_IMAGE


def join_stacks(parts: Sequence[StackedFrames]) -> StackedFrames:
    """All observations of all parts, in order, over one set of frames."""
    if all(part.frames is parts[0].frames for part in parts):
        return StackedFrames(parts[0].frames, np.concatenate([part.rows for part in parts]))
    pool = FramePool()
    rows: list[npt.NDArray[Any]] = [part.rows for part in parts]
    for frames in {id(part.frames): part.frames for part in parts}.values():
        theirs = [index for index, part in enumerate(parts) if part.frames is frames]
        together = StackedFrames(frames, np.concatenate([parts[index].rows for index in theirs]))
        order, places = together.in_order_of_use()
        ends = np.cumsum([len(parts[index]) for index in theirs])
        for index, moved in zip(theirs, np.split(places + pool.count, ends[:-1]), strict=True):
            rows[index] = moved
        for chunk in frames_in_order(frames, order):
            for frame in chunk:
                pool.add(frame)
    return StackedFrames(pool.mapped(), np.concatenate(rows))


def frames_in_order(
    frames: npt.NDArray[Any], order: npt.NDArray[np.int64], *, each: int = 1024
) -> Iterator[npt.NDArray[Any]]:
    """The frames of these rows, ``each`` at a time."""
    wanted = StackedFrames(frames, order[:, None])
    for start in range(0, len(order), each):
        yield wanted[start : start + each, 0]


class FramePool:
    """Frames in a temporary file, which is deleted with the last array over it.

    The file is in the folder ``TMPDIR``, which should be on disk for many steps.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=2**20)  # noqa: SIM115 (mapped() closes it)
        weakref.finalize(self, self._file.close)
        self._shape: tuple[int, ...] = ()
        self._dtype: np.dtype[Any] = np.dtype(np.uint8)
        self.count = 0

    def add(self, frame: npt.NDArray[Any]) -> int:
        """Write a frame and return its row."""
        self._shape, self._dtype = frame.shape, frame.dtype
        self._file.write(np.ascontiguousarray(frame).data)
        self.count += 1
        return self.count - 1

    def mapped(self) -> npt.NDArray[Any]:
        """(stored, *frame shape), mapped read-only; no frame can be added afterwards."""
        with self._file:
            self._file.flush()
            return np.memmap(self._file, self._dtype, "r", shape=(self.count, *self._shape))


class StackRecorder:
    """One episode's observations while it is played; a frame of the previous stack is not stored again.

    Frames are compared, so that the assembled stacks equal the environment's however it pads the first ones.
    """

    def __init__(self, pool: FramePool) -> None:
        self._pool = pool
        self._rows = array("i")
        self._recent: list[tuple[int, npt.NDArray[Any]]] = []
        self._stack: npt.NDArray[Any] | None = None

    def append(self, stack: npt.NDArray[Any]) -> None:
        """Record an observation (stack, *frame shape)."""
        stack, depth = np.array(stack), len(stack)
        moved_on = self._stack is not None and np.array_equal(stack[:-1], self._stack[1:])
        before = self._recent
        self._recent = before[1:] if moved_on else []
        for frame in stack[depth - 1 :] if moved_on else stack:
            known = (row for row, seen in (*self._recent, *before) if np.array_equal(frame, seen))
            row = next(known, None)
            self._recent.append((self._pool.add(frame) if row is None else row, frame))
        self._stack = stack
        self._rows.extend(row for row, _ in self._recent)

    def rows(self) -> npt.NDArray[np.int32]:
        """(observations, stack) rows of the pool."""
        return np.array(self._rows, np.int32).reshape(-1, max(len(self._recent), 1))
