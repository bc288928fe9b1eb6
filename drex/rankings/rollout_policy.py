"""Choice of the rollout policy: the greedy clone, or the sampling clone if the greedy one gets stuck.

Noise frees a stuck clone, so that the noise ranking is inverted (ALE/Seaquest-v5: 80 points without noise,
272 at noise 0.75). The episodes of a stuck clone differ from the demonstrations in length, which needs no
true reward. So do those of a clone that is better than its demonstrator, but in the direction away from
random actions (ALE/SpaceInvaders-v5: 531 steps at random, 791 demonstrated, 1,227 greedy, with 1.5 times the
demonstrator's score): this clone remains the rollout policy.
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
"""The greedy or the sampling clone."""

EPISODES = 10
"""Episodes of each policy whose lengths are compared with the demonstrations'."""
UNLIKE = 0.01
"""Significance level of a difference in episode lengths (Mann-Whitney)."""


@dataclass(frozen=True)
class RolloutPolicyChoice:
    """The rollout policy, and the mean episode lengths in steps on which the choice is based.

    Args:
        chosen: the rollout policy.
        demonstrations: mean length of the cloned demonstrations.
        deterministic: of the greedy clone.
        stochastic: of the sampling clone; ``None`` if the greedy one is like the demonstrations.
        uniform: of uniform random actions, likewise.
        chance: p-value of the difference between the demonstrations and the greedy clone.
    """

    chosen: RolloutPolicy
    demonstrations: float
    deterministic: float
    stochastic: float | None
    uniform: float | None
    chance: float

    @property
    def actions(self) -> str:
        """``greedy`` or ``sampling``."""
        return {"deterministic": "greedy", "stochastic": "sampling"}[self.chosen]

    def steps(self) -> dict[str, float]:
        """Known mean episode lengths by policy."""
        means = (self.demonstrations, self.deterministic, self.stochastic, self.uniform)
        pairs = zip(("demonstrated", "greedy", "sampling", "random"), means, strict=True)
        return {name: mean for name, mean in pairs if mean is not None}

    @property
    def environment_steps(self) -> int:
        """Steps of the episodes played for the choice."""
        played = (self.deterministic, self.stochastic, self.uniform)
        return round(sum(EPISODES * mean for mean in played if mean is not None))

    def save(self, folder: Path) -> None:
        """Write ``rollout_policy.json``."""
        write_json(folder / ROLLOUT_POLICY.files[0], asdict(self))

    @staticmethod
    def load(folder: Path) -> RolloutPolicyChoice:
        """Read the file of ``save``."""
        return RolloutPolicyChoice(**read_json(folder / ROLLOUT_POLICY.files[0]))


def choose_rollout_policy(
    demonstrated: npt.NDArray[np.int64],
    deterministic: Policy,
    stochastic: Policy,
    environments: VecEnv,
    *,
    seed: int,
) -> RolloutPolicyChoice:
    """The greedy clone, as published, or the sampling clone if its episode lengths are closer.

    The sampling clone is chosen if the greedy one's episode lengths differ from the demonstrations'
    (Mann-Whitney) in the direction of random actions, and its own mean length is closer on a logarithmic
    scale. If all episodes have the same length, the greedy clone is chosen.

    Args:
        demonstrated: (episodes,) steps of the cloned demonstrations.
        deterministic: the greedy clone.
        stochastic: the sampling clone.
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
