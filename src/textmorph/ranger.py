"""Ranger, the optimiser that the published latent mappers were trained with: three papers in one step.

RAdam (Liu et al. 2020, arXiv:1908.03265), Lookahead (Zhang et al. 2019, arXiv:1907.08610) and gradient centralisation
(Yong et al. 2020, arXiv:2004.01461). The combination is Less Wright's, 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class Ranger(torch.optim.RAdam):
    """RAdam over centralised gradients, whose weights are drawn back to a slow copy every few steps.

    Args:
        lookahead_steps: k; fast steps between two moves of the slow weights.
        lookahead_share: alpha; how far these then go towards the fast ones.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.95, 0.999),
        eps: float = 1e-5,
        lookahead_steps: int = 6,
        lookahead_share: float = 0.5,
    ) -> None:
        super().__init__(parameters, lr=lr, betas=betas, eps=eps)
        self.lookahead_steps, self.lookahead_share = lookahead_steps, lookahead_share

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        parameters = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        slow = {p: self.state[p]["slow"] if self.state[p] else p.detach().clone() for p in parameters}
        for parameter in parameters:
            if parameter.ndim > 1:
                parameter.grad -= parameter.grad.mean(dim=tuple(range(1, parameter.ndim)), keepdim=True)
        loss = super().step(closure)
        for parameter in parameters:
            state = self.state[parameter]
            state["slow"] = slow[parameter]
            if int(state["step"]) % self.lookahead_steps == 0:
                parameter.copy_(slow[parameter].lerp_(parameter, self.lookahead_share))
        return loss
