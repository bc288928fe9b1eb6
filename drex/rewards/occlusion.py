"""What a learned reward attends to in an image: hide a small square, and see how far the reward moves.

Occlusion maps, as of Zeiler and Fergus (2014, section 4.2). The authors' published code draws such maps too,
of a square of 3×3 pixels set to 0 in one frame of the stack at a time. Here it is hidden in all frames at
once, by the background: what is hidden in one frame alone would seem to have jumped.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from drex.envs.data.stacked_frames import Observations, are_images
from drex.errors import UserError
from drex.rewards.cnn import IMAGES_AT_ONCE
from drex.rewards.learned_reward import LearnedReward

SQUARE = 5
"""Side of the hidden square in pixels; a ball of Breakout is 1×2, its paddle 8×2."""
STRIDE = 2
"""Pixels from one square to the next."""


def raw_reward(
    reward: LearnedReward, images: Observations, rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """(n,) mean of the members for some images, before squash, offset and scale.

    Its unit is the standard deviation of a member over what was ranked. A squashed reward would not tell
    apart what lies at its bounds.

    Args:
        reward: one that sees images.
        images: (steps, stack, height, width) uint8, of which few are in memory at a time.
        rows: (n,) which of them.
    """
    parts = [np.zeros(0)]
    for start in range(0, len(rows), IMAGES_AT_ONCE):
        seen = images[rows[start : start + IMAGES_AT_ONCE]]
        parts.append(reward.member_rewards(seen, np.zeros(len(seen), np.int64), seen).mean(axis=0))
    return np.concatenate(parts)


def occlusion_map(
    reward: LearnedReward, stacks: npt.NDArray[np.uint8], *, square: int = SQUARE, stride: int = STRIDE
) -> npt.NDArray[np.float64]:
    """How much every part of an image adds to its learned reward.

    A square is hidden in all frames of a stack, each filled with its own median, which is the background of
    most games. The map holds, at each pixel, the reward of the whole image minus that of the image without
    the square, averaged over the squares that cover the pixel: positive where what is hidden raises the
    reward, 0 where the reward does not look. The published maps are of the absolute change.

    It costs at most one call of the network for every square, ``(height / stride) * (width / stride)`` an
    image; squares that already are all background cost none.

    Args:
        reward: one that sees images.
        stacks: (n, stack, height, width) uint8.
        square: side of the square in pixels.
        stride: pixels from one square to the next, at most ``square``; the last square ends at the border.

    Returns:
        (n, height, width), in the unit of ``raw_reward``.

    Raises:
        UserError: no images, a square that does not fit into them, or a stride that leaves pixels out.
    """
    if not are_images(stacks):
        raise UserError(
            "stacks",
            expected="(n, stack, height, width) uint8 images",
            found=f"{stacks.shape} {stacks.dtype}",
        )
    height, width = stacks.shape[2:]
    if not 1 <= square <= min(height, width):
        raise UserError("square", expected=f"1 to {min(height, width)} pixels", found=str(square))
    if not 1 <= stride <= square:
        raise UserError("stride", expected=f"1 to {square} pixels, the side of the square", found=str(stride))
    corners = list(itertools.product(_starts(height, square, stride), _starts(width, square, stride)))
    whole = raw_reward(reward, stacks, np.arange(len(stacks)))
    found = [
        _one_map(reward, stack, before, (corners, square))
        for stack, before in zip(stacks, whole, strict=True)
    ]
    return np.array(found).reshape(len(stacks), height, width)


def _one_map(
    reward: LearnedReward,
    stack: npt.NDArray[np.uint8],
    before: float,
    squares: tuple[list[tuple[int, int]], int],
) -> npt.NDArray[np.float64]:
    corners, side = squares
    total, covered = np.zeros(stack.shape[1:]), np.zeros(stack.shape[1:])
    background = np.median(stack, axis=(1, 2)).astype(np.uint8)[:, None, None]
    changing = []
    for top, left in corners:
        place = (slice(top, top + side), slice(left, left + side))
        covered[place] += 1.0
        if (stack[:, *place] != background).any():
            changing.append(place)
    for places in _batches(changing):
        hidden = np.repeat(stack[None], len(places), axis=0)
        for image, place in zip(hidden, places, strict=True):
            image[:, *place] = background
        for place, after in zip(places, raw_reward(reward, hidden, np.arange(len(hidden))), strict=True):
            total[place] += before - after
    return total / covered


def _starts(length: int, square: int, stride: int) -> list[int]:
    """Where squares begin along an axis; the last one ends at its end."""
    return sorted({*range(0, length - square + 1, stride), length - square})


def _batches(places: list[tuple[slice, slice]]) -> Iterator[list[tuple[slice, slice]]]:
    for start in range(0, len(places), IMAGES_AT_ONCE):
        yield places[start : start + IMAGES_AT_ONCE]
