"""The commands of runs: ``drex run``, ``diagnose``, ``compare``, ``report`` and ``reward export``.

They import their modules themselves, so that ``drex --help`` does not wait for torch.
"""

from __future__ import annotations

import argparse

from drex.errors import UserError


def run(given: list[str]) -> None:
    """Run the method, for one seed or for many."""
    from_file = any(word.partition("=")[0] == "--config" for word in given) and given[0].startswith("-")
    task, words = (None, given) if from_file else task_and_options("drex run", given)
    if {"-h", "--help"} & set(words):
        from drex.cli.common_options import show_common_options

        show_common_options(task or "ENV")

    from drex.cli.run_options import parse_run_options

    options = parse_run_options(task, ["--help" if word == "--help-all" else word for word in words])

    task = options.environment()
    if options.seeds:
        from drex.sweeps.cell import Cell
        from drex.sweeps.seeds import run_seeds, words_of_seed

        cells = []
        for seed, folder in options.folders().items():
            command = words_of_seed(["run", *given], seed)
            cells.append(
                Cell(f"seed {seed}", folder, command, task, seed, options.settings, options.controls)
            )
        table = run_seeds(cells, jobs=options.jobs, quiet=options.quiet)
        print(f"\n{table.text()}")
        return
    from drex import pipeline
    from drex.report.finished_run import METHODS
    from drex.report.html import report_of

    folder = options.folder()
    if not options.quiet:
        print(f"{METHODS[options.method]} on {task}, seed {options.seed}, preset {options.preset}: {folder}")
    evaluation = pipeline.run(task, run_dir=folder, controls=options.controls, **options.shared_arguments())
    print("\n".join(["", *report_of(folder, evaluation).lines()]))


def diagnose(words: list[str]) -> None:
    """Show what is likely to fail, of a task, file or run."""
    what, words = task_and_options("drex diagnose", words)
    if {"-h", "--help"} & set(words):
        from drex.cli.common_options import show_diagnose_options

        show_diagnose_options(what)

    from pathlib import Path

    if Path(what).is_dir():
        from drex.diagnosis.finding import read_findings

        if words:
            raise UserError("drex diagnose RUN", expected="no options after a run folder", found=words[0])
        print("\n".join(finding.line() for finding in read_findings(what)))
        return

    from drex.cli.run_options import parse_run_options

    if Path(what).is_file():
        from drex.demonstrations.load_and_save import load_demonstrations
        from drex.envs.task_names import read_task_name

        recorded = load_demonstrations(what).task
        if recorded is None or read_task_name(recorded).imports_code:
            expected, advice = "a task of gymnasium's own", f"drex diagnose ENV --demos {what}"
            raise UserError(what, expected=expected, found=recorded or "none", do=advice)
        what, words = recorded, ["--demos", what, *words]
    options = parse_run_options(what, words)
    if options.seeds:
        raise UserError("seeds", expected="one seed, by --seed", found=options.seeds)
    if options.controls:
        raise UserError("controls", expected="none, as no policy is trained", found=options.controls[0])

    from drex import pipeline

    folder = options.folder()
    findings = pipeline.diagnose(options.environment(), run_dir=folder, **options.shared_arguments())
    if options.quiet:  # else they are shown as they are found
        print("\n".join(finding.line() for finding in findings))
    print(f"diagnosis of {folder}; drex run with the same options and --resume continues")


def export_reward(words: list[str]) -> None:
    """Write a learned reward as one file."""
    parser = argparse.ArgumentParser(
        prog="drex reward export",
        description="Write a learned reward as one .pt2 file that torch runs without drex.",
    )
    parser.add_argument("folder", metavar="DIR", help="a run folder, or the folder of a reward")
    parser.add_argument("out", metavar="FILE", help="output file, a name that ends in .pt2")
    parser.add_argument(
        "--task", metavar="ENV", help="task of the reward, if DIR is no run folder or its task imports code"
    )
    asked = parser.parse_args(words)

    from drex.rewards.export import export_from_folder

    export_from_folder(asked.folder, asked.out, task=asked.task)
    print(f"reward        {asked.out}")


def compare(words: list[str]) -> None:
    """Compare finished runs."""
    parser = argparse.ArgumentParser(
        prog="drex compare",
        description="Compare finished runs over tasks and seeds: interquartile mean, mean and median of "
        "their scores with bootstrap intervals, probability of improvement, and performance profiles.",
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run folders, or folders that hold some")
    parser.add_argument(
        "--out", metavar="DIR", default="comparison", help="output folder; default: %(default)s"
    )
    asked = parser.parse_args(words)

    from drex.comparison.compare import compare

    print("\n".join(compare(asked.runs, asked.out).lines()))


def sweep(words: list[str]) -> None:
    """Run every task, variant and seed of a file, and compare the runs."""
    parser = argparse.ArgumentParser(
        prog="drex sweep",
        description="Run every task, variant and seed of a file, and compare the runs. Finished runs "
        "are kept, unfinished ones continue.",
    )
    parser.add_argument("spec", metavar="SPEC", help="a TOML or JSON file (docs/many-runs.md)")
    parser.add_argument("--jobs", type=int, help="runs at a time; default: the file's")
    trusted = "a task of the file that imports code that you trust, as often as needed"
    parser.add_argument("--task", metavar="ENV", action="append", default=[], help=trusted)
    parser.add_argument("--quiet", action="store_true", help="print no line when a run starts or ends")
    on_ray = "run on Ray: on the cluster at ADDRESS, or on one that is started on this machine"
    parser.add_argument("--ray", metavar="ADDRESS", nargs="?", const="local", help=on_ray)
    asked = parser.parse_args(words)

    from drex.sweeps.sweep import sweep

    comparison = sweep(asked.spec, jobs=asked.jobs, trusted=asked.task, quiet=asked.quiet, ray=asked.ray)
    print("\n".join(["", *comparison.lines()]))


def report(words: list[str]) -> None:
    """Write the report of a finished run again."""
    parser = argparse.ArgumentParser(
        prog="drex report", description="Make figures, tables and report.html again from a finished run."
    )
    parser.add_argument("run_dir", metavar="RUN_DIR", help="the folder of a finished run")
    parser.add_argument("--task", metavar="ENV", help="task of the run, if it imports code that you trust")
    asked = parser.parse_args(words)

    from drex.report.html import write_report

    print("\n".join(write_report(asked.run_dir, task=asked.task).lines()))


def task_and_options(command: str, words: list[str]) -> tuple[str, list[str]]:
    """The task, which comes first, and the options; help without a task takes the name ENV."""
    if words and not words[0].startswith("-"):
        return words[0], words[1:]
    if {"-h", "--help", "--help-all"} & set(words):
        return "ENV", words
    raise UserError(f"{command} ENV", expected="a task, then options", found=words[0] if words else "none")
