"""The description of a reward in ``reward.json``, and the network that it describes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields

import torch

from drex.errors import UserError
from drex.rewards.cnn import EnsembleCNN, ImageLayers
from drex.rewards.fields import RewardFields
from drex.rewards.mlp import EnsembleMLP

FORMAT = 3
"""Version of the format. Version 1 has no images, squashes or discrete actions; version 2 no raw members."""


@dataclass(frozen=True, kw_only=True)
class RewardFacts(RewardFields):
    """The content of ``reward.json``: the fields of the reward and the shape of its networks."""

    format: int
    hidden_sizes: tuple[int, ...]
    members: int
    image: ImageLayers | None = None
    """For images, in place of ``input_shift`` and ``input_spread``."""

    def of_reward(self) -> RewardFields:
        """The fields of the reward alone."""
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
    members, sizes = facts.members, facts.hidden_sizes
    network: EnsembleMLP | EnsembleCNN
    if facts.image is None:
        features = len(facts.input_shift)
        network = EnsembleMLP(features, members=members, hidden_sizes=sizes, generator=generator)
    else:
        network = EnsembleCNN(facts.image, members=members, hidden_sizes=sizes, generator=generator)
    network.load_state_dict(weights)
    network.requires_grad_(False)
    return network


def _check_facts(facts: RewardFacts, where: str) -> None:
    """Raise a ``UserError`` for inconsistent facts and for divisors that are not positive."""
    features, members, sizes = len(facts.input_shift), facts.members, facts.hidden_sizes
    inputs, options = list(facts.inputs), list(facts.action_options)
    lone = not features and inputs in (["observations"], ["next_observations"])
    add_up = min(options, default=1) >= 1 and sum(options) <= features
    shape = f"{members} and {list(sizes)}"
    alone, total = "observations or next_observations alone, not standardised", f"{features} inputs at most"
    checks: list[tuple[bool, str, str, object]] = [
        (bool(inputs), "inputs", "at least one", "none"),
        (bool(facts.image or features), "input_shift", "at least one", "none"),
        (facts.image is None or lone, "image", alone, f"{inputs} and {features} numbers in input_shift"),
        (min([members, *sizes]) > 0, "members", "positive members and hidden_sizes", shape),
        (add_up, "action_options", f"positive numbers that add up to {total}", options),
    ]
    raw = facts.raw_members
    checks.append((0 <= raw <= members, "raw_members", f"from 0 to {members}", raw))
    for name, length in (("input_spread", features), ("member_mean", members), ("member_std", members)):
        numbers = getattr(facts, name)
        checks.append((len(numbers) == length, name, f"{length} numbers", len(numbers)))
    for name in ("input_spread", "member_std"):
        smallest = min(getattr(facts, name), default=1.0)
        checks.append((smallest > 0, name, "positive numbers", smallest))
    for fits, name, expected, found in checks:
        if not fits:
            raise UserError(f"{where}: {name}", expected=expected, found=str(found))


def _check_weights(facts: RewardFacts, weights: dict[str, torch.Tensor], where: str) -> None:
    """Raise a ``UserError`` for weights of other shapes, before a network of the described size is made."""
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
            expected, actual = wanted.get(name, "no such entry"), found.get(name, "none")
            raise UserError(f"{where}: {name}", expected=str(expected), found=str(actual))
        dtype, finite = weights[name].dtype, bool(torch.isfinite(weights[name]).all())
        if dtype != torch.float32 or not finite:
            actual = f"{dtype}, finite: {finite}"
            raise UserError(f"{where}: {name}", expected="finite float32 numbers", found=actual)
