"""Episodes of many environments while they are collected: arrays by whole steps, images frame by frame."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from drex.agents.rollouts.step_blocks import Spans, StepBlocks
from drex.envs.data.stacked_frames import FramePool, Observations, StackedFrames, StackRecorder, holds_images
from drex.envs.data.trajectories import Trajectories
from drex.envs.data.true_returns import TrueReturns
from drex.envs.vector.same_step import TransitionEnds
from drex.envs.vector.true_reward_ledger import take_true_return


class Recording:
    """The episode that each environment plays, with its observations and actions."""

    def __init__(self, space: gymnasium.Space[Any], environments: int, episodes: int) -> None:
        self.unfinished = episodes
        self._steps = 0
        self._playing: npt.NDArray[np.int64] = np.full(environments, -1)
        self._kept = np.arange(environments)
        self._actions = StepBlocks(self._kept)
        images = holds_images(space)
        self._seen = _SeenImages(episodes) if images else _SeenArrays(self._kept, episodes)
        nowhere = np.zeros(episodes, np.int64)
        self._spans = Spans(nowhere, nowhere.copy(), nowhere.copy())
        self._terminated: npt.NDArray[np.bool_] = np.zeros(episodes, np.bool_)
        self._returns = [TrueReturns.unknown(1)] * episodes

    def begin(self, environment: int, episode: int | None) -> None:
        """The episode of this environment from the next step on; ``None``: no further recorded one."""
        if episode is None:
            self._kept = self._kept[self._kept != environment]
            self._actions.keep_only(self._kept)
            self._seen.keep_only(self._kept)
            return
        self._playing[environment] = episode
        self._spans.environments[episode], self._spans.starts[episode] = environment, self._steps
        self._seen.begin(environment, episode)

    def add(self, observations: npt.NDArray[Any], actions: npt.NDArray[Any]) -> None:
        """Record a step: observations (n, *observation shape) and actions (n, *action shape)."""
        self._seen.add(observations)
        self._actions.add(actions)
        self._steps += 1

    def finish(self, environment: int, ends: TransitionEnds, info: dict[str, Any]) -> bool:
        """End this environment's episode; whether it was a recorded one."""
        episode = int(self._playing[environment])
        if episode < 0:
            return False
        self._playing[environment] = -1
        self._spans.lengths[episode] = self._steps - self._spans.starts[episode]
        self._seen.finish(environment, episode, ends.next_observations[environment])
        self._terminated[episode] = ends.terminated[environment]
        self._returns[episode] = take_true_return(info)
        self.unfinished -= 1
        return True

    def join(self) -> tuple[Trajectories, TrueReturns]:
        """The episodes in order, once all are finished; frees the recording."""
        seen, last = self._seen.join(self._spans)
        done = self._actions.cut(self._spans)
        trajectories = Trajectories(seen, done, self._spans.lengths, self._terminated, last)
        return trajectories, TrueReturns.concatenate(self._returns)


class _SeenArrays(StepBlocks):
    def __init__(self, environments: npt.NDArray[np.int64], episodes: int) -> None:
        super().__init__(environments)
        self._terminal: list[npt.NDArray[Any]] = [np.zeros(0)] * episodes

    def begin(self, environment: int, episode: int) -> None:
        """Blocks are cut by spans only."""

    def finish(self, environment: int, episode: int, terminal: npt.NDArray[Any]) -> None:
        self._terminal[episode] = terminal

    def join(self, spans: Spans) -> tuple[Observations, Observations]:
        observations = self.cut(spans)
        return observations, np.stack(self._terminal).astype(observations.dtype, copy=False)


class _SeenImages:
    """Each frame goes to the pool once; finished episodes leave only rows in memory."""

    def __init__(self, episodes: int) -> None:
        self._pool = FramePool()
        self._rows: list[npt.NDArray[np.int32]] = [np.zeros((0, 0), np.int32)] * episodes
        self._playing: dict[int, StackRecorder] = {}

    def keep_only(self, environments: npt.NDArray[np.int64]) -> None:
        self._playing = {kept: self._playing[kept] for kept in environments.tolist() if kept in self._playing}

    def begin(self, environment: int, episode: int) -> None:
        self._playing[environment] = StackRecorder(self._pool)

    def add(self, observations: npt.NDArray[Any]) -> None:
        for environment, recorder in self._playing.items():
            recorder.append(observations[environment])

    def finish(self, environment: int, episode: int, terminal: npt.NDArray[Any]) -> None:
        # A recorder holds its last stacks, 113 kB of 84×84×4: half a gigabyte over 5,000 episodes.
        recorder = self._playing.pop(environment)
        recorder.append(terminal)
        self._rows[episode] = recorder.rows()

    def join(self, spans: Spans) -> tuple[Observations, Observations]:
        frames = self._pool.mapped()
        return (
            StackedFrames(frames, np.concatenate([episode[:-1] for episode in self._rows])),
            StackedFrames(frames, np.stack([episode[-1] for episode in self._rows])),
        )
