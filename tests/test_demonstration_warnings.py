"""What is said of demonstrations before anything is learned from them."""

from __future__ import annotations

import numpy as np
import pytest
from demonstration_files import write

from drex.demonstrations.inspect import describe
from drex.demonstrations.load_and_save import Demonstrations, load_demonstrations
from drex.envs.data.trajectories import Trajectories
from drex.envs.data.true_returns import TrueReturns


def described(observations, actions, lengths, terminated=None, **others):
    flags = np.zeros(len(lengths), bool) if terminated is None else np.array(terminated)
    trajectories = Trajectories(np.asarray(observations), np.asarray(actions), np.asarray(lengths), flags)
    return describe(Demonstrations(trajectories, TrueReturns.unknown(len(lengths)), "made here", **others))


def test_a_description_counts_what_is_there() -> None:
    actions = np.array([3, 3, 1, 1, 1, 0])  # three steps follow another, all repeat it
    summary = described(np.zeros((6, 4, 2), np.uint8), actions, [2, 3, 1], [True, False, False], task="Pong")
    assert (summary.source, summary.task) == ("made here", "Pong")
    assert (summary.episodes, summary.steps, summary.lengths, summary.terminated) == (3, 6, (1, 2.0, 3), 1)
    assert (summary.observation, summary.action) == ("(4, 2) uint8", "() int64")
    assert summary.action_range == (0.0, 3.0)
    assert summary.repeated_actions == 1.0
    assert not summary.knows_last_observations
    assert summary.warnings == ("only 6 steps: cloning needs about 1000 or more",)
    assert summary.lines()[-1] == "warning: only 6 steps: cloning needs about 1000 or more"
    assert "actions       () int64, from 0 to 3, 100.0% repeated" in summary.lines()


def test_repeated_actions_are_counted_within_episodes_alone() -> None:
    assert described(np.zeros((5, 1)), np.array([1, 1, 2, 2, 2]), [2, 3]).repeated_actions == 1.0
    assert described(np.zeros((5, 1)), np.array([1, 2, 2, 3, 3]), [2, 3]).repeated_actions == 1 / 3
    assert described(np.zeros((1, 1)), np.array([1]), [1]).repeated_actions == 0.0


def warned(observations=None, actions=None, lengths=(500, 700), terminated=(True, False)) -> tuple[str, ...]:
    random = np.random.default_rng(0)
    steps = sum(lengths)
    observations = random.normal(5, 3, (steps, 4)) if observations is None else observations
    actions = random.normal(size=(steps, 2)) if actions is None else actions
    return described(observations, actions, lengths, terminated).warnings


def test_sound_demonstrations_raise_no_warning() -> None:
    assert warned() == ()
    assert warned(lengths=(1200,), terminated=[False]) == ()
    assert warned(observations=np.random.default_rng(1).uniform(0, 255, (1200, 2, 4, 4))) == ()


def test_a_few_samples_are_not_taken_for_clipped_ones() -> None:
    # The least and the greatest of 20 samples are 10% of them, yet each occurs once.
    assert warned(lengths=(20,), terminated=[True]) == ("only 20 steps: cloning needs about 1000 or more",)


RANDOM = np.random.default_rng(1)
SAMPLES = RANDOM.normal(size=(1200, 2))
TWICE = np.tile(RANDOM.normal(5, 3, (600, 4)), (2, 1))


@pytest.mark.parametrize(
    ("arguments", "warning"),
    [
        ({"lengths": (499, 500)}, "only 999 steps: cloning needs about 1000 or more"),
        ({"actions": SAMPLES * [1, 0]}, "constant actions, coordinates [1]: nothing to clone there"),
        ({"actions": np.full(1200, 3)}, "constant actions, coordinates [0]: nothing to clone there"),
        ({"observations": RANDOM.normal(size=(1200, 4))}, "observations look already normalised"),
        ({"observations": RANDOM.uniform(size=(1200, 2, 4, 4))}, "observations look already normalised"),
        (
            {"observations": 1e-6 * RANDOM.normal(5, 3, (1200, 4))},
            "observations change by about 3e-06: rescale",
        ),
        (
            {"observations": 1e5 * RANDOM.normal(5, 3, (1200, 4))},
            "observations change by about 3e+05: rescale",
        ),
        *(
            (
                {"observations": RANDOM.normal([5, 5, origin, 5], 3, (1200, 4))},
                "observations, coordinates [2], change by less than a 10,000th of their value: subtract",
            )
            for origin in (5e5, 1.7e9)
        ),
        (
            {"actions": np.clip(SAMPLES, -1, 1)},
            f"{(np.abs(SAMPLES) > 1).mean():.1%} of the action entries lie on",
        ),
        (
            {"actions": np.tile(SAMPLES[:600], (2, 1)), "observations": TWICE, "lengths": (600, 600)},
            "1 of 2 episodes repeat an earlier one",
        ),
        ({"lengths": (600, 600), "terminated": (False, False)}, "all episodes are 600 steps long and none"),
        ({"terminated": (False, False)}, "episodes differ in length and none is marked as terminated"),
    ],
)
def test_what_will_hurt_is_warned_of_alone(arguments, warning: str) -> None:
    [only] = warned(**arguments)
    assert only.startswith(warning)


def test_nothing_is_printed_and_no_return_is_opened(capsys, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(TrueReturns, "values_for_evaluation", lambda _: pytest.fail("opened"))
    lines = describe(load_demonstrations(write(tmp_path / "demos.npz"))).lines()
    assert lines[2] == "episodes      3, 0 terminated"
    assert capsys.readouterr().out == ""
