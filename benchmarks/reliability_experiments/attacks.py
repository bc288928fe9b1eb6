"""Malicious files: each would run a command if its reader ran code that the file holds or names."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np
import pyarrow
import torch

import drex
from benchmarks.reliability_experiments.forked import attempt
from benchmarks.reliability_experiments.measured import Measured, Tally
from benchmarks.reliability_experiments.walk import TASK, demonstrate, undisturbed, whole_run
from drex.agents.policies.saved import load_trained
from drex.agents.policies.sb3_zips import load_zip
from drex.cli.main import main as command_line
from drex.demonstrations.load_and_save import convert_demonstrations
from drex.envs.make import task_spaces
from drex.rankings.user_ranking_files import load_ranking

Attack = tuple[str, Callable[[], object]]
"""What the file pretends to be, and the reading of it."""


class _Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self._command,)


def measure(share: float) -> Measured:
    """Read malicious files by all that might read them, and look for the trace of their commands."""
    tally = Tally()
    with TemporaryDirectory() as name:
        folder = Path(name)
        demonstrations = demonstrate(folder)
        undisturbed(folder / "whole", demonstrations, report=True)
        trace = folder / "executed"
        attacks = list(_attacks(folder, demonstrations, trace))
        for kind, read in attacks[:: max(1, round(1 / share))]:
            outcome = attempt(lambda: bool(read()), folder / "log")  # noqa: B023
            wrong = "" if outcome.kind in ("done", "refused") else f"{outcome.kind}: {outcome.said}"
            if trace.exists():
                trace.unlink()
                wrong = "the command ran"
            tally.add(kind, kind, wrong)
    return tally.measured("a malicious file: nothing that it holds or names is executed")


def _attacks(folder: Path, demonstrations: Path, trace: Path) -> Iterator[Attack]:
    command = f"touch {trace}"
    place = folder / "attacks"
    place.mkdir()
    pickled = pickle.dumps(_Payload(command))
    torch_pickle = io.BytesIO()
    torch.save(_Payload(command), torch_pickle)
    yield from _demonstrations(place, demonstrations, command, pickled)
    yield from _policies(place, folder / "whole", pickled, torch_pickle.getvalue())
    yield from _runs(place, folder / "whole", demonstrations, trace, torch_pickle.getvalue())
    for ending in (".json", ".csv"):
        file = place / f"ranking{ending}"
        file.write_bytes(pickled)
        yield "ranking that is a pickle", partial(load_ranking, file)


def _named_code(trace: Path) -> list[str]:
    """Names of tasks that would run a command if they were made."""
    script = trace.with_name("script.py")
    script.write_text(f"open({str(trace)!r}, 'w')")
    return [
        f'os:system{{"command": "touch {trace}"}}',
        f'subprocess:run{{"args": ["touch", "{trace}"]}}',
        f'subprocess:check_output{{"args": ["touch", "{trace}"]}}',
        f'runpy:run_path{{"path_name": "{script}"}}',
        f'pathlib:Path.touch{{"self": "{trace}"}}',
        f'CartPole-v1|os:system{{"command": "touch {trace}"}}',
        f'{TASK}|subprocess:run{{"args": ["touch", "{trace}"]}}',
        "antigravity:CartPole-v1",
    ]


def _demonstrations(place: Path, sound: Path, command: str, pickled: bytes) -> Iterator[Attack]:
    def readings(file: Path) -> Iterator[Callable[[], object]]:
        yield partial(drex.load_demonstrations, file)
        for words in (
            ["demos", "inspect", str(file)],
            ["diagnose", str(file), "--run-dir", str(place / "d")],
        ):
            yield partial(command_line, words)

    objects = np.array([_Payload(command)] * 3, dtype=object)
    with np.load(sound) as arrays:
        fields = dict(arrays)
    for name in ("observations", "actions", "lengths", "rewards", "task", "about"):
        file = place / f"objects-{name}.npz"
        np.savez(file, **(fields | {name: objects}), allow_pickle=True)
        for read in readings(file):
            yield "npz with pickled objects", read
    for name, content in (("raw.npz", pickled), ("raw.hdf5", pickled)):
        (place / name).write_bytes(content)
        for read in readings(place / name):
            yield "pickle by the name of demonstrations", read
    for number, task in enumerate(_named_code(place.parent / "executed")):
        file = place / f"task-{number}.npz"
        np.savez(file, **(fields | {"task": np.array(task)}))
        for read in readings(file):
            yield "npz whose task names code", read
    yield from _other_formats(place, sound, command, pickled)


def _other_formats(place: Path, sound: Path, command: str, pickled: bytes) -> Iterator[Attack]:
    file = place / "opaque.hdf5"
    convert_demonstrations(sound, file, target_format="d4rl")
    with h5py.File(file, "a") as opened:
        del opened["actions"]
        opened["actions"] = np.void(pickled)
        opened["infos/pickle"] = np.void(pickled)
        opened["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/")
    yield "HDF5 with opaque bytes and links", partial(drex.load_demonstrations, file)

    folder = place / "imitation"
    convert_demonstrations(sound, folder, target_format="imitation")
    table = pyarrow.ipc.open_stream(next(folder.glob("*.arrow")).read_bytes()).read_all()
    attack = json.dumps({"py/reduce": [{"py/function": "os.system"}, {"py/tuple": [command]}]})
    lengths = [len(actions) for actions in table.column("acts").to_pylist()]
    infos = pyarrow.array([[attack] * length for length in lengths])
    table = table.set_column(table.schema.get_field_index("infos"), "infos", infos)
    with pyarrow.ipc.new_stream(next(folder.glob("*.arrow")), table.schema) as out:
        out.write_table(table)
    yield "imitation with jsonpickle in infos", partial(drex.load_demonstrations, folder)
    for name in ("state.json", "dataset_info.json"):
        copy = place / f"imitation-{name}"
        shutil.copytree(folder, copy)
        facts = json.loads((copy / name).read_text()) | {
            "_data_files": [{"filename": "../raw.npz"}],
            "_format_type": "os.system",
            "builder_name": "os:system",
        }
        (copy / name).write_text(json.dumps(facts))
        yield "imitation that names files and code elsewhere", partial(drex.load_demonstrations, copy)

    folder = place / "minari"
    convert_demonstrations(sound, folder, target_format="minari")
    for entry in ("os:system", "subprocess:run", "builtins:exec"):
        copy = place / f"minari-{entry.replace(':', '-')}"
        shutil.copytree(folder, copy)
        metadata = next(copy.rglob("metadata.json"))
        spec = json.dumps({"id": "X-v0", "entry_point": entry, "kwargs": {"command": command}})
        facts = json.loads(metadata.read_text()) | {"env_spec": spec, "eval_env_spec": spec}
        metadata.write_text(json.dumps(facts))
        yield "Minari whose environment names code", partial(drex.load_demonstrations, copy)
        yield "Minari whose environment names code", partial(command_line, ["demos", "inspect", str(copy)])


def _policies(place: Path, whole: Path, pickled: bytes, torch_pickle: bytes) -> Iterator[Attack]:
    spaces = task_spaces(TASK)[:2]
    with zipfile.ZipFile(whole / "policy" / "policy.zip") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    data = json.loads(members["data"])
    serialized = {":type:": "<class 'x'>", ":serialized:": base64.b64encode(pickled).decode()}
    changes = {f"data-{key}": {"data": json.dumps(data | {key: serialized}).encode()} for key in data}
    changes |= {name: {name: torch_pickle} for name in ("policy.pth", "pytorch_variables.pth")}
    changes |= {f"raw-{name}": {name: pickled} for name in ("policy.pth", "data")}
    for number, (name, change) in enumerate(changes.items()):
        file = place / f"zip-{number}.zip"
        with zipfile.ZipFile(file, "w") as archive:
            for member, content in (members | change).items():
                archive.writestr(member, content)
        kind = "stable-baselines3's zip with a pickle"
        yield kind, partial(load_zip, file, *spaces)
        if not name.startswith("data-"):
            words = ["demos", "record", TASK, "--policy", str(file), "--out", str(place / f"{number}.npz")]
            yield kind, partial(command_line, words)
    for name, facts in {
        "algorithm": {"algorithm": "os:system"},
        "arguments": {
            "algorithm": "ppo",
            "arguments": {"activation_fn": "os:system", "net_arch": "os.system"},
        },
        "activation": {"settings": {"activation": "os.system"}},
    }.items():
        copy = place / f"policy-{name}"
        shutil.copytree(whole / "policy", copy)
        described = json.loads((copy / "policy.json").read_text())
        (copy / "policy.json").write_text(json.dumps(described | facts))
        yield "policy.json that names code", partial(load_trained, copy, *spaces)
    read_policy = partial(load_trained, observation_space=spaces[0], action_space=spaces[1])
    for stage, read in (("policy", read_policy), ("reward", drex.load_reward)):
        for number, content in enumerate((pickled, torch_pickle)):
            copy = place / f"{stage}-{number}"
            shutil.copytree(whole / stage, copy)
            (copy / f"{stage}.safetensors").write_bytes(content)
            yield "weights that are a pickle", partial(read, copy)


def _runs(
    place: Path, whole: Path, demonstrations: Path, trace: Path, torch_pickle: bytes
) -> Iterator[Attack]:
    for number, task in enumerate(_named_code(trace)):
        for name in ("evaluation.json", "config.json"):
            run = place / f"run-{number}-{name}"
            shutil.copytree(whole, run)
            facts = json.loads((run / name).read_text())
            (run / name).write_text(json.dumps(facts | {"task": task}))
            yield "run whose task names code", partial(command_line, ["report", str(run)])
            yield "run whose task names code", partial(command_line, ["diagnose", str(run)])
            export = ["reward", "export", str(run), str(run / "reward.pt2")]
            yield "run whose task names code", partial(command_line, export)
            yield "run whose task names code", partial(whole_run, run, demonstrations)
    for file in ("bc/policy.safetensors", "reward/reward.safetensors", "ranked/rollouts.npz"):
        run = place / f"run-{file.replace('/', '-')}"
        shutil.copytree(whole, run)
        (run / file).write_bytes(torch_pickle)
        yield "run with a pickle", partial(whole_run, run, demonstrations)
        yield "run with a pickle", partial(command_line, ["report", str(run)])
