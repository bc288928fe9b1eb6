"""Controls: the same training from the same start on baseline rewards."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy

from drex.files.run_layout import POLICY, REWARD, control_stage
from drex.presets.settings import Control
from drex.rankings.ranked_episodes import RankedEpisodes
from drex.stages.context import Context
from drex.stages.policy import train_policy
from drex.stages.reward import learn


def train_control(
    run: Context, name: Control, episodes: RankedEpisodes, bc: ActorCriticPolicy | None
) -> BasePolicy:
    """A policy trained on a constant reward, or on a reward learned from shuffled labels."""
    stage, reward_stage = control_stage(POLICY, name), control_stage(REWARD, name)
    if name == "constant":
        return train_policy(run, constant_reward, bc, stage=stage, reward_stages=())
    shuffled = learn(run, episodes, stage=reward_stage, shuffle=True)
    return train_policy(run, shuffled, bc, stage=stage, reward_stages=(reward_stage,))


def constant_reward(
    observations: npt.NDArray[np.generic],
    actions: npt.NDArray[np.generic],
    next_observations: npt.NDArray[np.generic],
    terminated: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float32]:
    """The control that learns nothing: the same positive reward for every step.

    It is 0.1 rather than 1, so that a long life is worth about 10 to PPO's value network; a constant factor
    changes no order of policies.
    """
    return np.full(len(observations), 0.1, np.float32)
