"""drex: learn a reward from imperfect demonstrations, and train an agent that beats the demonstrator.

What is public, in the method's order, is named here and loaded at first use, so that ``drex --help`` does not
wait for torch. ``drex.run`` is the whole method; the rest are its pieces, each of use alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drex.agents.behavioral_cloning import clone
    from drex.agents.improve import improve
    from drex.agents.ppo import PPO
    from drex.agents.rollouts import collect
    from drex.demonstration_conversion import convert_demonstrations
    from drex.demonstration_recording import RecordingSettings, record
    from drex.demonstrations import load_demonstrations, save_demonstrations
    from drex.envs.learned_reward import LearnedRewardEnv, LearnedRewardVecEnv
    from drex.envs.make import make_environments
    from drex.envs.trajectories import Trajectories
    from drex.envs.true_returns import TrueReturns
    from drex.errors import UserError
    from drex.noise_ranking import rank_by_noise
    from drex.own_ranking import Ranking
    from drex.pipeline import run
    from drex.presets import preset
    from drex.ranking import (
        Preferences,
        RankedTrajectories,
        combine,
        from_noise_levels,
        from_order,
        from_pairs,
        from_scores,
        from_tiers,
    )
    from drex.ranking_files import load_ranking, save_ranking
    from drex.reward import LearnedReward, load_reward
    from drex.reward_anchor import AnchorSettings, anchor
    from drex.reward_learning import RewardSettings, learn_reward
    from drex.settings import Settings

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
    "load_reward",
    "anchor",
    "AnchorSettings",
    "LearnedRewardEnv",
    "LearnedRewardVecEnv",
    "improve",
    "PPO",
]

_HOME = {
    "agents.behavioral_cloning": ("clone",),
    "agents.improve": ("improve",),
    "agents.ppo": ("PPO",),
    "agents.rollouts": ("collect",),
    "demonstration_conversion": ("convert_demonstrations",),
    "demonstration_recording": ("RecordingSettings", "record"),
    "demonstrations": ("load_demonstrations", "save_demonstrations"),
    "envs.learned_reward": ("LearnedRewardEnv", "LearnedRewardVecEnv"),
    "envs.make": ("make_environments",),
    "envs.trajectories": ("Trajectories",),
    "envs.true_returns": ("TrueReturns",),
    "errors": ("UserError",),
    "noise_ranking": ("rank_by_noise",),
    "own_ranking": ("Ranking",),
    "pipeline": ("run",),
    "presets": ("preset",),
    "ranking": (
        "Preferences",
        "RankedTrajectories",
        "combine",
        "from_noise_levels",
        "from_order",
        "from_pairs",
        "from_scores",
        "from_tiers",
    ),
    "ranking_files": ("load_ranking", "save_ranking"),
    "reward": ("LearnedReward", "load_reward"),
    "reward_anchor": ("AnchorSettings", "anchor"),
    "reward_learning": ("RewardSettings", "learn_reward"),
    "settings": ("Settings",),
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
