"""Settings of the reward ensemble and its training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from drex.errors import UserError
from drex.ranges import Count, NotNegative, Positive, Range, check_ranges
from drex.rewards.cnn import PUBLISHED_CONVOLUTIONS, Convolution
from drex.rewards.mlp import Inputs
from drex.rewards.snippets import SnippetSettings

Scaling = Literal["raw", "standardized", "both"]
"""Scaling of a reward's inputs: none, to mean 0 and standard deviation 1, or one half of the members each."""


def raw_members(scaling: Scaling, members: int) -> int:
    """Members, the first ones, whose inputs are not standardized."""
    return {"raw": members, "standardized": 0, "both": members - members // 2}[scaling]


@dataclass(frozen=True, kw_only=True)
class RewardSettings:
    """The reward ensemble and its training."""

    inputs: Inputs | None = None
    """Parts of a transition that the reward is a function of. None: next_observations and actions; of images,
    next_observations alone."""
    members: Count = 6
    """Networks in the ensemble."""
    hidden_sizes: tuple[Count, ...] = (64, 64)
    """Units of each hidden layer; for images, of those after the convolutions."""
    convolutions: tuple[Convolution, ...] = PUBLISHED_CONVOLUTIONS
    """Images only: channels, kernel size and stride of each convolution."""
    mask_top: Annotated[int, Range(0)] = 0
    """Images only: rows at the top that are set to 0, to hide the score."""
    mask_bottom: Annotated[int, Range(0)] = 0
    """Images only: rows at the bottom that are set to 0."""
    input_scaling: Scaling = "both"
    """Scaling of the inputs, other than images. raw: none; it favours quantities of a large scale, a useful
    bias in locomotion. standardized: to mean 0 and standard deviation 1. both: raw for one half of the
    members, standardized for the other, so that an error of one half has only half of the weight."""
    snippets: SnippetSettings = field(default_factory=SnippetSettings)
    """How snippets are sampled."""
    snippet_return: Literal["mean", "sum"] = "mean"
    """Predicted return of a snippet. mean: mean reward per step times maximum_length, independent of length.
    sum: as published, where a longer snippet of positive rewards wins."""
    gradient_steps: Count = 200
    """Gradient steps, each on one sample of snippets per member."""
    learning_rate: Positive = 1e-3
    """Adam's learning rate."""
    l2: NotNegative = 0.03
    """Coefficient of ½‖θ‖² in the loss, not decoupled."""
    label_noise: Annotated[float, Range(0, 0.5, below=True)] = 0.0
    """Probability, assumed by the loss, that a preference is wrong."""
    held_out: Annotated[float, Range(0, 1, below=True)] = 0.1
    """Share of the trajectories held out for held-out accuracy and early stopping."""
    check_every: Count = 50
    """Gradient steps between evaluations of the held-out loss."""
    patience: Annotated[int, Range(0)] = 0
    """Evaluations without improvement before training stops with the best weights; 0 trains to the end."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.inputs == ():
            expected = "at least one part of a transition"
            raise UserError("RewardSettings.inputs", expected=expected, found="none")
        if self.patience and not self.held_out:
            expected = "held-out trajectories to stop by"
            raise UserError("RewardSettings.patience", expected=expected, found="held_out = 0")

    def inputs_of(self, *, images: bool) -> Inputs:
        """The inputs, chosen by the observations if the setting is None."""
        if self.inputs is not None:
            return self.inputs
        return ("next_observations",) if images else ("next_observations", "actions")


Squash = Literal["none", "sigmoid", "tanh"]
"""Bounds of a step's reward: none, 0 to 1, or -1 to 1."""
