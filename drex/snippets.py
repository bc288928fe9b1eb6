"""Snippets of ranked trajectories, drawn so that each step is encoded once however many pairs it serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from drex.errors import UserError
from drex.ranking import Preferences


@dataclass(frozen=True, kw_only=True)
class SnippetSettings:
    """How snippets are cut from trajectories (D-REX appendix; T-REX section 4)."""

    scheme: Literal["shared", "independent"] = "shared"
    """``shared``: one snippet from every trajectory, compared in all preferred pairs at once;
    ``independent``: two fresh snippets for every pair, as published."""
    minimum_length: int = 50
    """Steps in the shortest snippet; a shorter trajectory is taken whole."""
    maximum_length: int = 50
    """Steps in the longest snippet."""
    pairs: int = 64
    """Pairs drawn at a time by ``independent``; ``shared`` uses every preferred pair."""
    better_starts_no_earlier: bool = False
    """Whether the better snippet must not start before the worse one (published for Atari)."""
    stride: int = 1
    """Every how many steps of a snippet are scored."""

    def __post_init__(self) -> None:
        if not 1 <= self.minimum_length <= self.maximum_length:
            raise UserError(
                "snippets.minimum_length",
                expected=f"from 1 to maximum_length ({self.maximum_length})",
                found=str(self.minimum_length),
            )
        if self.stride < 1 or self.pairs < 1:
            raise UserError(
                "snippets",
                expected="a positive stride and number of pairs",
                found=f"{self.stride}, {self.pairs}",
            )


@dataclass(frozen=True, eq=False)
class SnippetPairs:
    """Snippets and the pairs to compare.

    Args:
        steps: (snippets, longest) index into the trajectories' steps; padding repeats the first step.
        mask: (snippets, longest) float32, 1 where a step counts and 0 on padding.
        starts: (snippets,) first step within the episode.
        better: (pairs,) index of the better snippet.
        worse: (pairs,) index of the worse snippet.
        weight: (pairs,) float32.
    """

    steps: npt.NDArray[np.int64]
    mask: npt.NDArray[np.float32]
    starts: npt.NDArray[np.int64]
    better: npt.NDArray[np.int64]
    worse: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float32]


def draw_snippet_pairs(
    preferences: Preferences,
    lengths: npt.NDArray[np.int64],
    settings: SnippetSettings,
    generator: np.random.Generator,
) -> SnippetPairs:
    """Draw snippets and the pairs between them.

    Args:
        preferences: between trajectories.
        lengths: (trajectories,) steps in each.
        settings: how to cut.
        generator: of the random choices.
    """
    if settings.scheme == "shared":
        length = int(generator.integers(settings.minimum_length, settings.maximum_length + 1))
        used = np.minimum(lengths, length)
        starts = generator.integers(0, lengths - used + 1)
        better, worse, weight = preferences.better, preferences.worse, preferences.weight
        if settings.better_starts_no_earlier:
            kept = starts[better] >= starts[worse]
            better, worse, weight = better[kept], worse[kept], weight[kept]
        return _cut(np.arange(len(lengths)), starts, used, lengths, settings, (better, worse, weight))
    chosen = generator.choice(
        len(preferences), settings.pairs, p=preferences.weight / preferences.weight.sum()
    )
    episodes = np.concatenate([preferences.better[chosen], preferences.worse[chosen]])
    wanted = generator.integers(settings.minimum_length, settings.maximum_length + 1, settings.pairs)
    used = np.minimum(lengths[episodes], np.tile(wanted, 2))
    latest = lengths[episodes] - used
    starts = generator.integers(0, latest + 1)
    better, worse = np.arange(settings.pairs), np.arange(settings.pairs, 2 * settings.pairs)
    if settings.better_starts_no_earlier:
        starts[worse] = generator.integers(0, np.minimum(latest[worse], latest[better]) + 1)
        starts[better] = generator.integers(starts[worse], latest[better] + 1)
    return _cut(
        episodes, starts, used, lengths, settings, (better, worse, np.ones(settings.pairs, np.float32))
    )


def _cut(
    episodes: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    used: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    settings: SnippetSettings,
    pairs: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]],
) -> SnippetPairs:
    """Turn starts and lengths within episodes into padded step indices."""
    offsets = np.arange(0, int(used.max()), settings.stride)
    mask = offsets[None, :] < used[:, None]
    first = np.cumsum(lengths)[episodes] - lengths[episodes] + starts
    steps = np.where(mask, first[:, None] + offsets[None, :], first[:, None])
    return SnippetPairs(steps, mask.astype(np.float32), starts, *pairs)
