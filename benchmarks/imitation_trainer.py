"""The other side of the reward experiment: ``imitation``'s BasicRewardTrainer, in its own environment.

``python imitation_trainer.py PAIRS.npz CURVE.json SEED`` is run by the interpreter of a virtual environment
that holds ``imitation`` and none of this package; see throughput_experiments/reward.py. The file holds

- observations, (pairs, 2, steps + 1, features), actions, (pairs, 2, steps, ...): the better snippet first;
- judged, (steps, features): what followed each held-out step, and judged_begins, (pairs, 2): where in it the
  snippets of each held-out pair begin, again the better one first;
- hidden_sizes and learning_rate.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from typing import Any

import numpy as np
import torch

GRADIENT_STEPS = 200
LOOK_EVERY = 2


class _EnoughSteps(Exception):
    """Ends a training that can only be ended after a whole epoch."""


def main(pairs_file: str, curve_file: str, seed: int) -> None:
    """Train on the pairs of the file, and write [seconds, held-out accuracy] after every few steps."""
    import gymnasium
    from imitation.algorithms import preference_comparisons
    from imitation.data.types import TrajectoryWithRew
    from imitation.rewards.reward_nets import BasicRewardNet

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    pairs = np.load(pairs_file)
    observations, actions = pairs["observations"], pairs["actions"]
    dataset = preference_comparisons.PreferenceDataset()
    dataset.push(
        [
            tuple(
                TrajectoryWithRew(
                    obs=seen, acts=acted, infos=None, terminal=False, rews=np.zeros(len(acted), np.float32)
                )
                for seen, acted in zip(both, both_acted, strict=True)
            )
            for both, both_acted in zip(observations, actions, strict=True)
        ],
        np.ones(len(observations), np.float32),
    )
    network = BasicRewardNet(
        gymnasium.spaces.Box(-np.inf, np.inf, observations.shape[3:]),
        gymnasium.spaces.Box(-1.0, 1.0, actions.shape[3:]),
        use_state=False,
        use_action=False,
        use_next_state=True,
        hid_sizes=tuple(int(units) for units in pairs["hidden_sizes"]),
    )
    trainer = preference_comparisons.BasicRewardTrainer(
        preference_comparisons.PreferenceModel(network),
        preference_comparisons.CrossEntropyRewardLoss(),
        np.random.default_rng(seed),
        lr=float(pairs["learning_rate"]),
    )
    judged = torch.as_tensor(pairs["judged"])
    begins, length = torch.as_tensor(pairs["judged_begins"]), actions.shape[2]
    curve: list[tuple[float, float]] = []
    spent, steps, since = 0.0, 0, time.perf_counter()

    def look(*_: Any) -> None:
        nonlocal spent, steps, since
        steps += 1
        if steps % LOOK_EVERY:
            return
        spent += time.perf_counter() - since
        with torch.no_grad():
            sums = torch.nn.functional.pad(network.mlp(judged).flatten().double().cumsum(0), (1, 0))
        better, worse = (sums[begins + length] - sums[begins]).T
        curve.append((spent, float((better > worse).float().mean())))
        if steps >= GRADIENT_STEPS:
            raise _EnoughSteps
        since = time.perf_counter()

    warm_up()
    trainer.optim.register_step_post_hook(look)
    since = time.perf_counter()
    with contextlib.suppress(_EnoughSteps):
        trainer.train(dataset, epoch_multiplier=100)
    with open(curve_file, "w") as file:
        json.dump(curve, file)


def warm_up() -> None:
    """Take one step with another network: the first step in a process imports much."""
    layer = torch.nn.Linear(1, 1)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 1)).sum().backward()
    optimizer.step()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
