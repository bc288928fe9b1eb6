"""Tiny environments with known answers, importable by any test; importing this module registers them.

``WALK`` (Box actions) and ``DISCRETE_WALK``: a walker pushes itself forward and must not tip over.

- Observation: (place, tilt), float32.
- Box action (2,): forward push and tilt push, each in [-1, 1]; Discrete: 0 back, 1 forward, 2 left, 3 right.
- Reward: the forward push, so the best return is the horizon, 30, reached by pushing 1 and tilting little.
- An episode terminates where the tilt leaves ±0.5 (a tilt push changes it by at most 0.1, the start is within
  ±0.1), and is cut off after 30 steps.

``POISONED_WALK`` is the same walk but for its rewards, which are all NaN.
"""

from __future__ import annotations

import gymnasium
import numpy as np

WALK = "drex-tests/Walk-v0"
DISCRETE_WALK = "drex-tests/DiscreteWalk-v0"
POISONED_WALK = "drex-tests/PoisonedWalk-v0"
POISONED_DISCRETE_WALK = "drex-tests/PoisonedDiscreteWalk-v0"
HORIZON = 30
BEST_RETURN = 30.0
DISCRETE_PUSHES = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]])


class Walk(gymnasium.Env):
    """See the module."""

    def __init__(self, *, discrete: bool = False, poisoned: bool = False) -> None:
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = (
            gymnasium.spaces.Discrete(4) if discrete else gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
        )
        self._discrete, self._poisoned = discrete, poisoned
        self._place = self._tilt = 0.0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._place, self._tilt = 0.0, float(self.np_random.uniform(-0.1, 0.1))
        return self._observe(), {}

    def step(self, action):
        forward, sideways = DISCRETE_PUSHES[action] if self._discrete else np.clip(action, -1.0, 1.0)
        self._place += 0.1 * float(forward)
        self._tilt += 0.1 * float(sideways)
        reward = float("nan") if self._poisoned else float(forward)
        return self._observe(), reward, abs(self._tilt) > 0.5, False, {"forward": float(forward)}

    def _observe(self):
        return np.array([self._place, self._tilt], np.float32)


for _name, _discrete, _poisoned in (
    (WALK, False, False),
    (DISCRETE_WALK, True, False),
    (POISONED_WALK, False, True),
    (POISONED_DISCRETE_WALK, True, True),
):
    if _name not in gymnasium.registry:
        gymnasium.register(
            _name,
            Walk,
            max_episode_steps=HORIZON,
            kwargs={"discrete": _discrete, "poisoned": _poisoned},
            disable_env_checker=True,
        )
