"""One Atari game with its screen in colour, for videos."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from drex.envs.atari.emulator import AleVecEnv
from drex.envs.atari.options import FRAMES, FRAMES_PER_STEP, AtariOptions, register_atari

_FRAMES_PER_SECOND = 60
_STARTS_TRIED = 100
"""Seeds, each of which draws one of 30 starts: each start is missed with probability 0.03."""


class AtariScreen(gymnasium.Env[npt.NDArray[np.uint8], np.int64]):
    """A game with drex's preprocessing and starts that can be rendered.

    ALE's vectorized emulator returns either preprocessed frames or the screen, so two emulators play the same
    game, with equal seeds and without sticky actions.
    """

    def __init__(self, task: str) -> None:
        register_atari()
        self.render_mode = "rgb_array"
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": _FRAMES_PER_SECOND / FRAMES_PER_STEP}
        self._seen, self._screen = (
            AleVecEnv(task, 1, seed=0, threads=1, options=AtariOptions(), screen=screen)
            for screen in (False, True)
        )
        self.observation_space, self.action_space = FRAMES, self._seen.action_space
        self._shown: npt.NDArray[np.uint8] = np.zeros((210, 160, 3), np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.uint8], dict[str, Any]]:
        """Start a game; ``None`` takes seed 0."""
        first = []
        for game in (self._seen, self._screen):
            game.seed(seed or 0)
            first.append(np.array(game.reset())[0])
        self._shown = first[1][-1]
        return first[0], {}

    def step(self, action: np.int64) -> tuple[npt.NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        """Play one step; the reward is always 0."""
        after = []
        for game in (self._seen, self._screen):
            observations, _, dones, infos = game.step(np.array([action]))
            after.append(infos[0]["terminal_observation"] if dones[0] else np.array(observations)[0])
        self._shown = after[1][-1]
        truncated = bool(dones[0]) and bool(infos[0]["TimeLimit.truncated"])
        return after[0], 0.0, bool(dones[0]) and not truncated, truncated, {}

    def render(self) -> npt.NDArray[np.uint8]:
        """(210, 160, 3) uint8: the screen after the last action."""
        return self._shown

    def close(self) -> None:
        """Stop both emulators."""
        self._seen.close()
        self._screen.close()

    def replay(
        self, observations: npt.NDArray[np.uint8], actions: npt.NDArray[np.integer[Any]]
    ) -> list[npt.NDArray[np.uint8]] | None:
        """The screens (n) of the first n steps of a recorded game, replayed in the emulator.

        ``None`` if no start reproduces every observation (n, stack, height, width) with the actions (n,).
        """
        seeds = range(_STARTS_TRIED)
        start = next((seed for seed in seeds if self._reproduces(seed, observations, actions)), None)
        if start is None:
            return None
        self.reset(seed=start)
        screens = [self.render()]
        for action in actions[:-1]:
            self.step(action)
            screens.append(self.render())
        return screens

    def _reproduces(
        self, seed: int, observations: npt.NDArray[np.uint8], actions: npt.NDArray[np.integer[Any]]
    ) -> bool:
        self._seen.seed(seed)
        seen = np.array(self._seen.reset())
        for recorded, action in zip(observations, actions, strict=True):
            if not np.array_equal(seen[0], recorded):
                return False
            seen = np.array(self._seen.step(np.array([action]))[0])
        return True
