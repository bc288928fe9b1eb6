"""Every number of the settings has a range; what lies outside is refused by the path of its option."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import types
from typing import Annotated, Literal, Union, get_args, get_origin, get_type_hints

import gymnasium
import pytest

import drex
from drex.agents.demonstrator import DemonstratorSettings
from drex.agents.sb3_algorithms import SB3Settings
from drex.cli.demos_options import parse_make_options, parse_record_options
from drex.cli.run_options import parse_run_options
from drex.demonstrations.make import MakingSettings
from drex.demonstrations.record import RecordingSettings
from drex.envs.atari.options import AtariOptions
from drex.envs.make import task_spaces
from drex.errors import UserError
from drex.files.dataclass_json import settings_from_json, settings_to_json
from drex.presets.presets import preset
from drex.presets.settings import Settings
from drex.presets.unread import refuse_unread_by_task
from drex.ranges import Range, check_ranges
from drex.rankings.settings import NoiseRanking, UserRanking

WORDS = {
    f"{name} {task} {' '.join(more)}": (task, ["--preset", name, *more])
    for name, task in (
        ("default", "Hopper-v5"),
        ("paper", "Hopper-v5"),
        ("default", "ALE/Breakout-v5"),
        ("small", "ALE/Breakout-v5"),
        ("paper", "ALE/Breakout-v5"),
    )
    for more in (
        [],
        ["--method", "trex"],
        ["--method", "trex", "--mix-noise"],
        ["--algo", "a2c", "--learner.environments", "2"],
    )
}
"""Every preset with every type of ranking and of learner."""


def parsed(words):
    task, options = words
    return parse_run_options(task, options).settings


ROOTS = {name: parsed(words) for name, words in WORDS.items()}


def fields_of(settings, prefix=""):
    """(owner, field name, path, type) of each field of each dataclass that these settings are composed of."""
    hints = get_type_hints(type(settings), include_extras=True)
    for field in dataclasses.fields(settings):
        value, path = getattr(settings, field.name), prefix + field.name
        if dataclasses.is_dataclass(value):
            yield from fields_of(value, f"{path}.")
        else:
            yield settings, field.name, path, hints[field.name]


def parts(hint):
    """The type itself, without what is beside it in a union."""
    union = get_origin(hint) in (Union, types.UnionType)
    return [part for part in get_args(hint) if part is not type(None)] if union else [hint]


def numbers(hint):
    """(type, range) of each number that a field of this type holds; the range of some may be missing."""
    found = []
    for part in parts(hint):
        if get_origin(part) is Annotated:
            ranges = [each for each in part.__metadata__ if isinstance(each, Range)]
            found += [(kind, ranges[0] if ranges else bare) for kind, bare in numbers(part.__origin__)]
        elif get_origin(part) is tuple:
            found += [each for item in get_args(part) if item is not Ellipsis for each in numbers(item)]
        elif part in (int, float):
            found.append((part, None))
    return found


def filled(hint, number):
    """A value of this type that holds nothing but one number."""
    part = next(part for part in parts(hint) if numbers(part))
    if get_origin(part) is Annotated:
        return number if part.__origin__ in (int, float) else filled(part.__origin__, number)
    if get_origin(part) is tuple:
        items = [item for item in get_args(part) if item is not Ellipsis]
        return tuple(filled(item, number) for item in (items * 2 if len(items) == 1 else items))
    return number


def outside(kind, allowed):
    """Numbers of this type outside of a range."""
    found = [allowed.low - 1] if allowed.low > -math.inf else []
    found += [allowed.high + 1] if allowed.high < math.inf else []
    found += [allowed.low] if allowed.above else []
    found += [allowed.high] if allowed.below else []
    if kind is float:
        found += [math.inf, *([] if allowed.nan else [math.nan])]
    return [kind(number) for number in found]


def flat(value):
    return [word for item in value for word in flat(item)] if isinstance(value, tuple) else [str(value)]


def numeric(settings):
    """The fields that hold numbers, with their type and range."""
    return [(*one, *numbers(one[3])[0]) for one in fields_of(settings) if numbers(one[3])]


MAKING = parse_make_options("Hopper-v5", ["--out", "demos.npz"]).settings
ALL = {**ROOTS, "demos make": MAKING, "demos record": RecordingSettings(noise_level=0.5)}


@pytest.mark.parametrize("root", ALL)
def test_every_number_has_a_range(root):
    found = [(path, numbers(hint)) for _, _, path, hint in fields_of(ALL[root])]
    assert [path for path, held in found if any(allowed is None for _, allowed in held)] == []
    assert sum(bool(held) for _, held in found) == len(numeric(ALL[root])) >= 2
    assert all(outside(kind, allowed) for *_, kind, allowed in numeric(ALL[root]))


@pytest.mark.parametrize("root", ALL)
def test_a_number_out_of_range_is_refused_by_class_and_field(root):
    for owner, name, path, hint, kind, allowed in numeric(ALL[root]):
        for number in outside(kind, allowed):
            with pytest.raises(UserError) as refused:
                dataclasses.replace(owner, **{name: filled(hint, number)})
            expected = (f"{type(owner).__name__}.{name}", str(allowed), str(number))
            assert (refused.value.where, refused.value.expected, refused.value.found) == expected, path


def with_value(values, path, value):
    """A deep copy of a JSON object with one value changed."""
    changed = json.loads(json.dumps(values))
    *above, last = path.split(".")
    place = changed
    for name in above:
        place = place[name]
    place[last] = value
    return changed


@pytest.mark.parametrize("root", [*ROOTS, "demos make", "demos record"])
def test_a_number_out_of_range_is_refused_by_its_path_in_json(root):
    settings = ALL[root].demonstrator if root == "demos make" else ALL[root]
    values = settings_to_json(settings)
    assert settings_from_json(type(settings), values, "settings.json") == settings
    for _, _, path, hint, kind, allowed in numeric(settings):
        for number in outside(kind, allowed):
            wrong = with_value(values, path, json.loads(json.dumps(filled(hint, number))))
            with pytest.raises(UserError) as refused:
                settings_from_json(type(settings), wrong, "settings.json")
            where = re.sub(r"(\.\d+)+$", "", refused.value.where)  # JSON names the place of an item of inf
            assert where == f"settings.json: {path}", number


OPTIONS = {
    path: (root, hint, kind, allowed)
    for root in ROOTS
    for *_, path, hint, kind, allowed in numeric(ROOTS[root])
}


@pytest.mark.parametrize("path", OPTIONS)
def test_a_number_out_of_range_is_refused_by_the_path_of_its_option(path):
    root, hint, kind, allowed = OPTIONS[path]
    task, words = WORDS[root]
    option = [f"--{path.replace('_', '-')}", *flat(filled(hint, outside(kind, allowed)[0]))]
    with pytest.raises(UserError) as refused:
        parse_run_options(task, [*words, *option])
    assert (refused.value.where, refused.value.expected) == (path, str(allowed))


def test_the_options_that_are_walked_over_are_those_of_every_class():
    owners = {type(owner).__name__ for root in ROOTS.values() for owner, *_ in fields_of(root)}
    assert {"NoiseRanking", "UserRanking", "PPOSettings", "SB3Settings", "SnippetSettings"} <= owners
    assert {"learner.gamma", "ranking.noise.levels", "reward.snippets.stride"} <= set(OPTIONS)


@pytest.mark.parametrize("path", [path.removeprefix("demonstrator.") for _, _, path, *_ in numeric(MAKING)])
def test_the_options_of_demos_make_are_refused_by_their_path(path):
    found = {one[2].removeprefix("demonstrator."): one[3:] for one in numeric(MAKING)}
    hint, kind, allowed = found[path]
    option = [f"--{path.replace('_', '-')}", *flat(filled(hint, outside(kind, allowed)[0]))]
    with pytest.raises(UserError) as refused:
        parse_make_options("Hopper-v5", ["--out", "demos.npz", *option])
    assert (refused.value.where, refused.value.expected) == (path, str(allowed))


@pytest.mark.parametrize("path", [path for _, _, path, *_ in numeric(RecordingSettings())])
def test_the_options_of_demos_record_are_refused_by_their_path(path):
    words = ["--policy", "run", "--out", "demos.npz", f"--{path.replace('_', '-')}", "-1"]
    with pytest.raises(UserError) as refused:
        parse_record_options("Hopper-v5", words)
    assert refused.value.where == path


def test_seeds_are_from_0_to_what_every_library_takes(tmp_path):
    for parse, words in (
        (parse_run_options, []),
        (parse_make_options, ["--out", "demos.npz"]),
        (parse_record_options, ["--policy", "run", "--out", "demos.npz"]),
    ):
        for seed in ("-1", str(2**30)):
            with pytest.raises(UserError, match=f"^seed: expected from 0 to {2**30 - 1}, found {seed}$"):
                parse("Hopper-v5", [*words, "--seed", seed])
    with pytest.raises(UserError, match=r"^seed: expected from 0"):
        drex.run("Hopper-v5", run_dir=tmp_path / "run", seed=-1)
    assert not (tmp_path / "run").exists()


# Nothing unread


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["--algo", "sac", "--learner.epochs", "3"],
            "learner.epochs: expected an option of algo sac, found one of algo ppo",
        ),
        (
            ["--algo=sac", "--learner.no-normalize-observations"],
            "learner.normalize_observations: expected an option of algo sac, found one of algo ppo",
        ),
        (
            ["--learner.arguments", "{}"],
            "learner.arguments: expected an option of algo ppo, found one of the other algorithms",
        ),
        (["--algo", "sac", "--learner.name", "td3"], "learner.name: expected sac, as in --algo, found td3"),
        (
            ["--algo", "alphago"],
            "algo: expected one of ppo, a2c, trpo, sac, td3, ddpg, tqc, dqn, qrdqn, found 'alphago'",
        ),
        (
            ["--algo", "sac", "--policy.value-hidden-sizes", "8"],
            "policy.value_hidden_sizes: expected an algorithm that trains the cloned network "
            "(ppo, a2c, trpo), found sac",
        ),
        (
            ["--ranking.clone-share", "0.5"],
            "ranking.clone_share: expected an option of method drex, found one of method trex",
        ),
        (
            ["--method", "trex", "--ranking.levels", "0", "1"],
            "ranking.levels: expected an option of method trex, found one of method drex",
        ),
        (
            ["--method", "trex", "--ranking.noise.levels", "0", "1"],
            "ranking.noise.levels: expected --mix-noise with it, found none",
        ),
        (["--mix-noise"], "mix_noise: expected --method trex with it, found method drex"),
        (
            ["--method", "trex", "--learner.start-from", "scratch", "--ranking.clone-share", "0.5"],
            "ranking.clone_share: expected 0.25, since learner.start_from clone alone reads it, found 0.5",
        ),
        (
            ["--method", "trex", "--learner.start-from", "scratch", "--bc.batch-size", "5"],
            "bc.batch_size: expected learner.start_from clone or mix_noise, found a run that clones nothing",
        ),
        (
            ["--ranking.names", "uniform", "--ranking.hold-steps", "4"],
            "ranking.hold_steps: expected 8, since sticky noise alone reads it, found 4",
        ),
        (
            ["--reward.snippets.pairs", "4"],
            "reward.snippets.pairs: expected 64, since scheme independent alone reads it, found 4",
        ),
        (
            ["--reward.snippets.scheme", "independent", "--reward.snippets.trajectories", "4"],
            "reward.snippets.trajectories: expected 0, since scheme shared alone reads it, found 4",
        ),
        (
            ["--normalization.offset", "mean", "--normalization.percentile", "4"],
            "normalization.percentile: expected 5.0, since offset ending or percentile alone reads it, "
            "found 4.0",
        ),
        (
            ["--learner.start-from", "scratch", "--learner.critic-warmup-rollouts", "4"],
            "learner.critic_warmup_rollouts: expected 8, since training from the clone alone reads it, "
            "found 4",
        ),
    ],
)
def test_an_option_that_nothing_reads_is_refused_in_one_sentence(words, sentence):
    with pytest.raises(UserError) as refused:
        parse_run_options("Hopper-v5", words)
    assert str(refused.value) == sentence


def test_options_of_ppo_and_of_t_rex_do_not_go_with_sac_and_d_rex(capsys):
    for words in (["--ppo.environment-steps", "5000"], ["--trex.mix-noise"]):
        with pytest.raises(SystemExit) as refused:
            parse_run_options("Hopper-v5", ["--algo", "sac", *words])
        assert refused.value.code == 2 and words[0] in capsys.readouterr().err


def test_the_options_of_the_chosen_types_are_there():
    words = [
        "--method",
        "trex",
        "--mix-noise",
        "--ranking.noise.names",
        "sticky",
        "--ranking.noise.hold-steps",
        "4",
    ]
    settings = parse_run_options(
        "Ant-v5", [*words, "--ranking", "r.csv", "--ranking.clone-share", "0.5"]
    ).settings
    noise = dataclasses.replace(preset("default", "Ant-v5").noise, names=("sticky",), hold_steps=4)
    assert settings.ranking == UserRanking(clone_share=0.5, noise=noise)
    learner = parse_run_options("Ant-v5", ["--algo", "td3", "--learner.gamma", "0.5"]).settings.learner
    assert learner == SB3Settings(name="td3", gamma=0.5)
    assert parse_run_options("Ant-v5", ["--mix_noise", "--method", "trex"]).settings.noise is not None


def changed(task="Hopper-v5", **changes):
    """The default settings of a task with fields of one group changed."""
    settings = preset("default", task)
    [(group, values)] = changes.items()
    return dataclasses.replace(settings, **{group: dataclasses.replace(getattr(settings, group), **values)})


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            changed(atari={"episodic_life": True}),
            "atari.episodic_life: expected False, since an Atari game alone",
        ),
        (
            changed(atari={"maximum_frames": 400}),
            "atari.maximum_frames: expected 108000, since an Atari game alone",
        ),
        (
            changed(policy={"image_precision": "bfloat16"}),
            "policy.image_precision: expected single, since a task",
        ),
        (
            changed(reward={"mask_top": 3}),
            "reward.mask_top: expected 0, since a task with images alone reads it",
        ),
        (
            changed(reward={"mask_bottom": 3}),
            "reward.mask_bottom: expected 0, since a task with images alone",
        ),
        (changed(reward={"convolutions": ((8, 3, 1),)}), "reward.convolutions: expected ((32, 7, 3)"),
    ],
)
def test_settings_that_the_task_does_not_read_are_refused_before_the_first_stage(
    tmp_path, settings, sentence
):
    with pytest.raises(UserError) as refused:
        drex.run("Hopper-v5", run_dir=tmp_path / "run", settings=settings)
    assert str(refused.value).startswith(sentence)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            changed(bc={"smallest_std": 0.1}),
            "bc.smallest_std: expected 0.05, since a task with Box actions alone",
        ),
        (changed(learner={"initial_std": 0.5}), "learner.initial_std: expected None, since a task with Box"),
    ],
)
def test_a_spread_of_actions_is_refused_where_they_are_chosen_from_a_list(settings, sentence):
    observations = gymnasium.spaces.Box(-1.0, 1.0, (2,))
    with pytest.raises(UserError) as refused:
        refuse_unread_by_task(settings, "Mine-v0", observations, gymnasium.spaces.Discrete(3))
    assert str(refused.value).startswith(sentence)


def test_a_mask_that_hides_every_row_is_refused():
    task = "ALE/Breakout-v5"
    observations, actions, _ = task_spaces(task)
    with pytest.raises(UserError, match=r"reward.mask_top: expected fewer than 84 masked rows, found 84"):
        refuse_unread_by_task(
            changed(task, reward={"mask_top": 84, "mask_bottom": 0}), task, observations, actions
        )


@pytest.mark.parametrize("root", ROOTS)
def test_no_preset_holds_what_its_task_does_not_read(root):
    task, _ = WORDS[root]
    observations, actions, _ = task_spaces(task)
    refuse_unread_by_task(ROOTS[root], task, observations, actions)


def test_the_method_is_that_of_the_ranking_in_the_settings(tmp_path):
    with pytest.raises(UserError, match="method: expected trex, the method of the settings, found drex"):
        drex.run("Hopper-v5", run_dir=tmp_path / "run", settings=Settings(ranking=UserRanking()))


# Ranges


@pytest.mark.parametrize(
    ("allowed", "words"),
    [
        (Range(), "a finite number"),
        (Range(1), "at least 1"),
        (Range(0, above=True), "above 0"),
        (Range(0, 1), "from 0 to 1"),
        (Range(0, 1, above=True), "above 0, up to 1"),
        (Range(0, 1, below=True), "from 0 to below 1"),
        (Range(0, 1, above=True, below=True), "above 0, below 1"),
    ],
)
def test_a_range_is_put_into_words(allowed, words):
    assert str(allowed) == words


def test_nan_is_refused_unless_it_is_allowed():
    assert math.isnan(DemonstratorSettings(target_return=math.nan).target_return)
    with pytest.raises(UserError, match="expected a finite number, found nan"):
        Range().check("x", math.nan)
    with pytest.raises(UserError, match="expected at least 1, found -1"):
        Range(1, nan=True).check("x", -1)


def test_numbers_beside_none_and_literals_are_checked():
    @dataclasses.dataclass(frozen=True)
    class Some:
        number: Annotated[int, Range(1)] | Literal["all"] | None = None
        flag: bool = False

    for value in (None, "all", 3):
        check_ranges(Some(value))
    with pytest.raises(UserError, match=r"Some\.number: expected at least 1, found 0"):
        check_ranges(Some(0))


def test_ranges_know_a_subclass_by_its_own_name():
    with pytest.raises(UserError, match=r"^NoiseRanking\.levels: expected from 0 to 1, found 2"):
        NoiseRanking(levels=(0.0, 2))
    assert MakingSettings(demonstrator=DemonstratorSettings(atari=AtariOptions())).episodes == 10
