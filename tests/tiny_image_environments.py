"""A tiny image task with a known best policy, importable by any test; importing this module registers it.

``MEET``: a player at the bottom of the picture must stand below a target at the top and stay there.

- Observation: two stacked frames (2, 36, 36) uint8, the newest last, zeros before the first. Nine columns of
  four pixels; target in rows 6 to 15, player in rows 24 to 33, both 255. Rows 0 to 3 are a score bar: one
  pixel of 255 for every reward so far.
- Action: 0 left, 1 stay, 2 right.
- Reward: 1 where the player stands below the target after its move. Cut off after 20 steps, so that a start
  ``d`` columns away allows a best return of ``21 - d``.

``ENDING_MEET`` ends by itself on the first reward.
"""

from __future__ import annotations

import gymnasium
import numpy as np

MEET = "drex-tests/Meet-v0"
ENDING_MEET = "drex-tests/EndingMeet-v0"
HORIZON, COLUMNS, STACK = 20, 9, 2
SCORE_ROWS = 4


class Meet(gymnasium.Env):
    """See the module."""

    def __init__(self, *, ends: bool = False) -> None:
        self.observation_space = gymnasium.spaces.Box(0, 255, (STACK, 36, 36), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(3)
        self._ends = ends
        self._stack = np.zeros((STACK, 36, 36), np.uint8)
        self._target = self._player = self._score = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._target, self._player = (int(column) for column in self.np_random.permutation(COLUMNS)[:2])
        self._score = 0
        self._stack = np.zeros_like(self._stack)
        return self._look(), {}

    def step(self, action):
        self._player = min(max(self._player + int(action) - 1, 0), COLUMNS - 1)
        reward = float(self._player == self._target)
        self._score += int(reward)
        return self._look(), reward, self._ends and reward > 0, False, {}

    def _look(self):
        frame = np.zeros((36, 36), np.uint8)
        frame[:SCORE_ROWS, : self._score] = 255
        frame[6:16, 4 * self._target : 4 * self._target + 4] = 255
        frame[24:34, 4 * self._player : 4 * self._player + 4] = 255
        self._stack = np.concatenate([self._stack[1:], frame[None]])
        return self._stack.copy()


def best_actions(observations):
    """(n, 2, 36, 36) to (n,): towards the target, then stay."""
    newest = np.asarray(observations)[:, -1]
    target, player = newest[:, 10].argmax(axis=1), newest[:, 28].argmax(axis=1)
    return 1 + np.sign(target - player)


for _name, _ends in ((MEET, False), (ENDING_MEET, True)):
    if _name not in gymnasium.registry:
        gymnasium.register(
            _name, Meet, max_episode_steps=HORIZON, kwargs={"ends": _ends}, disable_env_checker=True
        )
