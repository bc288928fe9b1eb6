"""Snippets of ranked trajectories, batched so that a step in several snippets is encoded once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt

from drex.errors import UserError
from drex.ranges import Count, Range, check_ranges, refuse_unread
from drex.rankings.preferences import Preferences


@dataclass(frozen=True, kw_only=True)
class SnippetSettings:
    """Sampling of snippets from trajectories (D-REX appendix; T-REX section 4)."""

    scheme: Literal["shared", "independent"] = "shared"
    """shared: one snippet per trajectory, compared in all preferred pairs at once. independent: two new
    snippets per pair, as published."""
    minimum_length: Count = 200
    """Steps of the shortest snippet; a shorter trajectory is taken whole."""
    maximum_length: Count = 200
    """Steps of the longest snippet."""
    maximum_share: Annotated[float, Range(0, 1, above=True)] = 0.5
    """Largest part of the longest ranked trajectory that a snippet covers: where maximum_length is more, both
    lengths and the stride shrink in proportion. 1 leaves them as they are."""
    pairs: Count = 64
    """Scheme independent only: pairs per sample."""
    trajectories: Annotated[int, Range(0)] = 0
    """Scheme shared only: trajectories per sample; 0 takes all."""
    better_starts_no_earlier: bool = False
    """Sample the better snippet no earlier in its episode than the worse one (published for Atari). The
    reward then also depends on time: even from shuffled rankings it grows with the step."""
    stride: Count = 20
    """Steps between scored steps of a snippet. Neighbouring steps are nearly the same evidence; with all of
    them, networks become overconfident, and learn how joints shake rather than where they lead."""

    def __post_init__(self) -> None:
        check_ranges(self)
        shortest, longest = self.minimum_length, self.maximum_length
        if shortest > longest:
            where, expected = "SnippetSettings.minimum_length", f"at most maximum_length ({longest})"
            raise UserError(where, expected=expected, found=str(shortest))
        if self.trajectories == 1:
            raise UserError("SnippetSettings.trajectories", expected="0 for all, or at least 2", found="1")
        if self.scheme == "shared":
            refuse_unread(self, "pairs", read_by="scheme independent")
        else:
            refuse_unread(self, "trajectories", read_by="scheme shared")

    def fitted(self, lengths: npt.NDArray[np.int64]) -> SnippetSettings:
        """The settings with lengths and stride that fit trajectories of these lengths, (trajectories,)."""
        factor = self.maximum_share * float(lengths.max()) / self.maximum_length
        if factor >= 1.0 or self.maximum_share == 1.0:
            return self
        shortest, longest, stride = (
            max(1, int(factor * steps)) for steps in (self.minimum_length, self.maximum_length, self.stride)
        )
        return replace(self, minimum_length=shortest, maximum_length=longest, stride=stride)


@dataclass(frozen=True, eq=False)
class SnippetPairs:
    """Snippets and the pairs to compare.

    Args:
        first: (snippets,) first step, as an index into the steps of all trajectories.
        counts: (snippets,) number of scored steps.
        stride: from one scored step to the next.
        starts: (snippets,) first step within the episode.
        better: (pairs,) index of the better snippet.
        worse: (pairs,) index of the worse snippet.
        weight: (pairs,) float32.
    """

    first: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    stride: int
    starts: npt.NDArray[np.int64]
    better: npt.NDArray[np.int64]
    worse: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class SnippetBatch:
    """The snippets and pairs of all members, as intervals of the steps that each member encodes.

    Args:
        steps: (members, longest) index into the steps of all trajectories, each at most once per member;
            padding repeats step 0 and is in no snippet.
        begins: (snippets,) first entry of each snippet in ``steps`` flattened.
        counts: (snippets,) number of entries.
        better: (pairs,) index of the better snippet.
        worse: (pairs,) index of the worse snippet.
        weight: (pairs,) float32, summing to 1 for each member.
    """

    steps: npt.NDArray[np.int64]
    begins: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    better: npt.NDArray[np.int64]
    worse: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float32]


def sample_snippet_pairs(
    preferences: Preferences,
    lengths: npt.NDArray[np.int64],
    settings: SnippetSettings,
    generator: np.random.Generator,
) -> SnippetPairs:
    """Sample snippets and the pairs between them; ``lengths`` (trajectories,) are steps."""
    if settings.scheme == "shared":
        return _draw_shared(preferences, lengths, settings, generator)
    # The draws of generator.choice with p, without its check of the probabilities: 20 times as fast.
    reached = np.cumsum(preferences.weight / preferences.weight.sum(), dtype=np.float64)
    chosen = np.searchsorted(reached / reached[-1], generator.random(settings.pairs), side="right")
    episodes = np.concatenate([preferences.better[chosen], preferences.worse[chosen]])
    wanted = generator.integers(settings.minimum_length, settings.maximum_length + 1, settings.pairs)
    used = np.minimum(lengths[episodes], np.tile(wanted, 2))
    latest = lengths[episodes] - used
    starts = generator.integers(0, latest + 1)
    better, worse = np.arange(settings.pairs), np.arange(settings.pairs, 2 * settings.pairs)
    if settings.better_starts_no_earlier:
        starts[worse] = generator.integers(0, np.minimum(latest[worse], latest[better]) + 1)
        starts[better] = generator.integers(starts[worse], latest[better] + 1)
    first = np.cumsum(lengths)[episodes] - lengths[episodes] + starts
    weight = np.ones(settings.pairs, np.float32)
    return SnippetPairs(first, -(-used // settings.stride), settings.stride, starts, better, worse, weight)


def _draw_shared(
    preferences: Preferences,
    lengths: npt.NDArray[np.int64],
    settings: SnippetSettings,
    generator: np.random.Generator,
) -> SnippetPairs:
    """One snippet from each of all or some trajectories, and all preferred pairs among them."""
    length = int(generator.integers(settings.minimum_length, settings.maximum_length + 1))
    used = np.minimum(lengths, length)
    starts = generator.integers(0, lengths - used + 1)
    first, counts = np.cumsum(lengths) - lengths + starts, -(-used // settings.stride)
    # Held-out pairs compare few trajectories; the others need no encoding.
    compared = np.zeros(len(lengths), np.bool_)
    compared[preferences.better] = compared[preferences.worse] = True
    chosen = np.flatnonzero(compared)
    better, worse, weight = preferences.better, preferences.worse, preferences.weight
    if 0 < settings.trajectories < len(chosen):
        chosen = generator.choice(chosen, settings.trajectories, replace=False)
        drawn = np.zeros(len(lengths), np.bool_)
        drawn[chosen] = True
        inside = np.flatnonzero(drawn[better])  # one side first: few pairs remain for the other
        inside = inside[drawn[worse[inside]]]
        better, worse, weight = better[inside], worse[inside], weight[inside]
    if settings.better_starts_no_earlier:
        later = starts[better] >= starts[worse]
        better, worse, weight = better[later], worse[later], weight[later]
    place = np.zeros(len(lengths), np.int64)
    place[chosen] = np.arange(len(chosen))
    first, counts, starts = first[chosen], counts[chosen], starts[chosen]
    return SnippetPairs(first, counts, settings.stride, starts, place[better], place[worse], weight)


def batch_snippets(draws: Sequence[SnippetPairs]) -> SnippetBatch:
    """Join the samples of all members so that a step in several snippets is encoded once.

    Steps a stride apart are neighbours among the encoded steps, so that every snippet is one interval and its
    return a difference of two prefix sums.
    """
    laid = [_merge_intervals(draw) for draw in draws]
    longest = max(len(steps) for steps, _ in laid)
    steps = np.zeros((len(draws), longest), np.int64)
    for row, (used, _) in zip(steps, laid, strict=True):
        row[: len(used)] = used
    earlier = np.cumsum([0] + [len(draw.first) for draw in draws[:-1]])
    return SnippetBatch(
        steps,
        np.concatenate([begins + member * longest for member, (_, begins) in enumerate(laid)]),
        np.concatenate([draw.counts for draw in draws]),
        np.concatenate([draw.better + before for draw, before in zip(draws, earlier, strict=True)]),
        np.concatenate([draw.worse + before for draw, before in zip(draws, earlier, strict=True)]),
        np.concatenate([draw.weight / max(float(draw.weight.sum()), 1e-12) for draw in draws]),
    )


def _merge_intervals(draw: SnippetPairs) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The scored steps of all snippets, each once, and the place of each snippet's first step among them.

    Steps are sorted by their remainder modulo the stride, then by number. In this order every snippet is one
    interval, and overlapping intervals are merged in one sweep. Three snippets with a stride of 2::

        step    0 2 4 6   1 3 5
        a       # # #
        b         # # #
        c                 # # #
        place   0 1 2 3   4 5 6      a begins at place 0, b at 1, c at 4
    """
    stride = draw.stride
    per_remainder = int((draw.first + draw.counts * stride).max()) // stride + 1
    remainders = draw.first % stride
    begins = remainders * per_remainder + draw.first // stride
    order = np.argsort(begins, kind="stable")
    sorted_begins = begins[order]
    reached = np.maximum.accumulate(sorted_begins + draw.counts[order])
    before = np.concatenate([[0], reached[:-1]])
    skipped = np.cumsum(np.maximum(sorted_begins - before, 0))
    places = np.empty_like(begins)
    places[order] = sorted_begins - skipped
    added = reached - np.maximum(sorted_begins, before)
    back = stride * skipped + remainders[order] * (1 - stride * per_remainder)
    return stride * np.arange(reached[-1] - skipped[-1]) + np.repeat(back, added), places
