"""Which clone is disturbed: its greedy actions, unless they are stuck where the demonstrator was not.

Noise frees a stuck clone, so that more of it makes episodes better and the ranking comes out wrong
(ALE/Seaquest-v5: 80 points undisturbed, 272 at noise 0.75). A stuck clone's episodes are unlike the
demonstrations in length, which tells without a look at the true reward. So are those of a clone that has
left its demonstrator's randomness behind, but on the far side of the demonstrations as uniform random actions
see them (ALE/SpaceInvaders-v5: 531 steps at random, 791 demonstrated, 1,227 by greedy actions, which score
half as much again as the demonstrator): these are the better ones to disturb.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import mannwhitneyu
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from drex.agents.policies.acting import Policy, uniform
from drex.agents.rollouts.collect import collect
from drex.files.atomic import read_json, write_json
from drex.files.run_layout import ROLLOUT_POLICY

RolloutPolicy = Literal["deterministic", "stochastic"]
"""A clone's greedy actions, or those that it samples."""

EPISODES = 10
"""Undisturbed episodes of each clone whose lengths are compared with the demonstrations'."""
UNLIKE = 0.01
"""Probability of as great a difference in lengths by chance (Mann-Whitney) below which they are unlike."""


@dataclass(frozen=True)
class RolloutPolicyChoice:
    """What was chosen, and the mean steps of an episode that it rests on.

    Args:
        chosen: the clone to be disturbed.
        demonstrations: of those that were cloned.
        deterministic: of the clone's greedy actions.
        stochastic: of its sampled actions; ``None`` where the greedy ones gave no reason to look.
        uniform: of uniform random actions, likewise.
        chance: probability of as unlike lengths of demonstrations and greedy actions by chance.
    """

    chosen: RolloutPolicy
    demonstrations: float
    deterministic: float
    stochastic: float | None
    uniform: float | None
    chance: float

    @property
    def actions(self) -> str:
        """Which of its actions the clone takes, in a word."""
        return {"deterministic": "greedy", "stochastic": "sampling"}[self.chosen]

    def steps(self) -> dict[str, float]:
        """Mean steps of an episode by whose they are, as far as they are known."""
        all_of_them = {
            "demonstrated": self.demonstrations,
            "greedy": self.deterministic,
            "sampling": self.stochastic,
            "random": self.uniform,
        }
        return {name: mean for name, mean in all_of_them.items() if mean is not None}

    @property
    def environment_steps(self) -> int:
        """Steps of the episodes that were played for the choice."""
        played = (self.deterministic, self.stochastic, self.uniform)
        return round(sum(EPISODES * mean for mean in played if mean is not None))

    def save(self, folder: Path) -> None:
        """Write ``rollout_policy.json``."""
        write_json(folder / ROLLOUT_POLICY.files[0], asdict(self))

    @staticmethod
    def load(folder: Path) -> RolloutPolicyChoice:
        """Read what ``save`` wrote."""
        return RolloutPolicyChoice(**read_json(folder / ROLLOUT_POLICY.files[0]))


def choose_rollout_policy(
    demonstrated: npt.NDArray[np.int64],
    deterministic: Policy,
    stochastic: Policy,
    environments: VecEnv,
    *,
    seed: int,
) -> RolloutPolicyChoice:
    """The greedy actions, as published, or the sampled ones where these are nearer to the demonstrations.

    The greedy actions are left only if their episodes are unlike the demonstrations in length, not on the
    far side of them as seen from uniform random ones, and the mean length of sampled ones is nearer on a
    logarithmic scale. Where every episode has the same length nothing can be told, and they stay.

    Args:
        demonstrated: (episodes,) steps of the demonstrations that were cloned.
        deterministic: the clone's greedy actions.
        stochastic: its sampled ones.
        environments: made by ``make_environments`` with ``reward="none"``.
        seed: of the collection.
    """

    def lengths(policy: Policy) -> npt.NDArray[np.int64]:
        return collect(policy, environments, EPISODES, seed=seed)[0].lengths

    played = lengths(deterministic)
    alike = np.ptp([*demonstrated, *played]) == 0
    chance = 1.0 if alike else float(mannwhitneyu(demonstrated, played).pvalue)
    shown, greedy = float(demonstrated.mean()), float(played.mean())
    if chance >= UNLIKE:
        return RolloutPolicyChoice("deterministic", shown, greedy, None, None, chance)
    sampled = float(lengths(stochastic).mean())
    random = float(lengths(uniform(environments.action_space, seed=seed)).mean())
    beyond = (greedy - shown) * (shown - random) > 0
    nearer = abs(np.log(sampled / shown)) < abs(np.log(greedy / shown))
    chosen: RolloutPolicy = "stochastic" if nearer and not beyond else "deterministic"
    return RolloutPolicyChoice(chosen, shown, greedy, sampled, random, chance)
