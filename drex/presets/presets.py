"""The named presets: the default holds on every task, ``paper`` is the published protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from drex.agents.demonstrator import DemonstratorSettings
from drex.envs.atari.options import is_atari
from drex.errors import UserError
from drex.presets.atari import (
    atari_demonstrator,
    default_atari,
    paper_atari_drex,
    paper_atari_trex,
    small_atari,
)
from drex.presets.mujoco import paper_drex, paper_trex
from drex.presets.names import Method
from drex.presets.settings import Settings
from drex.rankings.settings import UserRanking


def default(task: str, method: Method = "drex") -> Settings:
    """One default for all tasks, but for Atari games.

    What depends on the task follows from what is observed: the inputs of the reward, its offset, the length
    of snippets, and PPO's discount and KL penalty.
    """
    settings = default_atari(task) if is_atari(task) else Settings()
    return settings if method == "drex" else _for_few_trajectories(settings)


def _for_few_trajectories(settings: Settings) -> Settings:
    # A dozen demonstrations are a twentieth of the data of noisy rollouts: the reward is trained on all of
    # them, and its held-out accuracy is measured by cross-validation.
    reward = replace(settings.reward, held_out=0.0, patience=0)
    return replace(settings, ranking=UserRanking(), reward=reward, held_out_folds=4)


def paper(task: str, method: Method = "drex") -> Settings:
    """The published MuJoCo or Atari protocol of D-REX or T-REX, with the deviations stated there."""
    if is_atari(task):
        return paper_atari_drex(task) if method == "drex" else paper_atari_trex(task)
    return paper_drex(task) if method == "drex" else paper_trex(task)


def small(task: str, method: Method = "drex") -> Settings:
    """An Atari game in less than two hours on two cores; ``UserError`` for other tasks."""
    if not is_atari(task):
        expected = "default or paper, since small is for Atari games"
        raise UserError("preset", expected=expected, found=f"small for {task}")
    return _for_few_trajectories(small_atari(task)) if method == "trex" else small_atari(task)


PRESETS: dict[str, Callable[[str, Method], Settings]] = {"default": default, "small": small, "paper": paper}
"""Every preset by name; each makes the settings for a task and a method."""


def preset(name: str, task: str, method: Method = "drex") -> Settings:
    """The settings of a named preset for a task and a method; ``UserError`` for an unknown name."""
    if name not in PRESETS:
        raise UserError("preset", expected=f"one of {', '.join(PRESETS)}", found=repr(name))
    return PRESETS[name](task, method)


def demonstrator(task: str) -> DemonstratorSettings:
    """The training of a demonstrator: to the score of the paper on Atari, else generic."""
    return atari_demonstrator(task) if is_atari(task) else DemonstratorSettings()
