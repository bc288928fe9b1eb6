"""Learning a reward from preferences: the Bradley-Terry loss over snippet returns (T-REX and D-REX)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from drex.agents.behavioral_cloning import Log
from drex.agents.gradient_descent import descend
from drex.rankings.preferences import Preferences, RankedTrajectories
from drex.rewards.cnn import IMAGES_AT_ONCE, ImageInputs
from drex.rewards.fields import RewardFields
from drex.rewards.inputs import StepInputs, make_network, step_inputs
from drex.rewards.learned_reward import VECTORS_AT_ONCE, LearnedReward
from drex.rewards.loss import _bradley_terry, _encode, preference_loss
from drex.rewards.mlp import options_of
from drex.rewards.settings import RewardSettings, raw_members
from drex.rewards.snippets import SnippetPairs, batch_snippets, sample_snippet_pairs


def learn_reward(
    ranked: RankedTrajectories,
    settings: RewardSettings,
    *,
    seed: int,
    network: Callable[[Any], torch.nn.Module] | None = None,
    log: Log | None = None,
    device: str = "cpu",
    checkpoints: Path | None = None,
) -> LearnedReward:
    """Train a reward ensemble on preferences.

    Args:
        ranked: trajectories and preferences between them.
        settings: of the ensemble and its training.
        seed: of weights, held-out trajectories and snippets.
        network: maps the number of input features, or the shape (stack, height, width) of images, to a custom
            network; see ``RewardNetwork``.
        log: receives ``reward/loss`` and ``reward/accuracy`` of the training pairs, and of the held-out pairs
            ``reward/held_out_loss``, ``reward/held_out_accuracy`` and ``reward/ensemble_spread``: the
            standard deviation over members, each standardised, of a step's reward, averaged over steps.
        device: for images: ``"cpu"``, ``"cuda"`` or ``"auto"``; other networks are faster on the CPU.
        checkpoints: folder for checkpoints; training continues from the last one in it.

    Returns:
        The reward, each member standardised on the ranked transitions, not yet normalised.

    Raises:
        UserError: a custom network with another output shape than (members, n), settings that do not fit
            the observations, or a checkpoint that has changed.
    """
    settings = replace(settings, snippets=settings.snippets.fitted(ranked.trajectories.lengths))
    generator, count = np.random.default_rng(seed), len(ranked.trajectories)
    preferences = split_train_held_out(ranked.preferences, count, settings.held_out, generator)
    inputs = step_inputs(ranked.trajectories, settings, device)
    net = make_network(inputs.shape[1:], settings, seed=seed, network=network)
    if isinstance(inputs, ImageInputs):
        net.to(inputs.device)
    _train(net, inputs, ranked.trajectories.lengths, preferences, settings, generator, log, checkpoints)
    net.requires_grad_(False)
    images, members = isinstance(inputs, ImageInputs), int(getattr(net, "members", 1))
    with torch.no_grad():
        scores = torch.cat([net(chunk) for chunk in _all_steps(inputs, members)], dim=1).cpu().double()
    chosen = settings.inputs_of(images=images)
    fields = RewardFields(
        inputs=chosen,
        input_shift=() if isinstance(inputs, ImageInputs) else tuple(inputs.shift.tolist()),
        input_spread=() if isinstance(inputs, ImageInputs) else tuple(inputs.spread.tolist()),
        raw_members=0 if images else raw_members(settings.input_scaling, members),
        member_mean=tuple(scores.mean(dim=1).tolist()),
        member_std=tuple(scores.std(dim=1).clamp(min=1e-8).tolist()),
        offset=0.0,
        scale=1.0,
        pessimism=0.0,
        control_cost=0.0,
        action_options=options_of(ranked.trajectories.actions) if "actions" in chosen else (),
    )
    return LearnedReward(net.cpu(), fields)


def _all_steps(inputs: StepInputs, members: int) -> Iterator[torch.Tensor]:
    """Chunks of the networks' inputs at all steps, or of images at some."""
    if isinstance(inputs, ImageInputs):
        return (chunk[None] for chunk in inputs.sample())
    return inputs.chunks(members, VECTORS_AT_ONCE)


def _train(
    net: torch.nn.Module,
    inputs: StepInputs,
    lengths: npt.NDArray[np.int64],
    preferences: tuple[Preferences, Preferences | None],
    settings: RewardSettings,
    generator: np.random.Generator,
    log: Log | None,
    checkpoints: Path | None,
) -> None:
    """Fit the network to (training, held-out) preferences."""
    training, held_out = preferences
    members = int(getattr(net, "members", 1))
    held_out_loss = None
    if held_out is not None:
        # All held-out trajectories, and at least 64 pairs, however few a gradient step samples.
        snippets = replace(settings.snippets, trajectories=0, pairs=max(settings.snippets.pairs, 64))
        evaluated = [sample_snippet_pairs(held_out, lengths, snippets, generator)] * members
        held_out_loss = partial(_held_out_loss, net, inputs, evaluated, settings, log)

    def loss(step: int) -> torch.Tensor:
        snippets = settings.snippets
        draws = [sample_snippet_pairs(training, lengths, snippets, generator) for _ in range(members)]
        batch_loss, accuracy = preference_loss(net, inputs, draws, settings)
        if log is not None and step % settings.check_every == 0:
            log("reward/loss", float(batch_loss.detach()) / members, step)
            log("reward/accuracy", float(accuracy), step)
        return batch_loss

    rate, l2 = settings.learning_rate, settings.l2
    descend(
        net,
        # Fused: 0.2 ms per step less than the default.
        torch.optim.Adam(net.parameters(), lr=rate, weight_decay=l2, fused=True),
        loss,
        held_out_loss,
        steps=settings.gradient_steps,
        check_every=settings.check_every,
        patience=(settings.patience or None) if held_out is not None else None,
        generator=generator,
        checkpoints=checkpoints,
    )


def _held_out_loss(
    net: torch.nn.Module,
    inputs: StepInputs,
    evaluated: list[SnippetPairs],
    settings: RewardSettings,
    log: Log | None,
    step: int,
) -> float:
    """The held-out loss per member; it is logged with accuracy and spread."""
    with torch.no_grad():
        batch = batch_snippets(evaluated)
        # In chunks, since all held-out trajectories have a snippet.
        at_once = IMAGES_AT_ONCE if isinstance(inputs, ImageInputs) else VECTORS_AT_ONCE
        parts = torch.as_tensor(batch.steps).split(at_once, dim=1)
        rewards = torch.cat([_encode(net, inputs, steps) for steps in parts], dim=1)
        loss, accuracy = _bradley_terry(rewards, batch, settings)
        scale = rewards.std(dim=1, keepdim=True).clamp(min=1e-8)
        spread = ((rewards - rewards.mean(dim=1, keepdim=True)) / scale).std(dim=0, correction=0).mean()
    held_out_loss = float(loss) / len(evaluated)
    if log is not None:
        log("reward/held_out_loss", held_out_loss, step)
        log("reward/held_out_accuracy", float(accuracy), step)
        log("reward/ensemble_spread", float(spread), step)
    return held_out_loss


def split_train_held_out(
    preferences: Preferences, trajectories: int, held_out: float, generator: np.random.Generator
) -> tuple[Preferences, Preferences | None]:
    """Training pairs among one part of the trajectories, held-out pairs among the rest.

    Pairs across the parts are in neither, so that no held-out trajectory is trained on. If one part has no
    pair, all pairs are training pairs.
    """
    chosen = np.zeros(trajectories, np.bool_)
    chosen[generator.permutation(trajectories)[: round(held_out * trajectories)]] = True
    inside = chosen[preferences.better] & chosen[preferences.worse]
    outside = ~chosen[preferences.better] & ~chosen[preferences.worse]
    if not inside.any() or not outside.any():
        return preferences, None
    return preferences.subset(outside), preferences.subset(inside)


def held_out_pairs(
    ranked: RankedTrajectories, settings: RewardSettings, *, seed: int
) -> RankedTrajectories | None:
    """The ranked pairs that ``learn_reward`` holds out with this seed; ``None`` if it trains on all pairs."""
    generator, count = np.random.default_rng(seed), len(ranked.trajectories)
    _, held_out = split_train_held_out(ranked.preferences, count, settings.held_out, generator)
    return None if held_out is None else RankedTrajectories(ranked.trajectories, held_out)
