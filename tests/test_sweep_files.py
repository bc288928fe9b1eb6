"""Files of options and of sweeps: what they hold is what runs, and every mistake is one sentence."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_cli import TINY, demos, told, with_tests  # noqa: F401 (a fixture)
from tiny_environments import WALK

import drex
from drex.cli.run_options import parse_run_options
from drex.errors import UserError
from drex.presets.run_file import merged, read_options, run_of_options
from drex.presets.settings import Settings
from drex.sweeps.cell import Cell
from drex.sweeps.sweep import sweep

# ---------------------------------------------------------------------------------------- files of options


def written(folder, text, name="run.toml"):
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_a_file_holds_any_option(tmp_path):
    text = """
    task = "HalfCheetah-v5"
    demos = "walk.npz"
    controls = ["constant"]
    seed = 7
    algo = "sac"
    [settings]
    reward = {members = 3, snippets = {stride = 5}}
    """
    options = parse_run_options(None, ["--config", str(written(tmp_path / "sub", text))])
    assert (options.task, options.seed, options.algo) == ("HalfCheetah-v5", 7, "sac")
    assert options.controls == ("constant",)
    assert options.demos == tmp_path / "sub" / "walk.npz"
    assert (options.settings.reward.members, options.settings.reward.snippets.stride) == (3, 5)
    assert options.settings.learner == drex.SB3Settings(name="sac")
    assert options.settings.bc == Settings().bc


def test_the_command_line_takes_precedence(tmp_path):
    text = 'task = "HalfCheetah-v5"\nseed = 7\nmethod = "trex"\n[settings.reward]\nmembers = 3\nl2 = 0.5'
    words = ["--config", str(written(tmp_path, text)), "--seed", "8", "--reward.members", "4"]
    options = parse_run_options("Hopper-v5", [*words, "--method", "drex"])
    assert (options.task, options.seed, options.method) == ("Hopper-v5", 8, "drex")
    assert (options.settings.reward.members, options.settings.reward.l2) == (4, 0.5)
    assert options.settings.method == "drex"


@pytest.mark.parametrize(
    ("text", "words", "mixed"),
    [
        ("mix_noise = true", [], True),
        ("mix_noise = true", ["--no-mix-noise"], False),
        ("mix_noise = true", ["--mix-noise"], True),
        ("mix_noise = false", ["--mix-noise"], True),
    ],
)
def test_mixed_noise_is_turned_on_and_off(tmp_path, text, words, mixed):
    file = written(tmp_path, f'method = "trex"\n{text}')
    options = parse_run_options("Hopper-v5", ["--config", str(file), *words])
    assert (options.mix_noise, options.settings.noise is not None) == (mixed, mixed)


def test_json_and_toml_are_read_alike(tmp_path):
    toml = written(tmp_path, 'preset = "paper"\n[settings.reward]\nmembers = 9')
    as_json = written(
        tmp_path, json.dumps({"preset": "paper", "settings": {"reward": {"members": 9}}}), "r.json"
    )
    assert read_options(toml) == read_options(as_json)
    found = [parse_run_options("Hopper-v5", ["--config", str(file)]) for file in (toml, as_json)]
    assert found[0].settings == found[1].settings != drex.preset("paper", "Hopper-v5")


def test_arguments_and_wrappers_make_the_name_of_the_task(tmp_path):
    values = {"task": "maze:Maze", "env_kwargs": {"size": 5}, "wrappers": ["maze:Sticky"]}
    file = run_of_options(values, "f", folder=tmp_path)
    assert file.task == drex.task_name("maze:Maze", kwargs={"size": 5}, wrappers=["maze:Sticky"])


def test_tables_are_merged_and_lists_replaced():
    low = {"a": {"b": 1, "c": [1, 2]}, "d": None}
    assert merged(low, {"a": {"c": [3]}, "d": {"e": 1}}) == {"a": {"b": 1, "c": [3]}, "d": {"e": 1}}
    assert low == {"a": {"b": 1, "c": [1, 2]}, "d": None}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "sed = 1",
            "run.toml: sed: expected only the fields task, .*did you mean seed?",
        ),
        ("seed = true", "run.toml: seed: expected an integer, found true"),
        ("seed = -1", "seed: expected from 0 to 1073741823, found -1"),
        ("settings = 3", "run.toml: settings: expected a table, found 3"),
        ("[settings.reward]\nmember = 3", "run.toml: settings: reward.member: .*did you mean members?"),
        (
            "[settings.reward]\nmembers = 0",
            "run.toml: settings: reward.members: expected at least 1, found 0",
        ),
        ('algo = "sak"', "algo: expected one of ppo, .*, found 'sak'"),
        ('preset = "smal"', "preset: expected one of default, .*, found 'smal'"),
        ('controls = "constant"', "run.toml: controls: expected a list"),
        ("mix_noise = true", "mix_noise: expected --method trex with it"),
        ("seed = 1 2", "run.toml: expected TOML, found"),
    ],
)
def test_a_mistake_in_a_file_is_one_sentence(tmp_path, capsys, text, sentence):
    status, _, said = told(capsys, "run", "Hopper-v5", "--config", str(written(tmp_path, text)))
    assert status == 2 and said.count("\n") == 1, said
    head, _, tail = sentence.partition(".*")
    assert head in said and tail in said, said


def test_a_file_that_is_none_is_one_sentence(tmp_path, capsys):
    other = written(tmp_path, "task: Hopper-v5", "run.yaml")
    for file, found in ((other, "found the suffix '.yaml'"), (tmp_path / "none.toml", "none.toml")):
        status, _, said = told(capsys, "run", "--config", str(file))
        assert status == 2 and found in said and said.count("\n") == 1, said
    status, _, said = told(capsys, "run", "--config", str(written(tmp_path, "seed = 1")))
    assert (status, "expected a task, found none" in said) == (2, True)


def test_a_file_names_no_code_to_import(tmp_path, capsys):
    file = written(tmp_path, 'task = "os:Os-v0"')
    status, _, said = told(capsys, "run", "--config", str(file))
    assert status == 2 and "expected a registered gymnasium id, found os:Os-v0" in said


# ---------------------------------------------------------------------------------------------- sweeps


def spec(**changes):
    return {"tasks": [{"task": "HalfCheetah-v5"}, {"task": "Hopper-v5"}], "seeds": "0-1"} | changes


@pytest.fixture
def planned(monkeypatch):
    """The cells of a sweep, which are not run."""
    found = []

    def run_cells(every, **options):
        found.extend(every)
        raise UserError("planned", expected="no run", found=str(options["jobs"]))

    monkeypatch.setattr("drex.sweeps.sweep.run_cells", run_cells)

    def plan(content, **options):
        found.clear()
        with pytest.raises(UserError, match="planned"):
            sweep(content, **options)
        return list(found)

    return plan


def test_there_is_a_run_for_every_task_variant_and_seed(planned, tmp_path):
    variants = {"wide": {"settings": {"reward": {"members": 3}}}, "sac": {"algo": "sac"}}
    run = {"settings": {"reward": {"members": 2, "l2": 0.5}}}
    found = planned(spec(variants=variants, run=run, folder=str(tmp_path)))
    assert [cell.folder.relative_to(tmp_path).as_posix() for cell in found] == [
        f"{task}/{variant}-seed{seed}"
        for task in ("HalfCheetah-v5", "Hopper-v5")
        for variant in ("wide", "sac")
        for seed in (0, 1)
    ]
    members = [cell.settings.reward.members for cell in found]
    assert members == [3, 3, 2, 2] * 2
    assert {cell.settings.reward.l2 for cell in found} == {0.5}


def test_the_words_of_a_run_are_read_as_its_cell_says(planned, tmp_path):
    run = {"controls": ["constant"], "settings": {"reward": {"members": 2}}}
    content = spec(run=run, folder=str(tmp_path), variants={"t": {"method": "trex", "mix_noise": True}})
    content["tasks"][1]["demos"] = "walk.npz"
    for cell in planned(content):
        command, task, *words = cell.words
        options = parse_run_options(task, words)
        assert (command, options.environment(), options.seed) == ("run", cell.task, cell.seed)
        assert (options.settings, options.controls) == (cell.settings, cell.controls)
        assert options.demos is None or options.demos.is_absolute()


def test_demonstrations_of_one_task_have_folders_of_their_own(planned, tmp_path):
    tasks = [{"task": "Hopper-v5", "name": name, "demos": f"{name}.npz"} for name in ("good", "poor")]
    found = planned(spec(tasks=tasks, seeds="0", folder=str(tmp_path)))
    assert [cell.folder.parent.name for cell in found] == ["good", "poor"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"task": []}, "sweep: task: expected only the fields tasks, variants, .*did you mean tasks?"),
        ({"tasks": []}, "sweep: tasks: expected at least one, found none"),
        ({"variants": {}}, "sweep: variants: expected at least one, found none"),
        ({"tasks": "Hopper-v5"}, "sweep: tasks.0: expected a table with a task"),
        ({"tasks": [{"demos": "d.npz"}]}, "sweep: tasks.0: expected a table with a task"),
        ({"tasks": [{"task": "Hopper-v5"}] * 2}, "sweep: tasks.1: expected another name, found 'Hopper-v5'"),
        ({"seeds": 3}, "sweep: seeds: expected a text, found 3"),
        ({"seeds": "a"}, "seeds: expected numbers and ranges"),
        ({"jobs": 0}, "sweep: jobs: expected at least 1, found 0"),
        ({"run": {"seed": 1}}, "tasks.0 with variants.default: seed: expected seeds, for all runs, found 1"),
        ({"variants": {"wide": {"setting": {}}}}, "with variants.wide: setting: .*did you mean settings?"),
        ({"variants": {"wide": 3}}, "with variants.wide: expected a table, found 3"),
        ({"variants": {"a": {"settings": {"bc": {"l2": "x"}}}}}, "variants.a: settings: bc.l2: expected a"),
    ],
)
def test_a_mistake_in_a_sweep_is_found_before_any_run(changes, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as found:
        sweep(spec(**changes))
    head, _, tail = sentence.partition(".*")
    assert head in str(found.value) and tail in str(found.value)


def test_tasks_that_import_code_are_named_by_the_user(planned, tmp_path):
    file = written(tmp_path, 'tasks = [{task = "os:Os-v0"}]', "spec.toml")
    with pytest.raises(UserError, match="expected a registered gymnasium id, found os:Os-v0"):
        sweep(file)
    assert [cell.task for cell in planned(file, trusted=["os:Os-v0"])] == ["os:Os-v0"]


TABLES = """
[run.settings]
policy = {policy_hidden_sizes = [8], value_hidden_sizes = [8]}
bc = {gradient_steps = 100, check_every = 50}
ranking = {levels = [0.0, 0.5, 1.0], episodes_per_level = 3, environments = 4}
learner = {environments = 4, rollout_steps = 32, batch_size = 64, epochs = 2, environment_steps = 512}
evaluation = {episodes = 4, environments = 4}
[run.settings.reward]
hidden_sizes = [8]
gradient_steps = 20
held_out = 0.0
snippets = {minimum_length = 5, maximum_length = 10}
"""


def test_a_sweep_runs_compares_and_continues_and_its_runs_can_be_repeated(tmp_path, demos):  # noqa: F811
    shutil.copy(demos, tmp_path / "walk.npz")
    task = f"tiny_environments:{WALK}"
    head = 'folder = "out"\njobs = 2\n[variants.default]\n[variants.raw]\n'
    head += 'settings.reward.input_scaling = "raw"\n'
    text = f'tasks = [{{task = "{task}", demos = "walk.npz", name = "walk"}}]\n{head}{TABLES}'
    words = [sys.executable, "-m", "drex", "sweep", str(written(tmp_path, text, "spec.toml")), "--task", task]
    done = subprocess.run(words, env=with_tests(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    place = tmp_path / "out"
    assert "D-REX, raw" in done.stdout and (place / "comparison" / "comparison.html").is_file()
    weights = [
        place / "walk" / f"{name}-seed0" / "trained" / "policy.safetensors" for name in ("default", "raw")
    ]
    before = [file.read_bytes() for file in weights]
    assert before[0] != before[1]

    again = subprocess.run(words, env=with_tests(), capture_output=True, text=True, check=False)
    assert again.returncode == 0 and again.stdout.count("finished before") == 2, again.stdout
    shutil.rmtree(place / "walk" / "raw-seed0")
    single = ["run", task, "--config", str(place / "walk" / "default-seed0" / "options.json"), "--quiet"]
    copied = [sys.executable, "-m", "drex", *single, "--run-dir", str(tmp_path / "copy")]
    subprocess.run(copied, env=with_tests(), capture_output=True, check=True)
    assert (tmp_path / "copy" / "trained" / "policy.safetensors").read_bytes() == before[0]

    same = [
        *TINY,
        "--learner.critic-warmup-rollouts",
        "8",
        "--learner.checkpoint-steps",
        "100000",
        "--learner.environment-steps",
        "512",
        "--reward.input-scaling",
        "raw",
    ]
    by_hand = [sys.executable, "-m", "drex", "run", task, "--demos", str(demos), *same]
    by_hand += ["--quiet", "--run-dir", str(tmp_path / "hand")]
    subprocess.run(by_hand, env=with_tests(), capture_output=True, check=True)
    assert (tmp_path / "hand" / "trained" / "policy.safetensors").read_bytes() == before[1]


def test_only_a_run_with_these_settings_and_controls_is_finished(tmp_path):
    cell = Cell("c", tmp_path, ("run",), "Hopper-v5", 0, Settings(), ("constant",))
    assert not cell.is_finished()
    facts = {"task": "Hopper-v5", "method": "drex", "seed": 0}
    from drex.files.dataclass_json import settings_to_json

    config = facts | {"settings": settings_to_json(Settings())}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "evaluation.json").write_text(json.dumps({"controls": {"constant": {}}}))
    assert cell.is_finished()
    (tmp_path / "evaluation.json").write_text(json.dumps({"controls": {}}))
    assert not cell.is_finished()
    (tmp_path / "evaluation.json").write_text(json.dumps({"controls": {"constant": {}}}))
    (tmp_path / "config.json").write_text(json.dumps(config | {"seed": 1}))
    assert not cell.is_finished()


# ------------------------------------------------------------------------------------------------- docs


def blocks(language):
    """The blocks of docs/many-runs.md in a language."""
    parts = (Path(__file__).parent.parent / "docs" / "many-runs.md").read_text().split("```")[1::2]
    return [part.removeprefix(language) for part in parts if part.startswith(language)]


def test_the_files_of_the_docs_are_read(planned, tmp_path):
    options, swept = blocks("toml")
    read = parse_run_options(None, ["--config", str(written(tmp_path, options))])
    assert (read.task, read.settings.reward.members) == ("Hopper-v5", 8)
    found = planned(written(tmp_path, swept, "noise.toml"))
    assert len(found) == 2 * 3 * 5
    assert found[0].folder == tmp_path / "runs" / "noise" / "Hopper-v5" / "default-seed0"
