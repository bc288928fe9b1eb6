"""Held-out pair accuracy of the reward."""

from __future__ import annotations

from dataclasses import asdict

from drex.agents.rollouts.collect import Advance
from drex.evaluation.held_out import HeldOutPairs, count_ordered, cross_validate
from drex.files.atomic import read_json, write_json
from drex.files.run_layout import HELD_OUT, REWARD
from drex.rankings.preferences import RankedTrajectories
from drex.rankings.ranked_episodes import RankedEpisodes
from drex.rewards.learned_reward import LearnedReward
from drex.rewards.learning import held_out_pairs
from drex.stages.context import Context
from drex.stages.ranking import ranked_stages
from drex.stages.reward import learn_and_normalize, reward_settings


def held_out_accuracy(run: Context, episodes: RankedEpisodes, reward: LearnedReward) -> HeldOutPairs:
    """The reward on its held-out pairs, or cross-validation if ``held_out_folds`` is set."""
    folds, file = run.settings.held_out_folds, HELD_OUT.files[0]
    if not folds:
        left_out = held_out_pairs(episodes.ranked, run.settings.reward, seed=REWARD.seed(run.seed))
        return HeldOutPairs(0, 0) if left_out is None else count_ordered(reward, left_out)

    def make(advance: Advance) -> HeldOutPairs:
        def learn(part: RankedTrajectories) -> LearnedReward:
            advance(1)
            return learn_and_normalize(run, part, seed=REWARD.seed(run.seed))

        return cross_validate(episodes.ranked, learn, folds=folds, seed=HELD_OUT.seed(run.seed))

    return run.load_or_make(
        HELD_OUT,
        make,
        save=lambda found, place: write_json(place / file, asdict(found)),
        load=lambda place: HeldOutPairs(**read_json(place / file)),
        settings=reward_settings(run) | {"folds": folds},
        inputs=ranked_stages(episodes),
        bar=(folds, "reward"),
    )
