"""Settings of a whole run: those of every stage, shared by Python, command line and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from drex.agents.behavioral_cloning import CloningSettings
from drex.agents.policies.algorithm_registry import ALGORITHMS
from drex.agents.policies.network import PolicySettings
from drex.agents.ppo.settings import PPOSettings
from drex.agents.rollouts.noise import NoiseSchedule
from drex.agents.sb3_algorithms import AlgorithmSettings
from drex.envs.atari.options import AtariOptions
from drex.errors import UserError
from drex.evaluation.evaluate import EvaluationSettings
from drex.rankings.ranked_episodes import UserRankingSettings
from drex.rewards.normalize import RewardNormalization
from drex.rewards.settings import RewardSettings

Method = Literal["drex", "trex"]
"""Where the ranking comes from: ``drex`` disturbs a clone by degrees, ``trex`` is given demonstrations that
carry one."""

Control = Literal["constant", "shuffled_labels"]
"""``constant``: the same reward for every step; ``shuffled_labels``: a reward learned from shuffled pairs."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that a run depends on besides task, demonstrations and seed."""

    policy: PolicySettings = field(default_factory=PolicySettings)
    """The network that is cloned and then trained."""
    bc: CloningSettings = field(default_factory=CloningSettings)
    """Behavioral cloning."""
    rollout_policy: Literal["stochastic", "deterministic", "auto"] = "stochastic"
    """Which clone is disturbed. A deterministic clone moves smoothly, so a reward can tell noise by its
    jitter and learn nothing else; the stochastic one acts with the spread that the demonstrator showed.
    nearest is the deterministic one, unless the lengths of its episodes are unlike the demonstrations', not
    beyond them as seen from uniform random actions, and those of the stochastic one are nearer."""
    noise: NoiseSchedule = field(default_factory=NoiseSchedule)
    """Noise-injected rollouts."""
    rollout_environments: int = 16
    """Environments stepped side by side for the noisy rollouts."""
    minimum_level_gap: float = 0.3
    """Noise levels closer than this are not compared."""
    trex: UserRankingSettings = field(default_factory=UserRankingSettings)
    """What is done with a ranking of your own; read with --method trex alone."""
    held_out_folds: int = 0
    """Parts that the ranked trajectories are split in, to measure how well a reward orders what it never saw:
    one more is learned without each part. 0 measures on what reward.held_out leaves out."""
    reward: RewardSettings = field(default_factory=RewardSettings)
    """The reward ensemble."""
    normalization: RewardNormalization = field(default_factory=RewardNormalization)
    """Offset and scale of the reward."""
    algorithm: AlgorithmSettings = field(default_factory=AlgorithmSettings)
    """What trains the policy on the learned reward."""
    ppo: PPOSettings = field(default_factory=PPOSettings)
    """PPO on the learned reward; read with algorithm.name ppo alone."""
    atari: AtariOptions = field(default_factory=AtariOptions)
    """How the games that train the policy differ from those that are recorded and judged, for Atari games
    alone."""
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    """Judging at the end."""

    def __post_init__(self) -> None:
        if self.held_out_folds < 0 or self.held_out_folds == 1:
            raise UserError("held_out_folds", expected="0, or two or more", found=str(self.held_out_folds))

    @property
    def gamma(self) -> float:
        """Discount a step of the algorithm that trains the policy."""
        return self.ppo.gamma if self.algorithm.name == "ppo" else self.algorithm.gamma

    @property
    def training_steps(self) -> int:
        """Environment steps that the policy is trained for."""
        ppo = self.algorithm.name == "ppo"
        return self.ppo.segments()[-1] if ppo else self.algorithm.environment_steps

    @property
    def starts_from_clone(self) -> bool:
        """Whether the policy's weights at the start are the clone's, where there is one."""
        if self.algorithm.name == "ppo":
            return self.ppo.start_from == "clone"
        return ALGORITHMS[self.algorithm.name].takes_clone and self.algorithm.start_from == "clone"
