"""PPO started from the cloned policy: stable-baselines3's algorithm, its loops freed of per-step overhead.

``save``, ``load``, ``predict``, callbacks and TensorBoard logging are stable-baselines3's own. New are:
rewards from a learned function once a rollout, a penalty on leaving the cloned policy that falls to zero, and
a first phase in which only the value network learns.
"""

from __future__ import annotations

import copy
from typing import Any, cast

import gymnasium
import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3 import PPO as StablePPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import explained_variance
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from drex.agents.policies import action_mean, clip_to_space
from drex.agents.relabelled_buffer import RelabelledRolloutBuffer
from drex.envs.learned_reward import RewardFunction
from drex.errors import UserError


class PPO(StablePPO):
    """Proximal policy optimisation on a learned reward, started from a cloned policy.

    Takes the arguments of stable-baselines3's PPO. ``pay_by`` attaches a reward function; ``stay_near``
    attaches the clone and the weight of the penalty on leaving it.
    """

    policy: ActorCriticPolicy

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("rollout_buffer_class", RelabelledRolloutBuffer)
        self.leaving_penalty = 0.0
        self.value_only_rollouts = 0
        self.rollouts_done = 0
        self.planned_steps: int | None = None
        self.paid_by_function = False
        self._clone_means: torch.Tensor | None = None
        self._clone: ActorCriticPolicy | None = None
        super().__init__(*args, **kwargs)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_clone", "_clone_means"]

    def _update_current_progress_remaining(self, num_timesteps: int, total_timesteps: int) -> None:
        # A run in several segments has schedules that span them all.
        super()._update_current_progress_remaining(num_timesteps, self.planned_steps or total_timesteps)

    def pay_by(self, reward: RewardFunction | None) -> None:
        """Pay transitions by this function instead of the environment; ``None``: by the environment again.

        The function is not saved with the algorithm: attach it again after ``load``.
        """
        cast("RelabelledRolloutBuffer", self.rollout_buffer).reward = reward
        self.paid_by_function = reward is not None

    def stay_near(self, clone: ActorCriticPolicy | None, *, penalty: float) -> None:
        """Penalise the squared distance of the mean action from the clone's, in standard deviations.

        Discrete actions: the Kullback-Leibler divergence from the clone's distribution. The weight falls
        linearly from ``penalty`` to 0 over training. The clone is copied, and not saved with the algorithm:
        attach it again after ``load``, or let go by ``stay_near(None, penalty=0.0)``.
        """
        self._clone = None if clone is None else copy.deepcopy(clone).to(self.device).requires_grad_(False)
        self.leaving_penalty = penalty

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: RolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """Fill the buffer; values and log-probabilities are computed in one batch at the end."""
        if self._last_obs is None:
            raise RuntimeError("no last observation: call learn() rather than collect_rollouts()")
        buffer = cast("RelabelledRolloutBuffer", rollout_buffer)
        self._check_attached(buffer)
        self.policy.set_training_mode(False)
        buffer.reset()
        callback.on_rollout_start()
        truncated_at: list[tuple[int, int]] = []
        observations = cast("npt.NDArray[Any]", self._last_obs)
        for step in range(n_rollout_steps):
            actions = self._sample(observations)
            executed = clip_to_space(actions, self.action_space)
            buffer.observations[step] = observations
            buffer.actions[step] = actions.reshape(self.n_envs, -1)
            buffer.episode_starts[step] = self._last_episode_starts
            stepped, rewards, dones, infos = env.step(executed)
            new_observations = cast("npt.NDArray[Any]", stepped)
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return False
            self._update_info_buffer(infos, dones)
            following, terminated = new_observations, np.zeros(self.n_envs, np.bool_)
            if dones.any():
                following = np.array(new_observations)
                for index in np.flatnonzero(dones):
                    following[index] = infos[index]["terminal_observation"]
                    if infos[index].get("TimeLimit.truncated", False):
                        truncated_at.append((step, int(index)))
                    else:
                        terminated[index] = True
            buffer.rewards[step] = rewards if buffer.reward is None else 0.0
            buffer.note_step(step, executed, following, terminated)
            observations = new_observations
            self._last_obs, self._last_episode_starts = observations, dones
        buffer.full, buffer.pos = True, n_rollout_steps
        self._fill_in(buffer, truncated_at)
        with torch.no_grad():
            last_values = self.policy.predict_values(self._tensor(observations))
        buffer.compute_returns_and_advantage(last_values, cast("npt.NDArray[Any]", self._last_episode_starts))
        if buffer.learned_rewards is not None:
            self.logger.record("rollout/learned_reward_per_step", float(buffer.learned_rewards.mean()))
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def train(self) -> None:
        """Update policy and value network on the rollout, by stable-baselines3's rules."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        clip = float(self.clip_range(self._current_progress_remaining))  # type: ignore[operator]
        value_only = self.rollouts_done < self.value_only_rollouts
        penalty = self.leaving_penalty * max(self._current_progress_remaining, 0.0)
        rollout = self._rollout_tensors()
        count = len(rollout["actions"])
        totals = torch.zeros(5, device=self.device)
        updates, approximate_kl, stop = 0, 0.0, False
        for _ in range(self.n_epochs):
            kls = []
            for batch in self._order(count).split(self.batch_size):
                loss, parts = self._loss({k: v[batch] for k, v in rollout.items()}, clip, penalty, value_only)
                if self.target_kl is not None and not value_only and float(parts[3]) > 1.5 * self.target_kl:
                    stop = True
                    break
                self.policy.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
                self.policy.optimizer.step()
                totals += parts
                kls.append(parts[3])
                updates += 1
            self._n_updates += 1
            if kls:
                approximate_kl = float(torch.stack(kls).mean())
            if stop:
                break
        self.rollouts_done += 1
        means = (totals / max(updates, 1)).tolist()
        names = ("policy_gradient_loss", "value_loss", "entropy_loss", "", "clip_fraction")
        for name, value in zip(names, means, strict=True):
            if name:
                self.logger.record(f"train/{name}", value)
        self.logger.record("train/loss", float(loss.detach()))
        self.logger.record("train/approx_kl", approximate_kl)
        self.logger.record(
            "train/explained_variance",
            explained_variance(self.rollout_buffer.values.flatten(), self.rollout_buffer.returns.flatten()),
        )
        if hasattr(self.policy, "log_std"):
            self.logger.record("train/std", float(self.policy.log_std.detach().exp().mean()))
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/clip_range", clip)
        if self.clip_range_vf is not None:
            self.logger.record("train/clip_range_vf", self._value_clip())
        self.logger.record("train/leaving_penalty", penalty)

    def _loss(
        self, batch: dict[str, torch.Tensor], clip: float, penalty: float, value_only: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """PPO's loss on a minibatch, and its parts: policy, value, entropy, approximate KL, clipped share."""
        policy = self.policy
        features = policy.extract_features(batch["observations"])
        if isinstance(features, tuple):
            policy_features, value_features = features
        else:
            policy_features = value_features = features
        values = policy.value_net(policy.mlp_extractor.forward_critic(value_features)).flatten()
        if self.clip_range_vf is not None:
            clip_value = self._value_clip()
            values = batch["values"] + (values - batch["values"]).clamp(-clip_value, clip_value)
        value_loss = torch.nn.functional.mse_loss(batch["returns"], values)
        zero = torch.zeros((), device=self.device)
        if value_only:
            return self.vf_coef * value_loss, torch.stack([zero, value_loss.detach(), zero, zero, zero])
        mean = policy.action_net(policy.mlp_extractor.forward_actor(policy_features))
        log_prob, entropy = _log_prob_and_entropy(policy, mean, batch["actions"])
        advantages = batch["advantages"]
        if self.normalize_advantage and len(advantages) > 1:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        log_ratio = log_prob - batch["log_probs"]
        ratio = log_ratio.exp()
        policy_loss = -torch.min(advantages * ratio, advantages * ratio.clamp(1 - clip, 1 + clip)).mean()
        entropy_loss = -entropy.mean()
        loss = policy_loss + self.ent_coef * entropy_loss + self.vf_coef * value_loss
        if penalty > 0.0:
            loss = loss + penalty * _distance_from_clone(policy, mean, batch["clone_means"]).mean()
        with torch.no_grad():
            approximate_kl = ((ratio - 1) - log_ratio).mean()
            clipped = ((ratio - 1).abs() > clip).float().mean()
            parts = torch.stack([policy_loss, value_loss, entropy_loss, approximate_kl, clipped]).detach()
        return loss, parts

    def _value_clip(self) -> float:
        return float(self.clip_range_vf(self._current_progress_remaining))  # type: ignore[misc,operator]

    def _sample(self, observations: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Actions drawn from the policy, before clipping, without autograd graphs or distributions."""
        with torch.no_grad():
            mean = action_mean(self.policy, self._tensor(observations))
            if isinstance(self.action_space, gymnasium.spaces.Box):
                actions = mean + self.policy.log_std.exp() * torch.randn_like(mean)
            else:
                actions = torch.multinomial(mean.softmax(dim=1), 1).flatten()
            return actions.cpu().numpy()

    def _fill_in(self, buffer: RelabelledRolloutBuffer, truncated_at: list[tuple[int, int]]) -> None:
        """Values and log-probabilities of the whole rollout, and the bootstrap after cut-offs."""
        flat = buffer.buffer_size * buffer.n_envs
        with torch.no_grad():
            observations = self._tensor(buffer.observations.reshape(flat, *buffer.obs_shape))
            values = self.policy.predict_values(observations).flatten()
            mean = action_mean(self.policy, observations)
            actions = self._tensor(buffer.actions.reshape(flat, -1))
            log_probs, _ = _log_prob_and_entropy(self.policy, mean, actions)
            buffer.values[:] = values.cpu().numpy().reshape(buffer.buffer_size, buffer.n_envs)
            buffer.log_probs[:] = log_probs.cpu().numpy().reshape(buffer.buffer_size, buffer.n_envs)
            if truncated_at:
                steps, indices = np.array(truncated_at).T
                final_values = self.policy.predict_values(
                    self._tensor(buffer.following[steps, indices])
                ).flatten()
                buffer.rewards[steps, indices] += self.gamma * final_values.cpu().numpy()
            near = self._clone is not None and self.leaving_penalty > 0.0
            self._clone_means = action_mean(self._clone, observations) if near and self._clone else None

    def _rollout_tensors(self) -> dict[str, torch.Tensor]:
        """The rollout, flattened, on the device once."""
        buffer = cast("RelabelledRolloutBuffer", self.rollout_buffer)
        flat = buffer.buffer_size * buffer.n_envs
        tensors = {
            "observations": self._tensor(buffer.observations.reshape(flat, *buffer.obs_shape)),
            "actions": self._tensor(buffer.actions.reshape(flat, -1)),
            "values": self._tensor(buffer.values.reshape(flat)),
            "log_probs": self._tensor(buffer.log_probs.reshape(flat)),
            "advantages": self._tensor(buffer.advantages.reshape(flat)),
            "returns": self._tensor(buffer.returns.reshape(flat)),
        }
        if self._clone_means is not None:
            tensors["clone_means"] = self._clone_means
        return tensors

    def _order(self, count: int) -> torch.Tensor:
        """A random order of the rollout's transitions: equal seeds give stable-baselines3's own minibatches.

        It lays a rollout out environment by environment, this class step by step.
        """
        theirs = np.random.permutation(count)  # noqa: NPY002  the stream that stable-baselines3 seeds
        environment, step = np.divmod(theirs, count // self.n_envs)
        return torch.as_tensor(step * self.n_envs + environment, device=self.device)

    def _check_attached(self, buffer: RelabelledRolloutBuffer) -> None:
        """Refuse to go on without what a loaded algorithm has lost."""
        if self.paid_by_function and buffer.reward is None:
            raise UserError(
                "PPO",
                expected="the reward function that pays it",
                found="none, since it is not saved with the algorithm",
                do="call pay_by(reward) after load, or pay_by(None) for the environment's own reward",
            )
        if self.leaving_penalty > 0.0 and self._clone is None:
            raise UserError(
                "PPO",
                expected="the clone that the leaving penalty is measured from",
                found="none, since it is not saved with the algorithm",
                do="call stay_near(clone, penalty=...) after load, or stay_near(None, penalty=0.0)",
            )

    def _tensor(self, array: npt.NDArray[Any]) -> torch.Tensor:
        return torch.as_tensor(np.asarray(array, np.float32), device=self.device)


def _log_prob_and_entropy(
    policy: ActorCriticPolicy, mean: torch.Tensor, actions: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability of actions (n,) and entropy (n,), from means (Box) or logits (Discrete)."""
    if isinstance(policy.action_space, gymnasium.spaces.Box):
        log_std = policy.log_std
        deviations = (actions - mean) * (-log_std).exp()
        constant = 0.5 * np.log(2 * np.pi)
        log_prob = (-0.5 * deviations.square() - log_std - constant).sum(dim=1)
        return log_prob, (log_std + 0.5 + constant).sum().expand(len(mean))
    log_probs = mean.log_softmax(dim=1)
    chosen = log_probs.gather(1, actions.long().reshape(-1, 1)).flatten()
    return chosen, -(log_probs.exp() * log_probs).sum(dim=1)


def _distance_from_clone(
    policy: ActorCriticPolicy, mean: torch.Tensor, clone_mean: torch.Tensor
) -> torch.Tensor:
    """(n,) how far the policy has gone from the clone, in squared standard deviations or as a divergence."""
    if isinstance(policy.action_space, gymnasium.spaces.Box):
        return ((mean - clone_mean) * (-policy.log_std.detach()).exp()).square().sum(dim=1)
    ours, theirs = mean.log_softmax(dim=1), clone_mean.log_softmax(dim=1)
    return (theirs.exp() * (theirs - ours)).sum(dim=1)
