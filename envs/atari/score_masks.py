"""Where a game shows its score: rows that a reward network must not read (D-REX section 5.2).

A network that sees the score or the lives could rank by reading them. So these rows are set to 0 in what the
reward network sees, and there alone: the policy sees whole frames. ``python -m benchmarks atari_masks`` draws
every game with and without its mask.
"""

from __future__ import annotations

import functools
import logging
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from drex.envs.atari.options import game_name


class ScoreMask(NamedTuple):
    """Rows of the 84 that are hidden, counted from the top and from the bottom."""

    top: int = 0
    bottom: int = 0

    def hide(self, observations: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """A copy of frames (…, height, width) with the masked rows at 0."""
        hidden = np.array(observations)
        hidden[..., : self.top, :] = 0
        hidden[..., hidden.shape[-2] - self.bottom :, :] = 0
        return hidden

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
"""Masks of the published code. Enduro's hides the cars left to pass and leaves the odometer in sight."""

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
"""Masks of our own, checked by eye in ``docs/atari/masks-further.png``: scores, lives, clocks and gauges."""


@functools.cache
def score_mask(task: str) -> ScoreMask:
    """The mask of ``ALE/<game>-v5``; a game that has none is shown whole, which the log says once."""
    game = game_name(task)
    mask = PUBLISHED_MASKS.get(game) or FURTHER_MASKS.get(game)
    if mask is None:
        logging.getLogger("drex").warning(
            "%s has no score mask: the reward network may read the score from the screen", task
        )
        return ScoreMask()
    return mask
