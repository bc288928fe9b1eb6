"""drex: learn a reward from imperfect demonstrations, and train an agent that beats the demonstrator.

What is public, in the method's order, is named here and loaded at first use, so that ``drex --help`` does not
wait for torch. ``drex.run`` is the whole method; the rest are its pieces, each of use alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drex.agents.behavioral_cloning import clone
    from drex.agents.ppo.algorithm import PPO
    from drex.agents.ppo.train import train_ppo
    from drex.agents.rollouts.collect import collect
    from drex.demonstrations.load_and_save import (
        convert_demonstrations,
        load_demonstrations,
        save_demonstrations,
    )
    from drex.demonstrations.record import RecordingSettings, record
    from drex.envs.data.trajectories import Trajectories
    from drex.envs.data.true_returns import TrueReturns
    from drex.envs.learned_reward import LearnedRewardEnv, LearnedRewardVecEnv
    from drex.envs.make import make_environments
    from drex.errors import UserError
    from drex.pipeline import run
    from drex.presets.presets import preset
    from drex.presets.settings import Settings
    from drex.rankings.noisy_rollouts import rank_by_noise
    from drex.rankings.preferences import (
        Preferences,
        RankedTrajectories,
        combine,
        from_noise_levels,
        from_order,
        from_pairs,
        from_scores,
        from_tiers,
    )
    from drex.rankings.user_ranking import Ranking
    from drex.rankings.user_ranking_files import load_ranking, save_ranking
    from drex.rewards.export import export_reward
    from drex.rewards.learned_reward import LearnedReward, load_reward
    from drex.rewards.learning import learn_reward
    from drex.rewards.normalize import RewardNormalization, normalize_reward
    from drex.rewards.settings import RewardSettings

__all__ = [  # noqa: RUF022 (the method's order says more than the alphabet)
    "run",
    "Settings",
    "preset",
    "UserError",
    "load_demonstrations",
    "save_demonstrations",
    "convert_demonstrations",
    "record",
    "RecordingSettings",
    "Trajectories",
    "TrueReturns",
    "make_environments",
    "clone",
    "collect",
    "rank_by_noise",
    "Preferences",
    "RankedTrajectories",
    "Ranking",
    "load_ranking",
    "save_ranking",
    "combine",
    "from_pairs",
    "from_scores",
    "from_order",
    "from_tiers",
    "from_noise_levels",
    "learn_reward",
    "RewardSettings",
    "LearnedReward",
    "export_reward",
    "load_reward",
    "normalize_reward",
    "RewardNormalization",
    "LearnedRewardEnv",
    "LearnedRewardVecEnv",
    "train_ppo",
    "PPO",
]

_HOME = {
    "agents.behavioral_cloning": ("clone",),
    "agents.ppo.algorithm": ("PPO",),
    "agents.ppo.train": ("train_ppo",),
    "agents.rollouts.collect": ("collect",),
    "demonstrations.load_and_save": (
        "convert_demonstrations",
        "load_demonstrations",
        "save_demonstrations",
    ),
    "demonstrations.record": (
        "RecordingSettings",
        "record",
    ),
    "envs.data.trajectories": ("Trajectories",),
    "envs.data.true_returns": ("TrueReturns",),
    "envs.learned_reward": (
        "LearnedRewardEnv",
        "LearnedRewardVecEnv",
    ),
    "envs.make": ("make_environments",),
    "errors": ("UserError",),
    "pipeline": ("run",),
    "presets.presets": ("preset",),
    "presets.settings": ("Settings",),
    "rankings.noisy_rollouts": ("rank_by_noise",),
    "rankings.preferences": (
        "Preferences",
        "RankedTrajectories",
        "combine",
        "from_noise_levels",
        "from_order",
        "from_pairs",
        "from_scores",
        "from_tiers",
    ),
    "rankings.user_ranking": ("Ranking",),
    "rankings.user_ranking_files": (
        "load_ranking",
        "save_ranking",
    ),
    "rewards.export": ("export_reward",),
    "rewards.learned_reward": (
        "LearnedReward",
        "load_reward",
    ),
    "rewards.learning": ("learn_reward",),
    "rewards.normalize": (
        "RewardNormalization",
        "normalize_reward",
    ),
    "rewards.settings": ("RewardSettings",),
}
_MODULE = {name: f"drex.{module}" for module, names in _HOME.items() for name in names}

if not TYPE_CHECKING:  # a type checker would take it for a promise that every name exists

    def __getattr__(name: str) -> object:
        if name not in _MODULE:
            raise AttributeError(f"module 'drex' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_MODULE[name]), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
