"""All that a run ranks, by noise (D-REX), by the user (T-REX), or by both."""

from __future__ import annotations

from dataclasses import dataclass

from drex.demonstrations.load_and_save import Demonstrations
from drex.envs.data.true_returns import TrueReturns
from drex.rankings.noisy_rollouts import NoisyRollouts
from drex.rankings.preferences import MINIMUM_GAP, Preferences, RankedTrajectories, balance_weights, combine
from drex.rankings.rollout_policy import RolloutPolicyChoice


@dataclass(frozen=True, eq=False)
class RankedEpisodes:
    """What the reward is learned from, and its true returns for evaluation.

    Args:
        ranked: trajectories and preferences; the user's demonstrations come before noisy rollouts.
        true_returns: one an episode, for evaluation alone; NaN where unknown.
        user: the user's ranking of the demonstrations; ``None`` where there is none.
        noise: the noisy rollouts among them; ``None`` where there are none.
        rollout_policy: how the clone that they come from was chosen; ``None`` where the settings named it.
    """

    ranked: RankedTrajectories
    true_returns: TrueReturns
    user: Preferences | None = None
    noise: NoisyRollouts | None = None
    rollout_policy: RolloutPolicyChoice | None = None


def from_noise(
    rollouts: NoisyRollouts, *, minimum_gap: float, rollout_policy: RolloutPolicyChoice | None = None
) -> RankedEpisodes:
    """D-REX: noisy rollouts alone."""
    ranked = rollouts.ranked(minimum_gap=minimum_gap)
    return RankedEpisodes(ranked, rollouts.true_returns, noise=rollouts, rollout_policy=rollout_policy)


def from_user_ranking(
    demonstrations: Demonstrations,
    ranked: RankedTrajectories,
    *,
    extra: NoisyRollouts | None = None,
    minimum_gap: float = MINIMUM_GAP,
    rollout_policy: RolloutPolicyChoice | None = None,
) -> RankedEpisodes:
    """T-REX: demonstrations as the user ranks them, alone or with noisy rollouts ranked among themselves.

    Nothing is compared across the two, and each has half of the weight, however many pairs it has.
    """
    user = ranked.preferences
    if extra is None:
        return RankedEpisodes(ranked, demonstrations.true_returns, user)
    return RankedEpisodes(
        combine(*balance_weights(ranked, extra.ranked(minimum_gap=minimum_gap))),
        TrueReturns.concatenate([demonstrations.true_returns, extra.true_returns]),
        user,
        extra,
        rollout_policy,
    )
