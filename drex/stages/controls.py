"""Controls: the same training on baseline rewards, and on the true reward as the ceiling."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy

from drex.files.run_layout import CEILING, REWARD, TRAINED, control_stage
from drex.presets.names import Control
from drex.rankings.ranked_episodes import RankedEpisodes
from drex.stages.ceiling import true_reward_environments
from drex.stages.context import Context
from drex.stages.policy import train_policy
from drex.stages.ranking import ranked_stages
from drex.stages.reward import learn


def train_control(
    run: Context, name: Control, episodes: RankedEpisodes, bc: ActorCriticPolicy | None
) -> BasePolicy:
    """A policy trained on a constant reward, on one learned from shuffled labels, or on the true reward."""
    stage = control_stage(TRAINED, name)
    if name == CEILING:
        true = true_reward_environments(run, episodes)
        return train_policy(run, None, bc, stage=stage, reward_stages=ranked_stages(episodes), make=true)
    if name == "constant":
        return train_policy(run, constant_reward, bc, stage=stage, reward_stages=[])
    learned = control_stage(REWARD, name)
    shuffled = learn(run, episodes, stage=learned, shuffle=True)
    return train_policy(run, shuffled, bc, stage=stage, reward_stages=[learned])


def constant_reward(
    observations: npt.NDArray[np.generic],
    actions: npt.NDArray[np.generic],
    next_observations: npt.NDArray[np.generic],
    terminated: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float32]:
    """0.1 for every step, so that the return of a long episode is about 10 with a discount of 0.99."""
    return np.full(len(observations), 0.1, np.float32)
