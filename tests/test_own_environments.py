"""Any environment comes in by name or factory, wrapped as the user likes, and is seen as one flat Box."""

from __future__ import annotations

import re

import custom_environments
import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiBinary, MultiDiscrete, Text, Tuple
from tiny_environments import WALK, Walk

from drex.agents.rollouts.collect import collect
from drex.envs.make import make_environments, task_spaces
from drex.envs.single import build_environment
from drex.envs.task_names import read_task_name, task_name
from drex.errors import UserError


class Shown(gymnasium.Env):
    """Shows one observation for ever, in any space, and takes any actions; set by its test."""

    shown: gymnasium.Space = Box(0, 1, (1,), np.float32)
    taken: gymnasium.Space = Box(-1, 1, (1,), np.float32)

    def __init__(self):
        self.observation_space, self.action_space = type(self).shown, type(self).taken

    def reset(self, *, seed=None, options=None):
        self.observation_space.seed(5)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, False, False, {}


@pytest.fixture
def shown(monkeypatch):
    """Sets the spaces of the environment whose name it returns."""

    def show(observations=Shown.shown, actions=Shown.taken):
        monkeypatch.setattr(Shown, "shown", observations)
        monkeypatch.setattr(Shown, "taken", actions)
        task_spaces.cache_clear()
        return f"{__name__}:Shown"

    yield show
    task_spaces.cache_clear()


# Names


@pytest.mark.parametrize(
    ("task", "kwargs", "wrappers", "name"),
    [
        ("Hopper-v5", {}, [], "Hopper-v5"),
        ("Hopper-v5", {"b": 1, "a": (1, 2)}, [], 'Hopper-v5{"a": [1, 2], "b": 1}'),
        (custom_environments.walk, {}, [], "custom_environments:walk"),
        (Walk, {"discrete": True}, [], 'tiny_environments:Walk{"discrete": true}'),
        (
            'custom_environments:walk {"horizon":5} | custom_environments:in_a_dict',
            {},
            [custom_environments.Steps, "a:b"],
            'custom_environments:walk{"horizon": 5}|custom_environments:in_a_dict|'
            "custom_environments:Steps|a:b",
        ),
        ('a:b{"text": "}|{"}', {"more": None}, [], 'a:b{"more": null, "text": "}|{"}'),
        (
            'a:b|c:d{"y": "}|{", "x":1} |e:f',
            {},
            ['g:h{"z": 2}'],
            'a:b|c:d{"x": 1, "y": "}|{"}|e:f|g:h{"z": 2}',
        ),
    ],
)
def test_an_environment_has_one_name_that_says_all(task, kwargs, wrappers, name):
    assert task_name(task, kwargs=kwargs, wrappers=wrappers) == name
    assert task_name(name) == name
    assert read_task_name(name).name() == name


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"task": lambda: Walk()}, "task: expected a class or function that a module holds by its name"),
        (
            {"task": WALK, "wrappers": [lambda e: e]},
            "wrapper: expected a class or function that a module holds",
        ),
        ({"task": WALK, "kwargs": {"a": object()}}, "env_kwargs: expected what JSON can hold, found"),
        ({"task": WALK, "kwargs": {"a": float("nan")}}, "env_kwargs: expected what JSON can hold, found"),
        ({"task": WALK, "wrappers": ["Sticky"]}, "wrapper 'Sticky': expected module:Wrapper, found 'Sticky'"),
        ({"task": 'a:b{"c": }'}, "expected keyword arguments in JSON between braces, found"),
        ({"task": 'a:b{"c": 1} d:e'}, "expected |module:Wrapper after the arguments, found d:e"),
        ({"task": "a:b|c:d", "wrappers": ['e:f{"g"}']}, "expected keyword arguments in JSON between braces"),
        ({"task": "a:b|c:d{} e"}, "expected |module:Wrapper after the arguments, found e"),
        ({"task": "a:b||c:d"}, "wrapper '': expected module:Wrapper, found ''"),
        ({"task": "a:b:c"}, "task: expected an id or module:id, found 'a:b:c'"),
    ],
)
def test_what_cannot_be_named_is_refused_in_one_sentence(options, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        task_name(options.pop("task"), **options)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("no_such_module:Walk", "expected an environment that gymnasium can make, found No module named"),
        (
            "custom_environments:run",
            "that gymnasium can make, found Environment `run`",
        ),
        (
            'custom_environments:walk{"sise": 5}',
            "keyword arguments that it takes, found walk() got an unexpected keyword argument 'sise'",
        ),
        (
            "custom_environments:Needy",
            "expected keyword arguments that it takes, found Needy.__init__() missing 1 required",
        ),
        (
            f"{WALK}|gymnasium.wrappers:RescaleAction",
            'its arguments in JSON, as in gymnasium.wrappers:RescaleAction{"name": 1.0}, found missing a',
        ),
        (
            f'{WALK}|gymnasium.wrappers:TimeLimit{{"max_steps": 5}}',
            """wrapper 'gymnasium.wrappers:TimeLimit{"max_steps": 5}': expected its arguments in JSON""",
        ),
        ('gymnasium.spaces:Box{"low": 0, "high": 1}', "expected a gymnasium environment, found Box"),
        (f"{WALK}|no_such_module:W", "wrapper 'no_such_module:W': expected a module that can be imported"),
        (f"{WALK}|custom_environments:W", "expected a class or function of custom_environments, found none"),
        (f"{WALK}|builtins:repr", "wrapper 'builtins:repr': expected a gymnasium environment, found str"),
        (
            'ALE/Pong-v5{"mode": 1}',
            "an Atari game as it is, since ALE's own emulator preprocesses it",
        ),
    ],
)
def test_what_a_name_does_not_lead_to_is_said_in_one_sentence(name, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        task_spaces(name)


# What comes out of the door


def test_a_single_number_as_observation_gets_an_axis():
    environments = make_environments("custom_environments:Place", 2, seed=0)
    trajectories, _ = collect(lambda seen: np.full((len(seen), 2), 1.0, np.float32), environments, 2, seed=0)
    assert environments.observation_space.shape == (1,)
    assert trajectories.observations.shape[1:] == (1,)


@pytest.mark.filterwarnings("ignore:.*precision lowered")
def test_a_wrapper_takes_its_arguments_from_the_name():
    scaled = 'gymnasium.wrappers:RescaleAction{"min_action": -0.5, "max_action": 0.5}'
    _, actions, horizon = task_spaces(
        f'{WALK}|{scaled}|gymnasium.wrappers:TimeLimit{{"max_episode_steps": 7}}'
    )
    np.testing.assert_array_equal([actions.low, actions.high], [[-0.5, -0.5], [0.5, 0.5]])
    assert horizon == 7


def test_factory_arguments_and_wrappers_make_the_environment():
    environments = make_environments(
        custom_environments.walk,
        2,
        seed=0,
        env_kwargs={"horizon": 7},
        wrappers=[custom_environments.Steps, custom_environments.in_a_dict],
    )
    trajectories, returns = collect(lambda seen: np.full((len(seen), 2), (2, 1)), environments, 4, seed=0)
    np.testing.assert_array_equal(trajectories.lengths, [7, 7, 7, 7])
    np.testing.assert_allclose(returns.values_for_evaluation(), 7.0)
    assert trajectories.actions.dtype == np.int64
    np.testing.assert_array_equal(trajectories.actions, np.full((28, 2), (2, 1)))
    # leaning (three options), place, tilt: by the keys' alphabet
    observations = trajectories.observations
    assert (observations.shape, observations.dtype) == ((28, 5), np.float32)
    np.testing.assert_array_equal(observations[:, :3], np.tile([1.0, 0.0, 0.0], (28, 1)))
    np.testing.assert_allclose(observations[:7, 3], 0.1 * np.arange(7), rtol=1e-6)
    np.testing.assert_allclose(trajectories.last_observations[:, 3], 0.7, rtol=1e-6)
    assert trajectories.last_observations.dtype == np.float32
    np.testing.assert_allclose(np.ptp(observations[:7, 4]), 0.0)


def test_the_horizon_of_a_factory_is_that_of_its_time_limit():
    assert task_spaces("custom_environments:walk|custom_environments:in_a_dict")[2] == 30
    assert task_spaces('custom_environments:walk{"horizon": 7}')[2] == 7
    assert task_spaces("tiny_environments:Walk")[2] is None
    assert task_spaces(f'{WALK}{{"max_episode_steps": 9}}')[2] == 9


NESTED = Dict(
    {
        "b": Tuple([Discrete(2, start=3), Box(0, 5, (2, 2), np.int32)]),
        "a": MultiDiscrete([2, 3]),
        "c": MultiBinary(2),
    }
)


@pytest.mark.parametrize(
    ("space", "size"),
    [(NESTED, 5 + 2 + 4 + 2), (Discrete(4), 4), (MultiDiscrete([2, 3]), 5), (MultiBinary(3), 3)],
    ids=["nested", "Discrete", "MultiDiscrete", "MultiBinary"],
)
def test_other_observations_are_flattened_in_gymnasiums_order(shown, space, size):
    environment = build_environment(shown(space))
    seen, _ = environment.reset(seed=0)
    space.seed(5)
    expected = gymnasium.spaces.flatten(space, space.sample())
    np.testing.assert_array_equal(seen, expected)
    assert (seen.dtype, seen.shape) == (np.float32, (size,))
    assert environment.observation_space.contains(seen)
    assert environment.observation_space == task_spaces(shown(space))[0]


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        (
            Dict({"eye": Dict({"left": Box(0, 255, (8, 8, 3), np.uint8)}), "speed": Box(0, 1, (1,))}),
            "expected no image inside a Dict or Tuple, whose flattening would lose its shape, found "
            "observation['eye']['left']: Box (8, 8, 3) uint8; encode or drop it in a wrapper",
        ),
        (
            Tuple([Discrete(2), Graph(Box(0, 1, (1,)), None)]),
            "Box, Discrete, MultiDiscrete or MultiBinary observations, also in a Dict or Tuple, found "
            "observation[1]: Graph(",
        ),
        (
            Dict({"place": Box(0, 1, (1,)), "mission": Text(9)}),
            "observation['mission']: Text(1, 9, charset=",
        ),
    ],
    ids=["image", "graph", "text"],
)
def test_observations_that_no_flat_box_can_hold_are_refused(shown, space, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        task_spaces(shown(space))


def test_a_part_that_no_flat_box_can_hold_can_be_dropped(shown):
    task = shown(Dict({"place": Box(0, 1, (1,)), "mission": Text(9)}))
    environment = build_environment(
        f'{task}|gymnasium.wrappers:FilterObservation{{"filter_keys": ["place"]}}'
    )
    assert environment.observation_space.shape == environment.reset(seed=0)[0].shape == (1,)


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        (Box(-np.inf, np.inf, (1,)), "expected actions in a bounded Box (n,) of floats, since noise draws"),
        (
            Box(0, np.inf, (1,)),
            "actions in a bounded Box (n,) of floats, since noise draws uniformly",
        ),
        (Box(-1, 1, (2, 2)), "expected actions in a bounded Box (n,) of floats"),
        (Box(0, 9, (2,), np.int64), "expected actions in a bounded Box (n,) of floats"),
        (
            Box(np.array([0, -1]), np.array([1000, 1])),
            "sides are 0.1 to 100 wide, found sides 2 to 1000 wide",
        ),
        (
            Box(0, 0.01, (1,)),
            "found sides 0.01 to 0.01 wide; scale them in a wrapper",
        ),
        (Discrete(3, start=-1), "MultiDiscrete (n,) or MultiBinary (n,) from 0, found Discrete(3, start=-1)"),
        (MultiDiscrete([2, 2], start=[0, 1]), "or MultiBinary (n,) from 0, found MultiDiscrete([2 2]"),
        (
            MultiDiscrete([[2, 2]]),
            "or MultiBinary (n,) from 0, found MultiDiscrete([[2 2]])",
        ),
        (MultiBinary([2, 2]), "or MultiBinary (n,) from 0, found MultiBinary"),
        (Tuple([Discrete(2)]), "or MultiBinary (n,) from 0, found Tuple(Discrete(2)); translate them in a"),
    ],
)
def test_actions_that_no_policy_takes_are_refused(shown, space, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        task_spaces(shown(actions=space))


@pytest.mark.parametrize(
    "space", [Box(np.array([0, -1]), np.array([10, 2])), Discrete(2), MultiDiscrete([2, 5]), MultiBinary(3)]
)
def test_actions_need_not_be_symmetric(shown, space):
    assert task_spaces(shown(actions=space))[1] == space
