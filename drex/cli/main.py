"""The command line: dispatch and the exit status."""

from __future__ import annotations

import difflib
import errno
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence

from drex.cli.demos_commands import convert_demos, inspect_demos, make_demos, rank_demos, record_demos
from drex.cli.run_commands import compare, diagnose, export_reward, report, run, sweep
from drex.errors import UserError, printable

FINISHED, FAILED, USER_MISTAKE = 0, 1, 2
_OF_NAMES = {errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG}  # of files that the user named
_GROUPS = ("demos", "reward")


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
        how = {"run": " with --resume", "diagnose": " with --resume", "sweep": ""}
        continues = f"; the same command{how[words[0]]} continues" if words and words[0] in how else ""
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


_COMMANDS: dict[str, tuple[Callable[[list[str]], None], str]] = {
    "run": (run, "the main job: from demonstrations to a better policy, its reward and a report"),
    "diagnose": (diagnose, "what is likely to fail, before a policy is trained; of a task, file or run"),
    "demos make": (make_demos, "train a demonstrator on the true reward and record its episodes"),
    "demos record": (record_demos, "record episodes of a run's policy or of stable-baselines3's"),
    "demos inspect": (inspect_demos, "summarize a file of demonstrations, with warnings"),
    "demos rank": (rank_demos, "write the ranking for --method trex"),
    "demos convert": (convert_demos, "write demonstrations in another format, without loss"),
    "reward export": (export_reward, "write a learned reward as one file that torch runs without drex"),
    "sweep": (sweep, "every task, variant and seed of a file, and their comparison"),
    "compare": (compare, "scores of finished runs over tasks and seeds: a page, tables, CSV, TensorBoard"),
    "report": (report, "make tables, figures, video and report.html again from a run folder"),
}
