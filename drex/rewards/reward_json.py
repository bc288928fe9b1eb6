"""What a reward's files say of it, and the network that they describe, checked before anything is built."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields

import torch

from drex.errors import UserError
from drex.rewards.cnn import EnsembleCNN, ImageLayers
from drex.rewards.fields import RewardFields
from drex.rewards.mlp import EnsembleMLP

FORMAT = 2
"""Number of the format that is written. Format 1 knew no images, squashes or choices."""


@dataclass(frozen=True, kw_only=True)
class RewardFacts(RewardFields):
    """What ``reward.json`` holds: the reward's fields and the shape of its networks."""

    format: int
    hidden_sizes: tuple[int, ...]
    members: int
    image: ImageLayers | None = None
    """Of networks that see images, in place of ``input_shift`` and ``input_spread``."""

    def of_reward(self) -> RewardFields:
        """The reward's own fields."""
        return RewardFields(**{field.name: getattr(self, field.name) for field in fields(RewardFields)})


def build_network(
    facts: RewardFacts, weights: dict[str, torch.Tensor], *, facts_file: str, weights_file: str
) -> EnsembleMLP | EnsembleCNN:
    """The described network with these weights.

    Raises:
        UserError: facts that contradict each other, or weights of other shapes, or not finite.
    """
    _check_facts(facts, facts_file)
    _check_weights(facts, weights, weights_file)
    generator = torch.Generator().manual_seed(0)
    network: EnsembleMLP | EnsembleCNN
    if facts.image is None:
        network = EnsembleMLP(
            len(facts.input_shift),
            members=facts.members,
            hidden_sizes=facts.hidden_sizes,
            generator=generator,
        )
    else:
        network = EnsembleCNN(
            facts.image, members=facts.members, hidden_sizes=facts.hidden_sizes, generator=generator
        )
    network.load_state_dict(weights)
    network.requires_grad_(False)
    return network


def _check_facts(facts: RewardFacts, where: str) -> None:
    """Refuse facts that contradict each other or that nothing can be divided by."""
    for name in ("inputs", "input_shift") if facts.image is None else ("inputs",):
        if not getattr(facts, name):
            raise UserError(f"{where}: {name}", expected="at least one", found="none")
    if facts.image is not None and (facts.input_shift or len(facts.inputs) > 1 or "actions" in facts.inputs):
        raise UserError(
            f"{where}: image",
            expected="observations or next_observations alone, not standardised",
            found=f"{list(facts.inputs)} and {len(facts.input_shift)} numbers in input_shift",
        )
    if facts.members < 1 or any(size < 1 for size in facts.hidden_sizes):
        raise UserError(
            where,
            expected="positive members and hidden_sizes",
            found=f"{facts.members} and {list(facts.hidden_sizes)}",
        )
    if min(facts.action_options, default=1) < 1 or sum(facts.action_options) > len(facts.input_shift):
        raise UserError(
            f"{where}: action_options",
            expected=f"positive numbers that add up to {len(facts.input_shift)} inputs at most",
            found=str(list(facts.action_options)),
        )
    wanted = {
        "input_spread": len(facts.input_shift),
        "member_mean": facts.members,
        "member_std": facts.members,
    }
    for name, length in wanted.items():
        if len(getattr(facts, name)) != length:
            raise UserError(
                f"{where}: {name}", expected=f"{length} numbers", found=str(len(getattr(facts, name)))
            )
    for name in ("input_spread", "member_std"):
        if min(getattr(facts, name), default=1.0) <= 0:
            raise UserError(
                f"{where}: {name}", expected="positive numbers", found=str(min(getattr(facts, name)))
            )


def _check_weights(facts: RewardFacts, weights: dict[str, torch.Tensor], where: str) -> None:
    """Refuse weights of other shapes before a network of the described size is made."""
    wanted: dict[str, tuple[int, ...]] = {}
    if facts.image is not None:
        wanted = facts.image.parameter_shapes(facts.members, facts.hidden_sizes)
    else:
        sizes = [len(facts.input_shift), *facts.hidden_sizes, 1]
        for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
            wanted[f"weights.{layer}"] = (facts.members, fan_in, fan_out)
            wanted[f"biases.{layer}"] = (facts.members, 1, fan_out)
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    for name in sorted(set(wanted) | set(found)):
        if wanted.get(name) != found.get(name):
            raise UserError(
                f"{where}: {name}",
                expected=str(wanted.get(name, "no such entry")),
                found=str(found.get(name, "none")),
            )
        if weights[name].dtype != torch.float32 or not torch.isfinite(weights[name]).all():
            raise UserError(
                f"{where}: {name}",
                expected="finite float32 numbers",
                found=f"{weights[name].dtype}, finite: {bool(torch.isfinite(weights[name]).all())}",
            )
