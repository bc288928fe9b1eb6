"""Learning a reward from preferences: the Bradley-Terry loss over snippet returns (T-REX and D-REX)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from drex.agents.behavioral_cloning import Log
from drex.errors import UserError
from drex.ranking import Preferences, RankedTrajectories
from drex.reward import LearnedReward
from drex.reward_inputs import StepInputs, make_network, step_inputs
from drex.reward_networks import Inputs, options_of
from drex.reward_networks_cnn import PUBLISHED_CONVOLUTIONS, Convolution, ImageInputs
from drex.snippets import SnippetBatch, SnippetPairs, SnippetSettings, draw_snippet_pairs, lay_out

_IMAGES_AT_ONCE = 256
_VECTORS_AT_ONCE = 65536


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


def learn_reward(
    ranked: RankedTrajectories,
    settings: RewardSettings,
    *,
    seed: int,
    network: Callable[[Any], torch.nn.Module] | None = None,
    log: Log | None = None,
    device: str = "cpu",
) -> LearnedReward:
    """Train a reward ensemble on preferences.

    Args:
        ranked: trajectories and preferences between them.
        settings: of the ensemble and its training.
        seed: of weights, held-out trajectories and snippets.
        network: makes an own network from the number of input features, for images from their shape (stack,
            height, width); see ``RewardNetwork``.
        log: receives ``reward/loss`` and ``reward/accuracy`` of the training pairs, and of the held-out ones
            ``reward/held_out_loss``, ``reward/held_out_accuracy`` and ``reward/ensemble_spread``: the
            standard deviation over members, each standardised, of a step's reward, averaged over steps.
        device: ``"cpu"``, ``"cuda"`` or ``"auto"``, where networks are trained on images; others stay on the
            CPU, where they are faster.

    Returns:
        The reward, each member standardised on the ranked transitions, not yet anchored.

    Raises:
        UserError: an own network that does not answer (members, n, features) by (members, n), or settings
            that do not go with images, or with anything else.
    """
    generator = np.random.default_rng(seed)
    inputs, shift, spread = step_inputs(ranked.trajectories, settings, device)
    net = make_network(inputs.shape[1:], settings, seed=seed, network=network)
    if isinstance(inputs, ImageInputs):
        net.to(inputs.device)
    training, held_out = split_preferences(
        ranked.preferences, len(ranked.trajectories), settings.held_out, generator
    )
    _train(net, inputs, ranked.trajectories.lengths, (training, held_out), settings, generator, log)
    net.requires_grad_(False)
    with torch.no_grad():
        chunks = inputs.sample() if isinstance(inputs, ImageInputs) else inputs.split(_VECTORS_AT_ONCE)
        scores = torch.cat([net(chunk[None]) for chunk in chunks], dim=1).cpu().double()
    return LearnedReward(
        network=net.cpu(),
        inputs=settings.inputs,
        input_shift=shift,
        input_spread=spread,
        member_mean=scores.mean(dim=1).numpy(),
        member_std=scores.std(dim=1).clamp(min=1e-8).numpy(),
        action_options=options_of(ranked.trajectories.actions) if "actions" in settings.inputs else (),
    )


def _train(
    net: torch.nn.Module,
    inputs: StepInputs,
    lengths: npt.NDArray[np.int64],
    preferences: tuple[Preferences, Preferences | None],
    settings: RewardSettings,
    generator: np.random.Generator,
    log: Log | None,
) -> None:
    """Fit the network to (training, held-out) preferences; nothing is read back from it between two looks."""
    training, held_out = preferences
    members = int(getattr(net, "members", 1))
    judged = None
    if held_out is not None:
        # All held-out trajectories, and pairs enough to judge by, however few a gradient step draws.
        snippets = replace(settings.snippets, trajectories=0, pairs=max(settings.snippets.pairs, 64))
        judged = [draw_snippet_pairs(held_out, lengths, snippets, generator)] * members
    # Fused: one pass over each parameter, measured 0.2 ms a step less than the default.
    optimizer = torch.optim.Adam(
        net.parameters(), lr=settings.learning_rate, weight_decay=settings.l2, fused=True
    )
    best, best_weights, waited = np.inf, None, 0
    for step in range(settings.gradient_steps + 1):
        last = step == settings.gradient_steps
        if judged is not None and (last or step % settings.check_every == 0):
            held_out_loss = _look(net, inputs, judged, settings, step, log)
            if settings.patience:
                waited += 1
                if held_out_loss < best:
                    best, best_weights, waited = held_out_loss, copy.deepcopy(net.state_dict()), 0
                elif waited > settings.patience:
                    break
        if last:
            break
        draws = [draw_snippet_pairs(training, lengths, settings.snippets, generator) for _ in range(members)]
        loss, accuracy = preference_loss(net, inputs, draws, settings)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if log is not None and step % settings.check_every == 0:
            log("reward/loss", float(loss.detach()) / members, step)
            log("reward/accuracy", float(accuracy), step)
    if best_weights is not None:
        net.load_state_dict(best_weights)


def _look(
    net: torch.nn.Module,
    inputs: StepInputs,
    judged: list[SnippetPairs],
    settings: RewardSettings,
    step: int,
    log: Log | None,
) -> float:
    """The held-out loss a member; all that is known of held-out snippets goes to the log."""
    with torch.no_grad():
        batch = lay_out(judged)
        # Held-out snippets are as many as held-out trajectories: few of their images are in memory at a time.
        at_once = _IMAGES_AT_ONCE if isinstance(inputs, ImageInputs) else _VECTORS_AT_ONCE
        parts = torch.as_tensor(batch.steps).split(at_once, dim=1)
        rewards = torch.cat([_encode(net, inputs, steps) for steps in parts], dim=1)
        loss, accuracy = _bradley_terry(rewards, batch, settings)
        scale = rewards.std(dim=1, keepdim=True).clamp(min=1e-8)
        spread = ((rewards - rewards.mean(dim=1, keepdim=True)) / scale).std(dim=0, correction=0).mean()
    held_out_loss = float(loss) / len(judged)
    if log is not None:
        log("reward/held_out_loss", held_out_loss, step)
        log("reward/held_out_accuracy", float(accuracy), step)
        log("reward/ensemble_spread", float(spread), step)
    return held_out_loss


def preference_loss(
    network: Callable[[torch.Tensor], torch.Tensor],
    inputs: StepInputs,
    draws: list[SnippetPairs],
    settings: RewardSettings,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Bradley-Terry loss summed over members, and the share of pairs ordered rightly, () each.

    Args:
        network: (members, n, features) to (members, n).
        inputs: (steps, features) of all trajectories, or the images of all steps.
        draws: the snippets and pairs of each member; each step is encoded once, whatever the number of
            snippets that hold it and of pairs that hold those.
        settings: for the snippet return and the label noise.
    """
    batch = lay_out(draws)
    return _bradley_terry(_encode(network, inputs, torch.as_tensor(batch.steps)), batch, settings)


def _encode(
    network: Callable[[torch.Tensor], torch.Tensor], inputs: StepInputs, steps: torch.Tensor
) -> torch.Tensor:
    """(members, n): every member's rewards of the steps, (members, n), that it has to score."""
    return network(inputs[steps]).cpu()


def _bradley_terry(
    rewards: torch.Tensor, batch: SnippetBatch, settings: RewardSettings
) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of all members' pairs at once, and the share ordered rightly."""
    begins, counts = torch.as_tensor(batch.begins), torch.as_tensor(batch.counts)
    better, worse = torch.as_tensor(batch.better), torch.as_tensor(batch.worse)
    weights = torch.as_tensor(batch.weight)
    # In double precision, since a snippet's return is a small difference of two long sums.
    sums = torch.nn.functional.pad(rewards.double().flatten().cumsum(0), (1, 0))
    returns = sums[begins + counts] - sums[begins]
    if settings.snippet_return == "mean":
        returns = returns / counts * settings.snippets.maximum_length
    margins = (returns[better] - returns[worse]).to(rewards.dtype)
    losses = torch.nn.functional.softplus(-margins)
    if settings.label_noise:
        # (1 − p)·softplus(−m) + p·softplus(m), since softplus(m) = softplus(−m) + m
        losses = losses + settings.label_noise * margins
    right = (margins.detach() > 0).sum() / max(len(margins), 1)
    return (losses * weights).sum(), right


def split_preferences(
    preferences: Preferences, trajectories: int, held_out: float, generator: np.random.Generator
) -> tuple[Preferences, Preferences | None]:
    """Training pairs among one part of the trajectories, held-out pairs among the rest.

    Pairs across the two parts are used by neither, so that no held-out trajectory has been trained on. Where
    the held-out part is too small to hold a pair, all pairs train.
    """
    chosen = np.zeros(trajectories, np.bool_)
    chosen[generator.permutation(trajectories)[: round(held_out * trajectories)]] = True
    inside = chosen[preferences.better] & chosen[preferences.worse]
    outside = ~chosen[preferences.better] & ~chosen[preferences.worse]
    if not inside.any() or not outside.any():
        return preferences, None
    return preferences.subset(outside), preferences.subset(inside)


def left_out_of_training(
    ranked: RankedTrajectories, settings: RewardSettings, *, seed: int
) -> RankedTrajectories | None:
    """The ranked pairs that ``learn_reward`` with this seed held out; ``None`` where it trained on all."""
    # The split is the first thing that it draws.
    generator = np.random.default_rng(seed)
    _, held_out = split_preferences(
        ranked.preferences, len(ranked.trajectories), settings.held_out, generator
    )
    return None if held_out is None else RankedTrajectories(ranked.trajectories, held_out)
