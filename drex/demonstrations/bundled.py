"""The demonstrations that come with the package, so that a first run needs no download."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from drex.errors import UserError

_FOLDER = "bundled_data"


def bundled_demonstrations(task: str) -> Path:
    """The bundled file of demonstrations for a task.

    Raises:
        UserError: none is bundled for it.
    """
    file = Path(str(resources.files("drex.demonstrations"))) / _FOLDER / f"{task.replace('/', '-')}.npz"
    if not file.is_file():
        raise UserError(
            f"demonstrations for {task}",
            expected=f"a bundled file, of which there are: {', '.join(bundled_tasks()) or 'none'}",
            found="none for this task",
            do="bring your own with --demos FILE, or make some with: drex demos make",
        )
    return file


def bundled_tasks() -> list[str]:
    """Tasks that have bundled demonstrations."""
    folder = Path(str(resources.files("drex.demonstrations"))) / _FOLDER
    return sorted(file.stem.replace("ALE-", "ALE/") for file in folder.glob("*.npz"))
