"""A short video of demonstrator, random actions, clone and trained policy.

It is rendered in another process, ``python -m drex.report.video RUN_DIR FILE``, since graphics drivers can
crash.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import gymnasium
import imageio_ffmpeg
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageOps

from drex.agents.policies.acting import Policy, deterministic, uniform
from drex.agents.policies.saved import as_callable, load_trained
from drex.agents.policies.saved_actor_critic import load_policy
from drex.demonstrations.load_and_save import load_demonstrations
from drex.envs.atari.options import is_atari
from drex.envs.atari.screen import AtariScreen
from drex.envs.data.stacked_frames import are_images
from drex.envs.data.trajectories import Trajectories
from drex.envs.single import build_environment
from drex.errors import UserError
from drex.files.atomic import written_whole
from drex.files.run_layout import CLONE, DEMONSTRATIONS, POLICY
from drex.report.finished_run import METHODS, FinishedRun, read_finished_run

SECONDS, GAME_SECONDS = 10.0, 20.0
"""Maximum length of a video, and of an Atari game's."""
PANEL = (320, 240)
"""Width and height of each of the four panels in pixels."""
_FRAMES_PER_SECOND = 25
_BAR = 20
_DRIVERS = ("egl", "osmesa")
_TIMEOUT = 300.0

Frame = npt.NDArray[np.uint8]


def make_video(run: FinishedRun, file: Path) -> str | None:
    """Write an mp4 (H.264, 640×480, at most 10 seconds, 20 for Atari) of a run, if its task renders.

    The MuJoCo driver is ``MUJOCO_GL``, else the first of egl and osmesa that works.

    Returns:
        ``None`` if the video was made, else the reason in one line.
    """
    try:
        modes = _render_modes(run.task_to_make())
    except UserError as mistake:  # a custom environment that is not trusted, or whose module is not found
        return f"no video: {mistake}"
    if "rgb_array" not in modes:
        return f"no video: {run.task} does not render"
    named = os.environ.get("MUJOCO_GL")
    reason = ""
    for driver in (named,) if named else _DRIVERS:
        environment = os.environ | {"MUJOCO_GL": driver, "OMP_NUM_THREADS": "1"}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))  # for custom environments
        command = [sys.executable, "-m", "drex.report.video", str(run.path), str(file), run.task]
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT)
        except subprocess.TimeoutExpired:
            return f"no video: rendering took more than {_TIMEOUT:.0f} seconds"
        if done.returncode == 0 and file.is_file():
            return None
        lines = done.stderr.strip().splitlines()
        reason = f"{driver}: {lines[-1] if lines else f'exit status {done.returncode}'}"
    return f"no video: no driver renders here ({reason})"


def render(run: FinishedRun, file: Path) -> None:
    """Render the panels in this process and write them in two columns."""
    environment = _make(run.task_to_make())
    rate = float(environment.metadata.get("render_fps") or _FRAMES_PER_SECOND)
    stride = max(1, round(rate / _FRAMES_PER_SECOND))
    frames = round((GAME_SECONDS if is_atari(run.task) else SECONDS) * rate / stride)
    panels = [list(panel) for panel in _panels(run, environment, stride, frames)]
    environment.close()
    shown = min(frames, max(map(len, panels)))
    width, height = 2 * PANEL[0], (len(panels) + 1) // 2 * PANEL[1]
    with written_whole(file) as place:
        writer = imageio_ffmpeg.write_frames(
            str(place), (width, height), fps=rate / stride, codec="libx264", macro_block_size=8
        )
        writer.send(None)
        for step in range(shown):
            canvas = np.zeros((height, width, 3), np.uint8)
            for index, panel in enumerate(panels):
                top, left = (index // 2) * PANEL[1], (index % 2) * PANEL[0]
                # after its end an episode shows its last frame
                canvas[top : top + PANEL[1], left : left + PANEL[0]] = panel[min(step, len(panel) - 1)]
            writer.send(canvas.tobytes())
        writer.close()


def _panels(
    run: FinishedRun, environment: gymnasium.Env[Any, Any], stride: int, frames: int
) -> Iterator[Iterator[Frame]]:
    """The frames of each panel; the policies act as in the evaluation."""
    seed = int(run.evaluation["seed"])
    spaces = environment.observation_space, environment.action_space
    demonstrations = load_demonstrations(DEMONSTRATIONS.file(run.path)).trajectories
    longest = demonstrations.select([int(np.argmax(demonstrations.lengths))])
    skipped = _skipped_positions(environment, longest)
    if skipped is not None:
        yield _replay(environment, longest, skipped, (stride, frames))
    elif are_images(longest.observations):
        yield _recorded(environment, longest, (stride, frames))
    actors: dict[str, Policy] = {"uniform random": uniform(environment.action_space, seed=seed)}
    clone = CLONE.folder(run.path)
    if clone.is_dir():
        actors["behavioral clone"] = deterministic(load_policy(clone, *spaces))
    name = METHODS.get(run.evaluation["method"], run.evaluation["method"])
    actors[name] = as_callable(load_trained(POLICY.folder(run.path), *spaces), seed=seed)
    for name, policy in actors.items():
        yield _act(environment, policy, name, seed, (stride, frames))


def _act(
    environment: gymnasium.Env[Any, Any], policy: Policy, name: str, seed: int, timing: tuple[int, int]
) -> Iterator[Frame]:
    """One episode of a policy."""
    stride, frames = timing
    observation, _ = environment.reset(seed=seed)
    over = False
    for step in range(stride * frames):
        if step % stride == 0 or over:
            caption = f"{name}   step {step}" + ("   (ended)" if over else "")
            yield _captioned(environment.render(), caption)
        if over:
            return
        action = policy(np.asarray(observation)[None])[0]
        observation, _, terminated, truncated, _ = environment.step(action)
        over = bool(terminated or truncated)


def _skipped_positions(environment: gymnasium.Env[Any, Any], demonstration: Trajectories) -> int | None:
    """Leading positions that MuJoCo observations omit; ``None`` if they do not determine the state."""
    structure = getattr(environment.unwrapped, "observation_structure", None)
    if not isinstance(structure, dict) or "skipped_qpos" not in structure:
        return None
    if environment.observation_space != environment.unwrapped.observation_space:
        return None  # changed by wrappers
    model = cast("Any", environment.unwrapped).model
    skipped = int(structure["skipped_qpos"])
    whole = skipped + structure.get("qpos", 0) == model.nq and structure.get("qvel", 0) == model.nv
    wide = demonstration.observations.shape[1] >= model.nq - skipped + model.nv
    return skipped if whole and wide else None


def _replay(
    environment: gymnasium.Env[Any, Any], demonstration: Trajectories, skipped: int, timing: tuple[int, int]
) -> Iterator[Frame]:
    """A demonstration rendered from its observations; skipped positions are integrated velocities."""
    stride, frames = timing
    task = cast("Any", environment.unwrapped)
    positions, velocities = task.model.nq - skipped, task.model.nv
    observations = np.asarray(demonstration.observations, np.float64)
    length = len(observations)
    speeds = observations[:, positions : positions + velocities]
    places = np.cumsum(speeds[:, :skipped], axis=0) * task.dt
    environment.reset(seed=0)
    for step in [*range(0, min(length, stride * frames), stride), length - 1][:frames]:
        state = np.concatenate([places[step], observations[step, :positions]])
        task.set_state(state, speeds[step])
        over = "   (ended)" if step == length - 1 else ""
        yield _captioned(environment.render(), f"demonstrator, replayed   step {step}{over}")


def _recorded(
    environment: gymnasium.Env[Any, Any], demonstration: Trajectories, timing: tuple[int, int]
) -> Iterator[Frame]:
    """The newest frames of a demonstration, or the screens of the game if the emulator reproduces it."""
    stride, frames = timing
    last, steps = len(demonstration.actions) - 1, slice(0, stride * frames)
    seen, actions = demonstration.observations[steps], demonstration.actions[steps]
    screens = environment.replay(seen, actions) if isinstance(environment, AtariScreen) else None
    caption = "demonstrator, as recorded" if screens is None else "demonstrator, played again"
    for step in range(0, len(seen), stride):
        over = "   (ended)" if step == last else ""
        shown = np.repeat(seen[step, -1][..., None], 3, axis=-1) if screens is None else screens[step]
        yield _captioned(shown, f"{caption}   step {step}{over}")


def _captioned(frame: Any, words: str) -> Frame:  # noqa: ANN401 (what an environment renders)
    """The frame in the size of the panel, with a caption on a dark bar at the top, above high frames."""
    picture = Image.fromarray(np.asarray(frame, np.uint8))
    image = Image.new("RGB", PANEL)
    top = _BAR if picture.height >= picture.width else 0  # games show the score at the top
    image.paste(ImageOps.pad(picture, (PANEL[0], PANEL[1] - top)), (0, top))
    drawing = ImageDraw.Draw(image)
    drawing.rectangle((0, 0, PANEL[0], _BAR), fill=(20, 20, 20))
    drawing.text((6, 4), words, fill=(255, 255, 255))
    return np.asarray(image, np.uint8)


def _make(task: str) -> gymnasium.Env[Any, Any]:
    if is_atari(task):
        return AtariScreen(task)
    try:
        # the default camera may not follow the walker
        environment = build_environment(
            task, render_mode="rgb_array", width=PANEL[0], height=PANEL[1], camera_name="track"
        )
    except TypeError:  # only MuJoCo's tasks take these
        return build_environment(task, render_mode="rgb_array")
    model = getattr(environment.unwrapped, "model", None)
    if model is not None and hasattr(model, "vis"):
        # without a GPU, shadows and antialiasing take nine tenths of the time
        model.vis.quality.shadowsize = model.vis.quality.offsamples = 0
    return environment


def _render_modes(task: str) -> list[str]:
    if is_atari(task):
        return ["rgb_array"]
    environment = build_environment(task)
    environment.close()
    return list(environment.metadata.get("render_modes", []))


if __name__ == "__main__":
    render(read_finished_run(sys.argv[1], task=sys.argv[3]), Path(sys.argv[2]))
