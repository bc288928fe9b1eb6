"""Settings survive JSON, and JSON that does not fit is refused by the name of the field."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from drex.errors import UserError
from drex.files.dataclass_json import settings_from_json, settings_to_json


@dataclass(frozen=True, kw_only=True)
class Uniform:
    levels: tuple[float, ...] = (0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Held:
    steps: int = 4
    levels: tuple[float, ...] = (0.5,)


@dataclass(frozen=True, kw_only=True)
class Network:
    hidden: tuple[int, ...] = (256, 256)
    penalty: float = 0.01
    activation: Literal["relu", "tanh"] = "relu"


@dataclass(frozen=True, kw_only=True)
class Everything:
    task: str
    steps: int = 10
    offset: float | Literal["percentile"] | None = None
    quiet: bool = False
    network: Network = field(default_factory=Network)
    teacher: Network | None = None
    noise: Uniform | Held = field(default_factory=Uniform)
    more_noise: tuple[Uniform | Held | None, ...] = ()
    span: tuple[int, float] = (1, 0.5)
    count: int | float = 1
    doubled: int = field(init=False, default=2)


finite = st.floats(allow_nan=False, allow_infinity=False)
levels = st.lists(finite, max_size=4).map(tuple)
uniform = st.builds(Uniform, levels=levels)
held = st.builds(Held, steps=st.integers(), levels=levels)
network = st.builds(
    Network,
    hidden=st.lists(st.integers(), max_size=3).map(tuple),
    penalty=finite,
    activation=st.sampled_from(["relu", "tanh"]),
)
everything = st.builds(
    Everything,
    task=st.text(),
    steps=st.integers(),
    offset=st.none() | finite | st.just("percentile"),
    quiet=st.booleans(),
    network=network,
    teacher=st.none() | network,
    noise=uniform | held,
    more_noise=st.lists(st.none() | uniform | held, max_size=3).map(tuple),
    span=st.tuples(st.integers(), finite),
    count=st.integers() | finite,
)


@hypothesis_settings(deadline=None)  # machines under load
@given(everything)
def test_settings_come_back_from_json_text_as_they_were(settings):
    text = json.dumps(settings_to_json(settings), allow_nan=False)
    back = settings_from_json(Everything, json.loads(text), "config.json")
    assert back == settings
    assert type(back.count) is type(settings.count)


def test_the_json_of_settings_is_plain_and_says_the_class_only_in_a_union():
    assert settings_to_json(Everything(task="Hopper-v5", noise=Held(), more_noise=(Uniform(), None))) == {
        "task": "Hopper-v5",
        "steps": 10,
        "offset": None,
        "quiet": False,
        "network": {"hidden": [256, 256], "penalty": 0.01, "activation": "relu"},
        "teacher": None,
        "noise": {"class": "Held", "steps": 4, "levels": [0.5]},
        "more_noise": [{"class": "Uniform", "levels": [0.0, 1.0]}, None],
        "span": [1, 0.5],
        "count": 1,
    }


def test_absent_keys_take_defaults_and_integers_become_declared_floats():
    settings = settings_from_json(Everything, {"task": "a", "network": {"penalty": 1}}, "here")
    assert settings == Everything(task="a", network=Network(penalty=1.0))
    assert type(settings.network.penalty) is float


@pytest.mark.parametrize(
    ("values", "where", "expected", "found"),
    [
        ({"task": "a", "stepz": 3}, "here: stepz", "steps", "unknown key"),
        ({"task": "a", "doubled": 3}, "here: doubled", "only the fields task", "unknown key"),
        ({"task": "a", "network": {"penalti": 3}}, "here: network.penalti", "penalty", "unknown key"),
        ({}, "here: task", "a value", "none"),
        ({"task": 3}, "here: task", "a string", "3"),
        ({"task": "a", "steps": 1.0}, "here: steps", "an integer", "1.0"),
        ({"task": "a", "steps": True}, "here: steps", "an integer", "true"),
        ({"task": "a", "quiet": 1}, "here: quiet", "true or false", "1"),
        ({"task": "a", "quiet": None}, "here: quiet", "true or false", "null"),
        (
            {"task": "a", "offset": "median"},
            "here: offset",
            '"percentile" or null or a finite number',
            '"median"',
        ),
        (
            {"task": "a", "network": {"penalty": float("inf")}},
            "here: network.penalty",
            "a finite",
            "Infinity",
        ),
        ({"task": "a", "network": {"penalty": float("nan")}}, "here: network.penalty", "a finite", "NaN"),
        ({"task": "a", "network": {"penalty": 10**400}}, "here: network.penalty", "a finite", "1000"),
        ({"task": "a", "network": {"penalty": True}}, "here: network.penalty", "a finite", "true"),
        ({"task": "a", "network": {"hidden": [64, "x"]}}, "here: network.hidden.1", "an integer", '"x"'),
        ({"task": "a", "network": {"hidden": 64}}, "here: network.hidden", "a list", "64"),
        ({"task": "a", "network": [64]}, "here: network", "the fields of Network", "[64]"),
        ({"task": "a", "network": None}, "here: network", "the fields of Network", "null"),
        ({"task": "a", "steps": {"n": 1}}, "here: steps", "an integer", '{"n": 1}'),
        ({"task": "a", "span": [1]}, "here: span", "a list", "[1]"),
        ({"task": "a", "noise": {"levels": []}}, "here: noise.class", "one of Uniform, Held", "none"),
        ({"task": "a", "noise": {"class": "Other"}}, "here: noise.class", "one of Uniform, Held", '"Other"'),
        ({"task": "a", "noise": {"class": "Uniform", "steps": 3}}, "here: noise.steps", "levels", "unknown"),
        (
            {"task": "a", "more_noise": [{"class": "Held", "steps": ""}]},
            "here: more_noise.0.steps",
            "an int",
            '""',
        ),
        ([1], "here", "the fields of Everything", "[1]"),
    ],
)
def test_json_that_does_not_fit_is_refused_by_field(values, where, expected, found):
    with pytest.raises(UserError) as refusal:
        settings_from_json(Everything, values, "here")
    assert refusal.value.where == where
    assert expected in refusal.value.expected
    assert found in refusal.value.found


def test_a_misspelt_key_is_answered_with_the_nearest_field():
    with pytest.raises(UserError, match=re.escape("network.activaton: expected only the fields")) as refusal:
        settings_from_json(Everything, {"task": "a", "network": {"activaton": "relu"}}, "here")
    assert refusal.value.do == "did you mean activation?"


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        (Everything(task=3), "Everything: task"),
        (Everything(task="a", steps=0.5), "Everything: steps"),
        (Everything(task="a", network=Network(penalty=float("nan"))), "Everything: network.penalty"),
        (Everything(task="a", network=Held()), "Everything: network"),
        (Everything(task="a", more_noise=(3,)), "Everything: more_noise.0"),
        (Everything(task="a", span=(1, 2.0, 3)), "Everything: span"),
        (Everything(task="a", steps=(1,)), "Everything: steps"),
    ],
)
def test_settings_of_a_wrong_type_are_not_written(settings, where):
    with pytest.raises(UserError) as refusal:
        settings_to_json(settings)
    assert refusal.value.where == where


@dataclass(frozen=True)
class Unspeakable:
    names: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Ambiguous:
    noise: tuple[Uniform, ...] | tuple[Held, ...] = ()


def test_types_that_json_cannot_tell_apart_are_a_mistake_of_the_dataclass():
    with pytest.raises(TypeError, match="names: settings cannot hold dict"):
        settings_to_json(Unspeakable())
    with pytest.raises(TypeError, match="two kinds of tuple"):
        settings_from_json(Ambiguous, {"noise": []}, "here")
