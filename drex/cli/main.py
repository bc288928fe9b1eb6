"""The command line: dispatch, parsing, one public call per command, and the exit status.

Commands import their modules themselves, so that ``drex --help`` does not wait for torch.
"""

from __future__ import annotations

import argparse
import decimal
import difflib
import errno
import io
import os
import re
import shlex
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from drex.errors import UserError, printable

FINISHED, FAILED, USER_MISTAKE = 0, 1, 2
_OF_NAMES = {errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG}  # of files that the user named
_GROUPS = ("demos", "reward")
RANKED_BY = ("order", "tiers", "scores", "pairs", "file-order", "file")
_RANKING_VALUES = """Episodes are numbered from 0 in the order of the file. VALUES are, for
  order       episodes, worst first: 3 0 1
  tiers       episodes joined by commas, worst tier first: 0,3 1 2,4
  scores      one number per episode, higher is better, or none: 0.5 none 2
  pairs       BETTER,WORSE or BETTER,WORSE,WEIGHT: 1,0 2,0,0.5
  file-order  empty: later episodes are better, as a learner produced them
  file        a JSON or CSV file with a ranking, which is checked and copied"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: after ``drex``; ``None`` takes those of the process.

    Returns:
        0 finished, 2 a mistake that the user can correct (one sentence on stderr), 1 other errors.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may lack a character
            stream.reconfigure(errors="backslashreplace")
    if "" not in sys.path:
        sys.path.append("")  # modules of custom environments in the working directory, as for python -m
    try:
        status = _dispatch(words)
        sys.stdout.flush()
        return status
    except UserError as mistake:
        print(f"drex: {mistake}", file=sys.stderr)
        return USER_MISTAKE
    except SystemExit as parsed:  # after help, or for options that could not be parsed
        return parsed.code if isinstance(parsed.code, int) else USER_MISTAKE
    except KeyboardInterrupt:
        continues = (
            "; the same command with --resume continues" if words[:1] in (["run"], ["diagnose"]) else ""
        )
        print(f"drex: interrupted{continues}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # the reader of the output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINISHED
    except OSError as error:
        if error.filename is None or error.errno not in _OF_NAMES:
            traceback.print_exc()
            return FAILED
        print(f"drex: {printable(str(error.filename))}: {error.strerror}", file=sys.stderr)
        return USER_MISTAKE
    except Exception:
        traceback.print_exc()
        return FAILED


def _dispatch(words: list[str]) -> int:
    for name, (command, _) in _COMMANDS.items():
        path = name.split()
        if words[: len(path)] == path:
            command(words[len(path) :])
            return FINISHED
    if words[:1] == ["--version"]:
        from importlib.metadata import version

        print(f"drex {version('drex-rl')}")
    elif set(words) <= {*_GROUPS, "-h", "--help"}:
        print(_overview())
    else:
        asked = " ".join(words[:2] if words[0] in _GROUPS else words[:1])
        near = difflib.get_close_matches(asked, _COMMANDS, n=1)
        do = f"did you mean {near[0]}?" if near else "see drex --help"
        raise UserError("command", expected=f"one of {', '.join(_COMMANDS)}", found=repr(asked), do=do)
    return FINISHED


def _overview() -> str:
    width = max(map(len, _COMMANDS))
    commands = "\n".join(f"  drex {name:<{width}}  {summary}" for name, (_, summary) in _COMMANDS.items())
    return (
        "Learn a reward from imperfect demonstrations, and train an agent that beats the demonstrator.\n\n"
        f"{commands}\n\n"
        "drex COMMAND --help lists the options; drex run ENV --help-all lists all settings of that task."
    )


def _run(given: list[str]) -> None:
    task, words = _task_and_options("drex run", given)
    if {"-h", "--help"} & set(words):
        from drex.cli.common_options import show_common_options

        show_common_options(task)

    from drex.cli.run_options import parse_run_options

    options = parse_run_options(task, ["--help" if word == "--help-all" else word for word in words])

    task = options.environment()
    if options.seeds:
        from drex.sweeps.seeds import run_seeds

        table = run_seeds(["run", *given], options.folders(), jobs=options.jobs, quiet=options.quiet)
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


def _diagnose(words: list[str]) -> None:
    what, words = _task_and_options("drex diagnose", words)
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


def _make_demos(words: list[str]) -> None:
    task, options = _task_and_options("drex demos make", words)

    from drex.cli.demos_options import parse_make_options

    asked = parse_make_options(task, options)

    from drex.demonstrations.inspect import describe
    from drex.demonstrations.make import make_demonstrations
    from drex.rankings.user_ranking import Ranking
    from drex.rankings.user_ranking_files import ranking_beside, save_ranking

    settings = asked.settings
    print(f"{task}: training a demonstrator to a mean return of {settings.demonstrator.target_return:g}")
    command = shlex.join(["drex", "demos", "make", task, *options])
    name = asked.environment_of(task)
    made = make_demonstrations(name, asked.out, settings, seed=asked.seed, command=command, quiet=asked.quiet)
    if settings.history:
        save_ranking(ranking_beside(asked.out), Ranking("file_order", settings.history, "training time"))
    print("\n".join(describe(made).lines()))


def _record_demos(words: list[str]) -> None:
    task, options = _task_and_options("drex demos record", words)

    from drex.cli.demos_options import parse_record_options

    asked = parse_record_options(task, options)

    from drex.demonstrations.inspect import describe
    from drex.demonstrations.record import open_policy, record

    command = shlex.join(["drex", "demos", "record", task, *options])
    name = asked.environment_of(task)
    policy, about = open_policy(asked.policy, name), {"command": command}
    made = record(policy, name, asked.out, settings=asked.settings, seed=asked.seed, about=about)
    print("\n".join(describe(made).lines()))


def _inspect_demos(words: list[str]) -> None:
    import tyro

    from drex.cli.demos_options import InspectOptions

    asked = tyro.cli(InspectOptions, prog="drex demos inspect", args=words)

    from drex.demonstrations.inspect import describe
    from drex.demonstrations.load_and_save import load_demonstrations

    fit: dict[str, Any] = {}
    if asked.task is not None:
        from drex.envs.make import task_spaces

        names = ("observation_space", "action_space", "horizon")
        fit = dict(zip(names, task_spaces(asked.task), strict=True)) | {"task": asked.task}
    demonstrations = load_demonstrations(asked.file, format_name=asked.format, **fit)
    print("\n".join(describe(demonstrations).lines()))
    if asked.task is not None:
        print(f"fits {asked.task}: shapes, numbers and ranges are those of its spaces")


def _convert_demos(words: list[str]) -> None:
    import tyro

    from drex.cli.demos_options import ConvertOptions

    asked = tyro.cli(ConvertOptions, prog="drex demos convert", args=words)

    from drex.demonstrations.inspect import describe
    from drex.demonstrations.load_and_save import convert_demonstrations

    written = convert_demonstrations(
        asked.source, asked.target, source_format=asked.source_format, target_format=asked.target_format
    )
    print("\n".join(describe(written).lines()))


def _rank_demos(words: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="drex demos rank",
        description="Write the ranking of demonstrations that drex run ENV --method trex learns from.",
        epilog=_RANKING_VALUES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="the demonstrations")
    parser.add_argument("--by", required=True, choices=RANKED_BY, help="what the values are")
    parser.add_argument("values", metavar="VALUES", nargs="*", help="the ranking, see below")
    parser.add_argument("--out", metavar="RANKING", help="a .json file; default: next to the demonstrations")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing ranking")
    asked = parser.parse_intermixed_args([_fixed_point(word) for word in words])

    from pathlib import Path

    from drex.demonstrations.load_and_save import load_demonstrations
    from drex.rankings.user_ranking import describe_user_ranking
    from drex.rankings.user_ranking_files import ranking_beside, ranking_of_words, save_ranking

    trajectories = load_demonstrations(asked.file).trajectories
    ranking = ranking_of_words(asked.by, asked.values, episodes=len(trajectories))
    lines = describe_user_ranking(ranking.rank(trajectories))
    out = ranking_beside(asked.file) if asked.out is None else Path(asked.out)
    if out.exists() and not asked.overwrite:
        advice = "add --overwrite or name another with --out"
        raise UserError(str(out), expected="a new path", found="a ranking", do=advice)
    save_ranking(out, ranking)
    print("\n".join([*lines, f"ranking       {out}"]))


def _fixed_point(word: str) -> str:
    """A negative number as argparse knows it, which takes -1.5e+03 for an option."""
    scientific = re.fullmatch(r"-(\d+\.?\d*|\.\d+)[eE][-+]?\d+", word)
    return f"{decimal.Decimal(word):f}" if scientific else word


def _export_reward(words: list[str]) -> None:
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


def _report(words: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="drex report", description="Make figures, tables and report.html again from a finished run."
    )
    parser.add_argument("run_dir", metavar="RUN_DIR", help="the folder of a finished run")
    parser.add_argument("--task", metavar="ENV", help="task of the run, if it imports code that you trust")
    asked = parser.parse_args(words)

    from drex.report.html import write_report

    print("\n".join(write_report(asked.run_dir, task=asked.task).lines()))


def _task_and_options(command: str, words: list[str]) -> tuple[str, list[str]]:
    """The task, which comes first, and the options; help without a task takes the name ENV."""
    if words and not words[0].startswith("-"):
        return words[0], words[1:]
    if {"-h", "--help", "--help-all"} & set(words):
        return "ENV", words
    raise UserError(f"{command} ENV", expected="a task, then options", found=words[0] if words else "none")


_COMMANDS: dict[str, tuple[Callable[[list[str]], None], str]] = {
    "run": (_run, "the main job: from demonstrations to a better policy, its reward and a report"),
    "diagnose": (_diagnose, "what is likely to fail, before a policy is trained; of a task, file or run"),
    "demos make": (_make_demos, "train a demonstrator on the true reward and record its episodes"),
    "demos record": (_record_demos, "record episodes of a run's policy or of stable-baselines3's"),
    "demos inspect": (_inspect_demos, "summarize a file of demonstrations, with warnings"),
    "demos rank": (_rank_demos, "write the ranking for --method trex"),
    "demos convert": (_convert_demos, "write demonstrations in another format, without loss"),
    "reward export": (_export_reward, "write a learned reward as one file that torch runs without drex"),
    "report": (_report, "make tables, figures, video and report.html again from a run folder"),
}
