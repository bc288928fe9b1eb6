"""The demonstrations that come with the package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from drex.errors import UserError

_FOLDER = Path(str(resources.files("drex.demonstrations"))) / "bundled_data"


def bundled_demonstrations(task: str) -> Path:
    """The bundled file of demonstrations for a task; UserError if there is none."""
    file = _FOLDER / f"{task.replace('/', '-')}.npz"
    if not file.is_file():
        where, tasks = f"demonstrations for {task}", ", ".join(bundled_tasks()) or "none"
        expected = f"a bundled file, of which there are: {tasks}"
        advice = "bring your own with --demos FILE, or make some with: drex demos make"
        raise UserError(where, expected=expected, found="none for this task", do=advice)
    return file


def bundled_tasks() -> list[str]:
    """Tasks with bundled demonstrations."""
    return sorted(file.stem.replace("ALE-", "ALE/") for file in _FOLDER.glob("*.npz"))
