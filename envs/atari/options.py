"""The paper's Atari environments and their training options (D-REX section 5.2; Mnih et al. 2015).

Every action is repeated for 4 emulator frames; the maximum of the last two is made grey, scaled to 84×84 and
stacked by 4, newest last. A game starts with up to 30 frames of no-ops (and FIRE, where the game has that
button). There are no sticky actions, unlike the default of gymnasium's ``ALE/…-v5``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import gymnasium
import numpy as np

from drex.ranges import Range, check_ranges

FRAMES_PER_STEP = 4
"""Emulator frames (60 per second) for which an action is repeated."""
STACKED_FRAMES = 4
"""Frames in an observation, oldest first."""
SIDE = 84
"""Height and width of a frame in pixels."""
MAXIMUM_FRAMES = 108_000
"""Emulator frames, half an hour of play, after which a game is truncated."""
HORIZON = MAXIMUM_FRAMES // FRAMES_PER_STEP
"""The same in steps."""
NO_OP_FRAMES = 30
"""A game starts with 0 to 29 emulator frames without action, FIRE included, drawn by its seed."""
FRAMES = gymnasium.spaces.Box(0, 255, (STACKED_FRAMES, SIDE, SIDE), np.uint8)
"""The space of observations."""
SCREEN = gymnasium.spaces.Box(0, 255, (1, 210, 160, 3), np.uint8)
"""The space of screens in colour, for videos."""
WAITS_FOR_FIRE = frozenset({"Breakout"})
"""Games that stop after a lost life until FIRE is pressed."""


@dataclass(frozen=True, kw_only=True)
class AtariOptions:
    """Changes to a game during training; the defaults are those of recording and evaluation.

    The true return is that of whole games in unclipped score under every option.
    """

    episodic_life: bool = False
    """End an episode at each lost life; the game goes on."""
    clip_rewards: bool = False
    """Replace each reward by its sign."""
    fire_after_life: bool = True
    """Press FIRE after a lost life in games that wait for it; otherwise a policy may stall until the time
    limit."""
    maximum_frames: Annotated[int, Range(FRAMES_PER_STEP)] = MAXIMUM_FRAMES
    """Emulator frames after which a game is truncated, not counting no-ops at its start."""

    def __post_init__(self) -> None:
        check_ranges(self)


def atari_options(task: str, chosen: AtariOptions) -> AtariOptions | None:
    """The options for ``make_environments``: ``None`` if they are the defaults of another task's settings."""
    return chosen if is_atari(task) or chosen != AtariOptions() else None


def is_atari(task: str) -> bool:
    """Whether a task is an Atari game by its id, ``ALE/Breakout-v5`` for example."""
    return task.removeprefix("ale_py:").startswith("ALE/")


def game_name(task: str) -> str:
    """``Breakout`` of ``ALE/Breakout-v5``."""
    return task.rsplit("/", 1)[-1].rsplit("-", 1)[0]


def register_atari() -> None:
    """Register the games in gymnasium, without the emulator's banner."""
    import ale_py

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    gymnasium.register_envs(ale_py)
