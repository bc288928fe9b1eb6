"""Many steps of one Adam on the same small parameters, without what ``torch.optim`` does around each.

Around its one call, ``torch.optim.Adam.step`` gathers states, groups tensors by device and adds 1 to as many
counts as there are parameters: with 13 parameters that took as long as the call itself.
"""

from __future__ import annotations

from collections.abc import Callable

import torch


def many_steps(optimizer: torch.optim.Optimizer) -> Callable[[], object]:
    """The optimiser's ``step``, for as long as its parameters and their ``grad`` are the same tensors.

    Steps are the optimiser's own to the last bit, and so is the state that they leave in it. Any optimiser
    but a plain fused Adam on the CPU steps by itself.
    """
    return _FusedAdam(optimizer) if _is_plain(optimizer) else optimizer.step


def _is_plain(optimizer: torch.optim.Optimizer) -> bool:
    if type(optimizer) is not torch.optim.Adam or len(optimizer.param_groups) != 1:
        return False
    if optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:
        return False
    group = optimizer.param_groups[0]
    unusual = ("amsgrad", "maximize", "capturable", "differentiable", "decoupled_weight_decay")
    if not group["fused"] or isinstance(group["lr"], torch.Tensor) or any(map(group.get, unusual)):
        return False
    return all(parameter.is_cpu for parameter in group["params"])


class _FusedAdam:
    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        self._lists: tuple[list[torch.Tensor], ...] = ()

    def __call__(self) -> None:
        if not self._lists:
            self._optimizer.step()  # makes the state where there is none yet
            self._gather()
            return
        group = self._optimizer.param_groups[0]
        beta1, beta2 = group["betas"]
        self._counts += 1.0
        torch._fused_adam_(
            *self._lists,
            lr=group["lr"],
            beta1=beta1,
            beta2=beta2,
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )

    def _gather(self) -> None:
        parameters = [p for p in self._optimizer.param_groups[0]["params"] if p.grad is not None]
        states = [self._optimizer.state[parameter] for parameter in parameters]
        # Counts become entries of one tensor, so that one addition serves all, whoever steps next.
        self._counts = torch.stack([state["step"] for state in states])
        for state, count in zip(states, self._counts, strict=True):
            state["step"] = count
        self._lists = (
            [parameter.detach() for parameter in parameters],
            [parameter.grad for parameter in parameters],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
        )
