"""The tables of a run, made from ``evaluation.json``, for terminal, Markdown and HTML."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drex.files.run_layout import CONTROLS, stage_labels
from drex.rankings.rollout_policy import RolloutPolicyChoice
from drex.report.finished_run import METHODS
from drex.selection.choice import Candidate, PolicyChoice

UNKNOWN = "unknown"
"""For null in ``evaluation.json``."""
_ANSWERS = {True: "yes", False: "no", None: UNKNOWN}


@dataclass(frozen=True)
class Table:
    """Rows of words; the first column is left-aligned, the others right-aligned.

    Args:
        title: the quantity shown, with its unit.
        columns: the headings.
        rows: one word for each column.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self) -> str:
        """For a terminal: aligned by spaces."""
        lines = (self.columns, *self.rows)
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.columns))]
        layout = "  ".join([f"{{:<{widths[0]}}}", *(f"{{:>{width}}}" for width in widths[1:])])
        aligned = [layout.format(*line).rstrip() for line in lines]
        return "\n".join([self.title, aligned[0], "-" * (sum(widths) + 2 * (len(widths) - 1)), *aligned[1:]])

    def markdown(self) -> str:
        """For a README."""
        rule = "|".join(["---", *["---:"] * (len(self.columns) - 1)])
        rows = ["| " + " | ".join(row) + " |" for row in (self.columns, *self.rows)]
        return "\n".join([rows[0], f"|{rule}|", *rows[1:]])

    def html(self) -> str:
        """For the report."""
        head = "".join(f"<th>{html.escape(word)}</th>" for word in self.columns)
        cells = ("".join(f"<td>{html.escape(word)}</td>" for word in row) for row in self.rows)
        rows = "\n".join(f"<tr>{row}</tr>" for row in cells)
        caption = html.escape(self.title)
        return f"<table>\n<caption>{caption}</caption>\n<tr>{head}</tr>\n{rows}\n</table>"


def tables(evaluation: Mapping[str, Any]) -> list[Table]:
    """All tables of a run: returns, findings, what was said beforehand, the choice of the policy, seconds."""
    found = [returns_table(evaluation), findings_table(evaluation)]
    if evaluation.get("diagnosis"):
        found.append(diagnosis_table(evaluation))
    if evaluation.get("returned", {}).get("ratings"):
        found.append(choice_table(evaluation))
    return [*found, seconds_table(evaluation)]


def returns_table(evaluation: Mapping[str, Any]) -> Table:
    """True returns of demonstrator, random policy, clone, baselines and policy, if known."""
    method = METHODS.get(evaluation["method"], evaluation["method"])
    return Table(
        f"True return per episode: {method} on {evaluation['task']}, seed {evaluation['seed']}",
        ("policy", "mean", "best", "95% interval of the mean", "episodes", "steps per episode"),
        tuple(
            (
                name,
                number(found.get("mean")),
                number(found.get("best")),
                interval(found.get("interval")),
                str(found["episodes"]),
                number(found["length"]) if "length" in found else "",
            )
            for name, found in evaluated_policies(evaluation, f"{method}: {_returned(evaluation)}")
        ),
    )


def evaluated_policies(evaluation: Mapping[str, Any], returned: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Name and true returns of each policy of a run; ``returned`` names the one that it returns."""
    found: list[tuple[str, Mapping[str, Any] | None]] = [
        ("demonstrator", evaluation["demonstrator"]),
        ("uniform random", evaluation.get("random")),
        ("greedy clone", evaluation.get("bc")),
        ("sampling clone", evaluation.get("bc_stochastic")),
        *((CONTROLS.get(name, name), found) for name, found in evaluation.get("controls", {}).items()),
        ("trained policy, sampling", evaluation.get("trained")),
        ("trained policy, greedy", evaluation.get("trained_deterministic")),
        (returned, evaluation["policy"]),
    ]
    return [(name, facts) for name, facts in found if facts is not None]


def _returned(evaluation: Mapping[str, Any]) -> str:
    """The returned policy: ``clone, greedy`` or ``trained for 600,000 steps, sampling``."""
    chosen = evaluation.get("returned")
    return "policy" if chosen is None else Candidate(**chosen["returned"]).label


def findings_table(evaluation: Mapping[str, Any]) -> Table:
    """Comparison with the best demonstration, size of the ranking, and accuracy of the reward."""
    reward, ranking = evaluation["reward"], evaluation.get("ranking", {})
    counted = f" ({reward['held_out_pairs']:,} comparisons)" if reward.get("held_out_pairs") else ""
    rollout_policy: list[tuple[str, str]] = []
    if ranking.get("rollout_policy") is not None:
        choice = RolloutPolicyChoice(**ranking["rollout_policy"])
        names, steps = ", ".join(choice.steps()), ", ".join(map(number, choice.steps().values()))
        rollout_policy = [
            ("noise injected into", f"{choice.actions} clone"),
            (f"steps per episode: {names}", steps),
        ]
    return Table(
        "Findings",
        ("quantity", "value"),
        (
            ("mean return above the best demonstration", _ANSWERS[evaluation["beats_best_demonstration"]]),
            *rollout_policy,
            (f"preferences, from {ranking.get('source', UNKNOWN)}", number(ranking.get("pairs"))),
            ("contradicted by other preferences", percent(ranking.get("contradictions"))),
            ("pair accuracy of the learned reward", percent(reward["pair_accuracy"])),
            (f"held-out pair accuracy{counted}", percent(reward.get("held_out_accuracy"))),
            ("Kendall tau of learned and true return, ranked trajectories", number(reward["kendall_tau"], 2)),
            ("Pearson correlation of learned and true return", number(reward["pearson"], 2)),
            (
                "Pearson correlation of learned and true reward, per step",
                number(reward.get("step_pearson"), 2),
            ),
            ("distance of learned and true reward, from 0 to 1 (STARC)", number(reward.get("distance"), 2)),
            ("environment steps for learning", f"{evaluation['environment_steps']:,}"),
        ),
    )


def diagnosis_table(evaluation: Mapping[str, Any]) -> Table:
    """What was seen without the true reward, before the policy was trained."""
    return Table(
        "Diagnosis, before the policy was trained",
        ("light", "of", "finding"),
        tuple(
            (found["light"], found["name"], " ".join(filter(None, (found["sentence"], found["advice"]))))
            for found in evaluation["diagnosis"]
        ),
    )


def choice_table(evaluation: Mapping[str, Any]) -> Table:
    """The candidates for the returned policy, and each judge's gain over the better clone."""
    choice = PolicyChoice.from_json(evaluation["returned"])
    judges = list(choice.ratings[0].gains)
    rows = tuple(
        (
            f"{rating.candidate.label}{' (returned)' if rating.candidate == choice.returned else ''}",
            *(f"{rating.gains[judge]:+.0%}" for judge in judges),
            f"{rating.lower:+.0%}",
            f"{rating.learned:+.0%}",
            number(rating.length),
        )
        for rating in choice.ratings
    )
    head = (
        "candidate",
        *(f"judge of {judge}" for judge in judges),
        "at least",
        "learned reward",
        "steps per episode",
    )
    return Table(f"Choice: {choice.reason}", head, rows)


def seconds_table(evaluation: Mapping[str, Any]) -> Table:
    """Wall time of each stage, in the order of the method, and their sum."""
    seconds = evaluation["seconds"]
    rows = [(label, number(seconds[name], 1)) for name, label in stage_labels().items() if name in seconds]
    total = ("total", number(sum(seconds.values()), 1))
    return Table("Wall time per stage", ("stage", "seconds"), (*rows, total))


def number(value: float | None, digits: int = 0) -> str:
    """Rounded to this many decimals; ``UNKNOWN`` for null."""
    if value is None:
        return UNKNOWN
    rounded = f"{value:,.{digits}f}"
    return rounded.removeprefix("-") if float(rounded.replace(",", "")) == 0 else rounded


def interval(bounds: tuple[float, float] | None) -> str:
    """``low to high``; ``UNKNOWN`` for null."""
    return UNKNOWN if bounds is None else f"{number(bounds[0])} to {number(bounds[1])}"


def percent(share: float | None) -> str:
    """A share from 0 to 1 as percent; ``UNKNOWN`` for null."""
    return UNKNOWN if share is None else f"{share:.1%}"
