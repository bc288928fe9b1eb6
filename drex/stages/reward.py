"""The reward ensemble, learned from the ranking and normalized."""

from __future__ import annotations

from pathlib import Path

from drex.agents.behavioral_cloning import Log
from drex.files.dataclass_json import JSON, settings_to_json
from drex.files.run_layout import REWARD, Stage
from drex.rankings.preferences import RankedTrajectories, shuffle_labels
from drex.rankings.ranked_episodes import RankedEpisodes
from drex.rewards.learned_reward import LearnedReward, load_reward
from drex.rewards.learning import learn_reward
from drex.rewards.normalize import normalize_reward
from drex.stages.context import Context
from drex.stages.ranking import ranked_stages


def learn(
    run: Context, episodes: RankedEpisodes, *, stage: Stage = REWARD, shuffle: bool = False
) -> LearnedReward:
    """The learned reward; with ``shuffle``, the control from shuffled labels."""
    ranked, seed = episodes.ranked, REWARD.seed(run.seed)
    if shuffle:
        ranked = RankedTrajectories(ranked.trajectories, shuffle_labels(ranked.preferences, seed=seed))
    return run.load_or_make(
        stage,
        lambda advance: learn_and_normalize(
            run,
            ranked,
            seed=seed,
            log=run.progress.advancing(advance),
            checkpoints=run.folder.unfinished(stage.name),
        ),
        save=LearnedReward.save,
        load=load_reward,
        settings=reward_settings(run) | {"shuffle": shuffle},
        inputs=ranked_stages(episodes),
        bar=(run.settings.reward.gradient_steps, "step"),
    )


def learn_and_normalize(
    run: Context,
    ranked: RankedTrajectories,
    *,
    seed: int,
    log: Log | None = None,
    checkpoints: Path | None = None,
) -> LearnedReward:
    """A normalized reward from these rankings, by the run's settings."""
    reward = learn_reward(
        ranked, run.settings.reward, seed=seed, log=log, device=run.device, checkpoints=checkpoints
    )
    return normalize_reward(reward, ranked, run.settings.normalization, gamma=run.gamma)


def reward_settings(run: Context) -> dict[str, JSON]:
    """All settings on which a reward depends."""
    settings = run.settings
    return {
        "reward": settings_to_json(settings.reward),
        "normalization": settings_to_json(settings.normalization) | {"gamma": run.gamma},
        "minimum_gap": None if settings.noise is None else settings.noise.minimum_gap,
    }
