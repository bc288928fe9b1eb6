"""Figures for a reward of images: frames of highest and lowest reward, and occlusion maps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from drex.demonstrations.load_and_save import load_demonstrations
from drex.envs.data.stacked_frames import Observations
from drex.envs.data.trajectories import Trajectories
from drex.files.run_layout import DEMONSTRATIONS, REWARD, noisy_rollout_folders
from drex.rankings.noisy_rollouts import NoisyRollouts
from drex.report.finished_run import FinishedRun
from drex.rewards.cnn import EnsembleCNN
from drex.rewards.learned_reward import LearnedReward, load_reward
from drex.rewards.occlusion import occlusion_map, raw_reward

STEPS_SCORED = 1_000
"""Steps scored of the rollouts, and of the demonstrations."""
SHOWN, MAPPED = 6, 3
"""Frames shown, and frames with a map, for the highest and for the lowest reward."""
_LOWERS_RAISES = LinearSegmentedColormap.from_list("lowers, raises", ["deepskyblue", "black", "orangered"])
_SMALL: dict[str, Any] = {"fontsize": 7, "color": "0.2"}


@dataclass(frozen=True, eq=False)
class ScoredStep:
    """A step of a run and its learned reward; the image is read when it is shown.

    Args:
        reward: in the unit of ``raw_reward``.
        episode: its name.
        step: within the episode.
        images: (steps, stack, height, width) uint8, the input of the reward.
        row: of the step in ``images``.
    """

    reward: float
    episode: str
    step: int
    images: Observations
    row: int

    @property
    def place(self) -> str:
        """Episode and step."""
        return f"{self.episode}\nstep {self.step}"

    @property
    def stack(self) -> npt.NDArray[np.uint8]:
        """(stack, height, width) uint8."""
        return self.images[self.row]


def frames_highest_and_lowest(run: FinishedRun) -> Figure | None:
    """The newest frames of the steps of highest and lowest learned reward, at most one per episode."""
    reward = _image_reward(run)
    if reward is None:
        return None
    both = extremes(run, reward, SHOWN)
    figure = Figure(figsize=(11.0, 5.0), dpi=120, layout="constrained")
    grid = figure.subplots(2, SHOWN, squeeze=False)
    for row, label, frames in zip(grid, ("highest", "lowest"), both, strict=True):
        for axes, frame in _filled(row, frames):
            _show(axes, frame, reward)
        row[0].set_ylabel(f"{label} reward")
    title = "Steps of highest and lowest learned reward, in standard deviations"
    figure.suptitle(f"{title}\n{run.title}", fontsize=11)
    return figure


def attention(run: FinishedRun) -> Figure | None:
    """Occlusion maps of such frames."""
    reward = _image_reward(run)
    if reward is None:
        return None
    both = extremes(run, reward, MAPPED)
    maps = [occlusion_map(reward, np.stack([frame.stack for frame in frames])) for frames in both]
    limit = max(float(np.abs(found).max()) for found in maps) or 1.0
    figure = Figure(figsize=(11.0, 4.6), dpi=120, layout="constrained")
    grid = figure.subplots(2, 2 * MAPPED, squeeze=False)
    drawn = None
    for row, label, frames, found in zip(grid, ("highest", "lowest"), both, maps, strict=True):
        for axes, frame in _filled(row[::2], frames):
            _show(axes, frame, reward)
        for (axes, frame), changes in zip(_filled(row[1::2], frames), found, strict=True):
            _show(axes, frame, reward, titled=False)
            opacity = np.abs(changes / limit) ** 0.5
            drawn = axes.imshow(changes, cmap=_LOWERS_RAISES, vmin=-limit, vmax=limit, alpha=opacity)
        row[0].set_ylabel(f"{label} reward")
    if drawn is not None:
        figure.colorbar(drawn, ax=grid, shrink=0.7, label="change of the reward by this region")
    figure.suptitle(f"Occlusion maps of the learned reward\n{run.title}", fontsize=11)
    return figure


def extremes(
    run: FinishedRun, reward: LearnedReward, count: int
) -> tuple[list[ScoredStep], list[ScoredStep]]:
    """Steps of highest and of lowest learned reward, at most one per episode, the most extreme first.

    A sample of ``STEPS_SCORED`` steps is scored, stratified over the steps of all rollouts, and as many of
    the demonstrations.

    Args:
        run: with rollouts and demonstrations; evaluation episodes are not saved.
        reward: of images.
        count: number of steps each; fewer if there are fewer episodes.
    """
    generator = np.random.default_rng(int(run.evaluation["seed"]))
    scored = [step for part, names in _episodes(run) for step in _scored(reward, part, names, generator)]
    scored.sort(key=lambda step: step.reward)
    return _one_per_episode(reversed(scored), count), _one_per_episode(scored, count)


def _scored(
    reward: LearnedReward, trajectories: Trajectories, names: list[str], generator: np.random.Generator
) -> Iterator[ScoredStep]:
    """A stratified sample of the steps, without the first of an episode, whose stacks contain zeros."""
    ahead = "next_observations" in reward.fields.inputs
    images = trajectories.next_observations() if ahead else trajectories.observations
    stretches = min(STEPS_SCORED, len(images))
    rows = ((np.arange(stretches) + generator.random(stretches)) * len(images) / stretches).astype(np.int64)
    episodes = trajectories.episode_of_step[rows]
    steps = rows - trajectories.starts[episodes]
    full = steps >= images.shape[1] - 1
    values = raw_reward(reward, images, rows[full])
    for row, episode, step, value in zip(rows[full], episodes[full], steps[full], values, strict=True):
        yield ScoredStep(float(value), names[episode], int(step), images, int(row))


def _one_per_episode(steps: Iterable[ScoredStep], count: int) -> list[ScoredStep]:
    """The first step of each episode, at most ``count``."""
    first: dict[str, ScoredStep] = {}
    for step in steps:
        first.setdefault(step.episode, step)
    return list(first.values())[:count]


def _episodes(run: FinishedRun) -> Iterator[tuple[Trajectories, list[str]]]:
    """Noisy rollouts, if any, and demonstrations, with a name for each episode."""
    for folder in noisy_rollout_folders(run.path):
        rollouts = NoisyRollouts.load(folder)
        noise = [f"{'noise' if job.name == 'uniform' else job.name} {job.level:g}" for job in rollouts.jobs]
        yield rollouts.trajectories, [f"rollout {index}, {name}" for index, name in enumerate(noise)]
    given = load_demonstrations(DEMONSTRATIONS.file(run.path)).trajectories
    yield given, [f"demonstration {index}" for index in range(len(given))]


def _image_reward(run: FinishedRun) -> LearnedReward | None:
    """The reward of the run, if its input is images."""
    if not REWARD.file(run.path).is_file():
        return None
    reward = load_reward(REWARD.folder(run.path))
    return reward if isinstance(reward.network, EnsembleCNN) else None


def _filled(row: npt.NDArray[Any], frames: list[ScoredStep]) -> Iterator[tuple[Axes, ScoredStep]]:
    """Pairs of axes and frames; removes the ticks of all axes of the row."""
    for axes in row:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    return zip(row, frames, strict=False)


def _show(axes: Axes, frame: ScoredStep, reward: LearnedReward, *, titled: bool = True) -> None:
    """The newest frame, masked rows hatched."""
    picture = frame.stack[-1]
    height, width = picture.shape
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    if titled:
        axes.set_title(f"{frame.reward:+.2f}\n{frame.place}", **_SMALL)
    image = cast("EnsembleCNN", reward.network).image
    style: dict[str, Any] = {"facecolor": "0.25", "edgecolor": "0.6", "hatch": "////", "lw": 0}
    for top, rows in ((0, image.mask_top), (height - image.mask_bottom, image.mask_bottom)):
        if rows:
            axes.add_patch(Rectangle((-0.5, top - 0.5), width, rows, **style))
