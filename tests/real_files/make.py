"""Makes the files beside it with the libraries whose formats drex reads, and what those read from them.

Run by hand where a format changes, in an environment of its own (the libraries pull in a lot): ``pip install
"minari[hdf5,arrow,create]==0.5.4" datasets==5.2.0 jsonpickle==4.1.4 torch gymnasium==1.4.0`` and ``pip
install --no-deps imitation==1.0.1``, then ``python tests/real_files/make.py``. Nothing here imports drex.
With ``--check FOLDER`` it reads what drex wrote into it, ``minari`` and ``imitation``, with the same
libraries and compares the arrays with those of ``expected.npz`` there.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
from gymnasium import spaces

HERE = Path(__file__).parent
os.environ["MINARI_DATASETS_PATH"] = str(HERE / "cache")


class Room(gym.Env):
    """Nested observations of every kind that gymnasium flattens; three steps an episode, then over."""

    observation_space = spaces.Dict(
        {
            "where": spaces.Dict(
                {
                    "place": spaces.Box(-9, 9, (2,), np.float32),
                    "grid": spaces.Box(0, 9, (2, 2), np.float64),
                }
            ),
            "door": spaces.Discrete(3, start=1),
            "lamps": spaces.MultiBinary(2),
            "both": spaces.Tuple((spaces.MultiDiscrete([2, 3]), spaces.Box(-1, 1, (1,), np.float32))),
        }
    )
    action_space = spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.steps = 0
        return self.observation_space.sample(), {"steps": 0}

    def step(self, action):
        self.steps += 1
        return (
            self.observation_space.sample(),
            float(action.sum()),
            self.steps == 3,
            False,
            {"steps": self.steps},
        )


class Picture(Room):
    """Images large enough for Minari to keep them as JPEG."""

    observation_space = spaces.Box(0, 255, (32, 32, 3), np.uint8)
    action_space = spaces.Discrete(4)


def minari_dataset(name: str, env: gym.Env, **options: object) -> None:
    import minari

    collector = minari.DataCollector(env, **options)
    env.action_space.seed(1)
    for episode in range(2):
        collector.reset(seed=episode)
        done = False
        while not done:
            _, _, terminated, truncated, _ = collector.step(env.action_space.sample())
            done = terminated or truncated
    collector.create_dataset(
        dataset_id=name, algorithm_name="random", author="drex", description="made to be read", eval_env=None
    )


def minari_arrays(name: str) -> dict[str, np.ndarray]:
    """What Minari itself reads, flattened by gymnasium where the space is nested."""
    import minari

    dataset = minari.load_dataset(name)
    flat = not isinstance(dataset.observation_space, spaces.Box)
    seen, last, lengths = [], [], []
    episodes = list(dataset.iterate_episodes())
    for episode in episodes:
        rows = episode.observations
        if flat:
            count = len(episode.rewards) + 1
            rows = [_row(episode.observations, row) for row in range(count)]
            rows = np.stack([spaces.utils.flatten(dataset.observation_space, row) for row in rows])
            rows = rows if rows.dtype.kind == "f" else rows.astype(np.float32)
        seen.append(rows[:-1])
        last.append(rows[-1])
        lengths.append(len(rows) - 1)
    return {
        "observations": np.concatenate(seen),
        "last_observations": np.stack(last),
        "actions": np.concatenate([episode.actions for episode in episodes]),
        "rewards": np.concatenate([episode.rewards for episode in episodes]),
        "lengths": np.array(lengths),
        "terminated": np.array([bool(episode.terminations[-1]) for episode in episodes]),
    }


def _row(batch, row):
    if isinstance(batch, dict):
        return {name: _row(inner, row) for name, inner in batch.items()}
    return tuple(_row(inner, row) for inner in batch) if isinstance(batch, tuple) else batch[row]


def imitation_arrays(folder: Path) -> dict[str, np.ndarray]:
    """What imitation itself reads."""
    from imitation.data import serialize

    read = list(serialize.load(folder))
    arrays = {
        "observations": np.concatenate([one.obs[:-1] for one in read]),
        "last_observations": np.stack([one.obs[-1] for one in read]),
        "actions": np.concatenate([one.acts for one in read]),
        "lengths": np.array([len(one) for one in read]),
        "terminated": np.array([bool(one.terminal) for one in read]),
    }
    if hasattr(read[0], "rews"):
        arrays["rewards"] = np.concatenate([one.rews for one in read])
    assert all(len(one.infos) == len(one) and isinstance(one.infos[0], dict) for one in read)
    return arrays


def make_imitation(folder: Path, *, rewards: bool) -> None:
    from imitation.data import serialize, types

    random = np.random.default_rng(2)
    made = []
    for steps, terminal in ((4, True), (3, False)):
        parts = {
            "obs": random.normal(size=(steps + 1, 3)).astype(np.float32 if rewards else np.float64),
            "acts": random.integers(0, 4, steps) if rewards else random.normal(size=(steps, 2)),
            "infos": np.array([{"step": at} for at in range(steps)]),
            "terminal": terminal,
        }
        made.append(
            types.TrajectoryWithRew(rews=random.normal(size=steps), **parts)
            if rewards
            else types.Trajectory(**parts)
        )
    serialize.save(folder, made)


def minari_names() -> list[str]:
    return [folder.parent.relative_to(HERE / "cache").as_posix() for folder in (HERE / "cache").rglob("data")]


def main() -> None:
    for folder in (HERE / "cache", HERE / "imitation", HERE / "imitation-without-rewards"):
        shutil.rmtree(folder, ignore_errors=True)
    minari_dataset("cartpole/random-v0", gym.make("CartPole-v1", max_episode_steps=12), record_infos=False)
    minari_dataset("room/random-v0", Room(), record_infos=True)
    minari_dataset("room/arrow-v0", Room(), data_format="arrow")
    minari_dataset("room/parquet-v1", Room(), data_format="parquet")
    minari_dataset("picture-v0", Picture())
    minari_dataset("lake/random-v0", gym.make("FrozenLake-v1"), data_format="arrow")
    make_imitation(HERE / "imitation", rewards=True)
    make_imitation(HERE / "imitation-without-rewards", rewards=False)
    for name in minari_names():
        np.savez_compressed(HERE / f"{name.replace('/', '-')}.npz", **minari_arrays(name))
    for name in ("imitation", "imitation-without-rewards"):
        np.savez_compressed(HERE / f"{name}.npz", **imitation_arrays(HERE / name))


def check(folder: Path) -> None:
    import minari

    minari.load_dataset = lambda _: minari.MinariDataset(folder / "minari" / "data")
    with np.load(folder / "expected.npz") as expected:
        for name, arrays in (
            ("minari", minari_arrays("")),
            ("imitation", imitation_arrays(folder / "imitation")),
        ):
            for key in arrays:
                np.testing.assert_array_equal(arrays[key], expected[key], err_msg=f"{name}: {key}")
            print(f"{name}: {', '.join(arrays)} are equal")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--check"]:
        check(Path(sys.argv[2]))
    else:
        main()
