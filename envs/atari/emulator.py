"""ALE's own vectorised emulator: games stepped and preprocessed in C++, several at once.

Chosen over EnvPool, which steps a little slower and carries an older emulator, by
``benchmarks/throughput_experiments/atari.py``; ``tests/test_atari.py`` compares its games, frame by frame,
with gymnasium's and stable-baselines3's wrappers.
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
from drex.envs.vector.same_step import EngineStep, SameStepVecEnv

_SEEDS = 2**31 - 2**16  # the emulator's seeds are 32-bit integers; room is left for one seed a game


class AleVecEnv(SameStepVecEnv):
    """Games of ``ale_py.vector_env.AtariVectorEnv``, unclipped, ended only by the end of the game.

    Every setting is spelled out, since several of ALE's defaults (clipped rewards, a thread for every core
    of the host) and of ``gymnasium.make_vec``'s (sticky actions) are not what judging wants. One thing is as
    in every implementation: if a game ends before the last two of an action's four frames are seen, the
    newest frame of its last observation is the one before, or the maximum of both.

    Args:
        task: ``ALE/<game>-v5``.
        count: games side by side.
        seed: game ``i`` is seeded ``seed + i``: it decides how many no-ops come first.
        threads: emulator threads.
        options: ``fire_after_life`` and ``maximum_frames`` are read here, the others by ``AtariTraining``.
        screen: observe the screen in colour, (1, 210, 160, 3), in place of what is learned from.
    """

    def __init__(
        self,
        task: str,
        count: int,
        *,
        seed: int,
        threads: int,
        options: AtariOptions,
        screen: bool = False,
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
            life_loss_info=False,  # the lives themselves say it
            reward_clipping=False,
            use_fire_reset=True,
        )
        buttons = [action.name for action in self._games.ale.get_action_set()]
        waits = options.fire_after_life and game_name(task) in WAITS_FOR_FIRE
        self._fire = np.int32(buttons.index("FIRE")) if waits else None
        self._lives: npt.NDArray[np.int32] = np.zeros(count, np.int32)
        self.lost_life: npt.NDArray[np.bool_] = np.zeros(count, np.bool_)
        """(n,) which games lost a life in the last step and go on with another."""
        space = SCREEN if screen else FRAMES
        super().__init__(count, space, self._games.single_action_space, seed=seed)

    def engine_reset(self, seed: int | None) -> npt.NDArray[Any]:
        """Start all games anew."""
        observations, info = self._games.reset(seed=None if seed is None else seed % _SEEDS)
        self._lives, self.lost_life = info["lives"], np.zeros(self.num_envs, np.bool_)
        return np.asarray(observations)

    def engine_send(self, actions: npt.NDArray[Any]) -> None:
        """Let the emulator's threads step every game once."""
        chosen = np.asarray(actions, np.int32)
        if self._fire is not None:
            chosen = np.where(self.lost_life, self._fire, chosen)
        self._games.send(chosen)

    def engine_receive(self) -> EngineStep:
        """Wait for every game; one that is over has started anew within the same step."""
        observations, rewards, terminated, truncated, info = self._games.recv()
        over = terminated | truncated
        # Q*bert shows 0 lives for some frames before its game is over: that is no lost life, an end follows.
        self.lost_life = ~over & (info["lives"] < self._lives) & (info["lives"] > 0)
        self._lives = info["lives"]
        finished = np.flatnonzero(over)
        final = np.array(info["final_obs"][finished]) if len(finished) else observations[:0]
        return EngineStep(observations, rewards.astype(np.float32), terminated, truncated, finished, final)

    def close(self) -> None:
        """Stop the emulator's threads; they live as long as the games do."""
        self.__dict__.pop("_games", None)
