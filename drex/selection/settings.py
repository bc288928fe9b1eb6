"""Settings of the choice of the policy that a run returns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from drex.agents.rollouts.collect import enough_episodes
from drex.ranges import Count, Range, check_ranges

_EPISODES = 10
_STEPS = 10_000


@dataclass(frozen=True, kw_only=True)
class SelectionSettings:
    """Choice between the trained policy, its checkpoints and the clone, without the true reward.

    Judges are rewards learned from fresh noisy rollouts of another clone. The trained policy is returned
    where all of them rate it above the better clone, beyond their uncertainty, else that clone.
    """

    judge: bool = True
    """Return what the judges choose; off, the policy at the end of training. Runs without noisy rollouts have
    no judges."""
    episodes: Annotated[int, Range(2)] | None = None
    """Episodes of each candidate that are judged. None: 10, and more of short ones, up to 100 or 10,000 steps
    if they are as long as the demonstrations."""
    checkpoints: Count = 5
    """Policies along the training of PPO that are judged, the last one included; each greedy and sampling."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def fitted(self, length: float) -> SelectionSettings:
        """With a number of episodes.

        Args:
            length: mean steps of a demonstration.
        """
        if self.episodes is not None:
            return self
        return replace(self, episodes=enough_episodes(_STEPS, least=_EPISODES, length=length))
