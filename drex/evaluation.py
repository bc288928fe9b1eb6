"""Judging: the only stage that opens true returns. Nothing it finds goes back into learning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau, pearsonr
from stable_baselines3.common.callbacks import BaseCallback

from drex.agents.behavioral_cloning import Log
from drex.agents.policies import Policy
from drex.agents.rollouts import Progress, collect
from drex.demonstrations import Demonstrations
from drex.envs.make import make_environments
from drex.envs.trajectories import Trajectories
from drex.envs.true_returns import TrueReturns
from drex.errors import UserError
from drex.noise_ranking import NoisyRollouts
from drex.ranked_episodes import RankedEpisodes
from drex.reward import LearnedReward


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """How policies are judged."""

    episodes: int = 20
    """Episodes for each judged policy."""
    environments: int = 20
    """Environments stepped side by side."""

    def __post_init__(self) -> None:
        if self.episodes < 2 or self.environments < 1:
            raise UserError(
                "evaluation",
                expected="two episodes or more",
                found=f"{self.episodes} in {self.environments} environments",
            )


@dataclass(frozen=True, eq=False)
class Judgement:
    """What one policy did when judged.

    Args:
        returns: (episodes,) true returns; NaN where unknown.
        lengths: (episodes,) steps.
        trajectories: the episodes themselves.
    """

    returns: npt.NDArray[np.float64]
    lengths: npt.NDArray[np.int64]
    trajectories: Trajectories

    def summary(self) -> dict[str, Any]:
        """Mean, deviation, best, 95% interval of the mean, episodes and mean length; unknowns are null."""
        return summarize(self.returns) | {"length": float(self.lengths.mean())}


def judge(
    policy: Policy, task: str, settings: EvaluationSettings, *, seed: int, progress: Progress | None = None
) -> Judgement:
    """Roll a policy out and open its true returns."""
    environments = make_environments(task, min(settings.environments, settings.episodes), seed=seed)
    trajectories, sealed = collect(policy, environments, settings.episodes, seed=seed, progress=progress)
    environments.close()
    return Judgement(sealed.reveal(), trajectories.lengths, trajectories)


def summarize(returns: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Mean, standard deviation, best, 95% interval and number of returns; null where any is unknown."""
    known = len(returns) > 0 and bool(np.isfinite(returns).all())
    if not known:
        return {"mean": None, "std": None, "best": None, "interval": None, "episodes": len(returns)}
    return {
        "mean": float(returns.mean()),
        "std": float(returns.std(ddof=1)) if len(returns) > 1 else None,
        "best": float(returns.max()),
        "interval": bootstrap_interval(returns) if len(returns) > 1 else None,
        "episodes": len(returns),
    }


def bootstrap_interval(
    values: npt.NDArray[np.float64], *, resamples: int = 10_000, seed: int = 0
) -> list[float]:
    """95% percentile bootstrap interval of the mean, [low, high]."""
    draws = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    return [float(bound) for bound in np.percentile(values[draws].mean(axis=1), [2.5, 97.5])]


def agreement(
    predicted: npt.NDArray[np.float64], returns: npt.NDArray[np.float64]
) -> dict[str, float | None]:
    """How well predicted returns order trajectories as the true ones do; null where that cannot be known.

    Args:
        predicted: (episodes,) learned returns.
        returns: (episodes,) true returns.
    """
    if not np.isfinite(returns).all() or len(returns) < 2 or np.ptp(predicted) == 0 or np.ptp(returns) == 0:
        return {"kendall_tau": None, "pearson": None}
    return {
        "kendall_tau": float(kendalltau(predicted, returns).statistic),
        "pearson": float(pearsonr(predicted, returns).statistic),
    }


def assemble(
    demonstrations: Demonstrations,
    episodes: RankedEpisodes,
    reward: LearnedReward,
    judged: Mapping[str, Judgement],
) -> dict[str, Any]:
    """What was found, in the layout of ``evaluation.json``, with the points of the report's figures.

    Args:
        demonstrations: with their sealed returns.
        episodes: all that was ranked, with theirs.
        reward: the anchored reward.
        judged: ``random``, ``policy``, ``policy_deterministic``, and ``bc`` and ``bc_stochastic`` where there
            was a clone.
    """
    demo_returns, ranked_returns = demonstrations.true_returns.reveal(), episodes.true_returns.reveal()
    policy = judged["policy"].summary()
    demonstrator = summarize(demo_returns) | {"length": float(demonstrations.trajectories.lengths.mean())}
    known = policy["mean"] is not None and demonstrator["best"] is not None
    predicted, pairs = reward.returns(episodes.ranked.trajectories), episodes.ranked.preferences
    scored = {
        "demonstrations": (reward.returns(demonstrations.trajectories), demo_returns),
        "ranked": (predicted, ranked_returns),
        **{
            name: (reward.returns(judged[name].trajectories), judged[name].returns)
            for name in ("bc", "policy")
            if name in judged
        },
    }
    return {
        "demonstrator": demonstrator,
        "random": judged["random"].summary(),
        **{name: judged[name].summary() if name in judged else None for name in ("bc", "bc_stochastic")},
        "policy": policy,
        "policy_deterministic": judged["policy_deterministic"].summary(),
        "beats_best_demonstration": policy["mean"] > demonstrator["best"] if known else None,
        "reward": agreement(predicted, ranked_returns)
        | {"pair_accuracy": float((predicted[pairs.better] > predicted[pairs.worse]).mean())},
        "ranking": describe_ranking(episodes, predicted),
        "noise": [] if episodes.noise is None else noise_curve(episodes.noise),
        "predicted_and_true": {
            name: [[_or_null(x), _or_null(y)] for x, y in zip(*both, strict=True)]
            for name, both in scored.items()
        },
    }


def describe_ranking(episodes: RankedEpisodes, predicted: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Where the ranking came from, how much it says, and how far it contradicts itself.

    Args:
        episodes: all that was ranked.
        predicted: (episodes,) their learned returns, beside which the user's ranking is shown.
    """
    pairs, own = episodes.ranked.preferences, episodes.own
    shares = np.zeros(0) if own is None else own.share_won()
    compared = np.zeros(0, np.int64) if own is None else own.compared()
    return {
        "source": pairs.source,
        "trajectories": len(episodes.ranked.trajectories),
        "compared": len(pairs.compared()),
        "pairs": len(pairs),
        "contradictions": pairs.contradictions(),
        "disturbed": None if episodes.disturbed is None else asdict(episodes.disturbed),
        "own": [
            {"episode": int(episode), "share_won": float(share), "predicted": float(predicted[episode])}
            for episode, share in zip(compared, shares, strict=True)
        ],
    }


def noise_curve(rollouts: NoisyRollouts) -> list[dict[str, Any]]:
    """Mean true return and mean length of every kind and level of noise; the return is null where unknown."""
    returns, lengths = rollouts.true_returns.reveal(), rollouts.trajectories.lengths
    members: dict[tuple[str, float], list[int]] = {}
    for index, job in enumerate(rollouts.jobs):
        members.setdefault((job.kind, job.level), []).append(index)
    return [
        {"kind": kind, "level": level, "length": float(lengths[rows].mean())}
        | {"return": summarize(returns[rows])}
        for (kind, level), rows in sorted(members.items())
    ]


def _or_null(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


class TrueReturnWatch(BaseCallback):
    """Writes the true returns of training episodes to the log, for looking at: nothing reads them back."""

    def __init__(self, log: Log, *, every: int = 20_000) -> None:
        super().__init__()
        self._log, self._every, self._next = log, every, every
        self._recent: list[float] = []

    def _on_step(self) -> bool:
        for index in np.flatnonzero(self.locals["dones"]):
            sealed = self.locals["infos"][index].get("true_return")
            if isinstance(sealed, TrueReturns):
                self._recent.extend(sealed.reveal().tolist())
        if self.num_timesteps >= self._next:
            self._write()
        return True

    def _on_training_end(self) -> None:
        self._write()

    def _write(self) -> None:
        if self._recent:
            self._log("for_judging_only/true_return", float(np.mean(self._recent)), self.num_timesteps)
            self._recent.clear()
            self._next = self.num_timesteps + self._every
