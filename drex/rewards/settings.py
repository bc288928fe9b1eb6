"""Settings of the reward ensemble and its training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from drex.errors import UserError
from drex.rewards.cnn import PUBLISHED_CONVOLUTIONS, Convolution
from drex.rewards.mlp import Inputs
from drex.rewards.snippets import SnippetSettings


@dataclass(frozen=True, kw_only=True)
class RewardSettings:
    """The reward ensemble and how it is trained."""

    inputs: Inputs = ("next_observations",)
    """Parts of a transition that the reward sees."""
    members: int = 3
    """Networks in the ensemble."""
    hidden_sizes: tuple[int, ...] = (64, 64)
    """Units in each hidden layer; of networks that see images, after the convolutions."""
    convolutions: tuple[Convolution, ...] = PUBLISHED_CONVOLUTIONS
    """For images: each layer's channels, side of the kernel in pixels and stride."""
    mask_top: int = 0
    """For images: rows at the top that the reward sees as 0, to hide the score."""
    mask_bottom: int = 0
    """For images: rows at the bottom that the reward sees as 0."""
    standardize_inputs: bool = False
    """Whether inputs are standardised first. Raw inputs make velocities cheap and postures dear to a small
    network, which is a useful bias in locomotion."""
    snippets: SnippetSettings = field(default_factory=SnippetSettings)
    """How snippets are cut."""
    snippet_return: Literal["mean", "sum"] = "mean"
    """mean: mean reward per step times maximum_length, so that length itself says nothing. sum: as published,
    where a longer snippet of positive rewards wins."""
    gradient_steps: int = 200
    """Gradient steps, each on one draw of snippets a member."""
    learning_rate: float = 1e-3
    """Adam's step size."""
    l2: float = 0.01
    """Weight of ½‖θ‖² in the loss, in the gradient rather than decoupled."""
    label_noise: float = 0.0
    """Probability, assumed by the loss, that a preference is the wrong way round."""
    held_out: float = 0.1
    """Share of the trajectories whose pairs are kept for judging and early stopping."""
    check_every: int = 50
    """Gradient steps between two looks at the held-out pairs."""
    patience: int = 0
    """Looks without improvement before stopping with the best weights; 0 trains to the end."""

    def __post_init__(self) -> None:
        if not self.inputs:
            raise UserError("reward.inputs", expected="at least one part of a transition", found="none")
        if not 0.0 <= self.label_noise < 0.5:
            raise UserError(
                "reward.label_noise", expected="a probability below 0.5", found=str(self.label_noise)
            )
        if not 0.0 <= self.held_out < 1.0:
            raise UserError("reward.held_out", expected="a share from 0 to below 1", found=str(self.held_out))
        for name in ("members", "gradient_steps", "check_every"):
            if getattr(self, name) < 1:
                raise UserError(f"reward.{name}", expected="at least 1", found=str(getattr(self, name)))
        if any(units < 1 for units in self.hidden_sizes):
            raise UserError("reward.hidden_sizes", expected="positive numbers", found=str(self.hidden_sizes))
        if self.patience and not self.held_out:
            raise UserError(
                "reward.patience", expected="held-out trajectories to stop by", found="held_out = 0"
            )


Squash = Literal["none", "sigmoid", "tanh"]
"""Bounds on a step's reward: none, 0 to 1, or -1 to 1."""
