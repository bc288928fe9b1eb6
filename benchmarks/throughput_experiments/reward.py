"""Reward learning: seconds of training to 95% of the best held-out accuracy, on the pairs of one clone."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.throughput_experiments.comparison import Comparison, Experiments
from drex.agents.behavioral_cloning import clone
from drex.agents.policies.acting import stochastic
from drex.demonstrations.bundled import bundled_demonstrations
from drex.demonstrations.load_and_save import load_demonstrations
from drex.envs.data.trajectories import Trajectories
from drex.envs.make import make_environments, task_spaces
from drex.presets.presets import default
from drex.rankings.noisy_rollouts import NoisyRollouts, rank_by_noise
from drex.rankings.preferences import MINIMUM_GAP, Preferences, RankedTrajectories
from drex.rankings.settings import NoiseRanking
from drex.rewards.inputs import VectorInputs
from drex.rewards.learning import learn_reward, split_train_held_out
from drex.rewards.loss import preference_loss
from drex.rewards.mlp import EnsembleMLP
from drex.rewards.settings import RewardSettings
from drex.rewards.snippets import SnippetPairs, SnippetSettings, batch_snippets, sample_snippet_pairs

TASK = "HalfCheetah-v5"
SHARE_OF_BEST = 0.95
LENGTH = 50
PAIRS = 64
LOOK_EVERY = 2
JUDGED_PAIRS = 2000
FIXED_PAIRS = 5000
"""What the published code draws once; the other library trains on a fixed set of pairs too."""
SETTINGS = RewardSettings(
    members=3,
    inputs=("next_observations",),
    input_scaling="raw",
    l2=0.01,
    gradient_steps=200,
    learning_rate=3e-3,  # both loops get there soonest with it or with 1e-2, where ours wavers
    check_every=LOOK_EVERY,
    held_out=0.0,
    snippets=SnippetSettings(
        minimum_length=LENGTH, maximum_length=LENGTH, maximum_share=1.0, stride=1, trajectories=32
    ),
)
INDEPENDENT = SnippetSettings(
    scheme="independent",
    minimum_length=LENGTH,
    maximum_length=LENGTH,
    maximum_share=1.0,
    stride=1,
    pairs=JUDGED_PAIRS,
)
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "drex-benchmarks"
IMITATION = (
    "imitation==1.0.1",
    "stable-baselines3==2.2.1",
    "gymnasium==0.29.1",
    "torch==2.13.0",
    "numpy==1.26.4",
    "setuptools<81",  # the last that has pkg_resources
)

Curve = list[tuple[float, float]]
"""Seconds of training, without looking, and the share of held-out pairs ordered rightly."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Ranked episodes, the preferences to train on, and snippet pairs of other episodes to judge by."""

    trajectories: Trajectories
    features: npt.NDArray[np.float32]
    training: Preferences
    judged: SnippetPairs


def plain_loop(repeats: int) -> Comparison:
    """Three networks here, against three trained one after another on 64 stacked pairs a step."""
    return _compare(
        repeats,
        partial(_ours, members=SETTINGS.members),
        _plain,
        against=f"a plain loop, the same learning rate, {PAIRS} pairs per gradient step, members in sequence",
        target=5.0,
    )


def imitation_library(repeats: int) -> Comparison:
    """One network here, against one of the same size that ``imitation`` trains as it does by default."""
    return _compare(
        repeats,
        partial(_ours, members=1),
        partial(_imitation, learning_rate=1e-3),
        against="imitation 1.0.1's BasicRewardTrainer, its defaults (32 pairs per step, learning rate 0.001)",
        target=20.0,
    )


def imitation_library_equal_rate(repeats: int) -> Comparison:
    """The same, with the learning rate that is used here."""
    return _compare(
        repeats,
        partial(_ours, members=1),
        partial(_imitation, learning_rate=SETTINGS.learning_rate),
        against=f"imitation 1.0.1's BasicRewardTrainer, learning rate {SETTINGS.learning_rate}",
        target=20.0,
    )


EXPERIMENTS: Experiments = {
    "reward_learning_plain_loop": plain_loop,
    "reward_learning_imitation": imitation_library,
    "reward_learning_imitation_equal_rate": imitation_library_equal_rate,
}


def _compare(
    repeats: int,
    ours: Callable[[Pairs, int], Curve],
    other: Callable[[Pairs, int], Curve],
    *,
    against: str,
    target: float,
) -> Comparison:
    """Both curves of every repeat, to their end; the best accuracy that either reaches is the measure."""
    pairs = ranked_pairs()
    ours(pairs, repeats), other(pairs, repeats)  # the first step in a process imports much
    mine, others = [], []
    for seed in range(repeats):
        curves = ours(pairs, seed), other(pairs, seed)
        wanted = SHARE_OF_BEST * max(accuracy for curve in curves for _, accuracy in curve)
        rate_of_mine, rate_of_other = (1.0 / seconds_to(wanted, curve) for curve in curves)
        mine.append(rate_of_mine)
        others.append(rate_of_other)
    return Comparison(
        what=f"reward learning to {SHARE_OF_BEST:.0%} of the best held-out pair accuracy, HalfCheetah",
        ours=f"snippets of {SETTINGS.snippets.trajectories} episodes per gradient step, all their pairs",
        unit="1/s",
        ours_values=mine,
        against_values=others,
        against=against,
        target=target,
    )


def seconds_to(wanted: float, curve: Curve) -> float:
    """Seconds until an accuracy is first reached; infinity where it is not."""
    return next((seconds for seconds, accuracy in curve if accuracy >= wanted), float("inf"))


@cache
def ranked_pairs() -> Pairs:
    """Noisy rollouts of a clone, made once for this machine; a tenth of the episodes is held out."""
    folder = CACHE / f"{TASK}-ranked"
    if not (folder / "noise.json").exists():
        settings = default(TASK)
        observation_space, action_space, _ = task_spaces(TASK)
        bc = clone(
            load_demonstrations(bundled_demonstrations(TASK)).trajectories,
            observation_space,
            action_space,
            policy_settings=settings.policy,
            settings=settings.bc,
            seed=0,
        )
        noise = cast("NoiseRanking", settings.ranking)
        environments = make_environments(TASK, noise.environments, seed=0)
        rollouts = rank_by_noise(stochastic(bc, seed=0), environments, noise, seed=0)
        environments.close()
        folder.mkdir(parents=True, exist_ok=True)
        rollouts.save(folder)
    rollouts = NoisyRollouts.load(folder)
    preferences = rollouts.preferences(minimum_gap=MINIMUM_GAP)
    generator, trajectories = np.random.default_rng(0), rollouts.trajectories
    training, held_out = split_train_held_out(preferences, len(trajectories), 0.1, generator)
    if held_out is None:
        raise RuntimeError("the held-out tenth of the episodes holds no pair")
    judged = sample_snippet_pairs(held_out, trajectories.lengths, INDEPENDENT, generator)
    return Pairs(trajectories, np.asarray(trajectories.next_observations(), np.float32), training, judged)


class _Stopwatch:
    """Seconds since it was made, without those spent on looking at the held-out pairs."""

    def __init__(self, pairs: Pairs, members: int) -> None:
        self.curve: Curve = []
        features = torch.as_tensor(pairs.features)
        width = features.shape[1]
        self._inputs = VectorInputs(features, torch.zeros(width), torch.ones(width), "raw")
        self._judged = [pairs.judged] * members
        self._spent, self._since = 0.0, time.perf_counter()

    def look(self, network: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Note the time and the members' mean accuracy."""
        self._spent += time.perf_counter() - self._since
        with torch.no_grad():
            _, accuracy = preference_loss(network, self._inputs, self._judged, SETTINGS)
        self.curve.append((self._spent, float(accuracy)))
        self._since = time.perf_counter()


def _ours(pairs: Pairs, seed: int, *, members: int) -> Curve:
    """``learn_reward`` itself, looked at through its log."""
    made: list[EnsembleMLP] = []

    def network(features: int) -> EnsembleMLP:
        generator = torch.Generator().manual_seed(seed)
        sizes = SETTINGS.hidden_sizes
        made.append(EnsembleMLP(features, members=members, hidden_sizes=sizes, generator=generator))
        return made[0]

    def log(name: str, _value: float, _step: int) -> None:
        if name == "reward/accuracy":
            watch.look(made[0])

    ranked = RankedTrajectories(pairs.trajectories, pairs.training)
    watch = _Stopwatch(pairs, members)
    learn_reward(ranked, SETTINGS, seed=seed, network=network, log=log)
    return watch.curve


def _plain(pairs: Pairs, seed: int) -> Curve:
    """What one would write first: draw pairs, stack their snippets, score both, cross entropy, Adam."""
    torch.manual_seed(seed)
    random, starts = np.random.default_rng(seed), pairs.trajectories.starts
    lengths, training = pairs.trajectories.lengths, pairs.training
    watch = _Stopwatch(pairs, SETTINGS.members)
    features = np.asarray(pairs.trajectories.next_observations(), np.float32)
    sizes = [features.shape[1], *SETTINGS.hidden_sizes]
    networks, optimizers = [], []
    for _ in range(SETTINGS.members):
        layers: list[torch.nn.Module] = []
        for before, after in itertools.pairwise(sizes):
            layers += [torch.nn.Linear(before, after), torch.nn.ReLU()]
        net = torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], 1))
        networks.append(net)
        optimizers.append(
            torch.optim.Adam(net.parameters(), lr=SETTINGS.learning_rate, weight_decay=SETTINGS.l2)
        )

    def snippets(episodes: npt.NDArray[np.int64]) -> torch.Tensor:
        begins = starts[episodes] + random.integers(0, lengths[episodes] - LENGTH + 1)
        return torch.as_tensor(np.stack([features[begin : begin + LENGTH] for begin in begins]))

    def together(inputs: torch.Tensor) -> torch.Tensor:
        return torch.stack([net(part).squeeze(-1) for net, part in zip(networks, inputs, strict=True)])

    for step in range(SETTINGS.gradient_steps):
        for net, optimizer in zip(networks, optimizers, strict=True):
            chosen = random.integers(0, len(training), PAIRS)
            worse = net(snippets(training.worse[chosen])).sum(dim=(1, 2))
            better = net(snippets(training.better[chosen])).sum(dim=(1, 2))
            labels = torch.ones(PAIRS, dtype=torch.long)
            loss = torch.nn.functional.cross_entropy(torch.stack([worse, better], dim=1), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if step % LOOK_EVERY == 0:
            watch.look(together)
    return watch.curve


def _imitation(pairs: Pairs, seed: int, *, learning_rate: float) -> Curve:
    """The other library in its own process, on pairs drawn once from the same preferences."""
    settings = SnippetSettings(**{**vars(INDEPENDENT), "pairs": FIXED_PAIRS})
    drawn = sample_snippet_pairs(
        pairs.training, pairs.trajectories.lengths, settings, np.random.default_rng(seed)
    )
    seen, actions = pairs.features, np.asarray(pairs.trajectories.actions, np.float32)

    # Networks see next observations; what came before a snippet's first step is never looked at.
    first = np.stack([drawn.first[drawn.better], drawn.first[drawn.worse]], axis=1)
    after = first[..., None] + np.arange(LENGTH)
    judged = batch_snippets([pairs.judged])
    with tempfile.TemporaryDirectory() as folder:
        handed, curve = Path(folder) / "pairs.npz", Path(folder) / "curve.json"
        np.savez(
            handed,
            observations=seen[np.concatenate([after[..., :1], after], axis=2)],
            actions=actions[after],
            judged=seen[judged.steps[0]],
            judged_begins=judged.begins[np.stack([judged.better, judged.worse], axis=1)],
            hidden_sizes=np.array(SETTINGS.hidden_sizes),
            learning_rate=learning_rate,
        )
        script = Path(__file__).parents[1] / "imitation_trainer.py"
        subprocess.run([imitation_python(), script, handed, curve, str(seed)], check=True, cwd=folder)
        return [(seconds, accuracy) for seconds, accuracy in json.loads(curve.read_text())]


def imitation_python() -> Path:
    """The interpreter of a virtual environment with ``imitation`` and its own pinned versions, made once."""
    place = CACHE / IMITATION[0].replace("==", "-")
    python, ready = place / "bin" / "python", place / "ready"
    if not ready.exists():
        place.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *IMITATION], check=True)
        ready.touch()
    return python
