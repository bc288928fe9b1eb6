"""The report stands on the run folder alone: one file, everything in it, what is missing said in words."""

from __future__ import annotations

import html
import json
import re
import subprocess

import pytest
from finished_runs import evaluation, ranked_by_the_user, without_true_returns, write_run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from drex.errors import UserError
from drex.report import html as reporting
from drex.report import video
from drex.report.finished_run import read_finished_run
from drex.report.html import verdict, write_report
from drex.report.video import make_video


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = write_run(tmp_path_factory.mktemp("runs") / "run", evaluation(reward__kendall_tau=0.3))
    report = write_report(folder, tensorboard=True)
    return folder, report, report.path.read_text()


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("evaluation.json", {"policy": 3}),
        ("evaluation.json", {"demonstrator": {}}),
        ("evaluation.json", {"method": []}),
        ("config.json", {"settings": None}),
    ],
)
def test_a_changed_file_of_a_run_is_one_sentence(tmp_path, file, change):
    folder = write_run(tmp_path / "run", ranked_by_the_user())
    (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | change))
    with pytest.raises(UserError, match="run: expected a run folder as drex wrote it, found damage"):
        write_report(folder)


def test_the_report_needs_no_other_file(written):
    _, _, page = written
    sources = re.findall(r'(?:src|href)="([^"]{0,40})', page)
    assert len(sources) == 4
    assert all(source.startswith("data:image/png;base64,") for source in sources)


def test_the_report_says_result_tables_warnings_settings_and_versions(written):
    _, report, page = written
    said = html.unescape(page)
    assert "D-REX's mean true return over 20 episodes is 1,234 (95% interval 1,200 to 1,251): above" in said
    assert all(word in said for table in report.tables for row in table.rows for word in row)
    assert len(report.warnings) == 1 and report.warnings[0] in said
    assert "settings.learner.gamma" in said and "0.987" in said
    assert "3.11.7" in said and "<td>torch</td><td>none</td>" in said
    assert "episodes      2, 1 terminated" in said


def test_the_report_escapes_what_files_say(written):
    assert "<Walk>" not in written[2] and "&lt;Walk&gt;" in written[2]


def test_figures_are_files_and_stand_in_tensorboard(written):
    folder, _, _ = written
    names = {"noise_and_return", "predicted_and_true", "learning_curve", "reward_training"}
    assert {file.stem for file in (folder / "figures").glob("*.png")} == names
    shown = set()
    for file in folder.glob("events.out.tfevents.*"):
        shown |= set(EventAccumulator(str(file)).Reload().Tags()["images"])
    assert shown == {f"figures/{name}" for name in names}


def test_figures_shown_again_in_tensorboard_replace_the_earlier_ones(tmp_path):
    folder = write_run(tmp_path / "run", evaluation())
    for _ in range(2):
        write_report(folder, tensorboard=True)
    counted = {}
    for file in folder.glob("events.out.tfevents.*"):
        events = EventAccumulator(str(file), size_guidance={"images": 0}).Reload()
        for name in events.Tags()["images"]:
            counted[name] = counted.get(name, 0) + len(events.Images(name))
    assert len(counted) == 4 and set(counted.values()) == {1}
    assert "reward/loss" in read_finished_run(folder).scalars


def test_the_report_of_a_users_ranking_says_t_rex_and_shows_the_ranking(tmp_path):
    report = write_report(write_run(tmp_path / "run", ranked_by_the_user()))
    said = html.unescape(report.path.read_text())
    assert "T-REX's mean true return over 20 episodes is 1,234" in said and "D-REX" not in said
    assert "Learned return against the user's ranking of the demonstrations." in said


def test_a_task_that_does_not_render_is_one_line(written):
    folder, report, page = written
    line = "no video: drex-tests/Walk-v0 does not render"
    assert report.notes == (line,) and line in page and line in report.lines()
    assert not (folder / "video.mp4").exists()


def test_the_terminal_is_told_tables_warnings_and_the_place(written):
    folder, report, _ = written
    lines = report.lines()
    assert lines[-1] == f"report: {folder / 'report.html'}"
    assert f"warning: {report.warnings[0]}" in lines


def test_a_run_of_unknown_true_returns_says_so(tmp_path):
    report = write_report(write_run(tmp_path / "run", without_true_returns()))
    assert "true returns are unknown, so there is no comparison" in html.unescape(report.path.read_text())
    assert not (tmp_path / "run" / "figures" / "predicted_and_true.png").exists()


def test_the_verdict_names_the_best_demonstration():
    lost = verdict(evaluation(beats_best_demonstration=False))
    assert "not above the best of 4 demonstrations (14; mean 10)" in lost


def test_an_existing_video_is_kept_and_linked(tmp_path, monkeypatch):
    folder = write_run(tmp_path / "run", evaluation())
    (folder / "video.mp4").write_bytes(b"made before")
    monkeypatch.setattr(reporting, "make_video", lambda *_: pytest.fail("made again"))
    assert '<video src="video.mp4"' in write_report(folder).path.read_text()
    assert (folder / "video.mp4").read_bytes() == b"made before"


def renders(monkeypatch, answer):
    """A task that claims to render, with ``answer`` in place of the rendering process."""
    asked = []

    def run(command, *, env, **_):
        asked.append(env["MUJOCO_GL"])
        return answer(env["MUJOCO_GL"])

    monkeypatch.setattr(video, "_render_modes", lambda _: ["rgb_array"])
    monkeypatch.setattr(video.subprocess, "run", run)
    return asked


def test_a_driver_that_kills_its_process_costs_the_video_alone(tmp_path, monkeypatch):
    run = read_finished_run(write_run(tmp_path / "run", evaluation()))
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    asked = renders(monkeypatch, lambda driver: subprocess.CompletedProcess([], -11, "", ""))
    said = make_video(run, tmp_path / "video.mp4")
    assert asked == ["egl", "osmesa"]
    assert said == "no video: no driver renders here (osmesa: exit status -11)"


def test_the_driver_that_the_user_named_is_the_only_one_tried(tmp_path, monkeypatch):
    run = read_finished_run(write_run(tmp_path / "run", evaluation()))
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    failed = subprocess.CompletedProcess([], 1, "", "Traceback\nRuntimeError: no display")
    asked = renders(monkeypatch, lambda driver: failed)
    assert "glfw: RuntimeError: no display" in make_video(run, tmp_path / "video.mp4")
    assert asked == ["glfw"]


def test_rendering_that_hangs_is_given_up(tmp_path, monkeypatch):
    run = read_finished_run(write_run(tmp_path / "run", evaluation()))

    def hang(driver):
        raise subprocess.TimeoutExpired("drex.report.video", 1)

    renders(monkeypatch, hang)
    assert "no video: rendering took more than" in make_video(run, tmp_path / "video.mp4")
