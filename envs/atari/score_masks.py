"""Score masks: rows of a game's frames that are hidden from the reward network (D-REX section 5.2).

A network could rank trajectories by reading the score or the lives. These rows are set to 0 in its input; the
policy's input is not masked. ``python -m benchmarks atari_masks`` draws every game with and without its mask.
"""

from __future__ import annotations

import functools
import logging
from typing import NamedTuple

from drex.envs.atari.options import game_name


class ScoreMask(NamedTuple):
    """Rows of the 84 that are hidden, counted from the top and from the bottom."""

    top: int = 0
    bottom: int = 0

    def shown(self, height: int) -> slice:
        """The rows of a frame of this height that stay visible."""
        return slice(self.top, height - self.bottom)


PUBLISHED_MASKS: dict[str, ScoreMask] = {
    "BeamRider": ScoreMask(top=16, bottom=11),
    "Breakout": ScoreMask(top=10),
    "Enduro": ScoreMask(bottom=14),
    "Hero": ScoreMask(bottom=30),
    "MontezumaRevenge": ScoreMask(top=10),
    "MsPacman": ScoreMask(bottom=15),
    "Pong": ScoreMask(top=10),
    "Qbert": ScoreMask(top=12),
    "Seaquest": ScoreMask(top=12, bottom=16),
    "SpaceInvaders": ScoreMask(top=10),
    "VideoPinball": ScoreMask(top=15),
}
"""Masks of the published code. Enduro's hides the cars left to pass but not the odometer."""

FURTHER_MASKS: dict[str, ScoreMask] = {
    "Alien": ScoreMask(bottom=14),
    "Assault": ScoreMask(top=5, bottom=9),
    "Asterix": ScoreMask(bottom=17),
    "BankHeist": ScoreMask(top=15, bottom=14),
    "Boxing": ScoreMask(top=10),
    "ChopperCommand": ScoreMask(top=15),
    "CrazyClimber": ScoreMask(top=16),
    "DemonAttack": ScoreMask(top=8, bottom=9),
    "FishingDerby": ScoreMask(top=8),
    "Frostbite": ScoreMask(top=13),
    "Gopher": ScoreMask(top=10),
    "Jamesbond": ScoreMask(top=10, bottom=12),
    "Kangaroo": ScoreMask(bottom=12),
    "KungFuMaster": ScoreMask(top=22),
    "NameThisGame": ScoreMask(bottom=15),
    "Phoenix": ScoreMask(top=8),
    "Riverraid": ScoreMask(bottom=19),
    "Tennis": ScoreMask(top=5),
    "UpNDown": ScoreMask(top=11, bottom=6),
}
"""Further masks, checked by eye in ``docs/atari/masks-further.png``: scores, lives, clocks and gauges."""


@functools.cache
def score_mask(task: str) -> ScoreMask:
    """The mask of ``ALE/<game>-v5``; for other games an empty one, with one warning in the log."""
    mask = (PUBLISHED_MASKS | FURTHER_MASKS).get(game_name(task))
    if mask is None:
        warning = "%s has no score mask: the reward network may read the score from the screen"
        logging.getLogger("drex").warning(warning, task)
    return mask or ScoreMask()
