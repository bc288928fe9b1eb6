"""``python -m benchmarks atari_masks``: each game as the policy sees it and, beside it, as the reward does.

Writes two contact sheets of the newest frame, masked rows in red, to ``docs/atari/``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from drex.agents.policies.acting import uniform
from drex.envs.atari.score_masks import FURTHER_MASKS, PUBLISHED_MASKS, score_mask
from drex.envs.make import make_environments

FOLDER = Path(__file__).parent.parent / "docs" / "atari"
STEPS = 250
"""Random steps before the picture is taken, so that there is a score."""
SCALE, MARGIN, COLUMNS = 2, 14, 4
"""Screen pixels of a pixel, of the room for a name, and games in a row."""


def main() -> None:
    """Draw both sheets."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, masks in (("published", PUBLISHED_MASKS), ("further", FURTHER_MASKS)):
        file = FOLDER / f"masks-{name}.png"
        sheet(f"ALE/{game}-v5" for game in masks).quantize(64).save(file, optimize=True)
        print(f"{file.name}: {len(masks)} games, {file.stat().st_size / 1024:.0f} KiB")


def sheet(tasks: Iterable[str]) -> Image.Image:
    """All games of a list, ``COLUMNS`` a row."""
    tiles = [tile(task) for task in tasks]
    width, height = tiles[0].size
    rows = -(-len(tiles) // COLUMNS)
    page = Image.new("RGB", (width * min(COLUMNS, len(tiles)), height * rows), "white")
    for place, picture in enumerate(tiles):
        page.paste(picture, (place % COLUMNS * width, place // COLUMNS * height))
    return page


def tile(task: str) -> Image.Image:
    """One game, without and with its mask."""
    frame = newest_frame(task)
    mask = score_mask(task)
    whole = np.repeat(frame[..., None], 3, axis=-1)
    masked = whole.copy()
    shown = mask.shown(len(frame))
    masked[: shown.start, :, 0], masked[shown.stop :, :, 0] = 160, 160
    masked[: shown.start, :, 1:], masked[shown.stop :, :, 1:] = 0, 0
    side = len(frame) * SCALE
    picture = Image.new("RGB", (2 * side + 8, side + MARGIN + 4), "white")
    title = f"{task}   top {mask.top}, bottom {mask.bottom}"
    ImageDraw.Draw(picture).text((2, 1), title, fill="black")
    for place, pixels in enumerate((whole, masked)):
        enlarged = Image.fromarray(pixels).resize((side, side), Image.Resampling.NEAREST)
        picture.paste(enlarged, (place * (side + 2), MARGIN))
    return picture


def newest_frame(task: str) -> npt.NDArray[Any]:
    """(84, 84) uint8 after some random play."""
    environments = make_environments(task, 1, seed=1, threads=1)
    act = uniform(environments.action_space, seed=1)
    observations = np.asarray(environments.reset())
    for _ in range(STEPS):
        observations = np.asarray(environments.step(act(observations))[0])
    environments.close()
    return np.asarray(observations[0, -1])


if __name__ == "__main__":
    main()
