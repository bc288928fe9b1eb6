"""The whole run on a tiny task: what it leaves, that it repeats, resumes, and refuses to become another."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
from ranked_examples import trajectories_of
from safetensors.numpy import load_file
from tiny_environments import DISCRETE_WALK, WALK

from drex.agents.behavioral_cloning import CloningSettings
from drex.agents.policies.acting import uniform
from drex.agents.policies.network import PolicySettings
from drex.agents.ppo.settings import PPOSettings
from drex.agents.rollouts.collect import collect
from drex.demonstrations.load_and_save import load_demonstrations, save_demonstrations
from drex.envs.make import make_environments, task_spaces
from drex.errors import UserError
from drex.evaluation.evaluate import EvaluationSettings
from drex.files.dataclass_json import settings_to_json
from drex.files.run_layout import CLONE, RANKED
from drex.files.run_layout import STAGES as STAGES_OF_THE_TABLE
from drex.pipeline import run
from drex.presets.settings import Settings
from drex.rankings.settings import NoiseRanking
from drex.report.finished_run import read_scalars
from drex.rewards.learned_reward import load_reward
from drex.rewards.settings import RewardSettings
from drex.rewards.snippets import SnippetSettings
from drex.selection.settings import SelectionSettings

STEPS = 512  # of PPO: four segments of one rollout of 128 steps
TINY = Settings(
    policy=PolicySettings(policy_hidden_sizes=(8,), value_hidden_sizes=(8,)),
    bc=CloningSettings(gradient_steps=100, check_every=50),
    ranking=NoiseRanking(
        levels=(0.0, 0.5, 1.0),
        episodes_per_level=4,
        names=("uniform", "sticky"),
        grade_margin=2.0,
        rollout_policy="stochastic",
        environments=4,
    ),
    reward=RewardSettings(
        hidden_sizes=(8,),
        gradient_steps=20,
        check_every=10,
        held_out=0.25,
        snippets=SnippetSettings(minimum_length=5, maximum_length=10, stride=1),
    ),
    learner=PPOSettings(
        environment_steps=STEPS,
        environments=4,
        rollout_steps=32,
        batch_size=64,
        epochs=2,
        critic_warmup_rollouts=1,
        checkpoint_steps=128,
    ),
    selection=SelectionSettings(episodes=2, checkpoints=2),
    evaluation=EvaluationSettings(episodes=4, environments=4),
)


def with_ranking(**changes):
    """The tiny settings with a ranking by noise that differs."""
    return dataclasses.replace(TINY, ranking=dataclasses.replace(TINY.ranking, **changes))


STAGES = (
    "demonstrations",
    "bc",
    "ranked",
    "reward",
    "diagnosis",
    "judges",
    "trained",
    "policy",
    "evaluation",
)
CONTROLS = (
    "control-constant",
    "control-constant-evaluation",
    "control-shuffled_labels-reward",
    "control-shuffled_labels",
    "control-shuffled_labels-evaluation",
)
WEIGHTS = {"bc": "policy", "reward": "reward", "trained": "policy", "policy": "policy"}
SUMMARY = {"mean", "std", "best", "interval", "episodes"}


def demonstrate(path, task, *, with_rewards):
    """Random behaviour, which is enough to see every stage at work."""
    actor = uniform(task_spaces(task)[1], seed=0)
    trajectories, returns = collect(actor, make_environments(task, 3, seed=0), 4, seed=0)
    save_demonstrations(
        path, trajectories, rewards=returns.step_values_for_evaluation() if with_rewards else None
    )
    return path


def start(folder, demonstrations, **options):
    asked = {"settings": TINY, "seed": 1, "quiet": True, "report": False} | options
    return run(asked.pop("task", WALK), run_dir=folder, demonstrations=demonstrations, **asked)


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory):
    return demonstrate(tmp_path_factory.mktemp("demonstrations") / "walk.npz", WALK, with_rewards=True)


def test_a_gpu_that_there_is_not_is_refused_before_anything_is_made(demonstrations, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="device: expected a GPU that torch can use, found none"):
        start(tmp_path / "run", demonstrations, device="cuda")
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def whole(tmp_path_factory, demonstrations):
    """A run with its controls, and what it returned."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return folder, start(folder, demonstrations, controls=("constant", "shuffled_labels"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory, demonstrations):
    """The same run without controls."""
    folder = tmp_path_factory.mktemp("plain") / "run"
    return folder, start(folder, demonstrations)


def weights(folder, stage):
    name = "reward" if stage.endswith("reward") else "policy"
    return load_file(folder / stage / f"{name}.safetensors")


def same_weights(one, other, stage):
    first, second = weights(one, stage), weights(other, stage)
    return first.keys() == second.keys() and all(np.array_equal(first[k], second[k]) for k in first)


def timeless(evaluation):
    return {name: value for name, value in evaluation.items() if name != "seconds"}


# What a run leaves


def test_every_stage_is_whole_and_nothing_unfinished_is_left(whole):
    folder, _ = whole
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {*STAGES, *CONTROLS}
    for stage in (*STAGES, *CONTROLS):
        assert (folder / stage / "fingerprint.json").is_file()
    for stage, more in (("policy", {"choice.json"}), ("trained", set())):
        files = {path.name for path in (folder / stage).iterdir()}
        assert {"policy.safetensors", "policy.json", "policy.zip"} | more <= files
    assert {path.name for path in (folder / "trained" / "policies").iterdir()} == {
        "256.safetensors",
        "512.safetensors",
    }
    config = json.loads((folder / "config.json").read_text())
    assert (config["task"], config["seed"], config["method"]) == (WALK, 1, "drex")
    assert config["settings"] == json.loads(json.dumps(settings_to_json(TINY)))


def test_the_evaluation_has_its_documented_layout(whole):
    folder, evaluation = whole
    assert json.loads((folder / "evaluation.json").read_text()) == json.loads(
        json.dumps(evaluation, allow_nan=False)
    )
    assert set(evaluation) == {
        "task",
        "method",
        "seed",
        "demonstrator",
        "random",
        "bc",
        "bc_stochastic",
        "policy",
        "trained",
        "trained_deterministic",
        "returned",
        "diagnosis",
        "controls",
        "beats_best_demonstration",
        "reward",
        "ranking",
        "noise",
        "predicted_and_true",
        "seconds",
        "environment_steps",
        "versions",
    }
    assert (evaluation["task"], evaluation["method"], evaluation["seed"]) == (WALK, "drex", 1)
    assert set(evaluation["demonstrator"]) == SUMMARY | {"length"}
    for judged in ("random", "bc", "bc_stochastic", "policy", "trained", "trained_deterministic"):
        assert set(evaluation[judged]) == SUMMARY | {"length"}
        assert evaluation[judged]["episodes"] == 4
        low, high = evaluation[judged]["interval"]
        assert low <= evaluation[judged]["mean"] <= high
    assert set(evaluation["controls"]) == {"constant", "shuffled_labels"}
    agreement = {"kendall_tau", "pearson", "pair_accuracy", "held_out_accuracy", "held_out_pairs"}
    assert set(evaluation["reward"]) == agreement | {"step_pearson", "distance"}
    assert -1.0 <= evaluation["reward"]["step_pearson"] <= 1.0
    assert 0.0 <= evaluation["reward"]["distance"] <= 1.0
    assert 0.0 <= evaluation["reward"]["held_out_accuracy"] <= 1.0 and evaluation["reward"]["held_out_pairs"]
    assert evaluation["ranking"] == {
        "source": "noise",
        "trajectories": 24,
        "compared": 24,
        "pairs": 2 * 3 * 16,
        "contradictions": 0.0,
        "rollout_policy": None,
        "user": [],
    }
    assert set(evaluation["seconds"]) == {*STAGES, *CONTROLS}
    assert isinstance(evaluation["beats_best_demonstration"], bool)
    assert len(evaluation["noise"]) == 6
    assert len(evaluation["predicted_and_true"]["ranked"]) == 24


def test_steps_of_learning_are_those_of_rollouts_and_ppo(whole):
    folder, evaluation = whole
    with np.load(folder / "ranked" / "rollouts.npz", allow_pickle=False) as rollouts:
        judged = [
            json.loads((folder / file).read_text())["environment_steps"]
            for file in ("judges/judges.json", "policy/choice.json")
        ]
        assert min(judged) > 0
        assert evaluation["environment_steps"] == rollouts["lengths"].sum() + sum(judged) + STEPS


def test_every_stage_leaves_scalars(whole):
    scalars = read_scalars(whole[0])
    for name in (
        "bc/held_out_loss",
        "reward/loss",
        "reward/held_out_accuracy",
        "eval/true_return",
        "train/value_loss",
    ):
        assert len(scalars.get(name, [])) >= 1, f"{name} of {sorted(scalars)}"


def test_the_kept_reward_is_anchored_on_the_ranked_rollouts(whole):
    folder, evaluation = whole
    reward = load_reward(folder / "reward")
    assert reward.fields.scale != 1.0
    assert reward.fields.offset != 0.0
    predicted = [point[0] for point in evaluation["predicted_and_true"]["ranked"]]
    with np.load(folder / "ranked" / "rollouts.npz", allow_pickle=False) as kept:
        world = dataclasses.replace(
            trajectories_of(kept["lengths"], kept["observations"], terminated=kept["terminated"]),
            actions=kept["actions"],
            last_observations=kept["last_observations"],
        )
    np.testing.assert_array_equal(reward.returns(world), predicted)


def test_every_stage_rests_on_all_that_it_is_made_from(whole):
    folder, _ = whole
    reward, control = "control-shuffled_labels-reward", "control-shuffled_labels"
    files = {stage: folder / stage / "fingerprint.json" for stage in (*STAGES, *CONTROLS)}
    assert {stage: set(json.loads(file.read_text())["inputs"]) for stage, file in files.items()} == {
        "demonstrations": set(),
        "bc": {"demonstrations"},
        "ranked": {"bc"},
        "reward": {"ranked"},
        "diagnosis": {"demonstrations", "ranked", "reward"},
        "judges": {"demonstrations", "bc"},
        "trained": {"bc", "reward"},
        "policy": {"bc", "ranked", "judges", "trained"},
        "evaluation": {"demonstrations", "bc", "ranked", "reward", "trained", "policy"},
        reward: {"ranked"},
        control: {"bc", reward},
        f"{control}-evaluation": {control},
        "control-constant": {"bc"},
        "control-constant-evaluation": {"control-constant"},
    }


def test_controls_learn_from_the_same_clone_by_another_reward(whole):
    folder, _ = whole
    assert not same_weights_of(folder, "reward", "control-shuffled_labels-reward")
    assert not same_weights_of(folder, "trained", "control-shuffled_labels")
    assert not same_weights_of(folder, "trained", "control-constant")
    fingerprints = {
        stage: json.loads((folder / stage / "fingerprint.json").read_text())
        for stage in ("trained", "control-constant", "control-shuffled_labels")
    }
    clones = [fingerprint["inputs"]["bc"] for fingerprint in fingerprints.values()]
    assert clones[0] == clones[1] == clones[2]
    assert len({fingerprint["seed"] for fingerprint in fingerprints.values()}) == 1
    assert set(fingerprints["control-constant"]["inputs"]) == {"bc"}
    assert "control-shuffled_labels-reward" in fingerprints["control-shuffled_labels"]["inputs"]


def test_what_is_returned_is_what_the_judges_chose(whole):
    """With the files of the candidate, and evaluated as it was judged."""
    folder, evaluation = whole
    choice = json.loads((folder / "policy" / "choice.json").read_text())
    assert evaluation["returned"] == choice
    returned = choice["returned"]
    source = folder / "trained" / "policies" / f"{returned['steps']}.safetensors"
    source = source if returned["trained"] else folder / "bc" / "policy.safetensors"
    assert (folder / "policy" / "policy.safetensors").read_bytes() == source.read_bytes()
    asked = [(rating["candidate"]["trained"], rating["candidate"]["steps"]) for rating in choice["ratings"]]
    assert set(asked) == {(False, 0), (True, 256), (True, 512)}
    assert set(choice["ratings"][0]["gains"]) == {"uniform noise", "sticky noise"}
    assert {finding["name"] for finding in evaluation["diagnosis"]} >= {"uniform noise", "clone", "ending"}


def test_without_judges_the_trained_policy_is_returned(demonstrations, tmp_path):
    settings = dataclasses.replace(TINY, selection=SelectionSettings(judge=False))
    evaluation = start(tmp_path / "run", demonstrations, settings=settings)
    assert evaluation["returned"]["returned"] == {"trained": True, "steps": STEPS, "actions": "sampling"}
    assert evaluation["policy"] == evaluation["trained"]
    assert same_weights_of(tmp_path / "run", "trained", "policy")
    assert not (tmp_path / "run" / "judges").exists()
    assert not (tmp_path / "run" / "trained" / "policies").exists()


def same_weights_of(folder, one, other):
    first, second = weights(folder, one), weights(folder, other)
    return all(np.array_equal(first[name], second[name]) for name in first)


# The same again


def test_equal_seeds_give_equal_weights_and_evaluations_with_controls_or_without(whole, plain):
    (folder, evaluation), (other, other_evaluation) = whole, plain
    for stage in WEIGHTS:
        assert same_weights(folder, other, stage), stage
    assert timeless(evaluation) | {"controls": {}} == timeless(other_evaluation)


def test_another_seed_gives_other_weights(whole, demonstrations, tmp_path):
    start(tmp_path / "run", demonstrations, seed=2)
    for stage in WEIGHTS:
        assert not same_weights(whole[0], tmp_path / "run", stage), stage


@pytest.mark.parametrize("first_lost", ["reward", "judges", "trained", "policy", "evaluation"])
def test_a_run_that_lost_its_later_stages_ends_as_it_did_before(plain, demonstrations, tmp_path, first_lost):
    folder, evaluation = plain
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "evaluation.json").unlink()
    lost = STAGES[STAGES.index(first_lost) :]
    for stage in lost:
        shutil.rmtree(copy / stage)
    kept = {stage: (copy / stage).stat().st_mtime_ns for stage in STAGES if stage not in lost}
    resumed = start(copy, demonstrations, resume=True)
    assert timeless(resumed) == timeless(evaluation)
    for stage in WEIGHTS:
        assert same_weights(folder, copy, stage), stage
    assert {stage: (copy / stage).stat().st_mtime_ns for stage in kept} == kept  # loaded, not made anew


def test_a_finished_run_resumed_does_nothing_again(plain, demonstrations):
    folder, evaluation = plain
    assert start(folder, demonstrations, resume=True) == evaluation


def test_controls_can_be_added_to_a_finished_run(whole, plain, demonstrations, tmp_path):
    """And end as those that were there from the start; nothing else is made anew."""
    copy = tmp_path / "copy"
    shutil.copytree(plain[0], copy)
    kept = {stage: (copy / stage).stat().st_mtime_ns for stage in STAGES}
    added = start(copy, demonstrations, controls=("constant",), resume=True)
    assert added["controls"] == {"constant": whole[1]["controls"]["constant"]}
    assert timeless(added) | {"controls": {}} == timeless(plain[1])
    assert {stage: (copy / stage).stat().st_mtime_ns for stage in STAGES} == kept


def test_every_stage_keeps_the_random_stream_of_earlier_versions():
    """Or a recorded run could not be made again."""
    assert [stage.seed(0) for stage in (CLONE, RANKED)] == [673228719, 20219401]
    assert CLONE.seed(0) != CLONE.seed(1)
    numbers = {stage.name: stage.stream for stage in STAGES_OF_THE_TABLE}
    assert numbers == {
        "demonstrations": 0,
        "bc": 1,
        "ranked": 2,
        "ranked-noise": 2,
        "reward": 3,
        "trained": 4,
        "evaluation": 5,
        "held_out": 6,
        "rollout_policy": 7,
        "policy": 8,
        "judges": 9,
        "diagnosis": 10,
    }


# Refused


def snapshot(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.name != ".lock"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "expected a new or empty folder, found a run that holds bc, config.json"),
        ({"resume": True, "seed": 2}, "config.json: seed: expected 2, found 1"),
        (
            {"resume": True, "settings": with_ranking(minimum_gap=0.6)},
            "config.json: settings.ranking.minimum_gap: expected 0.6, found 0.3",
        ),
        (
            {"resume": True, "settings": with_ranking(rollout_policy="deterministic")},
            'settings.ranking.rollout_policy: expected "deterministic", found "stochastic"',
        ),
    ],
    ids=["no resume", "another seed", "another gap", "another rollout policy"],
)
def test_a_folder_of_another_run_is_refused_and_left_alone(plain, demonstrations, options, sentence):
    folder, _ = plain
    before = {path: time for path, time in snapshot(folder).items() if "tfevents" not in path.name}
    with pytest.raises(UserError, match=re.escape(sentence)):
        start(folder, demonstrations, **options)
    after = {path: time for path, time in snapshot(folder).items() if "tfevents" not in path.name}
    assert {path.name for path in after} == {path.name for path in before}
    assert {p: t for p, t in after.items() if p.is_file()} == {p: t for p, t in before.items() if p.is_file()}


@pytest.fixture(scope="module")
def other(tmp_path_factory, demonstrations):
    """A run of the same seed whose clone is trained for longer, with a control."""
    settings = dataclasses.replace(TINY, bc=dataclasses.replace(TINY.bc, gradient_steps=150))
    folder = tmp_path_factory.mktemp("other") / "run"
    start(folder, demonstrations, settings=settings, controls=("shuffled_labels",))
    return folder, settings


INPUTS = {
    "ranked": {"bc"},
    "reward": {"ranked"},
    "diagnosis": {"demonstrations", "ranked", "reward"},
    "trained": {"bc", "reward"},
    "policy": {"bc", "ranked", "judges", "trained"},
    "evaluation": {"demonstrations", "bc", "ranked", "reward", "trained", "policy"},
    "control-shuffled_labels-reward": {"ranked"},
    "control-shuffled_labels": {"bc", "control-shuffled_labels-reward"},
}


@pytest.mark.parametrize("stage", INPUTS)
def test_a_stage_made_from_other_stages_than_the_folder_holds_is_refused(
    whole, other, demonstrations, tmp_path, stage
):
    """As where a folder was put together from two runs: each stage names what it was made from."""
    folder, settings = other
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    shutil.rmtree(copy / stage)
    shutil.copytree(whole[0] / stage, copy / stage)
    sentence = rf"stage {stage}: inputs\.[a-z_.-]*bc\.gradient_steps: expected 150, found 100"
    with pytest.raises(UserError, match=sentence):
        start(copy, demonstrations, settings=settings, controls=("shuffled_labels",), resume=True)
    assert set(json.loads((copy / stage / "fingerprint.json").read_text())["inputs"]) == INPUTS[stage]


def test_other_demonstrations_are_refused(plain, tmp_path):
    other = demonstrate(tmp_path / "other.npz", WALK, with_rewards=False)
    with pytest.raises(UserError, match=r"stage demonstrations: .*sha256"):
        start(plain[0], other, resume=True)


def test_a_task_without_bundled_demonstrations_says_how_to_bring_them(tmp_path):
    with pytest.raises(UserError, match="found none for this task; bring your own with --demos FILE"):
        run(WALK, run_dir=tmp_path / "run", settings=TINY, quiet=True)
    assert not (tmp_path / "run").exists()


# What cannot be known


def test_demonstrations_without_rewards_leave_null_what_rests_on_them(tmp_path):
    """On discrete actions, so that these see the whole run too."""
    file = demonstrate(tmp_path / "walk.npz", DISCRETE_WALK, with_rewards=False)
    evaluation = start(tmp_path / "run", file, task=DISCRETE_WALK)
    assert evaluation["demonstrator"] == {
        "mean": None,
        "std": None,
        "best": None,
        "interval": None,
        "episodes": 4,
        "length": load_demonstrations(file).trajectories.lengths.mean(),
    }
    assert evaluation["beats_best_demonstration"] is None
    assert [true for _, true in evaluation["predicted_and_true"]["demonstrations"]] == [None] * 4
    assert evaluation["policy"]["mean"] is not None
    assert evaluation["reward"]["pair_accuracy"] is not None
    read = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert read["demonstrator"]["mean"] is None
