"""All that a run ranks, whoever ranked it: noise (D-REX), the user (T-REX), or both side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from drex.demonstrations import Demonstrations
from drex.envs.true_returns import TrueReturns
from drex.errors import UserError
from drex.noise_ranking import NoisyRollouts
from drex.ranking import Preferences, RankedTrajectories, combine, equally_heavy
from drex.reward import LearnedReward
from drex.rollout_choice import RolloutChoice


@dataclass(frozen=True, kw_only=True)
class OwnRankingSettings:
    """What is done with a ranking that the user brings (T-REX)."""

    clone_share: float = 0.25
    """Share of the ranked demonstrations, those that win most of their comparisons, that are cloned for PPO
    to start from; whoever wins as much as the last of them is cloned too. Of tiers, the best whole ones."""
    mix_noise: bool = False
    """Whether noisy rollouts of the clone, ranked among themselves, are learned from beside the
    demonstrations, each ranking with half of the weight."""

    def __post_init__(self) -> None:
        if not 0.0 < self.clone_share <= 1.0:
            raise UserError("trex.clone_share", expected="above 0, up to 1", found=str(self.clone_share))


@dataclass(frozen=True, eq=False)
class RankedEpisodes:
    """What the reward is learned from and, beside it, sealed, what it was worth.

    Args:
        ranked: trajectories and preferences; the user's demonstrations come before noisy rollouts.
        true_returns: one an episode, for judging alone; NaN where unknown.
        own: the user's ranking of the demonstrations; ``None`` where there is none.
        noise: the noisy rollouts among them; ``None`` where there are none.
        disturbed: how the clone that they come from was chosen; ``None`` where the settings named it.
    """

    ranked: RankedTrajectories
    true_returns: TrueReturns
    own: Preferences | None = None
    noise: NoisyRollouts | None = None
    disturbed: RolloutChoice | None = None

    def stages(self) -> list[str]:
        """The stages of a run that they come from."""
        return ["ranked", "ranked-noise"] if self.own is not None and self.noise is not None else ["ranked"]


def by_noise(
    rollouts: NoisyRollouts, *, minimum_gap: float, disturbed: RolloutChoice | None = None
) -> RankedEpisodes:
    """D-REX: noisy rollouts alone."""
    ranked = rollouts.ranked(minimum_gap=minimum_gap)
    return RankedEpisodes(ranked, rollouts.true_returns, noise=rollouts, disturbed=disturbed)


def as_given(
    demonstrations: Demonstrations,
    ranked: RankedTrajectories,
    *,
    beside: NoisyRollouts | None = None,
    minimum_gap: float = 0.3,
    disturbed: RolloutChoice | None = None,
) -> RankedEpisodes:
    """T-REX: demonstrations as the user ranks them, on their own or with noisy rollouts ranked beside them.

    Nothing is compared across the two, and each has half of the weight, however many pairs it has.
    """
    own = ranked.preferences
    if beside is None:
        return RankedEpisodes(ranked, demonstrations.true_returns, own)
    return RankedEpisodes(
        combine(*equally_heavy(ranked, beside.ranked(minimum_gap=minimum_gap))),
        TrueReturns.concatenate([demonstrations.true_returns, beside.true_returns]),
        own,
        beside,
        disturbed,
    )


@dataclass(frozen=True)
class HeldOutPairs:
    """Ranked pairs that a reward was not shown, and how many of them it orders as ranked.

    Args:
        ordered: how many.
        pairs: of how many; with none the accuracy is unknown.
    """

    ordered: int
    pairs: int

    @property
    def accuracy(self) -> float | None:
        """Share of the pairs, from 0 to 1; ``None`` without pairs."""
        return self.ordered / self.pairs if self.pairs else None


def count_ordered(reward: LearnedReward, ranked: RankedTrajectories) -> HeldOutPairs:
    """How many pairs the reward's returns of whole trajectories order as ranked."""
    returns, pairs = reward.returns(ranked.trajectories), ranked.preferences
    return HeldOutPairs(int((returns[pairs.better] > returns[pairs.worse]).sum()), len(pairs))


def cross_validate(
    ranked: RankedTrajectories,
    learn: Callable[[RankedTrajectories], LearnedReward],
    *,
    folds: int,
    seed: int,
) -> HeldOutPairs:
    """Learn once without each part of the compared trajectories, and count the pairs that touch that part.

    With a dozen trajectories the few pairs within one held-out part would say nothing: here every pair is
    judged, by rewards that never saw one of its trajectories, or neither.

    Args:
        ranked: all trajectories and preferences.
        learn: learns and anchors a reward.
        folds: parts, at most as many as there are compared trajectories.
        seed: of the split.
    """
    compared = ranked.preferences.compared()
    parts = np.array_split(np.random.default_rng(seed).permutation(compared), min(folds, len(compared)))
    ordered = pairs = 0
    for part in parts:
        kept = _among(ranked, [t for t in range(len(ranked.trajectories)) if t not in set(part.tolist())])
        touched = np.isin(ranked.preferences.better, part) | np.isin(ranked.preferences.worse, part)
        if kept is None:
            continue  # without this part nothing is ranked
        judged = RankedTrajectories(ranked.trajectories, ranked.preferences.subset(touched))
        found = count_ordered(learn(kept), judged)
        ordered, pairs = ordered + found.ordered, pairs + found.pairs
    return HeldOutPairs(ordered, pairs)


def _among(ranked: RankedTrajectories, kept: Sequence[int]) -> RankedTrajectories | None:
    """These trajectories and the preferences among them; ``None`` where there are none."""
    place: npt.NDArray[np.int64] = np.full(len(ranked.trajectories), -1)
    place[list(kept)] = np.arange(len(kept))
    inside = (place[ranked.preferences.better] >= 0) & (place[ranked.preferences.worse] >= 0)
    if not inside.any():
        return None
    chosen = ranked.preferences.subset(inside)
    renamed = Preferences(place[chosen.better], place[chosen.worse], chosen.weight, chosen.source)
    return RankedTrajectories(ranked.trajectories.select(list(kept)), renamed)
