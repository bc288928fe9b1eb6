"""The choice of the returned policy: the trained one where every judge rates it above the clone.

It is returned as well where a judge rates the clone below noise: such a clone is nothing to fall back on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from drex.envs.data.trajectories import Trajectories
from drex.rewards.learned_reward import LearnedReward

Actions = Literal["sampling", "greedy"]

MARGIN = 0.02
"""Rating above the clone, in its distance from pure noise, from which a trained policy is worth returning."""


@dataclass(frozen=True)
class Judge:
    """A reward learned apart from the one that the policy is trained on.

    Args:
        name: of the rollouts that it was learned from.
        reward: normalized.
        noisiest: mean learned return of its noisiest rollouts.
    """

    name: str
    reward: LearnedReward
    noisiest: float


@dataclass(frozen=True)
class Candidate:
    """A policy that a run may return.

    Args:
        trained: whether it is the trained policy, or else the clone.
        steps: environment steps of its training; 0 for the clone.
        actions: how it acts.
    """

    trained: bool
    steps: int
    actions: Actions

    @property
    def label(self) -> str:
        """For tables: ``clone, greedy`` or ``trained for 600,000 steps, sampling``."""
        name = f"trained for {self.steps:,} steps" if self.trained else "clone"
        return f"{name}, {self.actions}"


@dataclass(frozen=True)
class Rating:
    """A candidate as the judges see it.

    Args:
        candidate: the policy.
        length: mean steps of its episodes.
        gains: by judge: mean learned return above the better clone's, in units of that clone's distance from
            the noisiest rollouts.
        lower: the lowest gain less its standard error.
        learned: the gain by the reward that the policy is trained on, which is no judge.
    """

    candidate: Candidate
    length: float
    gains: dict[str, float]
    lower: float
    learned: float


@dataclass(frozen=True)
class PolicyChoice:
    """What a run returns, and why.

    Args:
        returned: the policy.
        reason: one sentence.
        ratings: of all candidates; none without judges.
        environment_steps: of the judged episodes.
    """

    returned: Candidate
    reason: str
    ratings: tuple[Rating, ...] = ()
    environment_steps: int = 0

    def to_json(self) -> dict[str, Any]:
        """For ``choice.json`` and ``evaluation.json``."""
        return asdict(self) | {"ratings": [asdict(rating) for rating in self.ratings]}

    @staticmethod
    def from_json(facts: Mapping[str, Any]) -> PolicyChoice:
        """Read the result of ``to_json``."""
        ratings = tuple(
            Rating(**{**rating, "candidate": Candidate(**rating["candidate"])}) for rating in facts["ratings"]
        )
        returned = Candidate(**facts["returned"])
        return PolicyChoice(returned, facts["reason"], ratings, facts["environment_steps"])


def choose(
    played: Mapping[Candidate, Trajectories],
    judges: Sequence[Judge],
    *,
    learned: Judge,
    noise: Trajectories,
    doubts: Sequence[str] = (),
) -> PolicyChoice:
    """The trained policy with the best rating if it is above ``MARGIN``, else the better clone.

    A rating is the lowest gain over the judges less its standard error, so that the margin grows with their
    disagreement. Where a judge rates the better clone below the noisiest rollouts, gains over that clone mean
    nothing, and the policy at the end of training is returned, sampling.

    Args:
        played: episodes of each candidate, both clones among them.
        judges: at least one.
        learned: the reward that the policy is trained on, to show beside the judges.
        noise: the noisiest rollouts of the run. No judge was learned from them: a judge rates the noisiest of
            those that it was learned from lower than they deserve.
        doubts: reasons to trust no learned reward on this task, judges included; a clone above noise is
            returned then.
    """
    clones = [candidate for candidate in played if not candidate.trained]
    returns = {judge.name: _returns(judge, played) for judge in judges}
    noisiest = {judge.name: judge.noisiest for judge in judges}
    heights = {
        clone: np.mean([_height(returns[name][clone], returns[name], noisiest[name]) for name in returns])
        for clone in clones
    }
    better = max(clones, key=lambda clone: heights[clone])
    own, ratings = _returns(learned, played), []
    for candidate, trajectories in played.items():
        compared = {
            name: gain_of(found[candidate], found[better], noisiest[name]) for name, found in returns.items()
        }
        rating = Rating(
            candidate,
            float(trajectories.lengths.mean()),
            {name: gain for name, (gain, _) in compared.items()},
            min(gain - error for gain, error in compared.values()),
            gain_of(own[candidate], own[better], learned.noisiest)[0],
        )
        ratings.append(rating)
    best = max((rating for rating in ratings if rating.candidate.trained), key=lambda rating: rating.lower)
    returned = better
    below = [
        judge.name
        for judge in judges
        if returns[judge.name][better].mean() < judge.reward.returns(noise).mean()
    ]
    if below:
        returned = [candidate for candidate in played if candidate.trained][-1]
        reason = (
            f"the trained policy, since the judge of {below[0]} rates the clone below the noisiest rollouts"
        )
    elif doubts:
        reason = f"the clone, since {doubts[0]}"
    elif best.lower > MARGIN:
        least = min(best.gains.values())
        returned = best.candidate
        reason = f"the trained policy, since every judge rates it above the clone, by {least:.0%} or more"
    else:
        reason = f"the clone, since not every judge rates the trained policy above it by {MARGIN:.0%} or more"
    steps = sum(int(trajectories.lengths.sum()) for trajectories in played.values())
    return PolicyChoice(returned, reason, tuple(ratings), steps)


def _returns(
    judge: Judge, played: Mapping[Candidate, Trajectories]
) -> dict[Candidate, npt.NDArray[np.float64]]:
    return {candidate: judge.reward.returns(trajectories) for candidate, trajectories in played.items()}


def _height(
    found: npt.NDArray[np.float64], among: Mapping[Candidate, npt.NDArray[np.float64]], noisiest: float
) -> float:
    """Mean learned return above the noisiest rollouts', in units of the clones' highest."""
    top = max(among[candidate].mean() - noisiest for candidate in among if not candidate.trained)
    return float((found.mean() - noisiest) / max(abs(top), 1e-8))


def gain_of(
    found: npt.NDArray[np.float64], better: npt.NDArray[np.float64], noisiest: float
) -> tuple[float, float]:
    """Gain over the better clone in units of its distance from the noisiest rollouts, and standard error."""
    unit = max(abs(float(better.mean()) - noisiest), 1e-8)
    return float(found.mean() - better.mean()) / unit, error_of_difference(found, better) / unit


def error_of_difference(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """Standard error of the difference of two means."""
    return float(np.hypot(*(values.std(ddof=1) / np.sqrt(len(values)) for values in (a, b))))
