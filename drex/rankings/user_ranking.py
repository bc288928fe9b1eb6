"""The user's ranking and its preferences (T-REX).

Partial and contradictory rankings are accepted; those without preferences or with unknown episodes are
refused. Rankings are never derived from the rewards of demonstrations.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from drex.envs.data.trajectories import Trajectories
from drex.errors import UserError
from drex.rankings.preferences import (
    Preferences,
    RankedTrajectories,
    from_order,
    from_pairs,
    from_scores,
    from_tiers,
)

FORMAT = 1
FORMS = ("order", "tiers", "scores", "pairs", "file_order")
"""Forms of a ranking, described in ``drex.rankings.user_ranking_files``."""


@dataclass(frozen=True)
class Ranking:
    """A ranking in the user's form.

    Args:
        form: one of ``FORMS``.
        given: the value of that key in a JSON file.
        source: the file or option of the ranking.
        episodes: their number, if the ranking states it.
    """

    form: str
    given: Any
    source: str
    episodes: int | None = None

    @staticmethod
    def of(preferences: Preferences) -> Ranking:
        """The same pairs, as a ranking file would hold them."""
        columns = (preferences.better, preferences.worse, preferences.weight)
        pairs = zip(*(column.tolist() for column in columns), strict=True)
        return Ranking("pairs", [list(pair) for pair in pairs], f"preferences from {preferences.source}")

    def rank(self, trajectories: Trajectories) -> RankedTrajectories:
        """The trajectories with this ranking's preferences.

        Raises:
            UserError: unknown episodes, an episode named twice, or no preferences.
        """
        episodes = len(trajectories)
        if self.episodes is not None and self.episodes != episodes:
            expected = f"a ranking of {episodes}, as many as the demonstrations"
            raise UserError(f"{self.source}: episodes", expected=expected, found=f"one of {self.episodes}")
        return RankedTrajectories(trajectories, _PREFERENCES[self.form](self, episodes))

    def wrong(self, expected: str, found: object) -> UserError:
        """The error of a ranking that is not as expected."""
        return UserError(f"{self.source}: {self.form}", expected=expected, found=_short(found))

    def to_json(self) -> dict[str, Any]:
        """The content of a ranking file."""
        counted = {} if self.episodes is None else {"episodes": self.episodes}
        return {"format": FORMAT, **counted, self.form: self.given}


def describe_user_ranking(ranked: RankedTrajectories) -> list[str]:
    """Summary of a ranking, one fact per line."""
    pairs = ranked.preferences
    compared = pairs.trajectories_compared()
    best = ", ".join(map(str, pairs.top_share(0.25).tolist()))
    return [
        f"episodes      {len(ranked.trajectories)}, {len(compared)} compared",
        f"pairs         {len(pairs)}, {pairs.contradictions():.1%} contradicted by others",
        f"best quarter  {best}",
    ]


def _by_order(ranking: Ranking, episodes: int) -> Preferences:
    order = _episodes_named(ranking.given, ranking, episodes)
    if len(order) < 2:
        raise ranking.wrong("two episodes or more", len(order))
    return from_order(order, source="the user's order")


def _by_tiers(ranking: Ranking, episodes: int) -> Preferences:
    if not _is_list(ranking.given) or not all(_is_list(tier) for tier in ranking.given):
        raise ranking.wrong("a list of lists of episodes", ranking.given)
    tiers = [list(tier) for tier in ranking.given]
    _episodes_named([episode for tier in tiers for episode in tier], ranking, episodes)
    filled = sum(bool(tier) for tier in tiers)
    if filled < 2:
        raise ranking.wrong("two tiers or more with episodes", filled)
    return from_tiers(tiers, source="the user's tiers")


def _by_scores(ranking: Ranking, episodes: int) -> Preferences:
    scores = ranking.given
    if not _is_list(scores) or not all(score is None or _is_number(score) for score in scores):
        raise ranking.wrong("a list of finite numbers, null where there is none", scores)
    if len(scores) != episodes:
        raise ranking.wrong(f"{episodes}, one an episode", len(scores))
    values = [math.nan if score is None else float(score) for score in scores]
    known = {value for value in values if not math.isnan(value)}
    if len(known) < 2:
        found = "the same for all that have one" if known else "none"
        raise UserError(f"{ranking.source}: scores", expected="two different scores or more", found=found)
    return from_scores(values, source="the user's scores")


def _by_pairs(ranking: Ranking, episodes: int) -> Preferences:
    pairs = ranking.given
    if not _is_list(pairs) or not all(_is_list(pair) and len(pair) in (2, 3) for pair in pairs):
        raise ranking.wrong("a list of [better, worse] or [better, worse, weight]", pairs)
    if not pairs:
        raise UserError(f"{ranking.source}: pairs", expected="at least one pair", found="none")
    for pair in pairs:
        _known_episodes(pair[:2], ranking, episodes)
        if len(pair) == 3 and not (_is_number(pair[2]) and pair[2] > 0):
            raise ranking.wrong("positive weights", pair)
        if pair[0] == pair[1]:
            raise ranking.wrong("two different episodes in each pair", pair)
    better, worse = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    weight = [float(pair[2]) if len(pair) == 3 else 1.0 for pair in pairs]
    return from_pairs(better, worse, weight=weight, source="the user's pairs")


def _by_file_order(ranking: Ranking, episodes: int) -> Preferences:
    if not is_count(ranking.given) or ranking.given != episodes or episodes < 2:
        expected = f"{episodes}, the number of episodes" if episodes > 1 else "two episodes or more"
        raise ranking.wrong(expected, ranking.given)
    return from_order(range(episodes), source="training time")


_PREFERENCES: Mapping[str, Callable[[Ranking, int], Preferences]] = {
    "order": _by_order,
    "tiers": _by_tiers,
    "scores": _by_scores,
    "pairs": _by_pairs,
    "file_order": _by_file_order,
}


def _episodes_named(named: object, ranking: Ranking, episodes: int) -> list[int]:
    """Episodes that exist, each named once."""
    found = _known_episodes(named, ranking, episodes)
    twice = sorted({episode for episode in found if found.count(episode) > 1})
    if twice:
        where = f"{ranking.source}: {ranking.form}"
        raise UserError(where, expected="each episode named once", found=f"{twice[0]} twice")
    return found


def _known_episodes(named: object, ranking: Ranking, episodes: int) -> list[int]:
    if not _is_list(named):
        raise ranking.wrong("a list of episodes", named)
    for episode in named:
        if not isinstance(episode, int) or isinstance(episode, bool) or not 0 <= episode < episodes:
            raise ranking.wrong(f"episodes from 0 to {episodes - 1}", episode)
    return list(named)


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def is_count(value: object) -> bool:
    """Whether it is a positive integer."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _short(value: object) -> str:
    text = json.dumps(value) if not isinstance(value, range) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
