"""True returns, for judging alone: they travel beside trajectories and are sealed until opened."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


class TrueReturns:
    """The true return of each episode, sealed: only ``reveal`` reads it, and only evaluation calls it.

    ``tests/test_true_reward.py`` holds the list of modules that may call it.

    Args:
        returns: (episodes,) sum of the environment's own rewards; NaN where unknown.
    """

    __slots__ = ("__returns",)

    def __init__(self, returns: npt.ArrayLike) -> None:
        self.__returns = np.array(returns, dtype=np.float64).reshape(-1)

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self.__returns)

    def __repr__(self) -> str:
        return f"TrueReturns({len(self)} episodes, sealed)"

    def reveal(self) -> npt.NDArray[np.float64]:
        """(episodes,) true returns, for evaluation alone; NaN where unknown."""
        return self.__returns.copy()

    @staticmethod
    def unknown(episodes: int) -> TrueReturns:
        """For episodes that came without rewards."""
        return TrueReturns(np.full(episodes, np.nan))

    @staticmethod
    def concatenate(parts: Sequence[TrueReturns]) -> TrueReturns:
        """All parts in order."""
        return TrueReturns(np.concatenate([part.__returns for part in parts]))
