"""drex: learn a reward from imperfect demonstrations, and train an agent that beats the demonstrator.

``drex.run`` is the whole method; the other public names are its parts, each usable alone, in the method's
order. A name is imported at its first use, so that ``drex --help`` does not wait for torch.
"""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # not executed, but read below: the one list of the public names and their modules
    # isort: off
    from drex.pipeline import run as run, diagnose as diagnose
    from drex.diagnosis.finding import Finding as Finding
    from drex.presets.settings import Settings as Settings
    from drex.presets.presets import preset as preset
    from drex.errors import UserError as UserError
    from drex.report.html import write_report as write_report
    from drex.sweeps.sweep import sweep as sweep
    from drex.comparison.compare import compare as compare
    from drex.demonstrations.bundled import bundled_demonstrations as bundled_demonstrations
    from drex.demonstrations.load_and_save import load_demonstrations as load_demonstrations
    from drex.demonstrations.load_and_save import save_demonstrations as save_demonstrations
    from drex.demonstrations.load_and_save import convert_demonstrations as convert_demonstrations
    from drex.demonstrations.load_and_save import Demonstrations as Demonstrations
    from drex.demonstrations.record import record as record, RecordingSettings as RecordingSettings
    from drex.envs.data.trajectories import Trajectories as Trajectories
    from drex.envs.data.true_returns import TrueReturns as TrueReturns
    from drex.envs.make import make_environments as make_environments, task_spaces as task_spaces
    from drex.envs.task_names import task_name as task_name
    from drex.agents.behavioral_cloning import clone as clone, CloningSettings as CloningSettings
    from drex.agents.policies.network import PolicySettings as PolicySettings
    from drex.agents.policies.acting import deterministic as deterministic, stochastic as stochastic
    from drex.agents.rollouts.collect import collect as collect
    from drex.rankings.noisy_rollouts import rank_by_noise as rank_by_noise
    from drex.agents.rollouts.noise import NoiseSchedule as NoiseSchedule
    from drex.rankings.preferences import Preferences as Preferences, RankedTrajectories as RankedTrajectories
    from drex.rankings.preferences import combine as combine, from_pairs as from_pairs
    from drex.rankings.preferences import from_scores as from_scores, from_order as from_order
    from drex.rankings.preferences import from_tiers as from_tiers, from_noise_levels as from_noise_levels
    from drex.rankings.settings import NoiseRanking as NoiseRanking, UserRanking as UserRanking
    from drex.rankings.user_ranking import Ranking as Ranking
    from drex.rankings.user_ranking_files import load_ranking as load_ranking, save_ranking as save_ranking
    from drex.rewards.learning import learn_reward as learn_reward
    from drex.rewards.settings import RewardSettings as RewardSettings
    from drex.rewards.snippets import SnippetSettings as SnippetSettings
    from drex.rewards.learned_reward import LearnedReward as LearnedReward, load_reward as load_reward
    from drex.rewards.export import export_reward as export_reward
    from drex.rewards.normalize import normalize_reward as normalize_reward
    from drex.rewards.normalize import RewardNormalization as RewardNormalization
    from drex.rewards.occlusion import occlusion_map as occlusion_map
    from drex.envs.learned_reward import LearnedRewardEnv as LearnedRewardEnv
    from drex.envs.learned_reward import LearnedRewardVecEnv as LearnedRewardVecEnv
    from drex.agents.ppo.train import train_ppo as train_ppo
    from drex.agents.ppo.algorithm import PPO as PPO
    from drex.agents.ppo.settings import PPOSettings as PPOSettings
    from drex.agents.sb3_algorithms import SB3Settings as SB3Settings
    from drex.evaluation.evaluate import evaluate_policy as evaluate_policy
    from drex.evaluation.evaluate import EvaluationSettings as EvaluationSettings

_MODULE = {
    name.name: node.module
    for node in ast.walk(ast.parse(Path(__file__).read_bytes()))
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("drex.")
    for name in node.names
}
__all__ = list(_MODULE)

if not TYPE_CHECKING:  # a type checker would infer that every name exists

    def __getattr__(name: str) -> object:
        if name not in _MODULE:
            raise AttributeError(f"module 'drex' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_MODULE[name]), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
