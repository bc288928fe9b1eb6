"""Which clone is disturbed: its likeliest actions, unless they are stuck where the demonstrator was not.

Noise frees a stuck clone, so that more of it makes episodes better and the ranking comes out wrong
(ALE/Seaquest-v5: 80 points undisturbed, 272 at noise 0.75). A stuck clone's episodes are unlike the
demonstrations in length, which tells without a look at the true reward.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import mannwhitneyu
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from drex.agents.policies import Policy
from drex.agents.rollouts import collect
from drex.durable_files import read_json, write_json

RolloutPolicy = Literal["deterministic", "stochastic"]
"""A clone's likeliest actions, or those that it samples."""

EPISODES = 10
"""Undisturbed episodes of each clone whose lengths are compared with the demonstrations'."""
UNLIKE = 0.01
"""Probability of as great a difference in lengths by chance (Mann-Whitney) below which they are unlike."""


@dataclass(frozen=True)
class RolloutChoice:
    """What was chosen, and the mean steps of an episode that it rests on.

    Args:
        chosen: the clone to be disturbed.
        demonstrations: of those that were cloned.
        deterministic: of the clone's likeliest actions.
        stochastic: of its sampled actions; ``None`` where the likeliest ones gave no reason to look.
        chance: probability of as unlike lengths of demonstrations and likeliest actions by chance.
    """

    chosen: RolloutPolicy
    demonstrations: float
    deterministic: float
    stochastic: float | None
    chance: float

    def said(self) -> str:
        """In a line."""
        name = {"deterministic": "likeliest", "stochastic": "sampled"}[self.chosen]
        sampled = "" if self.stochastic is None else f", {self.stochastic:,.0f} as sampled"
        return (
            f"{name} (steps an episode: {self.deterministic:,.0f} by likeliest actions{sampled}, "
            f"{self.demonstrations:,.0f} demonstrated)"
        )

    def save(self, folder: Path) -> None:
        """Write ``choice.json``."""
        write_json(folder / "choice.json", asdict(self))

    @staticmethod
    def load(folder: Path) -> RolloutChoice:
        """Read what ``save`` wrote."""
        return RolloutChoice(**read_json(folder / "choice.json"))


def choose_rollout_policy(
    demonstrated: npt.NDArray[np.int64],
    deterministic: Policy,
    stochastic: Policy,
    environments: VecEnv,
    *,
    seed: int,
) -> RolloutChoice:
    """The likeliest actions, as published, or the sampled ones where these are nearer to the demonstrations.

    The likeliest actions are left only if their episodes are unlike the demonstrations in length, shorter or
    longer, and the mean length of sampled ones is nearer on a logarithmic scale. Where every episode has the
    same length nothing can be told, and the likeliest actions stay.

    Args:
        demonstrated: (episodes,) steps of the demonstrations that were cloned.
        deterministic: the clone's likeliest actions.
        stochastic: its sampled ones.
        environments: made by ``make_environments`` with ``reward="none"``.
        seed: of the collection.
    """
    likeliest = collect(deterministic, environments, EPISODES, seed=seed)[0].lengths
    alike = np.ptp([*demonstrated, *likeliest]) == 0
    chance = 1.0 if alike else float(mannwhitneyu(demonstrated, likeliest).pvalue)
    facts = float(demonstrated.mean()), float(likeliest.mean())
    if chance >= UNLIKE:
        return RolloutChoice("deterministic", *facts, None, chance)
    sampled = float(collect(stochastic, environments, EPISODES, seed=seed)[0].lengths.mean())
    off = [abs(np.log(mean / facts[0])) for mean in (facts[1], sampled)]
    return RolloutChoice("stochastic" if off[1] < off[0] else "deterministic", *facts, sampled, chance)
