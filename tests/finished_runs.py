"""A finished run written by hand, with numbers that tests can foretell, importable by any test."""

from __future__ import annotations

import copy
import json

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from drex.demonstrations.load_and_save import save_demonstrations
from drex.envs.data.trajectories import Trajectories

TASK = "drex-tests/Walk-v0"


def summary(mean, *, best=None, interval=None, episodes=20, length=None):
    found = {"mean": mean, "std": 2.0, "best": best, "interval": interval, "episodes": episodes}
    return found if length is None else found | {"length": length}


EVALUATION = {
    "task": TASK,
    "method": "drex",
    "seed": 3,
    "demonstrator": summary(10.0, best=14.0, interval=[8.0, 12.0], episodes=4),
    "random": summary(1.0, best=3.0, interval=[0.5, 1.5], length=20.0),
    "bc": summary(9.0, best=12.0, interval=[8.5, 9.5], length=29.0),
    "policy": summary(1234.4, best=1300.0, interval=[1200.2, 1250.9], length=30.0),
    "trained_deterministic": summary(1235.0, best=1301.0, interval=[1201.0, 1252.0], length=30.0),
    "controls": {"constant": summary(5.0, best=6.0, interval=[4.0, 5.5], length=30.0)},
    "beats_best_demonstration": True,
    "reward": {
        "kendall_tau": 0.8765,
        "pearson": 0.9,
        "pair_accuracy": 0.975,
        "held_out_accuracy": 0.9,
        "held_out_pairs": 40,
    },
    "ranking": {
        "source": "noise",
        "trajectories": 3,
        "compared": 3,
        "pairs": 1234,
        "contradictions": 0.0,
        "user": [],
    },
    "noise": [
        {"name": "uniform", "level": level, "length": 30.0 - 10 * level, "return": summary(9.0 - 8 * level)}
        for level in (0.0, 0.5, 1.0)
    ],
    "predicted_and_true": {
        "demonstrations": [[2.0, 10.0], [3.0, 14.0]],
        "ranked": [[1.8, 9.0], [1.0, 5.0], [0.1, 1.0]],
        "bc": [[1.8, 9.0]],
        "policy": [[40.0, 1234.0]],
    },
    "seconds": {"policy": 60.0, "bc": 1.25, "demonstrations": 0.0, "evaluation": 2.0},
    "environment_steps": 1_023_456,
    "versions": {"python": "3.11.7"},
}


def evaluation(**changes):
    """The evaluation above; ``policy__mean=None`` replaces a value one floor down."""
    found = copy.deepcopy(EVALUATION)
    for name, value in changes.items():
        head, _, tail = name.partition("__")
        if tail:
            found[head][tail] = value
        else:
            found[head] = value
    return found


def without_true_returns():
    """The same run where nobody knows the true return of anything."""
    found = evaluation(beats_best_demonstration=None)
    nothing = {"mean": None, "std": None, "best": None, "interval": None}
    for name in ("demonstrator", "random", "bc", "policy", "trained_deterministic"):
        found[name] |= nothing
    found["controls"]["constant"] |= nothing
    found["reward"] |= {"kendall_tau": None, "pearson": None}
    for point in found["noise"]:
        point["return"] |= nothing
    points = found["predicted_and_true"]
    found["predicted_and_true"] = {name: [[x, None] for x, _ in both] for name, both in points.items()}
    return found


def ranked_by_the_user(**changes):
    """T-REX, published: two demonstrations without rewards, no clone, no noise, nothing held out."""
    found = without_true_returns() | {"method": "trex", "bc": None, "noise": [], "controls": {}}
    for name in ("random", "policy", "trained_deterministic"):
        found[name] = evaluation()[name]
    found["reward"] |= {"held_out_accuracy": None, "held_out_pairs": 0}
    found["predicted_and_true"] = {
        "demonstrations": [[2.0, None], [3.0, None]],
        "ranked": [[2.0, None], [3.0, None]],
        "policy": [[40.0, 1234.0]],
    }
    found["ranking"] = {
        "source": "the user's order",
        "trajectories": 2,
        "compared": 2,
        "pairs": 1,
        "contradictions": 0.0,
        "user": [
            {"episode": 0, "win_rate": 1 / 3, "predicted": 2.0},
            {"episode": 1, "win_rate": 2 / 3, "predicted": 3.0},
        ],
    }
    return found | changes


def write_run(folder, found):
    """A run folder with everything that the report reads, apart from policies."""
    (folder / "ranked").mkdir(parents=True)
    (folder / "demonstrations").mkdir()
    (folder / "evaluation.json").write_text(json.dumps(found))
    config = {"task": TASK, "method": found["method"], "seed": 3, "settings": {"learner": {"gamma": 0.987}}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "versions.json").write_text(json.dumps({"python": "3.11.7", "torch": None}))
    jobs = [{"name": point["name"], "level": point["level"], "hold_steps": 8} for point in found["noise"]]
    if jobs:
        (folder / "ranked" / "noise.json").write_text(json.dumps(jobs))
    steps = Trajectories(
        np.arange(12, dtype=np.float32).reshape(6, 2),
        np.linspace(-0.5, 0.5, 12, dtype=np.float32).reshape(6, 2),
        np.array([4, 2]),
        np.array([False, True]),
        None,
    )
    place = folder / "demonstrations" / "demonstrations.npz"
    save_demonstrations(place, steps, task=TASK, about={"command": "drex demos make <Walk>"})
    writer = SummaryWriter(str(folder))
    for step in (100, 200, 300):
        writer.add_scalar("rollout/learned_reward_per_step", step / 1000, step)
        writer.add_scalar("eval/true_return", float(step), step)
        writer.add_scalar("reward/loss", 1 / step, step)
        writer.add_scalar("reward/held_out_accuracy", 0.9, step)
    writer.close()
    return folder
