"""Results that were made with other settings than their command has today: ``python -m benchmarks stale``."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from benchmarks.runner import RESULTS, STALE
from drex.cli.run_options import parse_run_options
from drex.files.dataclass_json import settings_to_json

FOLDERS = ("suite", "trex", "ablations", "atari")
"""Of the results of ``drex run`` commands."""

OF_THE_PROCESSOR = "policy.image_precision"
"""The setting that presets take from the processor, which need not be that of the result."""


def results() -> Iterator[tuple[str, dict[str, Any]]]:
    """What each run found, by its label."""
    for folder in FOLDERS:
        for file in sorted((RESULTS / folder).glob("*.json")):
            yield file.stem, json.loads(file.read_text())


def settings_today(command: str) -> dict[str, Any]:
    """The settings that a ``drex run`` command has with today's presets, as JSON.

    Raises:
        UserError: the command has an option that is refused today.
        SystemExit: the command has an option that there is no more.
    """
    _, _, task, *words = shlex.split(re.sub(r" --seed \d+", "", command))
    return _settings(task, tuple(words))


@cache
def _settings(task: str, words: tuple[str, ...]) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(json.dumps(settings_to_json(parse_run_options(task, words).settings)))
    return read


def differences(then: Mapping[str, Any], now: Mapping[str, Any], above: str = "") -> list[str]:
    """The fields that differ, each as ``learner.gamma: 0.99, today 0.98``; one side may lack a field."""
    found = []
    for name in sorted({*then, *now}):
        was, is_ = then.get(name), now.get(name)
        if isinstance(was, dict) and isinstance(is_, dict):
            found += differences(was, is_, f"{above}{name}.")
        elif was != is_ or (name in then) != (name in now):
            shown = [json.dumps(side[name]) if name in side else "absent" for side in (then, now)]
            found.append(f"{above}{name}: {shown[0]}, today {shown[1]}")
    return found


def stale_results() -> dict[str, list[str]]:
    """Results whose settings are no longer those of their command, and the fields that differ."""
    found = {}
    for label, facts in results():
        changed = differences(facts["settings"], settings_today(facts["command"]))
        changed = [field for field in changed if not field.startswith(f"{OF_THE_PROCESSOR}: ")]
        if changed:
            found[label] = changed
    return found


if __name__ == "__main__":
    for label, changed in stale_results().items():
        print(f"{label}: {'; '.join(changed)} ({STALE.get(label, 'not listed')})")
