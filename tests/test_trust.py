"""A run folder is data: code that its files name is imported only where the user names it too."""

from __future__ import annotations

import json
import shutil

import pytest
from finished_runs import evaluation, write_run

from drex.cli.main import FINISHED, USER_MISTAKE, main
from drex.errors import UserError
from drex.files.run_folder import RunFolder
from drex.report.finished_run import read_finished_run
from drex.report.html import write_report
from drex.rewards.export import export_from_folder

CODE = ('os:system{{"command": "touch {file}"}}', 'subprocess:run{{"args": ["touch", "{file}"]}}')


@pytest.fixture(params=[*CODE, "CartPole-v1|os:system"])
def hostile(request, tmp_path):
    """A run whose files name code as their task, and the file that it would make."""
    file = tmp_path / "executed"
    folder = write_run(tmp_path / "run", evaluation() | {"task": request.param.format(file=file)})
    return folder, file


def test_a_report_imports_no_code_that_only_the_folder_names(hostile, capsys):
    folder, file = hostile
    assert main(["report", str(folder)]) == FINISHED
    assert "no video: " in (said := capsys.readouterr().out)
    assert "expected a registered gymnasium id, found " in said
    assert not file.exists()
    assert not (folder / "video.mp4").exists()


def test_a_reward_is_not_exported_for_code_that_only_the_folder_names(hostile, tmp_path, capsys, monkeypatch):
    folder, file = hostile
    config = json.loads((folder / "config.json").read_text())
    task = json.loads((folder / "evaluation.json").read_text())["task"]
    (folder / "config.json").write_text(json.dumps(config | {"task": task}))
    (folder / "reward").mkdir(exist_ok=True)
    (folder / "reward" / "reward.json").write_text("{}")
    monkeypatch.setattr("drex.rewards.export.load_reward", lambda _: None)
    assert main(["reward", "export", str(folder), str(tmp_path / "reward.pt2")]) == USER_MISTAKE
    assert "expected a registered gymnasium id" in capsys.readouterr().err
    assert not file.exists()
    with pytest.raises(Exception, match="unpack"):  # named by the user, it is imported
        monkeypatch.setattr("drex.rewards.export.task_spaces", lambda _: ())
        export_from_folder(folder, tmp_path / "reward.pt2", task=task)


def test_links_in_a_run_folder_are_replaced_or_refused_and_never_written_through(tmp_path):
    folder, victim = write_run(tmp_path / "run", evaluation()), tmp_path / "victim"
    victim.write_text("precious")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("report.html", "figures/learning_curve.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(victim)
    write_report(folder)
    assert victim.read_text() == "precious"
    assert not (folder / "report.html").is_symlink()
    shutil.rmtree(folder / "figures")
    (folder / "figures").symlink_to(elsewhere)
    write_report(folder)
    assert list(elsewhere.iterdir()) == []
    (folder / ".lock").unlink(missing_ok=True)
    (folder / ".lock").symlink_to(victim)
    with pytest.raises(UserError, match="expected a place to write"):
        RunFolder.open(folder, config={}, resume=True)
    assert victim.read_text() == "precious"


def test_the_user_names_the_task_that_the_run_has(tmp_path, capsys):
    folder = write_run(tmp_path / "run", evaluation() | {"task": "maze:Maze"})
    assert read_finished_run(folder, task="maze:Maze").task_to_make() == "maze:Maze"
    assert main(["report", str(folder), "--task", "maze:Other"]) == USER_MISTAKE
    assert "expected the task maze:Other, found maze:Maze" in capsys.readouterr().err
