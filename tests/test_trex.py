"""T-REX on a tiny task: a ranking that the user brings, with noise beside it or not, from a clone or not."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
from ranked_examples import ranked_linear_world
from test_pipeline import TINY, same_weights, timeless
from tiny_environments import HORIZON, WALK

from drex.agents.policies.acting import deterministic
from drex.agents.policies.saved_actor_critic import load_policy
from drex.agents.rollouts.collect import collect
from drex.demonstrations.load_and_save import load_demonstrations, save_demonstrations
from drex.envs.data.trajectories import Trajectories
from drex.envs.make import make_environments, task_spaces
from drex.errors import UserError
from drex.evaluation.held_out import cross_validate
from drex.pipeline import run
from drex.rankings.preferences import RankedTrajectories, from_order, from_pairs
from drex.rankings.settings import UserRanking
from drex.rewards.learning import held_out_pairs, learn_reward
from drex.rewards.normalize import RewardNormalization, normalize_reward
from drex.rewards.settings import RewardSettings
from drex.rewards.snippets import SnippetSettings

PUSHES = (0.2, 0.9, 0.0, 0.5, 0.7, 0.4)
WORST_TO_BEST = [2, 0, 5, 3, 4, 1]
OWN = dataclasses.replace(
    TINY,
    ranking=UserRanking(),
    bc=dataclasses.replace(TINY.bc, gradient_steps=600, learning_rate=3e-3),
    reward=dataclasses.replace(TINY.reward, held_out=0.0, gradient_steps=200, l2=0.001),
    held_out_folds=3,
)
PAPER = dataclasses.replace(
    OWN,
    learner=dataclasses.replace(TINY.learner, start_from="scratch", critic_warmup_rollouts=0),
    held_out_folds=0,
)


def walk_by(push):
    def policy(observations):
        return np.stack([np.full(len(observations), push), -observations[:, 1]], axis=1).astype(np.float32)

    return policy


def demonstrate(path, *, rewards=None):
    """One episode a push, in no order; the ranking lies in the pushes, never in rewards."""
    episodes = [collect(walk_by(push), make_environments(WALK, 1, seed=0), 1, seed=0)[0] for push in PUSHES]
    save_demonstrations(path, Trajectories.concatenate(episodes), rewards=rewards)
    return path


def start(folder, demonstrations, **options):
    asked = {"settings": OWN, "seed": 1, "quiet": True, "method": "trex", "report": False} | options
    return run(WALK, run_dir=folder, demonstrations=demonstrations, **asked)


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory):
    return demonstrate(tmp_path_factory.mktemp("demonstrations") / "walk.npz")


@pytest.fixture(scope="module")
def ranking(tmp_path_factory):
    file = tmp_path_factory.mktemp("rankings") / "order.json"
    file.write_text(json.dumps({"order": WORST_TO_BEST}))
    return file


@pytest.fixture(scope="module")
def whole(tmp_path_factory, demonstrations, ranking):
    folder = tmp_path_factory.mktemp("whole") / "run"
    return folder, start(folder, demonstrations, ranking=ranking, controls=("shuffled_labels",))


def test_a_ranked_run_leaves_its_stages_and_says_what_it_was(whole):
    folder, evaluation = whole
    controls = {f"control-shuffled_labels{part}" for part in ("", "-reward", "-evaluation")}
    stages = {
        "demonstrations",
        "bc",
        "ranked",
        "reward",
        "diagnosis",
        "trained",
        "policy",
        "evaluation",
        "held_out",
    }
    assert {path.name for path in folder.iterdir() if path.is_dir()} == stages | controls
    assert evaluation["method"] == json.loads((folder / "config.json").read_text())["method"] == "trex"
    assert json.loads((folder / "ranked" / "ranking.json").read_text())["order"] == WORST_TO_BEST
    said = {name: evaluation["ranking"][name] for name in ("source", "pairs", "compared", "contradictions")}
    assert said == {"source": "the user's order", "pairs": 15, "compared": 6, "contradictions": 0.0}
    assert [point["episode"] for point in evaluation["ranking"]["user"]] == list(range(6))


def test_the_learned_reward_orders_the_demonstrations_as_the_user_does(whole):
    """And pairs of which it had not seen one side or both nearly as well: each push is a speed."""
    _, evaluation = whole
    assert evaluation["reward"]["pair_accuracy"] == 1.0
    assert evaluation["reward"]["held_out_accuracy"] >= 0.8
    assert evaluation["reward"]["held_out_pairs"] >= 15


def test_what_rests_on_rewards_that_were_never_given_is_null(whole):
    folder, evaluation = whole
    read = json.loads((folder / "evaluation.json").read_text())
    assert {read["demonstrator"][name] for name in ("mean", "std", "best", "interval")} == {None}
    assert (read["beats_best_demonstration"], read["reward"]["kendall_tau"]) == (None, None)
    assert read["policy"]["mean"] is not None and read["bc"]["mean"] is not None
    assert evaluation["noise"] == []
    assert evaluation["environment_steps"] == TINY.learner.environment_steps


def test_the_best_ranked_quarter_is_cloned(whole, demonstrations):
    """Two of six, which pushed by 0.7 and by 0.9: where they were, so does the clone."""
    folder, _ = whole
    fingerprint = json.loads((folder / "bc" / "fingerprint.json").read_text())
    assert fingerprint["settings"]["episodes"] == [1, 4]
    observation_space, action_space, _ = task_spaces(WALK)
    clone = deterministic(load_policy(folder / "bc", observation_space, action_space))
    cloned = load_demonstrations(demonstrations).trajectories.select([1, 4])
    np.testing.assert_allclose(clone(cloned.observations), cloned.actions, atol=0.15)


def test_rewards_in_the_demonstrations_change_no_weight(whole, ranking, tmp_path):
    rewards = np.random.default_rng(0).normal(size=6 * HORIZON) * 1000
    file = demonstrate(tmp_path / "walk.npz", rewards=rewards)
    evaluation = start(tmp_path / "run", file, ranking=ranking)
    assert evaluation["demonstrator"]["mean"] is not None  # the rewards were there
    for stage in ("bc", "reward", "policy"):
        assert same_weights(whole[0], tmp_path / "run", stage), stage


def test_the_ranking_beside_the_demonstrations_is_taken_and_resumed(whole, demonstrations, tmp_path):
    file = tmp_path / "walk.npz"
    shutil.copy(demonstrations, file)
    with pytest.raises(UserError, match=r"walk\.ranking\.json: expected a ranking .* drex demos rank"):
        start(tmp_path / "run", file)
    assert not (tmp_path / "run").exists()
    (tmp_path / "walk.ranking.json").write_text(json.dumps({"episodes": 6, "order": WORST_TO_BEST}))
    found = start(tmp_path / "run", file)
    assert timeless(found) == timeless(whole[1]) | {"controls": {}}
    assert start(tmp_path / "run", file, resume=True) == found


@pytest.mark.parametrize(
    ("held", "sentence"),
    [
        ({"order": [2, 0, 5, 3, 1, 4]}, "stage ranked: settings.ranking.order.4: expected 1, found 4"),
        ({"order": [2, 0, 5, 1, 3, 4]}, "stage bc: settings.episodes.0: expected 3, found 1"),
        ({"file_order": 6}, "stage bc: settings.episodes"),
    ],
)
def test_another_ranking_is_refused_for_the_same_folder(whole, demonstrations, tmp_path, held, sentence):
    other = tmp_path / "other.json"
    other.write_text(json.dumps(held))
    with pytest.raises(UserError, match=re.escape(sentence)):
        start(whole[0], demonstrations, ranking=other, resume=True)


def test_the_published_protocol_clones_nothing_and_says_so(demonstrations, ranking, tmp_path):
    evaluation = start(tmp_path / "run", demonstrations, ranking=ranking, settings=PAPER)
    assert not (tmp_path / "run" / "bc").exists()
    assert evaluation["bc"] is None and "bc" not in evaluation["predicted_and_true"]
    found = evaluation["reward"]
    assert (found["held_out_accuracy"], found["held_out_pairs"]) == (None, 0)  # nothing was held out
    assert evaluation["policy"]["mean"] is not None


def test_noise_can_be_ranked_beside_the_users_ranking(demonstrations, tmp_path):
    """Partial and contradictory pairs beside 2 kinds of 3 levels of 4 episodes: 48 pairs of noise each."""
    (tmp_path / "pairs.csv").write_text("better,worse\n1,2\n4,2\n1,0\n0,1\n")
    mixed = dataclasses.replace(OWN, ranking=UserRanking(noise=TINY.noise), held_out_folds=2)
    evaluation = start(tmp_path / "run", demonstrations, ranking=tmp_path / "pairs.csv", settings=mixed)
    found = evaluation["ranking"]
    assert (found["source"], found["trajectories"], found["compared"]) == ("the user's pairs + noise", 30, 28)
    assert (found["pairs"], found["contradictions"]) == (100, pytest.approx(0.02))
    assert len(evaluation["noise"]) == 6
    assert [point["episode"] for point in found["user"]] == [0, 1, 2, 4]
    noise = load_demonstrations(tmp_path / "run" / "ranked-noise" / "rollouts.npz")
    judged = sum(
        json.loads((tmp_path / "run" / file).read_text())["environment_steps"]
        for file in ("judges/judges.json", "policy/choice.json")
    )
    assert evaluation["environment_steps"] == noise.trajectories.lengths.sum() + judged + 512
    assert found["rollout_policy"] is None


def test_which_clone_is_disturbed_is_told_by_the_demonstrations_that_were_cloned(tmp_path):
    """Of two that fall early and two that do not, the latter are ranked best and cloned."""
    environments = make_environments(WALK, 1, seed=0)
    episodes = [
        collect(lambda seen, tilt=tilt: np.full((len(seen), 2), tilt, np.float32), environments, 1, seed=0)[0]
        for tilt in (1.0, 0.0, 0.9, 0.0)
    ]
    environments.close()
    demonstrations = tmp_path / "walk.npz"
    save_demonstrations(demonstrations, Trajectories.concatenate(episodes))
    (tmp_path / "order.json").write_text(json.dumps({"order": [0, 2, 1, 3]}))
    noise = dataclasses.replace(TINY.noise, rollout_policy="auto")
    mixed = UserRanking(noise=noise, clone_share=0.5)
    settings = dataclasses.replace(OWN, ranking=mixed, held_out_folds=0)
    evaluation = start(tmp_path / "run", demonstrations, ranking=tmp_path / "order.json", settings=settings)
    assert evaluation["ranking"]["rollout_policy"]["demonstrations"] == 30.0


@pytest.mark.parametrize(
    ("held", "sentence"),
    [
        ({"order": [0, 6]}, "order: expected episodes from 0 to 5, found 6"),
        ({"scores": [1, 1, 1, 1, 1, 1]}, "expected two different scores or more, found the same"),
    ],
)
def test_a_bad_ranking_is_refused_before_anything_is_written(demonstrations, tmp_path, held, sentence):
    (tmp_path / "bad.json").write_text(json.dumps(held))
    with pytest.raises(UserError, match=re.escape(sentence)):
        start(tmp_path / "run", demonstrations, ranking=tmp_path / "bad.json")
    assert not (tmp_path / "run").exists()


def test_a_ranking_that_d_rex_would_not_read_is_refused(demonstrations, ranking, tmp_path):
    with pytest.raises(UserError, match=r"ranking: expected none with method drex.*add --method trex"):
        start(tmp_path / "run", demonstrations, ranking=ranking, method="drex", settings=TINY)


# Held-out pairs


LINEAR = RewardSettings(
    inputs=("next_observations",),
    hidden_sizes=(),
    gradient_steps=40,
    learning_rate=0.1,
    input_scaling="raw",
    l2=0.01,
    snippets=SnippetSettings(minimum_length=20, maximum_length=20, maximum_share=1.0, stride=1),
)


def learn(ranked):
    return normalize_reward(learn_reward(ranked, LINEAR, seed=0), ranked, RewardNormalization(), gamma=0.9)


def test_folds_judge_every_pair_by_rewards_that_did_not_see_it():
    """12 trajectories in 4 parts of 3: a pair within a part is judged once, one across two parts twice."""
    world, seen = ranked_linear_world(12, seed=0), []

    def note(part):
        seen.append((len(part.trajectories), len(part.preferences)))
        return learn(part)

    found = cross_validate(world, note, folds=4, seed=0)
    assert seen == [(9, 36)] * 4
    assert found.pairs == 4 * (66 - 36)
    assert found.accuracy >= 0.9


def test_folds_find_nothing_in_a_ranking_that_says_nothing():
    world, accuracies = ranked_linear_world(12, seed=0), []
    for seed in range(4):
        shuffled = from_order(np.random.default_rng(seed).permutation(12).tolist())
        ranked = RankedTrajectories(world.trajectories, shuffled)
        accuracies.append(cross_validate(ranked, learn, folds=4, seed=seed).accuracy)
    assert 0.2 < np.mean(accuracies) < 0.7


def test_a_single_pair_leaves_nothing_to_judge():
    world = ranked_linear_world(4, seed=0).trajectories
    found = cross_validate(RankedTrajectories(world, from_pairs([0], [1])), learn, folds=4, seed=0)
    assert (found.pairs, found.accuracy) == (0, None)


def test_the_pairs_held_out_pairs_are_those_that_learning_held_out():
    """Their trajectories, swapped for others, change no weight."""
    world = ranked_linear_world(20, seed=0)
    settings = dataclasses.replace(LINEAR, held_out=0.25)
    left_out = held_out_pairs(world, settings, seed=3)
    assert len(left_out.preferences) == 10
    touched = left_out.preferences.trajectories_compared()
    assert len(touched) == 5
    steps = np.isin(world.trajectories.episode_of_step, touched)
    observations = np.where(steps[:, None], 0.0, world.trajectories.observations)
    blank = dataclasses.replace(world.trajectories, observations=observations.astype(np.float32))
    blank = dataclasses.replace(blank, last_observations=blank.observations[blank.ends - 1])
    one = learn_reward(world, settings, seed=3).network.state_dict()
    other = learn_reward(RankedTrajectories(blank, world.preferences), settings, seed=3).network.state_dict()
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert held_out_pairs(world, dataclasses.replace(LINEAR, held_out=0.0), seed=3) is None
