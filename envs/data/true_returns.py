"""True returns, for evaluation only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


class TrueReturns:
    """The true return of each episode, read only through ``values_for_evaluation``.

    ``tests/test_true_reward.py`` lists the modules that may call it.

    Args:
        returns: (episodes,) sum of the environment's own rewards; NaN where unknown.
        step_rewards: (steps,) the rewards of all episodes, end to end; ``None`` where unknown.
    """

    __slots__ = ("__returns", "__step_rewards")

    def __init__(self, returns: npt.ArrayLike, step_rewards: npt.ArrayLike | None = None) -> None:
        self.__returns = np.array(returns, dtype=np.float64).reshape(-1)
        rewards = None if step_rewards is None else np.array(step_rewards, dtype=np.float64).reshape(-1)
        self.__step_rewards = rewards

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self.__returns)

    def __repr__(self) -> str:
        return f"TrueReturns({len(self)} episodes)"

    def values_for_evaluation(self) -> npt.NDArray[np.float64]:
        """(episodes,) true returns, for evaluation only; NaN where unknown."""
        return self.__returns.copy()

    def step_values_for_evaluation(self) -> npt.NDArray[np.float64] | None:
        """(steps,) true rewards, for files of demonstrations only; ``None`` where unknown."""
        return None if self.__step_rewards is None else self.__step_rewards.copy()

    @staticmethod
    def unknown(episodes: int) -> TrueReturns:
        """True returns of episodes without known rewards."""
        return TrueReturns(np.full(episodes, np.nan))

    @staticmethod
    def concatenate(parts: Sequence[TrueReturns]) -> TrueReturns:
        """All parts in order."""
        steps = [part.__step_rewards for part in parts]
        known = [rewards for rewards in steps if rewards is not None]
        return TrueReturns(
            np.concatenate([part.__returns for part in parts]),
            np.concatenate(known) if len(known) == len(steps) else None,
        )
