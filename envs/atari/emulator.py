"""ALE's vectorized emulator: parallel games, preprocessed in C++.

EnvPool is slightly slower (``benchmarks/throughput_experiments/atari.py``) and has an older emulator.
``tests/test_atari.py`` compares games, frame by frame, with gymnasium's and stable-baselines3's wrappers.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from drex.envs.atari.options import (
    FRAMES,
    FRAMES_PER_STEP,
    NO_OP_FRAMES,
    SCREEN,
    SIDE,
    STACKED_FRAMES,
    WAITS_FOR_FIRE,
    AtariOptions,
    game_name,
)
from drex.envs.vector.same_step import SEEDS, EngineStep, SameStepVecEnv


class AleVecEnv(SameStepVecEnv):
    """Games of ``ale_py.vector_env.AtariVectorEnv``, with unclipped rewards and ended only by the game's end.

    All settings are explicit: several defaults of ALE (clipped rewards, one thread per core of the host) and
    of ``gymnasium.make_vec`` (sticky actions) are unsuitable for evaluation. As in every implementation, if a
    game ends before the last two of an action's four frames, the newest frame of its last observation is the
    previous one, or the maximum of both.

    Args:
        task: ``ALE/<game>-v5``.
        count: number of parallel games.
        seed: game ``i`` is seeded ``seed + i``, which determines its number of initial no-ops.
        threads: emulator threads.
        options: ``fire_after_life`` and ``maximum_frames`` are read here, the others by ``AtariTraining``.
        screen: observe the screen in colour, (1, 210, 160, 3), instead of preprocessed frames.
    """

    def __init__(
        self, task: str, count: int, *, seed: int, threads: int, options: AtariOptions, screen: bool = False
    ) -> None:
        from ale_py.vector_env import AtariVectorEnv

        height, width = SCREEN.shape[1:3] if screen else (SIDE, SIDE)
        self._games = AtariVectorEnv(
            gymnasium.spec(task.removeprefix("ale_py:")).kwargs["game"],
            count,
            num_threads=min(threads, count),
            max_num_frames_per_episode=options.maximum_frames,
            repeat_action_probability=0.0,
            full_action_space=False,
            autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP,
            img_height=height,
            img_width=width,
            grayscale=not screen,
            stack_num=1 if screen else STACKED_FRAMES,
            frameskip=FRAMES_PER_STEP,
            maxpool=True,
            noop_max=NO_OP_FRAMES,
            episodic_life=False,  # would start a new game at every lost life
            life_loss_info=False,  # derived from the lives below
            reward_clipping=False,
            use_fire_reset=True,
        )
        buttons = [action.name for action in self._games.ale.get_action_set()]
        waits = options.fire_after_life and game_name(task) in WAITS_FOR_FIRE
        self._fire = np.int32(buttons.index("FIRE")) if waits else None
        self._lives: npt.NDArray[np.int32] = np.zeros(count, np.int32)
        self.lost_life: npt.NDArray[np.bool_] = np.zeros(count, np.bool_)
        """(n,) which games lost a life in the last step and continue with another."""
        super().__init__(count, SCREEN if screen else FRAMES, self._games.single_action_space, seed=seed)

    def engine_reset(self, seed: int | None) -> npt.NDArray[Any]:
        """Start all games anew."""
        observations, info = self._games.reset(seed=None if seed is None else seed % SEEDS)
        self._lives, self.lost_life = info["lives"], np.zeros(self.num_envs, np.bool_)
        return np.asarray(observations)

    def engine_send(self, actions: npt.NDArray[Any]) -> None:
        """Begin a step of every game in the emulator's threads."""
        chosen = np.asarray(actions, np.int32)
        if self._fire is not None:
            chosen = np.where(self.lost_life, self._fire, chosen)
        self._games.send(chosen)

    def engine_receive(self) -> EngineStep:
        """End the step; finished games are reset within it."""
        observations, rewards, terminated, truncated, info = self._games.recv()
        over = terminated | truncated
        # Q*bert shows 0 lives for some frames before its game is over: that is no lost life.
        self.lost_life = ~over & (info["lives"] < self._lives) & (info["lives"] > 0)
        self._lives = info["lives"]
        finished = np.flatnonzero(over)
        final = np.array(info["final_obs"][finished]) if len(finished) else observations[:0]
        return EngineStep(observations, rewards.astype(np.float32), terminated, truncated, finished, final)

    def close(self) -> None:
        """Stop the emulator's threads, by deleting the games."""
        self.__dict__.pop("_games", None)
