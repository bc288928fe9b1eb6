"""The true reward reaches no learner: few modules may open it, and poisoning it changes no learned weight."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_environments import DISCRETE_WALK, POISONED_DISCRETE_WALK, POISONED_WALK, WALK

import drex
from drex.agents.behavioral_cloning import CloningSettings, clone
from drex.agents.policies.acting import deterministic, uniform
from drex.agents.policies.network import PolicySettings, policy_arguments
from drex.agents.ppo.algorithm import PPO
from drex.agents.rollouts.collect import collect
from drex.agents.rollouts.noise import NoiseSchedule
from drex.envs.make import make_environments, task_spaces
from drex.rankings.preferences import RankedTrajectories, from_noise_levels
from drex.rewards.learning import learn_reward
from drex.rewards.settings import RewardSettings
from drex.rewards.snippets import SnippetSettings

PACKAGE = Path(drex.__file__).parent
MAY_REVEAL = {  # module: why it may open true returns
    "agents/demonstrator.py": "stops a demonstrator's training at its target",
    "evaluation/evaluate.py": "evaluates policies",
    "evaluation/findings.py": "puts what was found together",
    "evaluation/training_curve.py": "draws the training curve",
}
MAY_REVEAL_STEPS = {  # module: why it may open true rewards step by step
    "demonstrations/make.py": "writes them into a file of demonstrations, for evaluation only",
    "demonstrations/record.py": "writes them into a file of demonstrations, for evaluation only",
    "evaluation/findings.py": "compares them with the learned rewards of the same steps, for evaluation only",
    "rankings/noisy_rollouts.py": "keeps them in the run folder, for evaluation only",
    "stages/ceiling.py": "scales the true reward of the ceiling, a control",
    "stages/demonstrations.py": "keeps them in the run folder, for evaluation only",
}
MAY_PAY_THE_TRUE_REWARD = {  # module: why it may ask for environments that pay it
    "agents/demonstrator.py": "trains demonstrators, which is the only learning on it",
    "demonstrations/make.py": "makes the environments that they are trained in",
    "stages/ceiling.py": "trains the ceiling, a control",
}


def modules_that_say(pattern):
    """Modules of the package, linked folders included, whose code matches."""
    found = set()
    for folder, _, names in os.walk(PACKAGE, followlinks=True):
        for file in (Path(folder) / name for name in names if name.endswith(".py")):
            if re.search(pattern, file.read_text()):
                found.add(file.relative_to(PACKAGE).as_posix())
    return found


def test_few_modules_open_true_returns():
    assert modules_that_say(r"\.values_for_evaluation\(") == set(MAY_REVEAL)
    assert modules_that_say(r"\.step_values_for_evaluation\(") == set(MAY_REVEAL_STEPS)


def test_only_demonstrators_are_trained_on_the_true_reward():
    assert modules_that_say(r'reward="true"') == set(MAY_PAY_THE_TRUE_REWARD)


def learn_everything(task):
    """Clone, disturb, rank, learn a reward, train on it: all weights that come of it, and the true
    returns."""
    observation_space, action_space, _ = task_spaces(task)
    demonstrations, _ = collect(uniform(action_space, seed=0), make_environments(task, 3, seed=0), 6, seed=0)
    policy_settings = PolicySettings(policy_hidden_sizes=(16,), value_hidden_sizes=(16,))
    cloned = clone(
        demonstrations,
        observation_space,
        action_space,
        policy_settings=policy_settings,
        settings=CloningSettings(gradient_steps=200),
        seed=1,
    )
    jobs = NoiseSchedule(levels=(0.0, 0.5, 1.0), episodes_per_level=3, names=("uniform", "sticky")).jobs()
    rollouts, returns = collect(deterministic(cloned), make_environments(task, 4, seed=2), jobs, seed=2)
    ranked = RankedTrajectories(
        rollouts, from_noise_levels([job.level for job in jobs], names=[job.name for job in jobs])
    )
    settings = RewardSettings(
        hidden_sizes=(16,),
        gradient_steps=60,
        snippets=SnippetSettings(minimum_length=5, maximum_length=10, stride=1),
    )
    reward = learn_reward(ranked, settings, seed=3)
    model = PPO(
        "MlpPolicy",
        make_environments(task, 4, seed=4),
        n_steps=64,
        batch_size=64,
        n_epochs=4,
        seed=4,
        device="cpu",
        policy_kwargs=policy_arguments(policy_settings),
    )
    model.policy.load_state_dict(cloned.state_dict())
    model.set_reference_policy(cloned, penalty=0.03)
    model.critic_warmup_rollouts = 1
    model.set_reward(reward)
    model.learn(4 * 256)
    weights = {
        "cloned": cloned.state_dict(),
        "reward": reward.network.state_dict(),
        "policy": model.policy.state_dict(),
    }
    return weights, (reward.fields.member_mean, reward.fields.member_std), returns


POISONED = [(WALK, POISONED_WALK), (DISCRETE_WALK, POISONED_DISCRETE_WALK)]


@pytest.mark.parametrize(("task", "poisoned"), POISONED)
def test_nan_environment_rewards_change_no_weight(task, poisoned):
    weights, scales, returns = learn_everything(task)
    poisoned_weights, poisoned_scales, poisoned_returns = learn_everything(poisoned)
    assert np.isfinite(returns.values_for_evaluation()).all()
    assert np.isnan(poisoned_returns.values_for_evaluation()).all()  # the poison was there
    for stage, tensors in weights.items():
        for name, tensor in tensors.items():
            assert torch.isfinite(tensor).all()
            assert torch.equal(tensor, poisoned_weights[stage][name]), f"{stage}: {name}"
    np.testing.assert_array_equal(scales, poisoned_scales)
