"""A finding of the diagnosis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from drex.errors import UserError
from drex.files.atomic import read_json
from drex.files.run_layout import DIAGNOSIS

Light = Literal["green", "yellow", "red"]
"""Fine; doubtful; expect the policy to be no better than the clone."""


@dataclass(frozen=True)
class Finding:
    """One sign.

    Args:
        name: what is looked at.
        light: green, yellow or red.
        value: the number behind the light.
        sentence: what was found.
        advice: what to do; empty if nothing.
        one_kind: whether it is of one kind of noise among others.
    """

    name: str
    light: Light
    value: float
    sentence: str
    advice: str = ""
    one_kind: bool = False

    @classmethod
    def graded(
        cls, name: str, value: float, thresholds: tuple[float, float], sentence: str, advice: str
    ) -> Finding:
        """With the light of ``light_of``, and the advice unless it is green."""
        light = light_of(value, *thresholds)
        return cls(name, light, value, sentence, "" if light == "green" else advice)

    def to_json(self) -> dict[str, Any]:
        """For ``diagnosis.json`` and ``evaluation.json``."""
        return asdict(self)

    def line(self) -> str:
        """For the terminal: ``[red] survival: ...``."""
        advice = f" {self.advice}" if self.advice else ""
        return f"[{self.light}] {self.name}: {self.sentence}{advice}"


def doubts_of(findings: Sequence[Finding]) -> list[str]:
    """The sentences for which no learned reward is trusted: those of red lights.

    A kind of noise that does not show is no reason while another kind does: the reward is learned from that.
    """
    shows = any(finding.one_kind and finding.light != "red" for finding in findings)
    return [each.sentence for each in findings if each.light == "red" and not (each.one_kind and shows)]


def read_findings(run_dir: str | Path) -> list[Finding]:
    """The diagnosis of a run, finished or not.

    Raises:
        UserError: the folder holds no diagnosis.
    """
    file = DIAGNOSIS.file(Path(run_dir))
    if not file.is_file():
        advice = "name the task instead, to learn a reward: drex diagnose ENV"
        raise UserError(
            str(run_dir), expected="a run that has learned its reward", found="no diagnosis", do=advice
        )
    return [Finding(**facts) for facts in read_json(file)]


def light_of(value: float, green: float, yellow: float) -> Light:
    """Green from ``green`` on, yellow from ``yellow`` on, else red; lower is better where green is lower."""
    sign = 1 if green > yellow else -1
    return "green" if sign * value >= sign * green else "yellow" if sign * value >= sign * yellow else "red"
