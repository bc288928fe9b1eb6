"""Checks around a user's environment: observations and actions are copied, faults become one sentence."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

import gymnasium
import numpy as np
import numpy.typing as npt

from drex.errors import UserError

Given = TypeVar("Given")

PATIENCE = 60.0
"""Seconds after which the log names the environment that the process waits for."""
_LOG = logging.getLogger("drex")


class CheckedEnv(gymnasium.Wrapper[npt.NDArray[Any], Any, npt.NDArray[Any], Any]):
    """One environment with copied observations and actions, whose faults are one sentence.

    Observations are copied, since an environment may return its internal buffer and overwrite it at the next
    reset; actions are copied, since it may change them in place. ``info`` is dropped: it may hold parts of
    the true reward, and entries of varying form break vectorized environments.

    Args:
        environment: its observations are a Box.
        task: its name, for messages.

    Raises:
        UserError: by ``reset`` and ``step``: an exception or exit inside the environment, another form than
            gymnasium's, or an observation that is not finite or of another shape.
    """

    def __init__(self, environment: gymnasium.Env[Any, Any], task: str) -> None:
        super().__init__(environment)
        self._task, self._episode, self._step = task, 0, 0
        self._shape = environment.observation_space.shape or ()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        """Start an episode."""
        self._episode, self._step = self._episode + 1, 0
        given = self._call("reset", lambda: self.env.reset(seed=seed, options=options))
        if not isinstance(given, tuple) or len(given) != 2:
            raise self._wrong("reset to return (observation, info)", _form(given))
        return self._checked(given[0]), {}

    def step(self, action: Any) -> tuple[npt.NDArray[Any], float, bool, bool, dict[str, Any]]:  # noqa: ANN401
        """Take an action."""
        self._step += 1
        given = self._call("step", lambda: self.env.step(np.array(action)[()]))
        if not isinstance(given, tuple) or len(given) != 5:
            expected = "step to return (observation, reward, terminated, truncated, info)"
            raise self._wrong(expected, _form(given))
        values = [np.asarray(value) for value in given[1:4]]
        if any(value.size != 1 or value.dtype.kind not in "fiub" for value in values):
            raise self._wrong("one reward and two flags", ", ".join(map(repr, given[1:4])))
        reward, terminated, truncated = (value.item() for value in values)
        return self._checked(given[0]), float(reward), bool(terminated), bool(truncated), {}

    def close(self) -> None:
        """Close; an error is logged alone, since no result is lost."""
        try:
            self.env.close()
        except Exception:
            _LOG.warning("%s: close failed", self._task, exc_info=True)

    def _call(self, method: str, call: Callable[[], Given]) -> Given:
        _WATCHDOG.watch(self, method)
        try:
            return call()
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            found = f"{type(error).__name__}: {error} ({place.filename}, line {place.lineno})"
            raise self._wrong(f"{method} to return", found) from error
        finally:
            _WATCHDOG.inside = None

    def _checked(self, observation: object) -> npt.NDArray[Any]:
        """A copy of the observation."""
        seen = np.array(observation)
        if seen.shape != self._shape:
            raise self._wrong(f"an observation of shape {self._shape}", f"shape {seen.shape}")
        if seen.dtype.kind not in "fiub":
            raise self._wrong("an observation of numbers", str(seen.dtype))
        if seen.dtype.kind == "f" and not np.isfinite(seen).all():
            raise self._wrong("finite observations", "NaN or infinity")
        return seen

    def _wrong(self, expected: str, found: str) -> UserError:
        return UserError(self.place(), expected=expected, found=found)

    def place(self) -> str:
        """Task, episode and step, for messages."""
        return f"task {self._task!r}, episode {self._episode} of this copy, step {self._step}"


class _Watchdog:
    """A thread that names the environment which does not return from ``reset`` or ``step``."""

    def __init__(self) -> None:
        self.inside: tuple[CheckedEnv, str, float] | None = None
        self._thread: threading.Thread | None = None

    def watch(self, environment: CheckedEnv, method: str) -> None:
        self.inside = environment, method, time.monotonic()
        if self._thread is None or not self._thread.is_alive():  # a forked process has no threads
            self._thread = threading.Thread(target=self._watch, daemon=True, name="drex-watchdog")
            self._thread.start()

    def _watch(self) -> None:
        told = None
        while True:
            time.sleep(PATIENCE / 10)
            inside = self.inside
            if inside is None or inside is told or time.monotonic() - inside[2] < PATIENCE:
                continue
            told = inside
            _LOG.warning("%s: %s has not returned for %.3g seconds", inside[0].place(), inside[1], PATIENCE)


_WATCHDOG = _Watchdog()


def _form(given: object) -> str:
    return f"{len(given)} values" if isinstance(given, tuple) else type(given).__name__
