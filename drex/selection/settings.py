"""Settings of the choice of the policy that a run returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from drex.ranges import Count, Range, check_ranges


@dataclass(frozen=True, kw_only=True)
class SelectionSettings:
    """Choice between the trained policy, its checkpoints and the clone, without the true reward.

    Judges are rewards learned from fresh noisy rollouts of another clone. The trained policy is returned
    where all of them rate it above the better clone, else that clone.
    """

    judge: bool = True
    """Return what the judges choose; off, the policy at the end of training. Runs without noisy rollouts have
    no judges."""
    episodes: Annotated[int, Range(2)] = 10
    """Episodes of each candidate that are judged, at least."""
    steps: Count = 10_000
    """Environment steps of each candidate that are judged, at least, if episodes are as long as the
    demonstrations: of short episodes more are played, up to 100."""
    checkpoints: Count = 5
    """Policies along the training of PPO that are judged, the last one included; each greedy and sampling."""

    def __post_init__(self) -> None:
        check_ranges(self)
