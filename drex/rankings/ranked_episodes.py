"""The ranked episodes of a run, by noise (D-REX), by the user (T-REX), or by both."""

from __future__ import annotations

from dataclasses import dataclass

from drex.demonstrations.load_and_save import Demonstrations
from drex.envs.data.true_returns import TrueReturns
from drex.rankings.noisy_rollouts import NoisyRollouts
from drex.rankings.preferences import Preferences, RankedTrajectories, balance_weights, combine
from drex.rankings.rollout_policy import RolloutPolicyChoice
from drex.rankings.settings import NoiseRanking


@dataclass(frozen=True, eq=False)
class RankedEpisodes:
    """The input of reward learning, and its true returns for evaluation.

    Args:
        ranked: trajectories and preferences; the user's demonstrations come before noisy rollouts.
        true_returns: one per episode, for evaluation only; NaN where unknown.
        user: the user's ranking of the demonstrations, if any.
        noise: the noisy rollouts, if any.
        rollout_policy: the choice of the rollout policy; ``None`` if the settings name it.
    """

    ranked: RankedTrajectories
    true_returns: TrueReturns
    user: Preferences | None = None
    noise: NoisyRollouts | None = None
    rollout_policy: RolloutPolicyChoice | None = None


def from_noise(
    rollouts: NoisyRollouts, settings: NoiseRanking, rollout_policy: RolloutPolicyChoice | None = None
) -> RankedEpisodes:
    """D-REX: noisy rollouts alone."""
    ranked = rollouts.ranked(minimum_gap=settings.minimum_gap, grade_margin=settings.grade_margin)
    return RankedEpisodes(ranked, rollouts.true_returns, noise=rollouts, rollout_policy=rollout_policy)


def from_user_ranking(
    demonstrations: Demonstrations,
    ranked: RankedTrajectories,
    *,
    extra: NoisyRollouts | None = None,
    settings: NoiseRanking | None = None,
    rollout_policy: RolloutPolicyChoice | None = None,
) -> RankedEpisodes:
    """T-REX: the user's ranking of demonstrations, alone or with noisy rollouts ranked by noise.

    Nothing is compared across the two, and each has half of the total weight.
    """
    user = ranked.preferences
    if extra is None or settings is None:
        return RankedEpisodes(ranked, demonstrations.true_returns, user)
    noisy = extra.ranked(minimum_gap=settings.minimum_gap, grade_margin=settings.grade_margin)
    both = combine(*balance_weights(ranked, noisy))
    true_returns = TrueReturns.concatenate([demonstrations.true_returns, extra.true_returns])
    return RankedEpisodes(both, true_returns, user, extra, rollout_policy)
