"""One default on many tasks: D-REX, both clones, two baselines and a ceiling; JSON, a table and a figure.

``python -m benchmarks suite`` makes the missing results of the development half; a killed run resumes. The
confirmation half is run once, after every choice has been made: ``--group confirmation``. What was changed
for its sake is confirmed on other tasks: ``--group second``, which needs shimmy and dm_control.
Demonstrations that are not bundled are made by ``--demos`` with the commands in ``TASKS``.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import tyro
from gymnasium.spaces import Discrete

import drex
from benchmarks.runner import (
    DREX,
    RESULTS,
    Experiment,
    RunOptions,
    check_names,
    read_results,
    run_and_show,
)
from drex.comparison.statistics import estimate, interquartile_mean
from drex.errors import UserError

Group = Literal["development", "confirmation", "second", "third", "published"]
DEMONSTRATIONS = Path(__file__).parent / "data" / "suite"
CONTROLS = ("constant", "shuffled_labels", "true_reward")


@dataclass(frozen=True)
class Task:
    """One task of the suite.

    Args:
        id: for gymnasium.
        group: half of the suite, or the tasks that were looked at by hand before.
        make: options of ``drex demos make`` after the task, which trained the demonstrator; none if bundled.
        options: further options of every command on the task.
        scripted: whether the demonstrator is ``rock`` instead.
        published: file of the demonstrations published with D-REX, which are not part of this repository.
    """

    id: str
    group: Group
    make: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    scripted: bool = False
    published: str | None = None

    @property
    def name(self) -> str:
        """Names files."""
        name = self.id.rsplit(":", 1)[-1].replace("/", "-")
        return name if self.published is None else f"{name}-paper-demonstrations"

    @property
    def demonstrations(self) -> Path | None:
        """The file of its demonstrations; ``None`` if they are bundled."""
        return DEMONSTRATIONS / f"{self.name}.npz" if self.make or self.scripted else None


_UNSCALED = ("--reward-scale", "1.0")
_FLAT = ("--wrappers", "gymnasium.wrappers:FlattenObservation")
_DM = ("--env-kwargs", '{"max_episode_steps": 1000}', *_FLAT)

TASKS = (
    Task("HalfCheetah-v5", "development"),
    Task("Hopper-v5", "development"),
    Task("Walker2d-v5", "development"),
    Task("Ant-v5", "development"),
    Task("Swimmer-v5", "development"),
    Task("Reacher-v5", "development", ("--target-return", "-14", *_UNSCALED)),
    Task("Pusher-v5", "development", ("--target-return", "-58", *_UNSCALED)),
    Task("Acrobot-v1", "development", ("--target-return", "-150")),
    Task("LunarLander-v3", "development", ("--target-return", "0")),
    Task(
        "gymnasium_robotics:PointMaze_UMaze-v3",
        "development",
        ("--target-return", "40", *_UNSCALED),
        ("--env-kwargs", '{"continuing_task": true, "max_episode_steps": 200}', *_FLAT),
    ),
    Task("InvertedPendulum-v5", "confirmation", ("--target-return", "40")),
    Task("Pendulum-v1", "confirmation", ("--target-return", "-900")),
    Task("LunarLanderContinuous-v3", "confirmation", ("--target-return", "0")),
    Task("MountainCarContinuous-v0", "confirmation", scripted=True),
    Task("HumanoidStandup-v5", "confirmation", ("--target-return", "60000", "--episodes", "3")),
    Task("Humanoid-v5", "confirmation", ("--target-return", "350")),
    Task("gymnasium_robotics:AdroitHandPen-v1", "confirmation", ("--target-return", "-200")),
    Task("gymnasium_robotics:AdroitHandDoor-v1", "confirmation", ("--target-return", "-35")),
    Task(
        "minigrid:MiniGrid-Empty-8x8-v0",
        "confirmation",
        ("--target-return", "0.5", *_UNSCALED),
        ("--wrappers", "minigrid.wrappers:ImgObsWrapper", "gymnasium.wrappers:FlattenObservation"),
    ),
    *(
        Task(f"shimmy:dm_control/{name}-v0", "second", ("--target-return", target, *_UNSCALED), _DM)
        for name, target in (
            ("cartpole-swingup", "300"),
            ("walker-walk", "300"),
            ("cheetah-run", "150"),
            ("finger-spin", "200"),
            ("reacher-easy", "300"),
            ("fish-swim", "150"),
            ("point_mass-easy", "300"),
        )
    ),
    Task("MountainCar-v0", "second", scripted=True),
    Task("BipedalWalkerHardcore-v3", "second", ("--target-return", "-60")),
    Task("InvertedDoublePendulum-v5", "third", ("--target-return", "2000")),
    Task("CartPole-v1", "third", ("--target-return", "150")),
    Task("BipedalWalker-v3", "third", ("--target-return", "100")),
    Task("HalfCheetah-v5", "published", published="drex-paper-HalfCheetah-v2.npz"),
    Task("Hopper-v5", "published", published="drex-paper-Hopper-v2.npz"),
)
"""All tasks, with the commands that made their demonstrations."""
GROUPS = {task.name: task.group for task in TASKS}
"""The group of each task, in the order of the tables."""


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions):
    """Run the suite where results are missing, and print the table."""

    group: Group = "development"
    """Tasks to run: development; confirmation; third (looked at by hand before); or published (with
    demonstrations of the D-REX authors)."""
    tasks: tuple[str, ...] = ()
    """Ids of some tasks of the group; none takes all."""
    control_seeds: tuple[int, ...] = (0,)
    """Seeds for which the baselines and the ceiling are trained."""
    demos: bool = False
    """Only make the demonstrations that are missing."""
    paper_demos: Path | None = None
    """Group published: folder with drex-paper-HalfCheetah-v2.npz and drex-paper-Hopper-v2.npz."""


def chosen(options: Options) -> list[Task]:
    """The tasks that the options ask for; UserError for one that is not of the group."""
    group = [task for task in TASKS if task.group == options.group]
    check_names("--tasks", options.tasks, [task.id for task in group])
    return [task for task in group if not options.tasks or task.id in options.tasks]


def experiments(options: Options) -> Iterator[Experiment]:
    """Every run that the options ask for."""
    for seed in options.seeds:
        controls = ("--controls", *CONTROLS) if seed in options.control_seeds else ()
        for task in chosen(options):
            file = task.demonstrations
            if task.published is not None:
                if options.paper_demos is None:
                    raise UserError("paper_demos", expected="a folder", found="none")
                file = options.paper_demos / task.published
            yield Experiment(task.name, task.id, seed, (*task.options, *controls), file)


def rock(seed: int, *, discrete: bool) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]]:
    """A demonstrator of MountainCar and MountainCarContinuous, where PPO from nothing never finds the flag.

    It pushes along the velocity, and half of the time at random.

    Args:
        seed: of the random half.
        discrete: push by 0 (left) and 2 (right).
    """
    rng = np.random.default_rng(seed)

    def policy(observations: npt.NDArray[Any]) -> npt.NDArray[Any]:
        along = np.sign(observations[:, 1:]).astype(np.float32)
        noise = rng.uniform(-1.0, 1.0, along.shape).astype(np.float32)
        chosen: npt.NDArray[np.float32] = np.where(rng.random(along.shape) < 0.5, noise, along)
        return np.where(chosen[:, 0] > 0, 2, 0) if discrete else chosen

    return policy


def make_demonstrations(task: Task) -> None:
    """Train the demonstrator of a task and record it; the file holds the command."""
    file = task.demonstrations
    if file is None or file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    if task.scripted:
        environments = drex.make_environments(task.id, 10, seed=0)
        policy = rock(seed=0, discrete=isinstance(environments.action_space, Discrete))
        trajectories, returns = drex.collect(policy, environments, 10, seed=0)
        about = {"command": f"python -m benchmarks suite --group {task.group} --demos", "policy": "scripted"}
        rewards = returns.step_values_for_evaluation()
        drex.save_demonstrations(file, trajectories, rewards=rewards, task=task.id, about=about)
        return
    words = ["demos", "make", task.id, *task.make, *task.options, "--out", file.name]
    subprocess.run([*DREX, *words, "--quiet"], check=True, cwd=file.parent)


# What the results say


def score(value: float, facts: Mapping[str, Any], controlled: Mapping[str, Any]) -> float | None:
    """0 for the demonstrations' mean, 1 for the ceiling; ``None`` without a ceiling above them.

    Args:
        value: a mean return.
        facts: of the run.
        controlled: a run of the task that has the ceiling.
    """
    ceiling, low = controlled["controls"].get("true_reward"), facts["demonstrator"]["mean"]
    if ceiling is None or ceiling["mean"] <= low:
        return None
    return float((value - low) / (ceiling["mean"] - low))


def better_clone(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The clone, greedy or sampling, with the higher mean."""
    clones: list[dict[str, Any]] = [facts["bc"], facts["bc_stochastic"]]
    return max(clones, key=lambda clone: float(clone["mean"]))


@dataclass(frozen=True)
class Verdict:
    """One task, over its seeds.

    Args:
        name: of the task.
        above_best: the mean of the returned policies is above the best demonstration.
        no_harm: none of them is below the better clone by more than both intervals.
        above_clones: the mean is above that of the better clones.
        above_baselines: the policy is above both baselines wherever they were trained.
        red: seeds with a red light before PPO.
    """

    name: str
    above_best: bool
    no_harm: bool
    above_clones: bool
    above_baselines: bool | None
    red: int


def verdict(seeds: Sequence[Mapping[str, Any]]) -> Verdict:
    """The questions of the suite for one task."""
    returned = fmean(facts["policy"]["mean"] for facts in seeds)
    harmless = [facts["policy"]["interval"][1] >= better_clone(facts)["interval"][0] for facts in seeds]
    baselines = [
        facts["policy"]["mean"] > max(facts["controls"][name]["mean"] for name in CONTROLS[:2])
        for facts in seeds
        if "constant" in facts["controls"]
    ]
    return Verdict(
        seeds[0]["name"],
        returned > seeds[0]["demonstrator"]["best"],
        all(harmless),
        returned > fmean(better_clone(facts)["mean"] for facts in seeds),
        all(baselines) if baselines else None,
        sum(map(has_red_light, seeds)),
    )


def better_trained(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The policy at the end of training, greedy or sampling, with the higher mean."""
    trained: list[dict[str, Any]] = [facts["trained"], facts["trained_deterministic"]]
    return max(trained, key=lambda policy: float(policy["mean"]))


def has_red_light(facts: Mapping[str, Any]) -> bool:
    """Whether the diagnosis had a red light."""
    return any(finding["light"] == "red" for finding in facts["diagnosis"])


def calibration(runs: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    """Runs with a red light, and all runs, among those whose training ended worse and much better.

    Worse: below the better clone by more than both intervals. Much better: above it by more than a fifth.
    """
    worse, better = [], []
    for facts in runs:
        trained, clone = better_trained(facts), better_clone(facts)
        if trained["interval"][1] < clone["interval"][0]:
            worse.append(has_red_light(facts))
        if trained["mean"] > clone["mean"] + 0.2 * abs(clone["mean"]):
            better.append(has_red_light(facts))
    return {"worse": (sum(worse), len(worse)), "better": (sum(better), len(better))}


def by_task(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """All results, by task, in the order of ``TASKS``."""
    found: dict[str, list[dict[str, Any]]] = {task.name: [] for task in TASKS}
    for facts in read_results(folder):
        found[facts["name"]].append(facts)
    return {name: seeds for name, seeds in found.items() if seeds}


def table(folder: Path) -> str:
    """The results as markdown tables: a row for each run, and the counts of each group."""
    found = by_task(folder)
    head = (
        "| task | seed | demonstrations' mean / best | clone greedy / sampling | trained sampling / greedy "
        "| **returned** [95%] | which | constant | shuffled labels | true reward | red lights |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|"
    )
    parts = []
    for group in dict.fromkeys(GROUPS.values()):
        names = [name for name in found if GROUPS[name] == group]
        if names:
            rows = [_row(facts) for name in names for facts in found[name]]
            parts.append("\n".join([f"**{group}**\n\n{head}", *rows, "", _counts([found[n] for n in names])]))
    return "\n\n".join(parts)


def _row(facts: Mapping[str, Any]) -> str:
    def mean(found: Mapping[str, Any] | None) -> str:
        return "" if found is None else f"{found['mean']:.4g}"

    demonstrator, (low, high) = facts["demonstrator"], facts["policy"]["interval"]
    returned = facts["returned"]["returned"]
    which = f"{returned['steps']:,} steps" if returned["trained"] else "clone"
    red = [finding["name"] for finding in facts["diagnosis"] if finding["light"] == "red"]
    cells = [
        facts["name"],
        str(facts["seed"]),
        f"{demonstrator['mean']:.4g} / {demonstrator['best']:.4g}",
        f"{mean(facts['bc'])} / {mean(facts['bc_stochastic'])}",
        f"{mean(facts['trained'])} / {mean(facts['trained_deterministic'])}",
        f"**{mean(facts['policy'])}** [{low:.4g}, {high:.4g}]",
        f"{which}, {returned['actions']}",
        *(mean(facts["controls"].get(name)) for name in CONTROLS),
        ", ".join(red),
    ]
    return "| " + " | ".join(cells) + " |"


def _counts(tasks: Sequence[Sequence[Mapping[str, Any]]]) -> str:
    """One sentence for each question."""
    verdicts, count = [verdict(seeds) for seeds in tasks], len(tasks)
    compared = [each.above_baselines for each in verdicts if each.above_baselines is not None]
    lines = [
        f"- above the best demonstration: {sum(v.above_best for v in verdicts)} of {count} tasks",
        f"- never below the better clone by more than the intervals: {sum(v.no_harm for v in verdicts)}",
        f"- above both clones: {sum(v.above_clones for v in verdicts)}",
        f"- above both baselines: {sum(compared)} of {len(compared)}",
    ]
    red = calibration([facts for seeds in tasks for facts in seeds])
    lines += [
        f"- red light where training ended below the clone: {red['worse'][0]} of {red['worse'][1]} runs",
        f"- red light where it ended above by a fifth: {red['better'][0]} of {red['better'][1]} runs",
    ]
    known = {}
    for seeds in tasks:
        scores = [score(facts["policy"]["mean"], facts, seeds[0]) for facts in seeds]
        values = [value for value in scores if value is not None]
        if values:
            known[seeds[0]["name"]] = np.array(values)
    if known:
        found = estimate(known, interquartile_mean)
        lines.append(
            f"- interquartile mean of the scores (demonstrations' mean 0, true reward 1): {found.value:.2f} "
            f"[{found.low:.2f}, {found.high:.2f}]"
        )
    return "\n".join(lines)


def summary(folder: Path) -> str:
    """The results as a short markdown table: one row for each task, means over seeds."""
    head = (
        "| task | seeds | demonstrations' mean / best | better clone | constant reward | shuffled labels | "
        "**returned** (lowest to highest seed) | red lights |\n|---|---|---|---|---|---|---|---|"
    )
    return "\n".join([head, *map(_summary_row, by_task(folder).values())])


def _summary_row(seeds: Sequence[Mapping[str, Any]]) -> str:
    demonstrator, returns = seeds[0]["demonstrator"], [facts["policy"]["mean"] for facts in seeds]
    controls = [facts["controls"] for facts in seeds]
    baselines = [[found[name]["mean"] for found in controls if name in found] for name in CONTROLS[:2]]
    cells = [
        seeds[0]["name"].replace("-paper-demonstrations", " (published)"),
        str(len(seeds)),
        f"{demonstrator['mean']:.4g} / {demonstrator['best']:.4g}",
        f"{fmean(better_clone(facts)['mean'] for facts in seeds):.4g}",
        *(f"{fmean(means):.4g}" if means else "" for means in baselines),
        f"**{fmean(returns):.4g}** ({min(returns):.4g} to {max(returns):.4g})",
        f"{verdict(seeds).red} of {len(seeds)}",
    ]
    return "| " + " | ".join(cells) + " |"


def draw(folder: Path, file: Path) -> None:
    """A figure of all tasks that have a ceiling: the scores of each method, one dot a seed."""
    from matplotlib.figure import Figure

    found = {
        name: seeds for name, seeds in by_task(folder).items() if score(0.0, seeds[0], seeds[0]) is not None
    }
    if not found:
        return
    methods: dict[str, tuple[str, str]] = {
        "bc": ("greedy clone", "tab:gray"),
        "constant": ("constant reward", "tab:olive"),
        "shuffled_labels": ("shuffled labels", "tab:orange"),
        "policy": ("returned", "tab:blue"),
    }
    figure = Figure(figsize=(8, 0.55 * len(found) + 1.4), layout="constrained")
    axes = figure.subplots()
    for row, seeds in enumerate(found.values()):
        for offset, (key, (label, color)) in enumerate(methods.items()):
            scores: list[float] = []
            for facts in seeds:
                mean = facts.get(key) or facts["controls"].get(key)
                reached = None if mean is None else score(mean["mean"], facts, seeds[0])
                scores += [] if reached is None else [reached]
            heights = [row + 0.18 * (offset - 1.5)] * len(scores)
            axes.plot(scores, heights, "o", color=color, alpha=0.8, label=label if row == 0 else None)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.axvline(1, color="black", linewidth=0.8, linestyle="--")
    axes.set_xscale("symlog", linthresh=1.0)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_yticks(range(len(found)), list(found))
    axes.invert_yaxis()
    axes.set_xlabel("score: demonstrations' mean 0, true reward from the same start 1")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False)
    figure.savefig(file, dpi=130)


def draw_bundled(folder: Path, file: Path) -> None:
    """A figure of the tasks with bundled demonstrations: returns in units of the best demonstration's.

    A bar is the mean over seeds, its line reaches from the lowest to the highest.
    """
    from matplotlib.figure import Figure

    tasks = [task.name for task in TASKS if task.demonstrations is None and task.published is None]
    found = {name: seeds for name, seeds in by_task(folder).items() if name in tasks}
    if not found:
        return
    bars: dict[str, tuple[str, Callable[[Mapping[str, Any]], Mapping[str, Any] | None]]] = {
        "demonstrations, mean": ("0.75", lambda facts: facts["demonstrator"]),
        "better clone": ("tab:gray", better_clone),
        "D-REX": ("tab:blue", lambda facts: facts["policy"]),
        "true reward, same start": ("tab:green", lambda facts: facts["controls"].get("true_reward")),
    }
    figure = Figure(figsize=(8.5, 3.2), layout="constrained")
    axes = figure.subplots()
    for place, (label, (color, facts_of)) in enumerate(bars.items()):
        for column, seeds in enumerate(found.values()):
            best = seeds[0]["demonstrator"]["best"]
            means = [each["mean"] / best for facts in seeds if (each := facts_of(facts)) is not None]
            if means:
                x, middle = column + 0.2 * (place - 1.5), fmean(means)
                errors = [[max(middle - min(means), 0.0)], [max(max(means) - middle, 0.0)]]
                name = label if column == 0 else None
                axes.bar(x, middle, 0.2, color=color, yerr=errors, capsize=2, label=name)
    axes.axhline(1, color="black", linewidth=0.8, linestyle="--")
    axes.set_xticks(range(len(found)), [name.removesuffix("-v5") for name in found])
    axes.set_yscale("log", base=2)
    axes.set_ylim(bottom=0.25)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylabel("return / best demonstration")
    axes.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=9)
    figure.savefig(file, dpi=130)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for, print the table and draw the figure."""
    options = tyro.cli(Options, args=arguments, description=__doc__)
    for task in chosen(options):
        if not options.table:
            make_demonstrations(task)
    if options.demos:
        return
    run_and_show("suite", experiments(options), options, table)
    draw(RESULTS / "suite", RESULTS / "suite.png")
    draw_bundled(RESULTS / "suite", RESULTS / "bundled.png")


if __name__ == "__main__":
    main()
