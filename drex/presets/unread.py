"""Errors for settings that a task does not read, before the first stage."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import gymnasium

from drex.agents.ppo.settings import PPOSettings
from drex.envs.atari.options import is_atari
from drex.envs.data.stacked_frames import holds_images
from drex.errors import UserError
from drex.presets.settings import Settings
from drex.ranges import located, paths_of, refuse_unread


def refuse_unread_by_task(
    settings: Settings, task: str, observation_space: gymnasium.Space[Any], action_space: gymnasium.Space[Any]
) -> None:
    """Raise a ``UserError`` for settings that differ from their defaults and that only other tasks read."""
    with located(paths_of(settings)):
        if not is_atari(task):
            for field in fields(settings.atari):
                refuse_unread(settings.atari, field.name, read_by="an Atari game")
        if holds_images(observation_space):
            masked = settings.reward.mask_top + settings.reward.mask_bottom
            height = (observation_space.shape or (0, 0))[-2]
            if masked >= height:
                expected = f"fewer than {height} masked rows"
                raise UserError("reward.mask_top", expected=expected, found=str(masked))
        else:
            refuse_unread(settings.policy, "image_precision", read_by="a task with images")
            for name in ("convolutions", "mask_top", "mask_bottom"):
                refuse_unread(settings.reward, name, read_by="a task with images")
        if not isinstance(action_space, gymnasium.spaces.Box):
            refuse_unread(settings.bc, "smallest_std", read_by="a task with Box actions")
            if isinstance(settings.learner, PPOSettings):
                refuse_unread(settings.learner, "initial_std", read_by="a task with Box actions")
