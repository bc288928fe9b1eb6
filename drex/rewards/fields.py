"""The fields of a learned reward besides its networks, and its forward pass on tensors."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from drex.rewards.mlp import Inputs, transition_features
from drex.rewards.settings import Squash


@dataclass(frozen=True, kw_only=True)
class RewardFields:
    """An ensemble's reward: members standardised, averaged and squashed, minus the offset, times the scale.

    ``normalize_reward`` sets offset and scale, which the ranking loss leaves free.
    """

    inputs: Inputs
    """Parts of a transition in the networks' input."""
    input_shift: tuple[float, ...]
    """(features,) subtracted from the input; () for images."""
    input_spread: tuple[float, ...]
    """(features,) divisor of the input."""
    raw_members: int = 0
    """Members, the first ones, whose input is neither shifted nor divided."""
    member_mean: tuple[float, ...]
    """(members,) mean of each member on the ranked transitions."""
    member_std: tuple[float, ...]
    """(members,) standard deviation of each member there."""
    offset: float
    """Subtracted from the averaged, standardised, squashed reward."""
    scale: float
    """Factor of the difference."""
    pessimism: float
    """Standard deviations over members that are subtracted from their mean."""
    control_cost: float
    """Coefficient of the action's squared norm, subtracted likewise; Box actions only."""
    squash: Squash = "none"
    """Bound of the averaged, standardised reward."""
    action_options: tuple[int, ...] = ()
    """Number of options of each discrete action component in the input; () for Box actions."""

    @property
    def of_images(self) -> bool:
        """Whether the input is images."""
        return not self.input_shift


class RewardModule(torch.nn.Module):
    """The reward on tensors, for ``LearnedReward`` and ``export_reward``.

    Networks compute in single precision, the rest is in double precision.

    Args:
        network: (members or 1, n, features) to (members, n); images come as (members or 1, n, stack, height,
            width) uint8.
        fields: of the reward.
    """

    input_shift: torch.Tensor
    input_spread: torch.Tensor
    member_mean: torch.Tensor
    member_std: torch.Tensor

    def __init__(self, network: torch.nn.Module, fields: RewardFields) -> None:
        super().__init__()
        self.network, self.fields = network, fields
        self.device = next((weights.device for weights in network.parameters()), torch.device("cpu"))
        for name in ("input_shift", "input_spread"):
            self.register_buffer(name, torch.tensor(getattr(fields, name), device=self.device))
        for name in ("member_mean", "member_std"):
            column = torch.tensor(getattr(fields, name), dtype=torch.float64, device=self.device)[:, None]
            self.register_buffer(name, column)

    def forward(
        self, observations: torch.Tensor, actions: torch.Tensor, next_observations: torch.Tensor
    ) -> torch.Tensor:
        """(n, *obs), (n, *act), (n, *obs) to (n,) float32."""
        fields = self.fields
        members = self.member_rewards(observations, actions, next_observations)
        pooled = mean = _mean(members)
        if fields.pessimism:
            pooled = pooled - fields.pessimism * _mean((members - mean).square()).sqrt()
        if fields.squash != "none":
            pooled = pooled.tanh() if fields.squash == "tanh" else 0.5 + 0.5 * (0.5 * pooled).tanh()
        if fields.control_cost:
            squares = actions.double().square().reshape(actions.shape[0], -1)
            pooled = pooled - fields.control_cost * squares.sum(dim=1)
        rewards: torch.Tensor = ((pooled - fields.offset) * fields.scale).float()
        return rewards

    def member_rewards(
        self, observations: torch.Tensor, actions: torch.Tensor, next_observations: torch.Tensor
    ) -> torch.Tensor:
        """(members, n) float64: each member's standardised reward, before offset and scale."""
        fields = self.fields
        if fields.of_images:
            inputs = next_observations if "next_observations" in fields.inputs else observations
        else:
            features = transition_features(
                fields.inputs, observations, actions, next_observations, action_options=fields.action_options
            )
            members, raw = len(fields.member_mean), fields.raw_members
            inputs = scale_inputs(features, self.input_shift, self.input_spread, members=members, raw=raw)
            return self._standardised(self.network(inputs))
        return self._standardised(self.network(inputs[None]))

    def _standardised(self, outputs: torch.Tensor) -> torch.Tensor:
        raw: torch.Tensor = outputs.double()
        return (raw - self.member_mean) / self.member_std


def scale_inputs(
    features: torch.Tensor, shift: torch.Tensor, spread: torch.Tensor, *, members: int, raw: int
) -> torch.Tensor:
    """(members or 1, n, features): unchanged for the first ``raw`` members, shifted and divided for others.

    Args:
        features: (n, features), or (members, n, features) if each member has its own.
        shift: (features,) subtracted.
        spread: (features,) divisor.
        members: networks in the ensemble.
        raw: members with unchanged inputs.
    """
    own = features.dim() == 3
    if not raw:
        scaled = (features - shift) / spread
        return scaled if own else scaled[None]
    unchanged = features[:raw] if own else features.expand(raw, -1, -1)
    if raw == members:
        return unchanged
    others = (features[raw:] if own else features[None]).sub(shift).div_(spread)
    return torch.cat([unchanged, others.expand(members - raw, -1, -1)])


def _mean(members: torch.Tensor) -> torch.Tensor:
    """(n,) mean of (members, n), summed member by member: equal on every device and for every n."""
    total = members[0]
    for member in range(1, members.shape[0]):
        total = total + members[member]
    return total / members.shape[0]
