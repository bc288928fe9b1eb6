"""``drex sweep SPEC``: a run for every task, variant and seed of a file, and their comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from drex.comparison.compare import Comparison, compare
from drex.envs.task_names import task_name, task_of_file
from drex.errors import UserError
from drex.files.atomic import write_json
from drex.files.dataclass_json import refuse_unknown_keys
from drex.files.run_layout import file_name
from drex.presets.run_file import RunFile, merged, read_options, run_of_options
from drex.sweeps.cell import Cell
from drex.sweeps.cells import run_cells
from drex.sweeps.seeds import seeds_of

_KEYS = ("tasks", "variants", "run", "seeds", "jobs", "folder")


def sweep(
    spec: str | Path | Mapping[str, Any],
    *,
    jobs: int | None = None,
    trusted: Sequence[str] = (),
    quiet: bool = False,
    ray: str | None = None,
) -> Comparison:
    """Run every task with every variant and seed; runs that are finished are kept, unfinished ones continue.

    Args:
        spec: a TOML or JSON file, or its content. ``tasks`` is a list of options of ``drex run`` (task,
            demos, …), each with an optional ``name`` of its folder; ``variants``, other such options by the
            name of a variant; ``run``, options of every run; ``seeds``, such as ``"0-4"``; ``jobs``, runs at
            a time; ``folder``, of all runs. Options of a variant take precedence over those of a task, and
            these over those of every run.
        jobs: takes the place of the file's.
        trusted: tasks of a file that import code; others that do are refused. Content in memory is trusted.
        quiet: print no line when a run starts or ends.
        ray: address of a Ray cluster to run on, or ``"local"``, which starts one on this machine.

    Returns:
        The comparison of all runs, in ``folder/comparison``.

    Raises:
        UserError: a mistake in the file, found before any run starts; or runs failed, while the others are
            finished.
    """
    values, where, beside = _read(spec)
    folder = beside / _of_type(values, "folder", str, where, default=f"runs/{Path(where).stem}")
    trust = None if isinstance(spec, Mapping) else [task_name(task) for task in trusted]
    cells = list(_cells(values, where, beside, folder, trust))
    if jobs is None:
        jobs = _of_type(values, "jobs", int, where, default=1)
    if jobs < 1:
        raise UserError(f"{where}: jobs", expected="at least 1", found=str(jobs))
    run_cells(cells, jobs=jobs, quiet=quiet, where=where, ray=ray)
    return compare([cell.folder for cell in cells], folder / "comparison")


def _read(spec: str | Path | Mapping[str, Any]) -> tuple[Mapping[str, Any], str, Path]:
    """Content, name and folder of a file; of content in memory, the working directory."""
    if isinstance(spec, Mapping):
        values, where, beside = spec, "sweep", Path()
    else:
        values, where, beside = read_options(spec), str(spec), Path(spec).parent
    refuse_unknown_keys(values, _KEYS, f"{where}: ")
    return values, where, beside


def _of_type(values: Mapping[str, Any], key: str, kind: type[Any], where: str, *, default: Any) -> Any:  # noqa: ANN401
    found = values.get(key, default)
    if not isinstance(found, kind) or isinstance(found, bool):
        names = {str: "a text", int: "a number", Mapping: "a table", Sequence: "a list"}
        raise UserError(f"{where}: {key}", expected=names[kind], found=repr(found))
    return found


def _cells(
    values: Mapping[str, Any], where: str, beside: Path, folder: Path, trusted: Sequence[str] | None
) -> Iterator[Cell]:
    """Every run, with its options checked and written into the folder."""
    everywhere = _of_type(values, "run", Mapping, where, default={})
    tasks = _of_type(values, "tasks", Sequence, where, default=())
    variants = _of_type(values, "variants", Mapping, where, default={"default": {}})
    seeds = seeds_of(str(_of_type(values, "seeds", str, where, default="0")))
    if not tasks or not variants:
        raise UserError(f"{where}: {'variants' if tasks else 'tasks'}", expected="at least one", found="none")
    names = [_name(task, f"{where}: tasks.{place}") for place, task in enumerate(tasks)]
    for place, (name, task) in enumerate(zip(names, tasks, strict=True)):
        if name in names[:place]:
            do = "give one a name of its own"
            raise UserError(f"{where}: tasks.{place}", expected="another name", found=repr(name), do=do)
        for variant, options in variants.items():
            here = f"{where}: tasks.{place} with variants.{variant}"
            if not isinstance(options, Mapping):
                raise UserError(here, expected="a table", found=repr(options))
            run = merged(merged(everywhere, {key: task[key] for key in task if key != "name"}), options)
            if "seed" in run:
                raise UserError(f"{here}: seed", expected="seeds, for all runs", found=str(run["seed"]))
            file = run_of_options(run, here, folder=beside)
            if trusted is not None:
                task_of_file(file.task, here, trusted=file.task if file.task in trusted else None)
            yield from _cells_of(file, run, folder / name, file_name(variant), seeds)


def _name(task: object, where: str) -> str:
    """The name of a task's folder."""
    if not isinstance(task, Mapping) or not isinstance(task.get("task"), str):
        raise UserError(where, expected='a table with a task, such as task = "Hopper-v5"', found=repr(task))
    return file_name(str(task.get("name", task["task"])))


def _cells_of(
    file: RunFile, run: Mapping[str, Any], folder: Path, variant: str, seeds: Sequence[int]
) -> Iterator[Cell]:
    """The runs of one task and variant."""
    named = ("task", "env_kwargs", "wrappers")  # on the command line of the run
    written = {key: value for key, value in run.items() if key not in named}
    written |= {key: str(file.options[key].resolve()) for key in ("demos", "ranking") if file.options[key]}
    arguments = {
        "demonstrations": written.get("demos"),
        "ranking": written.get("ranking"),
        "method": file.options["method"],
        "device": file.options["device"],
    }
    folder.mkdir(parents=True, exist_ok=True)
    options = folder / f"{variant}.json"
    write_json(options, written)
    for seed in seeds:
        words = ("run", file.task, "--config", str(options), "--seed", str(seed))
        name = f"{folder.name} {variant} seed {seed}"
        place = folder / f"{variant}-seed{seed}"
        controls = tuple(file.options["controls"])
        yield Cell(name, place, words, file.task, seed, file.settings, controls, arguments)
