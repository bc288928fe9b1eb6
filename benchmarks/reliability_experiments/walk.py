"""A walker with known answers that can be told to misbehave, and a whole run on it that takes seconds.

- Observation: (place, tilt), float32. Action: forward push and tilt push, each in [-1, 1].
- Reward: the forward push. An episode ends where the tilt leaves ±0.5, and is cut off after 30 steps.

``misbehave`` says what goes wrong in every walk of this process.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

import drex
from benchmarks.reliability_experiments.forked import attempt
from drex.agents.behavioral_cloning import CloningSettings
from drex.agents.policies.network import PolicySettings
from drex.agents.ppo.settings import PPOSettings
from drex.evaluation.evaluate import EvaluationSettings
from drex.presets.settings import Settings
from drex.rankings.settings import NoiseRanking
from drex.rewards.settings import RewardSettings
from drex.rewards.snippets import SnippetSettings
from drex.selection.settings import SelectionSettings

ID = "drex-reliability/Walk-v0"
TASK = f"{__name__}:{ID}"
SETTINGS = Settings(
    policy=PolicySettings(policy_hidden_sizes=(8,), value_hidden_sizes=(8,)),
    bc=CloningSettings(gradient_steps=100, check_every=50),
    ranking=NoiseRanking(
        levels=(0.0, 0.5, 1.0), episodes_per_level=4, names=("uniform", "sticky"), environments=4
    ),
    reward=RewardSettings(
        hidden_sizes=(8,),
        gradient_steps=20,
        check_every=10,
        held_out=0.25,
        snippets=SnippetSettings(minimum_length=5, maximum_length=10, stride=1),
    ),
    learner=PPOSettings(
        environment_steps=2048,
        environments=4,
        rollout_steps=32,
        batch_size=64,
        epochs=2,
        critic_warmup_rollouts=1,
        checkpoint_steps=128,
    ),
    selection=SelectionSettings(episodes=2, checkpoints=2),
    evaluation=EvaluationSettings(episodes=4, environments=4),
)
"""Of the whole run: every stage at work, none of them for long."""

State = npt.NDArray[np.float32]
Fault = Callable[[State], tuple[Any, ...]]


_fault: str | None = None


def misbehave(fault: str | None) -> None:
    """Let every walk of this process have a fault or a habit: a name in the tables below, or ``None``."""
    global _fault
    _fault = fault


class Walk(gymnasium.Env[Any, Any]):
    """See the module."""

    def __init__(self) -> None:
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self._calls: Counter[str] = Counter()
        self._state = np.zeros(2, np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:  # noqa: ANN401
        """Start upright, but for a small tilt."""
        super().reset(seed=seed)
        self._state[:] = 0.0, self.np_random.uniform(-0.1, 0.1)
        if _fault in FAULTS_OF_RESET and self._late_enough("reset", after=1):
            return FAULTS_OF_RESET[_fault](self._state)
        return self._observation(), self._info()

    def step(self, action: npt.NDArray[np.float32]) -> Any:  # noqa: ANN401
        """Push."""
        forward, sideways = np.clip(action, -1.0, 1.0)
        self._state += 0.1 * np.array([forward, sideways], np.float32)
        if _fault == "action changed in place":
            action *= 0.01
        if _fault in FAULTS_OF_STEP and self._late_enough("step", after=20):
            return FAULTS_OF_STEP[_fault](self._state)
        reward: Any = float(forward)
        if _fault == "array reward":
            reward = np.array([reward])
        ended: Any = _fallen(self._state)
        if _fault == "numpy flags":
            ended = np.bool_(ended)
        return self._observation(), reward, ended, False, self._info()

    def close(self) -> None:
        """Nothing to close."""
        if _fault == "close raises":
            raise RuntimeError("the arm is stuck")

    def _late_enough(self, method: str, *, after: int) -> bool:
        self._calls[method] += 1
        return self._calls[method] > after

    def _observation(self) -> State:
        return self._state if _fault == "internal buffer" else self._state.copy()

    def _info(self) -> Any:  # noqa: ANN401
        place = float(self._state[0])
        infos: dict[str | None, Any] = {
            "info is None": None,
            "ragged info": {"seen": [np.zeros(2), np.zeros(3)] if place > 0 else None, 3: {}},
            "info of mixed kinds": {"place": place} if place > 0.1 else {"place": "behind", "more": [None]},
            "reward in info": {"reward": place, "episode": {"r": 1e9, "l": 1}, "final_observation": 1.0},
        }
        return infos.get(_fault, {})


if ID not in gymnasium.registry:
    gymnasium.register(ID, lambda **_: Walk(), max_episode_steps=30, disable_env_checker=True)


def _fallen(state: State) -> bool:
    return bool(abs(state[1]) > 0.5)


def _raise(error: BaseException) -> Any:  # noqa: ANN401
    raise error


def _wait(_: State) -> Any:  # noqa: ANN401
    time.sleep(3600.0)


FAULTS_OF_STEP: dict[str, Fault] = {
    "step raises": lambda _: _raise(RuntimeError("the arm is stuck")),
    "step raises KeyError": lambda _: _raise(KeyError("arm")),
    "step raises MemoryError": lambda _: _raise(MemoryError()),
    "step exits with 0": lambda _: sys.exit(0),
    "step exits with a sentence": lambda _: sys.exit("no display"),
    "step hangs": _wait,
    "NaN observation": lambda s: (s * np.nan, 0.0, False, False, {}),
    "infinite observation": lambda s: (s + np.inf, 0.0, False, False, {}),
    "observation too long": lambda s: (np.append(s, s), 0.0, False, False, {}),
    "observation too short": lambda s: (s[:1], 0.0, False, False, {}),
    "observation of text": lambda _: (np.array(["left", "right"]), 0.0, False, False, {}),
    "observation of objects": lambda _: (np.array([None, {}], object), 0.0, False, False, {}),
    "observation is None": lambda _: (None, 0.0, False, False, {}),
    "four values": lambda s: (s.copy(), 0.0, False, {}),
    "six values": lambda s: (s.copy(), 0.0, False, False, {}, None),
    "step returns None": lambda _: None,  # type: ignore[dict-item,return-value]
    "NaN reward": lambda s: (s.copy(), float("nan"), _fallen(s), False, {}),
    "infinite reward": lambda s: (s.copy(), float("inf"), _fallen(s), False, {}),
    "reward is None": lambda s: (s.copy(), None, False, False, {}),
    "reward of text": lambda s: (s.copy(), "much", False, False, {}),
    "two rewards": lambda s: (s.copy(), np.zeros(2), False, False, {}),
    "flags are None": lambda s: (s.copy(), 0.0, None, None, {}),
    "two flags in one": lambda s: (s.copy(), 0.0, np.zeros(2, bool), False, {}),
}
"""What ``step`` does instead of returning five values."""

FAULTS_OF_RESET: dict[str, Fault] = {
    "reset raises": lambda _: _raise(RuntimeError("the arm is stuck")),
    "reset exits with 0": lambda _: sys.exit(0),
    "reset returns the observation alone": lambda s: s.copy(),  # type: ignore[dict-item,return-value]
    "reset returns NaN": lambda s: (s * np.nan, {}),
    "reset returns another shape": lambda s: (s[:1], {}),
    "reset returns None": lambda _: None,  # type: ignore[dict-item,return-value]
}
"""What ``reset`` does instead of returning two values."""

HARMLESS = (
    "internal buffer",
    "action changed in place",
    "array reward",
    "numpy flags",
    "info is None",
    "ragged info",
    "info of mixed kinds",
    "reward in info",
    "close raises",
)
"""Habits that must not change any result."""


def demonstrate(folder: Path) -> Path:
    """Four episodes of a walker that pushes forward by a third of what it could."""

    def push(observations: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        return np.stack([np.full(len(observations), 0.3), -observations[:, 1]], axis=1).astype(np.float32)

    folder.mkdir(parents=True, exist_ok=True)
    trajectories, returns = drex.collect(push, drex.make_environments(TASK, 2, seed=0), 4, seed=0)
    file = folder / "walk.npz"
    drex.save_demonstrations(file, trajectories, rewards=returns.step_values_for_evaluation())
    return file


def whole_run(folder: Path, demonstrations: Path, **changes: Any) -> dict[str, Any]:
    """A run of every stage, continued where the folder holds one."""
    asked: dict[str, Any] = {"settings": SETTINGS, "seed": 1, "quiet": True, "report": False, "resume": True}
    asked |= {"controls": ("constant", "shuffled_labels")} | changes
    found: dict[str, Any] = drex.run(
        asked.pop("task", TASK), run_dir=folder, demonstrations=demonstrations, **asked
    )
    return found


def undisturbed(folder: Path, demonstrations: Path, **changes: Any) -> dict[str, bytes]:
    """The files of a whole run that nothing disturbs, for ``difference``."""
    outcome = attempt(lambda: bool(whole_run(folder, demonstrations, **changes)), folder.with_suffix(".log"))
    if outcome.kind != "done":
        raise RuntimeError(f"{folder}: the undisturbed run {outcome.kind}: {outcome.said}")
    return files_of(folder)


def continued(folder: Path, demonstrations: Path, expected: dict[str, bytes], **changes: Any) -> str:
    """Begin or continue a run that nothing disturbs; how it differs from ``expected``, or why it failed."""
    log = folder.with_suffix(".log")
    outcome = attempt(lambda: bool(whole_run(folder, demonstrations, **changes)), log)
    return difference(folder, expected) if outcome.kind == "done" else f"{outcome.kind}: {outcome.said}"


def files_of(folder: Path) -> dict[str, bytes]:
    """What must be equal in equal runs: all weights, rollouts and decisions, and no wall times or logs.

    Zips hold the times of their writing: they must be there.
    """
    kinds = {".safetensors", ".npz"}
    names = {"judges.json", "diagnosis.json", "choice.json", "facts.json", "rollout_policy.json"}
    files = [file for file in sorted(folder.glob("*/*")) if file.suffix in kinds or file.name in names]
    found = {str(file.relative_to(folder)): file.read_bytes() for file in files}
    return found | {str(file.relative_to(folder)): b"" for file in folder.glob("*/*.zip")}


def difference(folder: Path, expected: dict[str, bytes]) -> str:
    """How a run differs from the undisturbed one; empty where it is equal."""
    found = files_of(folder)
    missing = sorted(set(expected) - set(found))
    if missing:
        return f"lacks {missing[0]}"
    other = [name for name, content in expected.items() if found[name] != content]
    return f"differs in {other[0]}" if other else ""
