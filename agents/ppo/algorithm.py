"""PPO started from the cloned policy: stable-baselines3's algorithm with faster loops.

``save``, ``load``, ``predict``, callbacks and TensorBoard logging are stable-baselines3's own. New are:
rewards from a learned function once per rollout, a KL penalty to the clone that decays to zero, and a critic
warm-up.
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

from drex.agents.policies.acting import Policy, clip_to_space
from drex.agents.policies.discrete_actions import as_actions, choices
from drex.agents.policies.inference import inference
from drex.agents.policies.manual_mlp import PlainActorCritic, plain_actor_critic
from drex.agents.policies.nature_cnn import extract_features
from drex.agents.policies.network import action_mean
from drex.agents.ppo.finite import check_weights
from drex.agents.ppo.loss_gradient import (
    LossWeights,
    Minibatch,
    MinibatchStats,
    averages,
    log_probabilities,
    policy_gradient,
    value_gradient,
)
from drex.agents.ppo.minibatches import minibatches
from drex.agents.ppo.relabelled_buffer import RelabelledRolloutBuffer
from drex.envs.learned_reward import RewardFunction
from drex.envs.vector.same_step import transition_ends
from drex.errors import UserError


class PPO(StablePPO):
    """Proximal policy optimization (Schulman et al. 2017) on a learned reward, started from a clone.

    Takes the arguments of stable-baselines3's PPO. ``set_reward`` attaches a reward function;
    ``set_reference_policy`` attaches the clone and the weight of the KL penalty to it.
    """

    policy: ActorCriticPolicy

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("rollout_buffer_class", RelabelledRolloutBuffer)
        self.kl_penalty, self.kl_decay = 0.0, 1.0
        self.critic_warmup_rollouts = 0
        self.rollouts_done = 0
        self.planned_steps: int | None = None
        self.uses_reward_function = False
        self._clone_outputs: torch.Tensor | None = None
        self._clone: ActorCriticPolicy | None = None
        self._noted: list[tuple[torch.Tensor, torch.Tensor]] = []
        super().__init__(*args, **kwargs)

    def _setup_model(self) -> None:
        super()._setup_model()
        # One call for all parameters: 2 to 4 times as fast as a loop over them in Python.
        if type(self.policy.optimizer) is torch.optim.Adam and self.device.type in ("cpu", "cuda"):
            for group in self.policy.optimizer.param_groups:
                if group["fused"] is None and group["foreach"] is None:
                    group["fused"] = True

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_clone", "_clone_outputs", "_noted"]

    def _update_current_progress_remaining(self, num_timesteps: int, total_timesteps: int) -> None:
        # Schedules span all segments of a run.
        super()._update_current_progress_remaining(num_timesteps, self.planned_steps or total_timesteps)

    def set_reward(self, reward: RewardFunction | None) -> None:
        """Replace the environment's reward by this function; ``None`` restores the environment's.

        The function is not saved with the algorithm: attach it again after ``load``.
        """
        cast("RelabelledRolloutBuffer", self.rollout_buffer).reward = reward
        self.uses_reward_function = reward is not None

    def set_reference_policy(
        self, clone: ActorCriticPolicy | None, *, penalty: float, decay: float = 1.0
    ) -> None:
        """Penalize the squared distance of mean actions in standard deviations (Box) or the KL divergence.

        The weight decays linearly from ``penalty`` to 0 over the share ``decay`` of training. The clone is
        copied, and not saved with the algorithm: attach it again after ``load``, or
        ``set_reference_policy(None, penalty=0.0)``.
        """
        self._clone = None if clone is None else copy.deepcopy(clone).to(self.device).requires_grad_(False)
        self.kl_penalty, self.kl_decay = penalty, decay

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: RolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """Fill the buffer. Values and log-probabilities are computed in one batch at the end."""
        if self._last_obs is None:
            raise RuntimeError("no last observation: call learn() rather than collect_rollouts()")
        buffer = cast("RelabelledRolloutBuffer", rollout_buffer)
        self._check_attached(buffer)
        self.policy.set_training_mode(False)
        buffer.reset()
        callback.on_rollout_start()
        plain = plain_actor_critic(self.policy)
        sample = self._sampler(plain)
        truncated_at: list[tuple[int, int]] = []
        self._noted = []
        observations = cast("npt.NDArray[Any]", self._last_obs)
        for step in range(n_rollout_steps):
            actions = sample(observations)
            executed = clip_to_space(actions, self.action_space)
            env.step_async(executed)
            buffer.observations[step] = observations  # while environments step
            buffer.actions[step] = actions.reshape(self.n_envs, -1)
            buffer.episode_starts[step] = self._last_episode_starts
            stepped, rewards, dones, infos = env.step_wait()
            new_observations = cast("npt.NDArray[Any]", stepped)
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return False
            ends = transition_ends(new_observations, dones, infos)
            if dones.any():
                self._update_info_buffer(infos, dones)
                truncated_at += [(step, int(index)) for index in np.flatnonzero(ends.truncated)]
            buffer.rewards[step] = rewards if buffer.reward is None else 0.0
            buffer.note_step(step, executed, ends.next_observations, ends.terminated)
            observations = new_observations
            self._last_obs, self._last_episode_starts = observations, dones
        buffer.full, buffer.pos = True, n_rollout_steps
        self._fill_in(buffer, truncated_at, plain)
        with torch.no_grad():
            last_values = self.policy.predict_values(self._tensor(observations))
        buffer.compute_returns_and_advantage(last_values, cast("npt.NDArray[Any]", self._last_episode_starts))
        if buffer.learned_rewards is not None:
            self.logger.record("rollout/learned_reward_per_step", float(buffer.learned_rewards.mean()))
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def train(self) -> None:
        """Update policy and value network on the rollout, as stable-baselines3 does."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        critic_only = self.rollouts_done < self.critic_warmup_rollouts
        remaining, value_clip = self._current_progress_remaining, self.clip_range_vf
        loss = LossWeights(
            clip=float(self.clip_range(remaining)),  # type: ignore[operator]
            value_clip=None if value_clip is None else float(value_clip(remaining)),  # type: ignore[operator]
            ent_coef=float(self.ent_coef),
            vf_coef=float(self.vf_coef),
            kl_penalty=self.kl_penalty * max(1.0 - (1.0 - remaining) / self.kl_decay, 0.0),
        )
        plain = plain_actor_critic(self.policy)
        placed = None if plain is None else plain.place_gradients(critic_only=critic_only)
        rollout = self._rollout_tensors(plain)
        seen: list[MinibatchStats] = []
        last_epoch, stop = 0, False
        for _ in range(self.n_epochs):
            last_epoch = 0
            for batch in minibatches(rollout, self.batch_size, self.n_envs, self.normalize_advantage):
                if plain is None:
                    part = self._gradients_by_autograd(batch, loss, critic_only)
                else:
                    part = self._gradients_written_out(plain, batch, loss, critic_only)
                if self.target_kl is not None and float(part.approximate_kl().mean()) > 1.5 * self.target_kl:
                    stop = True
                    break
                if placed is None:
                    torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
                else:
                    norm = torch.linalg.vector_norm(placed)
                    placed.mul_((self.max_grad_norm / (norm + 1e-6)).clamp_(max=1.0))
                self.policy.optimizer.step()
                seen.append(part)
                last_epoch += 1
            self._n_updates += 1
            if stop:
                break
        check_weights(self.policy, steps=self.num_timesteps)
        self.policy.optimizer.zero_grad(set_to_none=True)
        self.rollouts_done += 1
        self._log_update(loss, averages(seen, last_epoch, loss))

    def _gradients_written_out(
        self, plain: PlainActorCritic, batch: Minibatch, loss: LossWeights, critic_only: bool
    ) -> MinibatchStats:
        """Set every parameter's gradient on a minibatch; plain networks only."""
        layers = plain.critic.activations(batch["observations"])
        at_values, errors = value_gradient(layers[-1].squeeze(1), batch, loss)
        plain.critic.backward(layers, at_values[:, None])
        if critic_only:
            return MinibatchStats.of_critic(errors)
        layers = plain.actor.activations(batch["observations"])
        log_std = None if plain.log_std is None else plain.log_std.detach()
        part = policy_gradient(self.action_space, layers[-1], log_std, batch=batch, loss=loss)
        plain.actor.backward(layers, part.at_outputs)
        if plain.log_std is not None and plain.log_std.grad is not None and part.at_log_std is not None:
            plain.log_std.grad.copy_(part.at_log_std)
        return MinibatchStats(part.gain, part.log_ratio, part.entropy, errors)

    def _gradients_by_autograd(
        self, batch: Minibatch, loss: LossWeights, critic_only: bool
    ) -> MinibatchStats:
        """Set every parameter's gradient on a minibatch; networks of any kind."""
        policy = self.policy
        policy.optimizer.zero_grad(set_to_none=True)
        features = extract_features(policy, batch["observations"])
        policy_features, value_features = features if isinstance(features, tuple) else (features, features)
        if critic_only and value_features is policy_features:
            value_features = value_features.detach()  # shared layers belong to the policy
        values = policy.value_net(policy.mlp_extractor.forward_critic(value_features)).flatten()
        at_values, errors = value_gradient(values.detach(), batch, loss)
        if critic_only:
            values.backward(at_values)
            return MinibatchStats.of_critic(errors)
        outputs = policy.action_net(policy.mlp_extractor.forward_actor(policy_features))
        log_std = _log_std(policy)
        with torch.no_grad():
            part = policy_gradient(self.action_space, outputs.detach(), log_std, batch=batch, loss=loss)
        torch.autograd.backward([outputs, values], [part.at_outputs, at_values])
        if log_std is not None:
            log_std.grad = part.at_log_std
        return MinibatchStats(part.gain, part.log_ratio, part.entropy, errors)

    def _log_update(self, loss: LossWeights, means: dict[str, float]) -> None:
        values, returns = self.rollout_buffer.values.flatten(), self.rollout_buffer.returns.flatten()
        scalars = {**means, "explained_variance": explained_variance(values, returns)}
        if hasattr(self.policy, "log_std"):
            scalars["std"] = float(self.policy.log_std.detach().exp().mean())
        scalars |= {"clip_range": loss.clip, "kl_penalty": loss.kl_penalty}
        if loss.value_clip is not None:
            scalars["clip_range_vf"] = loss.value_clip
        for name, value in scalars.items():
            self.logger.record(f"train/{name}", value)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")

    def _sampler(self, plain: PlainActorCritic | None) -> Policy:
        """A policy that draws unclipped actions with the present weights."""
        infer = None if plain is None else inference(self.policy)
        log_std = _log_std(self.policy)
        std = None if log_std is None else log_std.detach().exp()

        def sample(observations: npt.NDArray[Any]) -> npt.NDArray[Any]:
            if infer is None:
                with torch.no_grad():
                    # Values share the layers before the heads, which cost most.
                    self._noted.append(self._outputs_and_values(self._tensor(observations)))
                outputs = self._noted[-1][0]
            else:
                outputs = torch.from_numpy(infer(observations)).to(self.device)
            if std is not None:
                return (outputs + std * torch.randn_like(outputs)).cpu().numpy()
            drawn = [
                torch.multinomial(logits.softmax(dim=1), 1).flatten().cpu().numpy()
                for logits in choices(self.action_space, outputs)
            ]
            return as_actions(self.action_space, drawn)

        return sample

    def _outputs_and_values(
        self, observations: torch.Tensor, plain: PlainActorCritic | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The result of ``action_mean``, and values (n,); shared features are computed once."""
        if plain is not None:
            seen = plain.features(observations)
            return plain.actor(seen), plain.critic(seen).flatten()
        policy = self.policy
        features = extract_features(policy, observations)
        for_actions, for_values = features if isinstance(features, tuple) else (features, features)
        outputs = policy.action_net(policy.mlp_extractor.forward_actor(for_actions))
        values = policy.value_net(policy.mlp_extractor.forward_critic(for_values))
        return outputs, values.flatten()

    def _fill_in(
        self,
        buffer: RelabelledRolloutBuffer,
        truncated_at: list[tuple[int, int]],
        plain: PlainActorCritic | None,
    ) -> None:
        """Values and log-probabilities of the whole rollout, and the bootstrap after truncations."""
        flat = buffer.buffer_size * buffer.n_envs
        with torch.no_grad():
            observations = self._tensor(buffer.observations.reshape(flat, *buffer.obs_shape))
            noted = [torch.cat(parts) for parts in zip(*self._noted, strict=True)]
            mean, values = noted or self._outputs_and_values(observations, plain)
            self._noted = []
            actions = self._tensor(buffer.actions.reshape(flat, -1))
            log_probs = log_probabilities(self.action_space, mean, _log_std(self.policy), actions)
            buffer.values[:] = values.cpu().numpy().reshape(buffer.buffer_size, buffer.n_envs)
            buffer.log_probs[:] = log_probs.cpu().numpy().reshape(buffer.buffer_size, buffer.n_envs)
            if truncated_at:
                steps, indices = np.array(truncated_at).T
                last_observations = self._tensor(buffer.next_observations[steps, indices])
                final_values = self.policy.predict_values(last_observations).flatten()
                buffer.rewards[steps, indices] += self.gamma * final_values.cpu().numpy()
            near = self._clone is not None and self.kl_penalty > 0.0
            self._clone_outputs = action_mean(self._clone, observations) if near and self._clone else None

    def _rollout_tensors(self, plain: PlainActorCritic | None) -> Minibatch:
        """The flattened rollout on the device, with features for observations of plain networks."""
        buffer = cast("RelabelledRolloutBuffer", self.rollout_buffer)
        flat = buffer.buffer_size * buffer.n_envs
        tensors = {
            "observations": self._tensor(buffer.observations.reshape(flat, *buffer.obs_shape)),
            "actions": self._tensor(buffer.actions.reshape(flat, -1)),
        }
        for name in ("values", "log_probs", "advantages", "returns"):
            tensors[name] = self._tensor(getattr(buffer, name).reshape(flat))
        if plain is not None:
            with torch.no_grad():
                tensors["observations"] = plain.features(tensors["observations"])
        elif tensors["observations"].dtype == torch.uint8 and tensors["observations"].dim() == 4:
            # The layout of convolutions, once instead of once per pass.
            tensors["observations"] = tensors["observations"].contiguous(memory_format=torch.channels_last)
        if self._clone_outputs is not None:
            tensors["clone_outputs"] = self._clone_outputs
        return tensors

    def _check_attached(self, buffer: RelabelledRolloutBuffer) -> None:
        """Refuse to train without the parts that ``load`` does not restore."""
        found = "none, since it is not saved with the algorithm"
        if self.uses_reward_function and buffer.reward is None:
            advice = "call set_reward(reward) after load, or set_reward(None) for the environment's reward"
            raise UserError("PPO", expected="the reward function it was trained on", found=found, do=advice)
        if self.kl_penalty > 0.0 and self._clone is None:
            advice = "after load, call set_reference_policy(clone, penalty=...), or (None, penalty=0.0)"
            raise UserError("PPO", expected="the clone of the KL penalty", found=found, do=advice)

    def _tensor(self, array: npt.NDArray[Any]) -> torch.Tensor:
        """On the device, in single precision; images as uint8."""
        values = array if array.dtype == np.uint8 else np.asarray(array, np.float32)
        return torch.as_tensor(values, device=self.device)


def _log_std(policy: ActorCriticPolicy) -> torch.nn.Parameter | None:
    """Logarithm of the standard deviations of Box actions; ``None`` for others."""
    return policy.log_std if isinstance(policy.action_space, gymnasium.spaces.Box) else None
