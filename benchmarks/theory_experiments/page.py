"""One look for all theory figures: the claim as title, panels, and a caption that says what was measured."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, GREY = "#2166ac", "#e08214", "#1b7837", "#b2182b", "#7f7f7f"
BY_DIMENSION = {2: "#e08214", 4: "#1b7837", 8: "#2166ac", 16: "#762a83"}

plt.rcParams.update(
    {
        "font.size": 9,
        "axes.titlesize": 9.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "svg.hashsalt": "drex",
        "lines.linewidth": 1.4,
    }
)


def panels(
    columns: int, *, width: float = 11.0, height: float = 3.9, ratios: Sequence[float] = ()
) -> tuple[Figure, list[Axes]]:
    """A row of panels: the figure and its axes."""
    figure, axes = plt.subplots(
        1, columns, figsize=(width, height), gridspec_kw={"width_ratios": list(ratios) or [1] * columns}
    )
    return figure, list(np.atleast_1d(axes))


def save(figure: Figure, folder: Path, name: str, *, claim: str, caption: str) -> list[str]:
    """Set claim above and caption below the panels, write NAME.png and NAME.svg, and name the files."""
    width, height = figure.get_size_inches()
    lines = textwrap.wrap(caption, int(width * 15.6))
    below, above = 0.19 * len(lines) + 0.12, 0.36
    figure.set_size_inches(width, height + below + above)
    total = height + below + above
    figure.tight_layout(rect=(0, below / total, 1, 1 - above / total), w_pad=2.0)
    figure.text(0.012, 1 - 0.1 / total, claim, va="top", fontsize=11.5, fontweight="bold")
    figure.text(0.012, 0.08 / total, "\n".join(lines), va="bottom", fontsize=8.5, linespacing=1.35)
    names = []
    for kind in ("png", "svg"):
        metadata = {"Date": None} if kind == "svg" else {}
        figure.savefig(folder / f"{name}.{kind}", dpi=150, metadata=metadata)
        names.append(f"{name}.{kind}")
    plt.close(figure)
    return names
