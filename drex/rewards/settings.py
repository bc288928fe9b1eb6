"""Settings of the reward ensemble and its training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from drex.errors import UserError
from drex.ranges import Count, NotNegative, Positive, Range, check_ranges
from drex.rewards.cnn import PUBLISHED_CONVOLUTIONS, Convolution
from drex.rewards.mlp import Inputs
from drex.rewards.snippets import SnippetSettings


@dataclass(frozen=True, kw_only=True)
class RewardSettings:
    """The reward ensemble and its training."""

    inputs: Inputs = ("next_observations",)
    """Parts of a transition that the reward is a function of."""
    members: Count = 3
    """Networks in the ensemble."""
    hidden_sizes: tuple[Count, ...] = (64, 64)
    """Units of each hidden layer; for images, of those after the convolutions."""
    convolutions: tuple[Convolution, ...] = PUBLISHED_CONVOLUTIONS
    """Images only: channels, kernel size and stride of each convolution."""
    mask_top: Annotated[int, Range(0)] = 0
    """Images only: rows at the top that are set to 0, to hide the score."""
    mask_bottom: Annotated[int, Range(0)] = 0
    """Images only: rows at the bottom that are set to 0."""
    standardize_inputs: bool = False
    """Standardize the inputs. Raw inputs favour velocities over postures in a small network, a useful bias in
    locomotion."""
    snippets: SnippetSettings = field(default_factory=SnippetSettings)
    """How snippets are sampled."""
    snippet_return: Literal["mean", "sum"] = "mean"
    """Predicted return of a snippet. mean: mean reward per step times maximum_length, independent of length.
    sum: as published, where a longer snippet of positive rewards wins."""
    gradient_steps: Count = 200
    """Gradient steps, each on one sample of snippets per member."""
    learning_rate: Positive = 1e-3
    """Adam's learning rate."""
    l2: NotNegative = 0.01
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
        if not self.inputs:
            expected = "at least one part of a transition"
            raise UserError("RewardSettings.inputs", expected=expected, found="none")
        if self.patience and not self.held_out:
            expected = "held-out trajectories to stop by"
            raise UserError("RewardSettings.patience", expected=expected, found="held_out = 0")


Squash = Literal["none", "sigmoid", "tanh"]
"""Bounds of a step's reward: none, 0 to 1, or -1 to 1."""
