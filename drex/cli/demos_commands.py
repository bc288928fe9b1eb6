"""The commands of demonstrations: ``drex demos make``, ``record``, ``inspect``, ``rank`` and ``convert``.

They import their modules themselves, so that ``drex --help`` does not wait for torch.
"""

from __future__ import annotations

import argparse
import decimal
import re
import shlex
from typing import Any

from drex.cli.run_commands import task_and_options
from drex.errors import UserError

RANKED_BY = ("order", "tiers", "scores", "pairs", "file-order", "file")
_RANKING_VALUES = """Episodes are numbered from 0 in the order of the file. VALUES are, for
  order       episodes, worst first: 3 0 1
  tiers       episodes joined by commas, worst tier first: 0,3 1 2,4
  scores      one number per episode, higher is better, or none: 0.5 none 2
  pairs       BETTER,WORSE or BETTER,WORSE,WEIGHT: 1,0 2,0,0.5
  file-order  empty: later episodes are better, as a learner produced them
  file        a JSON or CSV file with a ranking, which is checked and copied"""


def make_demos(words: list[str]) -> None:
    """Train a demonstrator and record its episodes."""
    task, options = task_and_options("drex demos make", words)

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


def record_demos(words: list[str]) -> None:
    """Record episodes of a policy."""
    task, options = task_and_options("drex demos record", words)

    from drex.cli.demos_options import parse_record_options

    asked = parse_record_options(task, options)

    from drex.demonstrations.inspect import describe
    from drex.demonstrations.record import open_policy, record

    command = shlex.join(["drex", "demos", "record", task, *options])
    name = asked.environment_of(task)
    policy, about = open_policy(asked.policy, name), {"command": command}
    made = record(policy, name, asked.out, settings=asked.settings, seed=asked.seed, about=about)
    print("\n".join(describe(made).lines()))


def inspect_demos(words: list[str]) -> None:
    """Summarize a file of demonstrations."""
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


def convert_demos(words: list[str]) -> None:
    """Write demonstrations in another format."""
    import tyro

    from drex.cli.demos_options import ConvertOptions

    asked = tyro.cli(ConvertOptions, prog="drex demos convert", args=words)

    from drex.demonstrations.inspect import describe
    from drex.demonstrations.load_and_save import convert_demonstrations

    written = convert_demonstrations(
        asked.source, asked.target, source_format=asked.source_format, target_format=asked.target_format
    )
    print("\n".join(describe(written).lines()))


def rank_demos(words: list[str]) -> None:
    """Write a ranking of demonstrations."""
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
