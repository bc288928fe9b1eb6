"""The figures draw the run's numbers, name their units, and are left out where there is nothing to draw."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from finished_runs import evaluation, ranked_by_the_user, without_true_returns, write_run
from torch.utils.tensorboard import SummaryWriter

from drex.errors import UserError
from drex.report.figures import (
    draw_figures,
    learning_curve,
    noise_and_return,
    predicted_and_true,
    ranking_and_reward,
    reward_training,
)
from drex.report.finished_run import FinishedRun, read_finished_run, read_scalars

CURVES = {
    "rollout/learned_reward_per_step": [(100, 0.1), (200, 0.2)],
    "eval/true_return": [(100, 5.0), (200, 7.0)],
    "reward/loss": [(0, 0.7), (50, 0.1)],
    "reward/held_out_accuracy": [(0, 0.5), (50, 0.95)],
}


def run_of(found):
    noise = [("uniform", 0.0), ("uniform", 0.5), ("uniform", 1.0)]
    return FinishedRun(Path("nowhere"), found, {}, noise, CURVES)


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_noise_curve_shows_mean_returns_with_band_and_reference_lines():
    axes = noise_and_return(run_of(evaluation())).axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[0.0, 9.0], [0.5, 5.0], [1.0, 1.0]])
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (1.0 - 2.0, 9.0 + 2.0)
    assert labels(axes)[1:] == [
        "best demonstration: 14",
        "mean of demonstrations: 10",
        "uniform random actions: 1",
    ]


def test_noise_curve_shows_lengths_where_returns_are_unknown():
    axes = noise_and_return(run_of(without_true_returns())).axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [30.0, 25.0, 20.0])
    assert axes.get_ylabel() == "Steps per episode (true returns unknown)"
    assert len(axes.lines) == 1


def test_predicted_return_is_drawn_over_true_return_with_tau_and_the_region_beyond():
    figure = predicted_and_true(run_of(evaluation()))
    axes = figure.axes[0]
    ranked = axes.collections[0]
    np.testing.assert_array_equal(ranked.get_offsets(), [[9.0, 1.8], [5.0, 1.0], [1.0, 0.1]])
    np.testing.assert_array_equal(ranked.get_array(), [0.0, 0.5, 1.0])
    assert "Kendall tau of ranked trajectories 0.88" in axes.get_title()
    assert axes.patches[0].get_x() == 14.0  # beyond the best demonstration
    assert figure.axes[1].get_ylabel() == "noise level"


def test_demonstrations_of_unknown_return_are_a_line_at_their_learned_return():
    found = evaluation()
    found["predicted_and_true"]["demonstrations"] = [[2.0, None], [3.0, None]]
    found["demonstrator"]["best"] = None
    axes = predicted_and_true(run_of(found)).axes[0]
    assert "demonstrations (true return unknown)" in labels(axes)
    assert set(axes.lines[0].get_ydata()) == {2.5}
    assert len(axes.patches) == 0


def test_predicted_against_true_return_is_left_out_where_the_true_one_is_unknown():
    assert predicted_and_true(run_of(without_true_returns())) is None


def test_the_users_ranking_is_drawn_against_the_learned_return():
    run = dataclasses.replace(run_of(ranked_by_the_user()), noise=[])
    axes = ranking_and_reward(run).axes[0]
    np.testing.assert_allclose(axes.collections[0].get_offsets(), [[100 / 3, 2.0], [200 / 3, 3.0]])
    assert [text.get_text() for text in axes.texts] == ["0", "1"]
    assert axes.get_title().endswith("T-REX on drex-tests/Walk-v0, seed 3")
    assert ranking_and_reward(run_of(evaluation())) is None


def test_without_noise_the_demonstrations_alone_stand_beside_the_policy():
    run = dataclasses.replace(run_of(ranked_by_the_user()), noise=[])
    axes = predicted_and_true(run).axes[0]
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), [[1234.0, 40.0]])
    assert labels(axes) == ["demonstrations (true return unknown)", "final policy"]


def test_noisy_rollouts_beside_the_users_demonstrations_keep_their_own_levels():
    found = evaluation()
    found["predicted_and_true"]["ranked"] = [[7.0, None], *found["predicted_and_true"]["ranked"]]
    ranked = predicted_and_true(run_of(found)).axes[0].collections[0]
    np.testing.assert_array_equal(ranked.get_offsets(), [[9.0, 1.8], [5.0, 1.0], [1.0, 0.1]])
    np.testing.assert_array_equal(ranked.get_array(), [0.0, 0.5, 1.0])


def test_learning_curve_marks_the_true_return_as_for_evaluation_only():
    upper, lower = learning_curve(run_of(evaluation())).axes
    np.testing.assert_array_equal(upper.lines[0].get_xydata(), [[100, 0.1], [200, 0.2]])
    np.testing.assert_array_equal(lower.lines[0].get_xydata(), [[100, 5.0], [200, 7.0]])
    assert lower.get_ylabel() == "true return (evaluation only)"


def test_reward_training_shows_loss_and_accuracy_in_percent():
    left, right = reward_training(run_of(evaluation())).axes
    np.testing.assert_array_equal(left.lines[0].get_ydata(), [0.7, 0.1])
    np.testing.assert_array_equal(right.lines[0].get_ydata(), [50.0, 95.0])


def test_figures_with_nothing_to_draw_are_left_out():
    bare = evaluation(noise=[], predicted_and_true={})
    assert draw_figures(dataclasses.replace(run_of(bare), scalars={})) == {}
    assert len(draw_figures(run_of(evaluation()))) == 4


def test_every_axis_is_named():
    for name, figure in draw_figures(run_of(evaluation())).items():
        named = [axes.get_ylabel() for axes in figure.axes]
        assert all(named), name
        assert "seed 3" in "".join(axes.get_title() for axes in figure.axes) + figure.get_suptitle()


def test_a_run_folder_is_read_back(tmp_path):
    run = read_finished_run(write_run(tmp_path / "run", evaluation()))
    assert run.evaluation == evaluation()
    assert run.noise == [("uniform", 0.0), ("uniform", 0.5), ("uniform", 1.0)]
    assert run.scalars["eval/true_return"] == [(100, 100.0), (200, 200.0), (300, 300.0)]


def test_what_a_resumed_run_logged_again_counts_once_with_its_latest_value(tmp_path):
    for wall_time, values in ((1000.0, {100: 1.0, 200: 2.0}), (2000.0, {200: 20.0, 300: 30.0})):
        writer = SummaryWriter(str(tmp_path))
        for step, value in values.items():
            writer.add_scalar("loss", value, step, walltime=wall_time)
        writer.close()
    assert read_scalars(tmp_path)["loss"] == [(100, 1.0), (200, 20.0), (300, 30.0)]


@pytest.mark.parametrize(("made", "found"), [(True, "a folder without one"), (False, "no such folder")])
def test_a_folder_without_a_finished_run_is_refused(tmp_path, made, found):
    folder = tmp_path / "run"
    if made:
        folder.mkdir()
    with pytest.raises(UserError) as refused:
        read_finished_run(folder)
    assert (refused.value.where, refused.value.found) == (str(folder), found)


def test_a_damaged_evaluation_is_refused(tmp_path):
    folder = write_run(tmp_path / "run", evaluation())
    (folder / "evaluation.json").write_text("{")
    with pytest.raises(UserError, match=r"evaluation\.json: expected JSON"):
        read_finished_run(folder)
