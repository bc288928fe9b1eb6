"""A learned reward gives the same numbers after its files, and files that hold no reward are refused."""

from __future__ import annotations

import json
import pickle
import re

import numpy as np
import pytest
import torch
from ranked_examples import ranked_linear_world, trajectories_of
from safetensors.torch import load_file, save_file

from drex.errors import UserError
from drex.rewards.cnn import EnsembleCNN, ImageLayers
from drex.rewards.fields import RewardFields
from drex.rewards.learned_reward import LearnedReward, load_reward
from drex.rewards.learning import learn_reward
from drex.rewards.mlp import EnsembleMLP
from drex.rewards.settings import RewardSettings
from drex.rewards.snippets import SnippetSettings


def some_reward(*, members=3, hidden_sizes=(4,), inputs=("observations", "actions", "next_observations")):
    """Untrained, with every number different from its default; observations (2,), actions (1,)."""
    features = sum({"actions": 1}.get(name, 2) for name in inputs)
    random = np.random.default_rng(0)
    network = EnsembleMLP(
        features,
        members=members,
        hidden_sizes=hidden_sizes,
        generator=torch.Generator().manual_seed(1),
    )
    fields = RewardFields(
        inputs=inputs,
        input_shift=tuple(random.normal(size=features).astype(np.float32).tolist()),
        input_spread=tuple(random.uniform(0.5, 2.0, features).astype(np.float32).tolist()),
        member_mean=tuple(random.normal(size=members).tolist()),
        member_std=tuple(random.uniform(0.5, 2.0, members).tolist()),
        offset=0.3,
        scale=1.7,
        pessimism=0.5,
        control_cost=0.1,
    )
    return LearnedReward(network.requires_grad_(False), fields)


def transitions(count, seed=0):
    random = np.random.default_rng(seed)
    return (
        random.normal(size=(count, 2)).astype(np.float32),
        random.normal(size=(count, 1)).astype(np.float32),
        random.normal(size=(count, 2)).astype(np.float32),
        np.zeros(count, np.bool_),
    )


def by_hand(*weights, custom_network=None, **changes):
    """Members that are linear in the observation (1,), one weight each."""
    network = EnsembleMLP(
        1, members=len(weights), hidden_sizes=(), generator=torch.Generator().manual_seed(0)
    ).requires_grad_(False)
    network.weights[0].copy_(torch.tensor(weights)[:, None, None])
    network.biases[0].zero_()
    plain = {
        "inputs": ("observations",),
        "input_shift": (0.0,),
        "input_spread": (1.0,),
        "member_mean": (0.0,) * len(weights),
        "member_std": (1.0,) * len(weights),
        "offset": 0.0,
        "scale": 1.0,
        "pessimism": 0.0,
        "control_cost": 0.0,
    }
    return LearnedReward(custom_network or network, RewardFields(**plain | changes))


def score(reward, *observations):
    column = np.array(observations, np.float32)[:, None]
    return reward(column, column, column, np.zeros(len(column), np.bool_)).tolist()


# The numbers


def test_a_reward_is_the_mean_of_its_standardised_members():
    reward = by_hand(1.0, 4.0, member_mean=(1.0, 2.0), member_std=(2.0, 1.0))
    assert score(reward, 0.0, 3.0) == [(-0.5 - 2.0) / 2, (1.0 + 10.0) / 2]


def test_inputs_are_standardised_before_the_network():
    reward = by_hand(1.0, input_shift=(10.0,), input_spread=(4.0,))
    assert score(reward, 10.0, 18.0) == [0.0, 2.0]


def test_offset_scale_and_pessimism_apply_in_that_order():
    reward = by_hand(1.0, 3.0)  # at 2: members 2 and 6, mean 4, deviation 2
    assert score(reward, 2.0) == [4.0]
    assert score(reward.with_fields(offset=1.0, scale=10.0), 2.0) == [30.0]
    assert score(reward.with_fields(offset=1.0, scale=10.0, pessimism=1.0), 2.0) == [10.0]
    assert score(reward, 2.0) == [4.0]  # the first is as it was


def test_a_control_cost_is_the_squared_norm_of_the_action_before_offset_and_scale():
    reward = by_hand(1.0).with_fields(offset=1.0, scale=10.0, control_cost=0.5)
    state = np.array([[4.0]], np.float32)
    # 4 for the state, 0.5 · (3² + 1²) = 5 for the action
    assert reward(state, np.array([[3.0, 1.0]], np.float32), state, np.zeros(1, np.bool_)).tolist() == [-20.0]


def test_returns_are_sums_over_each_episode():
    world = trajectories_of([2, 1, 3], [[1.0], [2.0], [5.0], [1.0], [1.0], [1.0]])
    reward = by_hand(1.0)
    assert reward.per_step(world).tolist() == [1, 2, 5, 1, 1, 1]
    assert reward.returns(world).tolist() == [3, 5, 3]
    # The last next observation of an episode is its last observation, not the next episode's first.
    following = by_hand(1.0, inputs=("next_observations",))
    assert following.per_step(world).tolist() == [2, 2, 5, 1, 1, 1]


def test_many_transitions_score_as_few_do():
    reward, many = some_reward(), transitions(70_000)
    scores = reward(*many)
    assert scores.dtype == np.float32
    assert scores.shape == (70_000,)
    some = slice(65_000, 66_000)
    np.testing.assert_allclose(scores[some], reward(*(part[some] for part in many)), rtol=1e-4, atol=1e-5)


def in_numpy(reward, observations, actions, next_observations):
    """What ``LearnedReward`` computes, written out in numpy."""
    fields = reward.fields
    if fields.action_options:
        chosen = actions.reshape(len(actions), -1)
        actions = np.concatenate(
            [chosen[:, [i]] == np.arange(count) for i, count in enumerate(fields.action_options)], axis=1
        )
    parts = {"observations": observations, "actions": actions, "next_observations": next_observations}
    inputs = parts[fields.inputs[0]]
    if fields.input_shift:
        features = [np.asarray(parts[name], np.float32).reshape(len(inputs), -1) for name in fields.inputs]
        shift, spread = np.float32(fields.input_shift), np.float32(fields.input_spread)
        inputs = (np.concatenate(features, axis=1) - shift) / spread
    with torch.no_grad():
        raw = reward.network(torch.as_tensor(inputs)[None]).double().numpy()
    members = (raw - np.array(fields.member_mean)[:, None]) / np.array(fields.member_std)[:, None]
    pooled = members.mean(axis=0)
    if fields.pessimism:
        pooled = pooled - fields.pessimism * members.std(axis=0)
    if fields.squash != "none":
        pooled = np.tanh(pooled) if fields.squash == "tanh" else 0.5 + 0.5 * np.tanh(0.5 * pooled)
    if fields.control_cost:
        pooled = pooled - fields.control_cost * np.square(actions.astype(np.float64)).sum(axis=1)
    return ((pooled - fields.offset) * fields.scale).astype(np.float32)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pessimism": 0.7},
        {"control_cost": 0.1},
        {"squash": "sigmoid"},
        {"squash": "tanh", "pessimism": 0.7, "control_cost": 0.1},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["vectors", "choices", "images"])
def test_rewards_are_numpys_to_the_last_bit(kind, changes):
    random, steps, members = np.random.default_rng(3), 2000, 3
    generator = torch.Generator().manual_seed(2)
    shape, options, inputs = (17,), (), ("observations", "actions", "next_observations")
    actions = random.normal(size=(steps, 6)).astype(np.float32)
    features, control_cost = 2 * 17 + 6, changes.get("control_cost", 0.0)
    if kind == "choices":
        options, control_cost, features = (2, 4), 0.0, 2 * 17 + 2 + 4
        actions = np.stack([random.integers(2, size=steps), random.integers(4, size=steps)], axis=1)
    if kind == "images":
        shape, inputs, features, steps = (2, 36, 36), ("next_observations",), 0, 200
        layers = ImageLayers(shape=shape, convolutions=((4, 7, 4),))
        network = EnsembleCNN(layers, members=members, hidden_sizes=(8,), generator=generator)
        observations, ahead = random.integers(256, size=(2, steps, *shape), dtype=np.uint8)
    else:
        network = EnsembleMLP(features, members=members, hidden_sizes=(16,), generator=generator)
        observations, ahead = random.normal(size=(2, steps, *shape)).astype(np.float32)
    fields = RewardFields(
        inputs=inputs,
        input_shift=tuple(random.normal(size=features).astype(np.float32).tolist()),
        input_spread=tuple(random.uniform(0.5, 2.0, features).astype(np.float32).tolist()),
        member_mean=tuple(random.normal(size=members).tolist()),
        member_std=tuple(random.uniform(0.1, 2.0, members).tolist()),
        offset=0.3,
        scale=1.7,
        action_options=options,
        **{"pessimism": 0.0} | changes | {"control_cost": control_cost},
    )
    reward = LearnedReward(network.requires_grad_(False), fields)
    given = observations, actions[:steps], ahead
    wanted = in_numpy(reward, *given)
    assert np.ptp(wanted) > 0.01
    np.testing.assert_array_equal(reward(*given, np.zeros(steps, np.bool_)), wanted, strict=True)


# Files


@pytest.mark.parametrize("inputs", [("observations", "actions", "next_observations"), ("next_observations",)])
@pytest.mark.parametrize(("members", "hidden_sizes"), [(1, ()), (3, (4,)), (2, (8, 3))])
def test_a_saved_reward_gives_the_very_same_numbers(tmp_path, members, hidden_sizes, inputs):
    reward = some_reward(members=members, hidden_sizes=hidden_sizes, inputs=inputs)
    reward.save(tmp_path / "made" / "here")
    loaded = load_reward(str(tmp_path / "made" / "here"))
    given = transitions(200)
    np.testing.assert_array_equal(loaded(*given), reward(*given), strict=True)
    np.testing.assert_array_equal(
        loaded.member_rewards(*given[:3]), reward.member_rewards(*given[:3]), strict=True
    )
    assert loaded.fields == reward.fields
    loaded.save(tmp_path / "again")
    for name in ("reward.json", "reward.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "made" / "here" / name).read_bytes()


def test_what_was_learned_survives_its_files(tmp_path):
    settings = RewardSettings(
        hidden_sizes=(6,),
        gradient_steps=5,
        snippets=SnippetSettings(minimum_length=5, maximum_length=5, stride=1),
    )
    ranked = ranked_linear_world(8, seed=0)
    learned = learn_reward(ranked, settings, seed=0)
    learned.save(tmp_path)
    np.testing.assert_array_equal(
        load_reward(tmp_path).returns(ranked.trajectories), learned.returns(ranked.trajectories)
    )


def test_the_network_is_saved_as_it_is_whatever_the_settings_said(tmp_path):
    """Another size made by ``network=`` is a network of drex still."""
    settings = RewardSettings(
        gradient_steps=2, snippets=SnippetSettings(minimum_length=5, maximum_length=5, stride=1)
    )
    ranked = ranked_linear_world(8, seed=0)

    def two_small_ones(features):
        generator = torch.Generator().manual_seed(0)
        return EnsembleMLP(features, members=2, hidden_sizes=(5,), generator=generator)

    learned = learn_reward(ranked, settings, seed=0, network=two_small_ones)
    learned.save(tmp_path)
    np.testing.assert_array_equal(
        load_reward(tmp_path).returns(ranked.trajectories), learned.returns(ranked.trajectories)
    )


class Doubled(EnsembleMLP):
    def forward(self, inputs):
        return 2 * super().forward(inputs)


class Own(torch.nn.Module):
    members = 1

    def forward(self, inputs):
        return inputs.sum(dim=-1)


@pytest.mark.parametrize(
    "network",
    [Own(), Doubled(1, members=1, hidden_sizes=(), generator=torch.Generator().manual_seed(0))],
    ids=["user", "subclass with the same weights"],
)
def test_a_custom_network_is_refused_rather_than_saved_as_another(tmp_path, network):
    reward = by_hand(1.0, custom_network=network)
    with pytest.raises(
        UserError, match=f"saving a reward: .*, found a custom network, {type(network).__name__}"
    ):
        reward.save(tmp_path / "reward")
    assert not (tmp_path / "reward").exists()


def saved(folder):
    some_reward().save(folder)
    return json.loads((folder / "reward.json").read_text())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": 4}, "format: expected at most 3, found 4; update drex"),
        ({"format": None}, "format: expected at most 3, found None"),
        ({"image": {"shape": [4, 84, 84]}}, "image: expected observations or next_observations alone"),
        ({"squash": "relu"}, 'squash: expected "none" or "sigmoid" or "tanh", found "relu"'),
        ({"inputs": []}, "inputs: expected at least one, found none"),
        ({"inputs": ["rewards"]}, 'inputs.0: expected "observations" or "actions" or'),
        ({"members": 0}, "expected positive members and hidden_sizes, found 0 and [4]"),
        ({"members": "3"}, 'members: expected an integer, found "3"'),
        ({"members": 10**30}, f"member_mean: expected {10**30} numbers, found 3"),
        ({"hidden_sizes": [-4]}, "expected positive members and hidden_sizes, found 3 and [-4]"),
        ({"hidden_sizes": [4.5]}, "hidden_sizes.0: expected an integer, found 4.5"),
        ({"hidden_sizes": [10**15]}, f"biases.0: expected (3, 1, {10**15}), found (3, 1, 4)"),
        ({"hidden_sizes": []}, "biases.0: expected (3, 1, 1), found (3, 1, 4)"),
        ({"hidden_sizes": [4, 4]}, "biases.1: expected (3, 1, 4), found (3, 1, 1)"),
        ({"input_shift": []}, "input_shift: expected at least one, found none"),
        ({"input_shift": [0.0] * 4}, "input_spread: expected 4 numbers, found 5"),
        ({"input_spread": [1.0] * 4 + [0.0]}, "input_spread: expected positive numbers, found 0.0"),
        ({"member_mean": [0.0]}, "member_mean: expected 3 numbers, found 1"),
        ({"member_std": [1.0, 1.0, -1.0]}, "member_std: expected positive numbers, found -1.0"),
        ({"member_std": [1.0, 1.0, float("nan")]}, "member_std.2: expected a finite number, found NaN"),
        ({"raw_members": 4}, "raw_members: expected from 0 to 3, found 4"),
        ({"scale": float("inf")}, "scale: expected a finite number, found Infinity"),
        ({"offset": None}, "offset: expected a finite number, found null"),
        ({"surprise": 1}, "surprise: expected only the fields"),
    ],
)
def test_facts_that_describe_no_reward_are_refused_by_name(tmp_path, changes, sentence):
    facts = saved(tmp_path)
    (tmp_path / "reward.json").write_text(json.dumps(facts | changes))
    with pytest.raises(UserError, match=re.escape(sentence)) as refusal:
        load_reward(tmp_path)
    assert str(tmp_path) in str(refusal.value)


def test_a_fact_left_out_is_named(tmp_path):
    facts = saved(tmp_path)
    later = {"squash", "image", "action_options", "raw_members"}  # than format 1
    for name in set(facts) - {"format"} - later:
        (tmp_path / "reward.json").write_text(
            json.dumps({key: value for key, value in facts.items() if key != name})
        )
        with pytest.raises(UserError, match=f"reward.json: {name}: expected a value"):
            load_reward(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "null", "[" * 100_000, '{"format": 1', "\udcff"], ids=lambda text: text[:12]
)
def test_what_is_not_the_json_of_a_reward_is_refused(tmp_path, text):
    saved(tmp_path)
    (tmp_path / "reward.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=r"reward\.json: expected a JSON object, found"):
        load_reward(tmp_path)


@pytest.mark.parametrize(
    ("missing", "expected"),
    [("reward.json", "a JSON file"), ("reward.safetensors", "weights in safetensors")],
)
def test_a_missing_file_is_named(tmp_path, missing, expected):
    saved(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(UserError, match=f"{missing}: expected {expected}, found No such file"):
        load_reward(tmp_path)


class Bomb:
    """Pickled, it makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("dump", [lambda bomb, file: file.write_bytes(pickle.dumps(bomb)), torch.save])
@pytest.mark.parametrize(
    ("place", "expected"),
    [("reward.safetensors", "weights in safetensors"), ("reward.json", "a JSON object")],
)
def test_a_pickle_is_refused_and_never_run(tmp_path, dump, place, expected):
    saved(tmp_path)
    mark = tmp_path / "exploded"
    dump(Bomb(mark), tmp_path / place)
    with pytest.raises(UserError, match=f"{place}: expected {expected}"):
        load_reward(tmp_path)
    assert not mark.exists()


def test_broken_weights_are_refused(tmp_path):
    saved(tmp_path)
    file = tmp_path / "reward.safetensors"
    whole = file.read_bytes()
    weights = {name: tensor.clone() for name, tensor in load_file(file).items()}  # the file is written over
    for broken in (b"", whole[:7], whole[:-1], whole[:40], b"\xff" * 8 + whole[8:]):
        file.write_bytes(broken)
        with pytest.raises(UserError, match="expected weights in safetensors"):
            load_reward(tmp_path)
    for name, changed, sentence in [
        (
            "weights.0",
            weights["weights.0"][:, :-1].contiguous(),
            "weights.0: expected (3, 5, 4), found (3, 4, 4)",
        ),
        ("weights.0", weights["weights.0"].double(), "weights.0: expected finite float32 numbers"),
        ("biases.1", torch.full((3, 1, 1), torch.nan), "biases.1: expected finite float32 numbers"),
        ("extra", torch.zeros(1), "extra: expected no such entry, found (1,)"),
    ]:
        save_file(weights | {name: changed}, file)
        with pytest.raises(UserError, match=re.escape(sentence)):
            load_reward(tmp_path)
    save_file({name: tensor for name, tensor in weights.items() if name != "biases.0"}, file)
    with pytest.raises(UserError, match=re.escape("biases.0: expected (3, 1, 4), found none")):
        load_reward(tmp_path)
