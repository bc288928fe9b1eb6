"""Rules of what a run returns, compared on finished runs: each candidate's true and judged returns.

``python -m benchmarks selection RUN ...`` plays every candidate of each run folder, both clones included, and
leaves one JSON file a run in results/selection/; the table is made from these files alone. True returns are
read here to judge the rules; no rule reads them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import numpy as np
import tyro

from benchmarks.runner import RESULTS, machine, read_results
from benchmarks.suite import GROUPS
from drex.agents.policies.saved import as_callable
from drex.agents.rollouts.collect import collect_on
from drex.files.atomic import read_json
from drex.files.dataclass_json import settings_from_json
from drex.files.run_layout import CONFIG, JUDGES, POLICY, RANKED, REWARD
from drex.presets.settings import Settings
from drex.rankings.noisy_rollouts import NoisyRollouts
from drex.report.finished_run import read_finished_run
from drex.rewards.learned_reward import load_reward
from drex.selection.choice import MARGIN, error_of_difference, gain_of
from drex.stages.selection import candidates_of, load_candidate

Facts = Mapping[str, Any]
Play = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Play the candidates of runs, and print what each rule would have returned."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Folders of finished runs; none prints the table of the existing results."""
    task: str | None = None
    """Task of the runs, if it imports code that you trust."""
    episodes: int = 30
    """Episodes of each candidate."""
    results: Path = RESULTS / "selection"
    """Folder of the results."""


def measure(folder: Path, episodes: int, task: str | None = None) -> dict[str, Any]:
    """True and learned returns of the candidates of one run, and what is known without true returns."""
    run = read_finished_run(folder, task=task)
    task, seed, settings = run.task_to_make(), int(run.config["seed"]), run.config["settings"]
    rewards = {"learned": load_reward(REWARD.folder(folder))}
    judges = read_json(JUDGES.folder(folder) / JUDGES.files[0])["judges"]
    rewards |= {j["name"]: load_reward(JUDGES.folder(folder) / f"judge-{i}") for i, j in enumerate(judges)}
    rollouts = NoisyRollouts.load(RANKED.folder(folder))
    noisiest = rollouts.noisiest()
    noise = {judge: reward.returns(noisiest).tolist() for judge, reward in rewards.items()}
    of_judges = {judge["name"]: judge["noisiest"] for judge in judges}  # of their own rollouts
    plays, stream = [], POLICY.seed(seed)  # the episodes that the run's judges saw
    last = settings_from_json(Settings, settings, str(folder / CONFIG)).learner.training_steps
    for candidate in candidates_of(folder, last):
        policy = load_candidate(folder, task, candidate)
        actor = as_callable(policy, seed=None if candidate.actions == "greedy" else stream)
        played, returns = collect_on(task, actor, episodes, seed=stream, environments=min(16, episodes))
        plays.append(
            {
                "policy": str(candidate.steps) if candidate.trained else "clone",
                "actions": candidate.actions,
                "true": returns.values_for_evaluation().tolist(),
                "steps": played.lengths.tolist(),
                "rewards": {judge: reward.returns(played).tolist() for judge, reward in rewards.items()},
            }
        )
    return {
        "name": folder.name,
        "task": task,
        "command": f"python -m benchmarks selection {folder.name} --episodes {episodes}",
        "settings": settings,
        "machine": machine(),
        "demonstrator": run.evaluation["demonstrator"],
        "doubts": [found["name"] for found in run.evaluation["diagnosis"] if found["light"] == "red"],
        "greedy_clone_left_out": settings["ranking"]["rollout_policy"] == "both"
        and not rollouts.greedy.any(),
        "noisiest": noise,
        "noise": {judge: fmean(values) for judge, values in noise.items()} | of_judges,
        "plays": plays,
    }


# Rules

KINDS = frozenset({"uniform noise", "sticky noise"})
"""Lights of the kinds of noise of the default."""


def judges_of(facts: Facts) -> list[str]:
    """Names of the judges."""
    return [name for name in facts["noisiest"] if name != "learned"]


def height(facts: Facts, play: Play, judge: str) -> float:
    """Mean return by a judge above the noisiest rollouts."""
    return fmean(play["rewards"][judge]) - float(facts["noise"][judge])


def clones(facts: Facts, *, all_of_them: bool = False) -> list[Play]:
    """The clones that may be returned: as in a run, without a greedy one that was left out, or both."""
    both = [play for play in facts["plays"] if play["policy"] == "clone"]
    return both[1:] if facts["greedy_clone_left_out"] and not all_of_them else both


def better_clone(facts: Facts, *, all_of_them: bool = False) -> Play:
    """The clone that the judges rate higher."""

    def rated(play: Play) -> float:
        tops = [max(height(facts, each, judge) for each in clones(facts)) for judge in judges_of(facts)]
        heights = [height(facts, play, judge) for judge in judges_of(facts)]
        return fmean(high / max(abs(top), 1e-8) for high, top in zip(heights, tops, strict=True))

    return max(clones(facts, all_of_them=all_of_them), key=rated)


def gain(facts: Facts, play: Play, clone: Play, judge: str) -> float:
    """Gain over the clone less its standard error, in units of the clone's height."""
    ours, theirs = (np.array(each["rewards"][judge]) for each in (play, clone))
    found, error = gain_of(ours, theirs, facts["noise"][judge])
    return found - error


def is_below_noise(facts: Facts, clone: Play) -> bool:
    """Whether a judge rates the clone below the noisiest rollouts of the run, which it has not seen."""
    noise = facts["noisiest"]
    return any(fmean(clone["rewards"][judge]) < fmean(noise[judge]) for judge in judges_of(facts))


def doubted(facts: Facts) -> bool:
    """Whether the diagnosis returns the clone: a red light, but not of one kind of noise of the two alone."""
    red = set(facts["doubts"])
    return bool(red - KINDS or red >= KINDS)


def judged(
    facts: Facts,
    *,
    vetoed: Callable[[Facts], bool] = doubted,
    of_gains: Callable[[Sequence[float]], float] = min,
    both_clones: bool = False,
    with_learned: bool = False,
    margin: float = MARGIN,
    below_noise: bool = False,
) -> Play:
    """The play of what a rule like that of a run returns.

    Args:
        facts: of one run.
        vetoed: whether the diagnosis returns the clone.
        of_gains: the rating, from the gains of all judges.
        both_clones: the greedy clone may be returned though it was left out of the ranking.
        with_learned: the reward that the policy was trained on is a judge, too.
        margin: rating from which the trained policy is returned.
        below_noise: the clone may be returned though a judge rates it below the noisiest rollouts.
    """
    clone = better_clone(facts, all_of_them=both_clones)
    names = [*judges_of(facts), *(["learned"] if with_learned else [])]
    trained: list[Play] = [play for play in facts["plays"] if play["policy"] != "clone"]

    def rated(play: Play) -> float:
        return of_gains([gain(facts, play, clone, judge) for judge in names])

    best = max(trained, key=rated)
    if not below_noise and is_below_noise(facts, clone):
        return trained[-1]
    if vetoed(facts):
        return clone
    return best if rated(best) > margin else clone


def any_red(facts: Facts) -> bool:
    """Whether the diagnosis had a red light."""
    return bool(facts["doubts"])


RULES: dict[str, Callable[[Facts], Play]] = {
    "as in a run": judged,
    "always the clone that judges prefer": better_clone,
    "always the last policy, sampling": lambda facts: facts["plays"][-1],
    "as in a run of the suite": lambda facts: judged(facts, vetoed=any_red, below_noise=True),
    "any red light returns the clone": lambda facts: judged(facts, vetoed=any_red),
    "no clone is too bad to return": lambda facts: judged(facts, below_noise=True),
    "no diagnosis": lambda facts: judged(facts, vetoed=lambda _: False),
    "mean of the judges": lambda facts: judged(facts, of_gains=fmean),
    "best of the judges": lambda facts: judged(facts, of_gains=max),
    "learned reward among the judges": lambda facts: judged(facts, with_learned=True),
    "both clones may be returned": lambda facts: judged(facts, both_clones=True),
    "margin 0.1": lambda facts: judged(facts, margin=0.1),
}
"""What is returned, by its name in the table."""


def table(folder: Path) -> str:
    """A table for each group of the suite: a row for each rule, with what it returns over all runs.

    The regret is the share of the range from the worst to the best candidate, by true return, that the rule
    loses; worse than the clone means by more than both standard errors.
    """
    found: dict[str, list[Facts]] = {}
    for facts in read_results(folder):
        found.setdefault(GROUPS.get(facts["name"].rpartition("-seed")[0], "other"), []).append(facts)
    ordered = [group for group in (*dict.fromkeys(GROUPS.values()), "other") if group in found]
    return "\n\n".join(f"**{group}**\n\n{_rules(found[group])}" for group in ordered)


def _rules(runs: Sequence[Facts]) -> str:
    lines = ["| returned | above the best demonstration | worse than the better clone | mean regret |"]
    lines.append("|---|---|---|---|")
    for name, rule in RULES.items():
        chosen = [(facts, rule(facts)) for facts in runs]
        above = sum(fmean(play["true"]) > facts["demonstrator"]["best"] for facts, play in chosen)
        worse = sum(is_worse(facts, play) for facts, play in chosen)
        regrets = fmean(regret(facts, play) for facts, play in chosen)
        lines.append(f"| {name} | {above} of {len(runs)} | {worse} | {regrets:.3f} |")
    return "\n".join(lines)


def is_worse(facts: Facts, play: Play) -> bool:
    """Whether the true return is below that of the better clone by more than both standard errors."""
    clone = max(clones(facts, all_of_them=True), key=lambda each: fmean(each["true"]))
    ours, theirs = np.array(play["true"]), np.array(clone["true"])
    return bool(ours.mean() < theirs.mean() - error_of_difference(ours, theirs))


def regret(facts: Facts, play: Play) -> float:
    """0 for the best candidate by true return, 1 for the worst."""
    means = [fmean(each["true"]) for each in facts["plays"]]
    spread = max(means) - min(means)
    return (max(means) - fmean(play["true"])) / spread if spread else 0.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the runs named on the command line, and print the table."""
    options = tyro.cli(Options, args=arguments, prog="benchmarks selection", description=__doc__)
    options.results.mkdir(parents=True, exist_ok=True)
    for folder in options.runs:
        facts = measure(folder, options.episodes, options.task)
        (options.results / f"{folder.name}.json").write_text(json.dumps(facts) + "\n")
        print(f"played {folder.name}", flush=True)
    print(table(options.results))


if __name__ == "__main__":
    main()
