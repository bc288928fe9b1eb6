"""Figures for a reward on images: frames of highest and lowest reward, and occlusion maps."""

from __future__ import annotations

import itertools
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
class ScoredFrame:
    """A step of a run and its learned reward.

    Args:
        stack: (stack, height, width) uint8, the input of the reward.
        reward: as ``raw_reward`` gives it.
        place: episode, noise and step.
    """

    stack: npt.NDArray[np.uint8]
    reward: float
    place: str


def frames_highest_and_lowest(run: FinishedRun) -> Figure | None:
    """The newest frame of steps of highest and lowest learned reward, each of another episode."""
    reward = _image_reward(run)
    if reward is None:
        return None
    both = extremes(run, reward, SHOWN)
    figure = Figure(figsize=(11.0, 5.0), dpi=120, layout="constrained")
    grid = figure.subplots(2, SHOWN, squeeze=False)
    for row, said, frames in zip(grid, ("highest", "lowest"), both, strict=True):
        for axes, frame in _filled(row, frames):
            _show(axes, frame, reward)
            axes.set_title(f"{frame.reward:+.2f}\n{frame.place}", **_SMALL)
        row[0].set_ylabel(f"{said} reward")
    figure.suptitle(
        f"Steps of highest and lowest learned reward, in standard deviations\n{run.title}", fontsize=11
    )
    return figure


def attention(run: FinishedRun) -> Figure | None:
    """Occlusion maps of such frames: change of the reward when a small square is hidden."""
    reward = _image_reward(run)
    if reward is None:
        return None
    both = extremes(run, reward, MAPPED)
    maps = [occlusion_map(reward, np.stack([frame.stack for frame in frames])) for frames in both]
    limit = max(float(np.abs(found).max()) for found in maps) or 1.0
    figure = Figure(figsize=(11.0, 4.6), dpi=120, layout="constrained")
    grid = figure.subplots(2, 2 * MAPPED, squeeze=False)
    drawn = None
    for row, said, frames, found in zip(grid, ("highest", "lowest"), both, maps, strict=True):
        for axes, frame in _filled(row[::2], frames):
            _show(axes, frame, reward)
            axes.set_title(f"{frame.reward:+.2f}\n{frame.place}", **_SMALL)
        for (axes, frame), changes in zip(_filled(row[1::2], frames), found, strict=True):
            _show(axes, frame, reward)
            drawn = axes.imshow(
                changes, cmap=_LOWERS_RAISES, vmin=-limit, vmax=limit, alpha=np.abs(changes / limit) ** 0.5
            )
        row[0].set_ylabel(f"{said} reward")
    if drawn is not None:
        figure.colorbar(drawn, ax=grid, shrink=0.7, label="change of the reward by this region")
    figure.suptitle(f"Occlusion maps of the learned reward\n{run.title}", fontsize=11)
    return figure


def extremes(
    run: FinishedRun, reward: LearnedReward, count: int
) -> tuple[list[ScoredFrame], list[ScoredFrame]]:
    """Steps of highest and of lowest learned reward, at most one of each episode, the most extreme first.

    Only some steps are scored, drawn by the run's seed and spread evenly over the rollouts and over the
    demonstrations: a long run keeps millions.

    Args:
        run: a folder with its rollouts and demonstrations; evaluation episodes are not saved.
        reward: what it learned, of images.
        count: how many steps of each; fewer where there are fewer episodes.
    """
    generator = np.random.default_rng(int(run.evaluation["seed"]))
    scored = [
        step for episodes, names in _episodes(run) for step in _scored(reward, episodes, names, generator)
    ]
    scored.sort(key=lambda step: step.reward)
    return _one_an_episode(reversed(scored), count), _one_an_episode(scored, count)


@dataclass(frozen=True, eq=False)
class _Step:
    """A scored step; its image is read when it is shown."""

    reward: float
    episode: str
    step: int
    images: Observations
    row: int


def _scored(
    reward: LearnedReward, trajectories: Trajectories, names: list[str], generator: np.random.Generator
) -> Iterator[_Step]:
    """Some steps of these episodes, one in each of as many equal stretches of all their steps.

    Left out are the first of an episode, whose stacks are not full: nothing is as strange as frames of zeros.
    """
    ahead = "next_observations" in reward.fields.inputs
    images = trajectories.next_observations() if ahead else trajectories.observations
    stretches = min(STEPS_SCORED, len(images))
    rows = ((np.arange(stretches) + generator.random(stretches)) * len(images) / stretches).astype(np.int64)
    episodes = trajectories.episode_of_step[rows]
    steps = rows - trajectories.starts[episodes]
    full = steps >= images.shape[1] - 1
    values = raw_reward(reward, images, rows[full])
    for row, episode, step, value in zip(rows[full], episodes[full], steps[full], values, strict=True):
        yield _Step(float(value), names[episode], int(step), images, int(row))


def _one_an_episode(steps: Iterable[_Step], count: int) -> list[ScoredFrame]:
    """The first so many steps, later ones of an episode left out."""
    first: dict[str, _Step] = {}
    for step in steps:
        first.setdefault(step.episode, step)
    return [
        ScoredFrame(step.images[step.row], step.reward, f"{step.episode}\nstep {step.step}")
        for step in itertools.islice(first.values(), count)
    ]


def _episodes(run: FinishedRun) -> Iterator[tuple[Trajectories, list[str]]]:
    """Noisy rollouts, where there are any, and demonstrations, with a name for each episode."""
    for folder in noisy_rollout_folders(run.path):
        rollouts = NoisyRollouts.load(folder)
        noise = ("noise" if job.name == "uniform" else job.name for job in rollouts.jobs)
        yield (
            rollouts.trajectories,
            [
                f"rollout {index}, {name} {job.level:g}"
                for index, (name, job) in enumerate(zip(noise, rollouts.jobs, strict=True))
            ],
        )
    given = load_demonstrations(DEMONSTRATIONS.file(run.path)).trajectories
    yield given, [f"demonstration {index}" for index in range(len(given))]


def _image_reward(run: FinishedRun) -> LearnedReward | None:
    """The run's reward, if it sees images."""
    if not REWARD.file(run.path).is_file():
        return None
    reward = load_reward(REWARD.folder(run.path))
    return reward if isinstance(reward.network, EnsembleCNN) else None


def _filled(row: npt.NDArray[Any], frames: list[ScoredFrame]) -> Iterator[tuple[Axes, ScoredFrame]]:
    """Axes of a row with the frames that they show, all without ticks, those left over empty."""
    for axes in row:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    return zip(row, frames, strict=False)


def _show(axes: Axes, frame: ScoredFrame, reward: LearnedReward) -> None:
    """The newest frame, what is masked hatched."""
    picture = frame.stack[-1]
    height, width = picture.shape
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    image = cast("EnsembleCNN", reward.network).image
    for top, rows in ((0, image.mask_top), (height - image.mask_bottom, image.mask_bottom)):
        if rows:
            axes.add_patch(
                Rectangle(
                    (-0.5, top - 0.5), width, rows, facecolor="0.25", edgecolor="0.6", hatch="////", lw=0
                )
            )
