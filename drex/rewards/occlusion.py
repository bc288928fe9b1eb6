"""Occlusion maps of a learned reward: its change when a small square of the image is hidden.

Zeiler and Fergus (2014, section 4.2). The published code of D-REX sets a square of 3×3 pixels to 0 in one
frame of the stack at a time. Here the square is replaced by the background in all frames; otherwise, it would
seem to move.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from drex.envs.data.stacked_frames import Observations, are_images
from drex.errors import UserError
from drex.rewards.cnn import IMAGES_AT_ONCE
from drex.rewards.learned_reward import LearnedReward

SQUARE = 5
"""Side of the hidden square in pixels; the ball of Breakout is 1×2, the paddle 8×2."""
STRIDE = 2
"""Pixels from one square to the next."""


def raw_reward(
    reward: LearnedReward, images: Observations, rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """(n,) mean of the members before squash, offset and scale, in standard deviations of a member.

    Args:
        reward: of images.
        images: (steps, stack, height, width) uint8; few are in memory at a time.
        rows: (n,) indices of steps.
    """
    parts = [np.zeros(0)]
    for start in range(0, len(rows), IMAGES_AT_ONCE):
        seen = images[rows[start : start + IMAGES_AT_ONCE]]
        parts.append(reward.member_rewards(seen, np.zeros(len(seen), np.int64), seen).mean(axis=0))
    return np.concatenate(parts)


def occlusion_map(
    reward: LearnedReward, stacks: npt.NDArray[np.uint8], *, square: int = SQUARE, stride: int = STRIDE
) -> npt.NDArray[np.float64]:
    """The contribution of every part of an image to its learned reward.

    A square is hidden in all frames of a stack by the median of each frame, the background of most games. The
    map is the reward of the whole image minus that without the square, averaged over the squares that cover a
    pixel: positive where the hidden content raises the reward. The published maps show the absolute change.

    The cost is at most one evaluation per square, ``(height / stride) * (width / stride)`` per image, and
    none for squares of background alone.

    Args:
        reward: of images.
        stacks: (n, stack, height, width) uint8.
        square: side of the square in pixels.
        stride: pixels from one square to the next, at most ``square``; the last square ends at the border.

    Returns:
        (n, height, width), in the unit of ``raw_reward``.

    Raises:
        UserError: no images, a square larger than the image, or a stride larger than the square.
    """
    if not are_images(stacks):
        found = f"{stacks.shape} {stacks.dtype}"
        raise UserError("stacks", expected="(n, stack, height, width) uint8 images", found=found)
    height, width = stacks.shape[2:]
    if not 1 <= square <= min(height, width):
        raise UserError("square", expected=f"1 to {min(height, width)} pixels", found=str(square))
    if not 1 <= stride <= square:
        raise UserError("stride", expected=f"1 to {square} pixels, the side of the square", found=str(stride))
    corners = list(itertools.product(_starts(height, square, stride), _starts(width, square, stride)))
    whole = raw_reward(reward, stacks, np.arange(len(stacks)))
    maps = [_one_map(reward, *pair, corners, square) for pair in zip(stacks, whole, strict=True)]
    return np.array(maps).reshape(len(stacks), height, width)


def _one_map(
    reward: LearnedReward,
    stack: npt.NDArray[np.uint8],
    before: float,
    corners: list[tuple[int, int]],
    side: int,
) -> npt.NDArray[np.float64]:
    total, covered = np.zeros(stack.shape[1:]), np.zeros(stack.shape[1:])
    background = np.median(stack, axis=(1, 2)).astype(np.uint8)[:, None, None]
    changing = []
    for top, left in corners:
        place = (slice(top, top + side), slice(left, left + side))
        covered[place] += 1.0
        if (stack[:, *place] != background).any():
            changing.append(place)
    for start in range(0, len(changing), IMAGES_AT_ONCE):
        places = changing[start : start + IMAGES_AT_ONCE]
        hidden = np.repeat(stack[None], len(places), axis=0)
        for image, place in zip(hidden, places, strict=True):
            image[:, *place] = background
        for place, after in zip(places, raw_reward(reward, hidden, np.arange(len(hidden))), strict=True):
            total[place] += before - after
    return total / covered


def _starts(length: int, square: int, stride: int) -> list[int]:
    """First pixels of the squares along an axis; the last square ends at the border."""
    return sorted({*range(0, length - square + 1, stride), length - square})
