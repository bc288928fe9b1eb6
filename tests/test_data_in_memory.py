"""Demonstrations and rankings in memory mean what the same data in files mean."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from test_pipeline import WEIGHTS, demonstrate, same_weights, start, timeless
from test_trex import OWN, PAPER
from tiny_environments import WALK

from drex.demonstrations.load_and_save import load_demonstrations
from drex.errors import UserError
from drex.rankings.preferences import from_pairs
from drex.rankings.user_ranking import Ranking
from drex.stages.demonstrations import content_sha256

PAIRS = [[1, 0, 1.0], [2, 0, 0.25], [3, 1, 1.0], [3, 2, 2.0]]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return demonstrate(tmp_path_factory.mktemp("demonstrations") / "walk.npz", WALK, with_rewards=True)


@pytest.fixture(scope="module")
def from_file(file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "file"
    return folder, start(folder, file)


def test_demonstrations_in_memory_give_the_weights_and_findings_of_their_file(file, from_file, tmp_path):
    folder, evaluation = from_file
    found = start(tmp_path / "run", load_demonstrations(file))
    assert timeless(found) == timeless(evaluation)
    assert all(same_weights(folder, tmp_path / "run", stage) for stage in WEIGHTS)
    assert load_demonstrations(tmp_path / "run" / "demonstrations" / "demonstrations.npz").task == WALK


def test_trajectories_are_demonstrations_of_unknown_rewards(file, from_file, tmp_path):
    found = start(tmp_path / "run", load_demonstrations(file).trajectories)
    assert found["demonstrator"]["mean"] is None
    assert all(same_weights(from_file[0], tmp_path / "run", stage) for stage in WEIGHTS)


def test_a_run_resumes_from_the_same_data_and_refuses_other_data(file, from_file):
    folder, evaluation = from_file
    given = load_demonstrations(file)
    assert start(folder, given, resume=True) == evaluation
    actions = given.trajectories.actions.copy()
    actions[7] = -actions[7]
    other = replace(given, trajectories=replace(given.trajectories, actions=actions))
    with pytest.raises(UserError, match=r"stage demonstrations: settings\.sha256"):
        start(folder, other, resume=True)


def test_the_digest_depends_on_every_array(file):
    given = load_demonstrations(file)
    world = given.trajectories
    changed = [
        replace(given, trajectories=replace(world, observations=world.observations + 1)),
        replace(given, trajectories=replace(world, actions=world.actions / 2)),
        replace(given, trajectories=replace(world, lengths=np.array([20, 40, 30, 30]))),
        replace(given, trajectories=replace(world, terminated=~world.terminated)),
        replace(given, trajectories=replace(world, last_observations=None)),
        replace(given, true_returns=type(given.true_returns).unknown(len(world))),
    ]
    digests = {content_sha256(demonstrations) for demonstrations in [given, *changed]}
    assert len(digests) == 1 + len(changed)
    assert content_sha256(load_demonstrations(file)) in digests


def test_actions_in_memory_are_checked_and_clipped_as_those_of_a_file(file, from_file, tmp_path):
    given = load_demonstrations(file).trajectories
    wide = replace(given, actions=given.actions * np.float32(2))
    start(tmp_path / "run", wide)
    saved = load_demonstrations(tmp_path / "run" / "demonstrations" / "demonstrations.npz").trajectories
    np.testing.assert_array_equal(saved.actions, np.clip(wide.actions, -1, 1))
    with pytest.raises(UserError, match="demonstrations in memory: actions: expected"):
        start(tmp_path / "none", replace(given, actions=given.actions[:, :1]))
    assert not (tmp_path / "none").exists()


def test_a_ranking_in_memory_gives_the_weights_of_its_file(file, tmp_path):
    (tmp_path / "pairs.json").write_text(json.dumps({"pairs": PAIRS}))
    better, worse, weight = zip(*PAIRS, strict=True)
    given = {
        "file": tmp_path / "pairs.json",
        "ranking": Ranking("pairs", PAIRS, "my pairs"),
        "preferences": from_pairs(better, worse, weight=weight),
    }
    asked = {"method": "trex", "settings": PAPER}
    trajectories = load_demonstrations(file).trajectories
    found = [start(tmp_path / name, trajectories, ranking=one, **asked) for name, one in given.items()]
    assert timeless(found[0]) == timeless(found[1]) == timeless(found[2])
    for name in ("ranking", "preferences"):
        assert same_weights(tmp_path / "file", tmp_path / name, "reward")
        assert same_weights(tmp_path / "file", tmp_path / name, "policy")
    resumed = start(tmp_path / "file", trajectories, ranking=given["preferences"], resume=True, **asked)
    assert resumed == found[0]
    with pytest.raises(UserError, match=r"stage ranked: settings\.ranking"):
        start(tmp_path / "file", trajectories, ranking=from_pairs(worse, better), resume=True, **asked)


def test_a_ranking_is_asked_for_and_refused_as_a_file_is(file, tmp_path):
    trajectories = load_demonstrations(file).trajectories
    with pytest.raises(UserError, match="ranking: expected a ranking of the demonstrations in memory"):
        start(tmp_path / "run", trajectories, method="trex", settings=OWN)
    with pytest.raises(UserError, match="ranking: expected none with method drex, found pairs"):
        start(tmp_path / "run", trajectories, ranking=from_pairs([0], [1]))
    with pytest.raises(
        UserError, match="preferences from pairs: pairs: expected episodes from 0 to 3, found 9"
    ):
        start(tmp_path / "run", trajectories, ranking=from_pairs([9], [1]), method="trex", settings=OWN)
    assert not (tmp_path / "run").exists()
