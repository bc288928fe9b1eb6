"""drex: learn a reward from imperfect demonstrations, and train an agent that beats the demonstrator.

What is public, in the method's order, is named here and loaded at first use, so that ``drex --help`` does not
wait for torch. ``drex.run`` is the whole method; the rest are its pieces, each of use alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drex.agents.behavioral_cloning import CloningSettings as CloningSettings
    from drex.agents.behavioral_cloning import clone as clone
    from drex.agents.policies.acting import deterministic as deterministic
    from drex.agents.policies.acting import stochastic as stochastic
    from drex.agents.policies.network import PolicySettings as PolicySettings
    from drex.agents.ppo.algorithm import PPO as PPO
    from drex.agents.ppo.settings import PPOSettings as PPOSettings
    from drex.agents.ppo.train import train_ppo as train_ppo
    from drex.agents.rollouts.collect import collect as collect
    from drex.agents.rollouts.noise import NoiseSchedule as NoiseSchedule
    from drex.agents.sb3_algorithms import SB3Settings as SB3Settings
    from drex.demonstrations.bundled import bundled_demonstrations as bundled_demonstrations
    from drex.demonstrations.load_and_save import Demonstrations as Demonstrations
    from drex.demonstrations.load_and_save import convert_demonstrations as convert_demonstrations
    from drex.demonstrations.load_and_save import load_demonstrations as load_demonstrations
    from drex.demonstrations.load_and_save import save_demonstrations as save_demonstrations
    from drex.demonstrations.record import RecordingSettings as RecordingSettings
    from drex.demonstrations.record import record as record
    from drex.envs.data.trajectories import Trajectories as Trajectories
    from drex.envs.data.true_returns import TrueReturns as TrueReturns
    from drex.envs.learned_reward import LearnedRewardEnv as LearnedRewardEnv
    from drex.envs.learned_reward import LearnedRewardVecEnv as LearnedRewardVecEnv
    from drex.envs.make import make_environments as make_environments
    from drex.envs.make import task_spaces as task_spaces
    from drex.envs.task_names import task_name as task_name
    from drex.errors import UserError as UserError
    from drex.evaluation.evaluate import EvaluationSettings as EvaluationSettings
    from drex.evaluation.evaluate import evaluate_policy as evaluate_policy
    from drex.pipeline import run as run
    from drex.presets.presets import preset as preset
    from drex.presets.settings import Settings as Settings
    from drex.rankings.noisy_rollouts import rank_by_noise as rank_by_noise
    from drex.rankings.preferences import Preferences as Preferences
    from drex.rankings.preferences import RankedTrajectories as RankedTrajectories
    from drex.rankings.preferences import combine as combine
    from drex.rankings.preferences import from_noise_levels as from_noise_levels
    from drex.rankings.preferences import from_order as from_order
    from drex.rankings.preferences import from_pairs as from_pairs
    from drex.rankings.preferences import from_scores as from_scores
    from drex.rankings.preferences import from_tiers as from_tiers
    from drex.rankings.settings import NoiseRanking as NoiseRanking
    from drex.rankings.settings import UserRanking as UserRanking
    from drex.rankings.user_ranking import Ranking as Ranking
    from drex.rankings.user_ranking_files import load_ranking as load_ranking
    from drex.rankings.user_ranking_files import save_ranking as save_ranking
    from drex.report.html import write_report as write_report
    from drex.rewards.export import export_reward as export_reward
    from drex.rewards.learned_reward import LearnedReward as LearnedReward
    from drex.rewards.learned_reward import load_reward as load_reward
    from drex.rewards.learning import learn_reward as learn_reward
    from drex.rewards.normalize import RewardNormalization as RewardNormalization
    from drex.rewards.normalize import normalize_reward as normalize_reward
    from drex.rewards.occlusion import occlusion_map as occlusion_map
    from drex.rewards.settings import RewardSettings as RewardSettings
    from drex.rewards.snippets import SnippetSettings as SnippetSettings

_HOME = {
    "pipeline": "run",
    "presets.settings": "Settings",
    "presets.presets": "preset",
    "errors": "UserError",
    "report.html": "write_report",
    "demonstrations.bundled": "bundled_demonstrations",
    "demonstrations.load_and_save": (
        "load_demonstrations save_demonstrations convert_demonstrations Demonstrations"
    ),
    "demonstrations.record": "record RecordingSettings",
    "envs.data.trajectories": "Trajectories",
    "envs.data.true_returns": "TrueReturns",
    "envs.make": "make_environments task_spaces",
    "envs.task_names": "task_name",
    "agents.behavioral_cloning": "clone CloningSettings",
    "agents.policies.network": "PolicySettings",
    "agents.policies.acting": "deterministic stochastic",
    "agents.rollouts.collect": "collect",
    "rankings.noisy_rollouts": "rank_by_noise",
    "agents.rollouts.noise": "NoiseSchedule",
    "rankings.preferences": (
        "Preferences RankedTrajectories combine "
        "from_pairs from_scores from_order from_tiers from_noise_levels"
    ),
    "rankings.settings": "NoiseRanking UserRanking",
    "rankings.user_ranking": "Ranking",
    "rankings.user_ranking_files": "load_ranking save_ranking",
    "rewards.learning": "learn_reward",
    "rewards.settings": "RewardSettings",
    "rewards.snippets": "SnippetSettings",
    "rewards.learned_reward": "LearnedReward load_reward",
    "rewards.export": "export_reward",
    "rewards.normalize": "normalize_reward RewardNormalization",
    "rewards.occlusion": "occlusion_map",
    "envs.learned_reward": "LearnedRewardEnv LearnedRewardVecEnv",
    "agents.ppo.train": "train_ppo",
    "agents.ppo.algorithm": "PPO",
    "agents.ppo.settings": "PPOSettings",
    "agents.sb3_algorithms": "SB3Settings",
    "evaluation.evaluate": "evaluate_policy EvaluationSettings",
}
"""Every public name by its module, in the method's order."""
_MODULE = {name: f"drex.{module}" for module, names in _HOME.items() for name in names.split()}
__all__ = list(_MODULE)

if not TYPE_CHECKING:  # a type checker would take it for a promise that every name exists

    def __getattr__(name: str) -> object:
        if name not in _MODULE:
            raise AttributeError(f"module 'drex' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_MODULE[name]), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
