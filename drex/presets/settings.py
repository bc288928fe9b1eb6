"""Settings of a whole run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from drex.agents.behavioral_cloning import CloningSettings
from drex.agents.policies.network import PolicySettings
from drex.agents.ppo.settings import PPOSettings
from drex.agents.sb3_algorithms import SB3Settings
from drex.envs.atari.options import AtariOptions
from drex.errors import UserError
from drex.evaluation.evaluate import EvaluationSettings
from drex.presets.names import Method
from drex.ranges import Range, check_ranges, located, paths_of, refuse_unread
from drex.rankings.settings import NoiseRanking, UserRanking
from drex.rewards.normalize import RewardNormalization
from drex.rewards.settings import RewardSettings
from drex.selection.settings import SelectionSettings


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of all stages."""

    policy: PolicySettings = field(default_factory=PolicySettings)
    """Network that is cloned and then trained."""
    bc: CloningSettings = field(default_factory=CloningSettings)
    """Behavioral cloning."""
    ranking: NoiseRanking | UserRanking = field(default_factory=NoiseRanking)
    """Ranking: by noise (D-REX), or the user's (T-REX)."""
    held_out_folds: Annotated[int, Range(0)] = 0
    """Cross-validation folds for the held-out accuracy; one more reward is learned per fold. 0 measures on
    the trajectories of reward.held_out."""
    reward: RewardSettings = field(default_factory=RewardSettings)
    """Reward ensemble."""
    normalization: RewardNormalization = field(default_factory=RewardNormalization)
    """Offset and scale of the reward."""
    learner: PPOSettings | SB3Settings = field(default_factory=PPOSettings)
    """Training of the policy on the learned reward."""
    atari: AtariOptions = field(default_factory=AtariOptions)
    """Atari games only: differences of training from recording and evaluation."""
    selection: SelectionSettings = field(default_factory=SelectionSettings)
    """Choice between the trained policy and the clone."""
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    """Evaluation at the end."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.held_out_folds == 1:
            raise UserError("Settings.held_out_folds", expected="0, or at least 2", found="1")
        if isinstance(self.ranking, UserRanking) and not self.clones:
            with located(paths_of(self, "Settings.")):
                refuse_unread(self.ranking, "clone_share", read_by="learner.start_from clone")

    @property
    def method(self) -> Method:
        """The method of the ranking."""
        return "drex" if isinstance(self.ranking, NoiseRanking) else "trex"

    @property
    def noise(self) -> NoiseRanking | None:
        """Ranking by noise, if any: that of D-REX, or the one mixed with the user's ranking."""
        return self.ranking if isinstance(self.ranking, NoiseRanking) else self.ranking.noise

    @property
    def clones(self) -> bool:
        """Whether a stage starts from a clone of the demonstrations."""
        return self.noise is not None or self.learner.starts_from_clone
