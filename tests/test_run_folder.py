"""A run folder holds whole stages only, whatever kills the run, and continues only what it was begun as."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from drex.errors import UserError
from drex.files.atomic import FolderLock
from drex.files.checksums import check_checksums, write_checksums
from drex.files.run_folder import RunFolder, versions
from drex.files.weights import write_weights

CONFIG = {"task": "Hopper-v5", "reward": {"hidden": [64, 64], "penalty": 0.01}}

# What every run below does, in this process and in the ones that are killed: three stages, the last of which
# counts to 3 through checkpoints. `made` gets a line each time something is really done.
RUN = """
import json
from pathlib import Path
from drex.files.run_folder import RunFolder

def save(value, folder): (folder / "value.json").write_text(json.dumps(value))
def load(folder): return json.loads((folder / "value.json").read_text())

def run(path, config, made=lambda line: None, resume=True, bc=None, seed=0):
    def say(line, value):
        made(line)
        return value
    def count(folder):
        place = folder.unfinished("policy") / "count"
        n = int(place.read_text()) if place.exists() else 0
        while n < 3:
            n += 1
            place.write_text(str(n))
            made(f"policy {n}")
        return n
    with RunFolder.open(path, config=config, resume=resume) as folder:
        keep = lambda name, make, **more: folder.load_or_make(name, make, save=save, load=load, **more)
        first = keep("bc", lambda: say("bc", 5), settings=bc or {"width": 8}, seed=seed)
        second = keep("reward", lambda: say("reward", first + 1), settings={}, seed=1, inputs=["bc"])
        third = keep("policy", lambda: second + count(folder), settings={}, seed=2, inputs=["reward"])
        return first, second, third
"""
namespace: dict = {}
exec(RUN, namespace)
run, save, load = namespace["run"], namespace["save"], namespace["load"]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def killed_child(path: Path, hook: str) -> list[str]:
    """Run RUN in a child that kills itself as ``hook`` says; the lines it made until then."""
    script = RUN + textwrap.dedent(
        """
        import os, signal, sys, shutil
        def die(): os.kill(os.getpid(), signal.SIGKILL)
        def made(line): print(line, flush=True)
        """
    )
    script += textwrap.dedent(hook) + f"\nrun(Path({str(path)!r}), {CONFIG!r}, made)\nprint('survived')\n"
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert child.returncode == -signal.SIGKILL, child.stderr
    return child.stdout.split("\n")[:-1]


DURING_MAKE = "def made(line):\n    print(line, flush=True)\n    line == 'reward' and die()"
DURING_CHECKPOINTS = "def made(line):\n    print(line, flush=True)\n    line == 'policy 2' and die()"
DURING_SAVE = """
def save(value, folder):
    half = folder.name.startswith("reward")
    (folder / "value.json").write_text("" if half else json.dumps(value))
    half and die()
"""
BEFORE_RENAME = """
replace = os.replace
def cut(source, target): die() if target.name == "reward" else replace(source, target)
os.replace = cut
"""
AFTER_RENAME = """
replace = os.replace
def cut(source, target):
    replace(source, target)
    target.name == "policy" and die()
os.replace = cut
"""
DURING_CONFIG = "os.replace = lambda *_: die()"
BETWEEN_CONFIG_AND_VERSIONS = "import drex.files.run_folder\ndrex.files.run_folder.versions = die"


@pytest.mark.parametrize(
    ("hook", "made_before", "left", "made_after"),
    [
        (DURING_CONFIG, [], [".config.json.partial-*"], ["bc", "reward", "policy 1", "policy 2", "policy 3"]),
        (BETWEEN_CONFIG_AND_VERSIONS, [], [], ["bc", "reward", "policy 1", "policy 2", "policy 3"]),
        (DURING_MAKE, ["bc", "reward"], [], ["reward", "policy 1", "policy 2", "policy 3"]),
        (
            DURING_SAVE,
            ["bc", "reward"],
            [".reward.partial-*"],
            ["reward", "policy 1", "policy 2", "policy 3"],
        ),
        (
            BEFORE_RENAME,
            ["bc", "reward"],
            [".reward.partial-*"],
            ["reward", "policy 1", "policy 2", "policy 3"],
        ),
        (DURING_CHECKPOINTS, ["bc", "reward", "policy 1", "policy 2"], ["policy.unfinished"], ["policy 3"]),
        (AFTER_RENAME, ["bc", "reward", "policy 1", "policy 2", "policy 3"], ["policy.unfinished"], []),
    ],
    ids=["config", "versions", "make", "save", "before rename", "checkpoints", "after rename"],
)
def test_a_killed_run_goes_on_where_it_was_and_loses_nothing_finished(
    tmp_path, hook, made_before, left, made_after
):
    path = tmp_path / "run"
    assert killed_child(path, hook) == made_before
    for pattern in left:
        assert len(list(path.glob(pattern))) == 1
    made: list[str] = []
    assert run(path, CONFIG, made.append) == (5, 6, 9)
    assert made == made_after
    names = sorted(entry.name for entry in path.iterdir())
    assert names == [".lock", "bc", "config.json", "policy", "reward", "versions.json"]
    for stage in ("bc", "reward", "policy"):
        assert sorted(f.name for f in (path / stage).iterdir()) == [
            "checksums.json",
            "fingerprint.json",
            "seconds.json",
            "value.json",
        ]


def test_a_lock_dies_with_its_process_even_where_forked_workers_live_on(tmp_path):
    path = tmp_path / "run"
    script = f"""
        import os, signal, time
        from drex.files.run_folder import RunFolder
        folder = RunFolder.open({str(path)!r}, config={{}}, resume=True)
        worker = os.fork()
        if worker == 0:
            print(os.getpid(), flush=True)
        time.sleep(60)
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
    )
    worker = int(child.stdout.readline())
    try:
        with pytest.raises(UserError, match=f"locked by process {child.pid};"):
            RunFolder.open(path, config={}, resume=True)
        child.kill()
        child.wait()
        os.kill(worker, 0)  # still there
        RunFolder.open(path, config={}, resume=True).close()
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
        os.kill(worker, signal.SIGKILL)


def test_a_second_opening_is_refused_until_the_first_is_closed(tmp_path):
    first = RunFolder.open(tmp_path, config=CONFIG, resume=False)
    partial = tmp_path / "bc.partial-1"
    partial.mkdir()
    with pytest.raises(UserError, match=f"locked by process {os.getpid()};"):
        RunFolder.open(tmp_path, config=CONFIG, resume=True)
    assert partial.exists()  # the holder's work is not swept
    first.close()
    with RunFolder.open(tmp_path, config=CONFIG, resume=True) as second:
        assert not partial.exists()
        first.close()  # a second time: does not free the new lock
        with pytest.raises(UserError, match="locked by process"):
            FolderLock(tmp_path)
        with pytest.raises(ValueError, match="closed"):
            first.load_or_make("bc", lambda: 1, save=save, load=load, settings={}, seed=0)
        assert second.load_or_make("bc", lambda: 1, save=save, load=load, settings={}, seed=0) == 1


def test_a_fresh_run_and_a_resumed_one_get_what_was_loaded(tmp_path):
    with RunFolder.open(tmp_path / "a" / "b", config=CONFIG, resume=False) as folder:
        for _ in range(2):
            kept = folder.load_or_make(
                "bc", lambda: (1, 2), save=save, load=load, settings={"n": (3,)}, seed=7
            )
            assert kept == [1, 2]
        assert list(folder.seconds()) == ["bc"] and 0 <= folder.seconds()["bc"] < 5
    fingerprint = json.loads((tmp_path / "a/b/bc/fingerprint.json").read_text())
    assert fingerprint == {"format": 1, "seed": 7, "settings": {"n": [3]}, "inputs": {}}
    assert json.loads((tmp_path / "a/b/config.json").read_text()) == CONFIG


def test_everything_a_stage_holds_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace

    def seen_fsync(descriptor):
        events.append(os.path.relpath(os.readlink(f"/proc/self/fd/{descriptor}"), tmp_path))
        fsync(descriptor)

    def seen_replace(source, target):
        events.append(f"to {target.name}")
        replace(source, target)

    def deep(value, folder):
        (folder / "weights").mkdir()
        (folder / "weights" / "a.bin").write_bytes(b"0")

    with RunFolder.open(tmp_path, config={}, resume=False) as folder:
        monkeypatch.setattr("os.fsync", seen_fsync)
        monkeypatch.setattr("os.replace", seen_replace)
        folder.load_or_make("bc", lambda: 1, save=deep, load=lambda folder: 1, settings={}, seed=0)
    before, after = events[: events.index("to bc")], events[events.index("to bc") + 1 :]
    partial = f".bc.partial-{os.getpid()}/bc"
    inside = ["weights/a.bin", "weights", "fingerprint.json", "seconds.json"]
    assert {f"{partial}/{name}" for name in inside} | {partial} <= set(before)
    assert after == ["."]


def test_weights_have_the_rights_of_other_files(tmp_path):
    def save_weights(value, folder):
        write_weights(folder / "weights.safetensors", {"a": torch.zeros(2)})

    with RunFolder.open(tmp_path / "run", config={}, resume=False) as folder:
        folder.load_or_make("bc", lambda: 1, save=save_weights, load=lambda folder: 1, settings={}, seed=0)
    (tmp_path / "usual").write_text("")
    usual = (tmp_path / "usual").stat().st_mode
    for name in ("weights.safetensors", "fingerprint.json", "seconds.json", "checksums.json"):
        assert (tmp_path / "run" / "bc" / name).stat().st_mode == usual, name


def test_seconds_are_those_of_make_alone(tmp_path, monkeypatch):
    clock = iter([10.0, 12.5])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    with RunFolder.open(tmp_path, config={}, resume=False) as folder:
        folder.load_or_make("bc", lambda: 0, save=save, load=load, settings={}, seed=0)
        assert folder.seconds() == {"bc": 2.5}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"bc": {"width": 16}}, "stage bc: settings.width: expected 16, found 8;"),
        ({"bc": {"width": True}}, "stage bc: settings.width: expected true, found 8;"),
        ({"bc": {"width": [8]}}, "stage bc: settings.width: expected [8], found 8;"),
        ({"bc": {"width": 8, "depth": 2}}, "stage bc: settings.depth: expected 2, found no such field;"),
        ({"bc": {"w": 8}}, "stage bc: settings.w: expected 8, found no such field;"),
        ({"seed": 3}, "stage bc: seed: expected 3, found 0;"),
        ({"seed": False}, "stage bc: seed: expected false, found 0;"),
    ],
)
def test_a_stage_of_another_fingerprint_is_refused_naming_the_field(tmp_path, change, sentence):
    run(tmp_path, CONFIG)
    before, made = snapshot(tmp_path), []
    with pytest.raises(UserError) as refusal:
        run(tmp_path, CONFIG, made.append, **change)
    assert sentence in str(refusal.value)
    assert str(refusal.value).startswith(str(tmp_path))
    assert made == [] and snapshot(tmp_path) == before


def test_a_stage_made_from_another_input_is_refused_naming_the_inputs_field(tmp_path):
    run(tmp_path, CONFIG)
    for file in (tmp_path / "bc").iterdir():
        file.unlink()
    (tmp_path / "bc").rmdir()
    with pytest.raises(UserError, match=r"stage reward: inputs\.bc\.settings\.width: expected 16, found 8;"):
        run(tmp_path, CONFIG, bc={"width": 16})


def test_a_stage_of_another_format_is_refused(tmp_path):
    with RunFolder.open(tmp_path, config={}, resume=False) as folder:
        folder.load_or_make("bc", lambda: 1, save=save, load=load, settings={}, seed=0)
        with pytest.raises(UserError, match="stage bc: format: expected 2, found 1;"):
            folder.load_or_make("bc", lambda: 1, save=save, load=load, settings={}, seed=0, format_number=2)


def test_checkpoints_of_another_fingerprint_are_not_continued(tmp_path):
    def interrupted() -> int:
        (folder.unfinished("policy") / "checkpoint").write_text("100")
        raise KeyboardInterrupt

    def resumed() -> int:
        return int((folder.unfinished("policy") / "checkpoint").read_text())

    stage = {"save": save, "load": load, "seed": 0}
    with RunFolder.open(tmp_path, config={}, resume=False) as folder, pytest.raises(KeyboardInterrupt):
        folder.load_or_make("policy", interrupted, settings={"rate": 0.1}, **stage)
    with RunFolder.open(tmp_path, config={}, resume=True) as folder:
        with pytest.raises(
            UserError, match=r"stage policy \(unfinished\): settings.rate: expected 0.2, found 0.1;"
        ):
            folder.load_or_make("policy", resumed, settings={"rate": 0.2}, **stage)
        assert folder.load_or_make("policy", resumed, settings={"rate": 0.1}, **stage) == 100
    assert not (tmp_path / "policy.unfinished").exists()


def test_a_failing_stage_leaves_nothing_but_its_checkpoints(tmp_path):
    def fail(value, folder):
        (folder / "half").write_text("half")
        raise RuntimeError("no")

    with RunFolder.open(tmp_path, config={}, resume=False) as folder:
        with pytest.raises(RuntimeError, match="no"):
            folder.load_or_make(
                "bc", lambda: folder.unfinished("bc"), save=fail, load=load, settings={}, seed=0
            )
        assert sorted(entry.name for entry in tmp_path.iterdir() if entry.is_dir()) == ["bc.unfinished"]
        assert folder.seconds() == {}


def test_a_disk_that_refuses_is_told_in_one_sentence(tmp_path):
    def full(value, folder):
        raise OSError(28, "No space left on device", str(folder / "weights"))

    with RunFolder.open(tmp_path, config={}, resume=False) as folder:
        with pytest.raises(UserError, match=r"bc: expected a place to write, found No space left"):
            folder.load_or_make("bc", lambda: 1, save=full, load=load, settings={}, seed=0)
        assert not list(tmp_path.glob("*bc*"))


def test_programmers_mistakes_are_named(tmp_path):
    stage = {"save": save, "load": load, "settings": {}, "seed": 0}
    with RunFolder.open(tmp_path, config={}, resume=False) as folder:
        with pytest.raises(ValueError, match=r"not 'a\.b'"):
            folder.load_or_make("a.b", lambda: 1, **stage)
        with pytest.raises(ValueError, match="'bc' is named as an input and is not whole"):
            folder.load_or_make("reward", lambda: 1, inputs=["bc"], **stage)
        with pytest.raises(ValueError, match="while it runs"):
            folder.unfinished("policy")
        with pytest.raises(ValueError, match=r"save wrote seconds\.json"):
            write = {**stage, "save": lambda value, folder: (folder / "seconds.json").write_text("1")}
            folder.load_or_make("bc", lambda: 1, **write)
    with pytest.raises(ValueError, match="JSON compliant"):
        RunFolder.open(tmp_path / "new", config={"rate": float("nan")}, resume=False)
    assert not (tmp_path / "new").exists()


def refused(path: Path, resume: bool = True, config: dict | None = None) -> str:
    with pytest.raises(UserError) as refusal:
        RunFolder.open(path, config=CONFIG if config is None else config, resume=resume)
    return str(refusal.value)


def test_an_existing_run_is_not_begun_again_without_resume(tmp_path):
    run(tmp_path, CONFIG)
    before = snapshot(tmp_path)
    message = refused(tmp_path, resume=False)
    assert "found a run that holds bc, config.json, policy, reward, versions.json" in message
    assert message.endswith("add --resume or name another folder")
    assert snapshot(tmp_path) == before
    run(tmp_path, CONFIG)  # the refusal did not keep the lock


def test_a_run_of_another_config_is_refused_and_nothing_is_swept(tmp_path):
    run(tmp_path, CONFIG)
    (tmp_path / "bc.partial-12").mkdir()
    before = snapshot(tmp_path)
    other = {**CONFIG, "reward": {"hidden": [64, 32], "penalty": 0.01}}
    assert "config.json: reward.hidden.1: expected 32, found 64;" in refused(tmp_path, config=other)
    assert "config.json: reward.hidden: expected [64], found [64, 64];" in refused(
        tmp_path, config={**CONFIG, "reward": {"hidden": [64], "penalty": 0.01}}
    )
    assert snapshot(tmp_path) == before and (tmp_path / "bc.partial-12").exists()


def test_paths_that_are_no_run_folder_are_refused_untouched(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    assert f"{file}: expected a folder, found a file" in refused(file)
    assert "Not a directory" in refused(file / "below")
    assert file.read_text() == "mine"
    assert "a folder that holds file and no config.json" in refused(tmp_path)
    assert "a folder that holds file and no config.json" in refused(tmp_path, resume=False)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file"]


def test_damaged_files_are_refused_by_name(tmp_path):
    run(tmp_path, CONFIG)
    (tmp_path / "bc" / "fingerprint.json").write_text('{"format": ')
    with pytest.raises(UserError, match=r"bc/fingerprint\.json: expected JSON, found other text"):
        run(tmp_path, CONFIG)
    (tmp_path / "config.json").unlink()
    assert "config.json: expected a JSON file, found No such file" in refused(tmp_path)


@pytest.mark.parametrize("name", ["value.json", "seconds.json"])
@pytest.mark.parametrize(("change", "found"), [("flip", "other content"), ("remove", "none")])
def test_a_stage_whose_file_has_changed_is_refused_by_name_and_can_be_made_again(
    tmp_path, change, found, name
):
    run(tmp_path, CONFIG)
    file = tmp_path / "reward" / name
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content)) if change == "flip" else file.unlink()
    expected = rf"reward/{name}: expected the file as it was written, found {found}; remove .*reward to make"
    with pytest.raises(UserError, match=expected):
        run(tmp_path, CONFIG)
    shutil.rmtree(tmp_path / "reward")
    assert run(tmp_path, CONFIG) == (5, 6, 9)


def test_files_below_a_stage_are_checked_and_folders_of_older_versions_are_not(tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "a.bin").write_bytes(b"0")
    check_checksums(tmp_path, advice="none")
    write_checksums(tmp_path)
    check_checksums(tmp_path, advice="none")
    (tmp_path / "weights" / "a.bin").write_bytes(b"1")
    with pytest.raises(UserError, match=r"weights/a\.bin: expected the file as it was written"):
        check_checksums(tmp_path, advice="none")


def test_a_folder_that_may_not_be_written_is_refused():
    """In a child without root's rights, for root may write anywhere."""
    script = """
        import os, sys
        from drex.files.run_folder import RunFolder
        from drex.errors import UserError
        if os.getuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        for path in sys.argv[1:]:
            try:
                RunFolder.open(path, config={}, resume=True)
            except UserError as error:
                print(error)
    """
    with tempfile.TemporaryDirectory() as name:
        locked, run_folder = Path(name), Path(name, "run")
        RunFolder.open(run_folder, config={}, resume=False).close()
        (run_folder / ".lock").chmod(0o444)
        run_folder.chmod(0o555)
        locked.chmod(0o555)
        command = [sys.executable, "-c", textwrap.dedent(script), str(locked / "new"), str(run_folder)]
        child = subprocess.run(command, capture_output=True, text=True, timeout=60)
        run_folder.chmod(0o755)
        locked.chmod(0o755)
    assert child.returncode == 0, child.stderr
    lines = child.stdout.splitlines()
    assert lines == [
        f"{locked}/new: expected a place to write, found Permission denied ({locked}/new); "
        "free it, or name another folder",
        f"{run_folder}: expected a place to write, found Permission denied ({run_folder}/.lock); "
        "free it, or name another folder",
    ]


def test_versions_of_another_form_are_refused_by_name(tmp_path):
    run(tmp_path, CONFIG)
    (tmp_path / "versions.json").write_text("-1")
    assert "versions.json: expected a JSON object, found JSON of type int" in refused(tmp_path)


def test_a_long_value_that_differs_is_shortened(tmp_path):
    run(tmp_path, CONFIG)
    (tmp_path / "config.json").write_text(json.dumps({"task": "x" * 10_000}))
    assert "…" in (message := refused(tmp_path)) and len(message) < 1000


def test_versions_name_packages_and_no_host(tmp_path):
    run(tmp_path, CONFIG)
    kept = json.loads((tmp_path / "versions.json").read_text())
    assert kept == versions()
    assert list(kept) == ["python", "platform", "numpy", "torch", "gymnasium", "stable_baselines3", "drex"]
    assert kept["python"] == ".".join(map(str, sys.version_info[:3]))
    assert not any(os.uname().nodename in str(value) or "/" in str(value) for value in kept.values())


def test_packages_that_are_not_installed_are_null(monkeypatch):
    monkeypatch.setattr("drex.files.run_folder._PACKAGES", ("numpy", "no-such-package-here"))
    assert versions()["no-such-package-here"] is None
    assert versions()["numpy"][0].isdigit()


def test_other_versions_are_warned_of_once_and_not_refused(tmp_path, caplog):
    run(tmp_path, CONFIG)
    assert caplog.records == []
    old = {**versions(), "torch": "1.0", "numpy": "1.2"}
    (tmp_path / "versions.json").write_text(json.dumps(old))
    assert run(tmp_path, CONFIG) == (5, 6, 9)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("drex", "WARNING")
    message = record.getMessage()
    assert (
        f"numpy 1.2 -> {versions()['numpy']}" in message and f"torch 1.0 -> {versions()['torch']}" in message
    )
    assert json.loads((tmp_path / "versions.json").read_text()) == old


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=50)  # it flushes to the disk, which takes what it takes
@given(
    st.dictionaries(st.text(max_size=3), plain, max_size=3),
    st.dictionaries(st.text(max_size=3), plain, max_size=3),
)
def test_a_folder_is_resumed_by_exactly_the_config_it_was_begun_with(config, other):
    with tempfile.TemporaryDirectory() as name:
        RunFolder.open(Path(name), config=config, resume=False).close()
        RunFolder.open(Path(name), config=config, resume=True).close()
        if json.dumps(config, sort_keys=True) != json.dumps(other, sort_keys=True):
            refused(Path(name), config=other)
