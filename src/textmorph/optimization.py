"""The one loop that optimises what is on a canvas, its schedule, and the optimiser that trains mappers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .errors import EditError, OptionError

Schedule = Callable[[int, int, float], float]
"""(step, steps, base learning rate) → learning rate of this step."""


@dataclass
class History:
    """What happened: loss and learning rate of each step, and whether it stopped before the last."""

    losses: list[float] = field(default_factory=list)
    learning_rates: list[float] = field(default_factory=list)
    stopped: bool = False

    @property
    def steps(self) -> int:
        """How many were taken."""
        return len(self.losses)


def ramped_learning_rate(step: int, steps: int, base: float, *, rampup: float = 0.05, rampdown: float = 0.25) -> float:
    """Learning rate of a step: a linear rise from zero, a plateau, half a cosine down.

    Args:
        step: from 0 to steps − 1.
        base: on the plateau.
        rampup, rampdown: shares of the steps.

    Source: Karras et al. 2020, arXiv:1912.04958, App. D; StyleCLIP's latent optimisation uses the same.
    """
    t = step / steps
    down = min(1.0, (1 - t) / rampdown) if rampdown else 1.0
    up = min(1.0, t / rampup) if rampup else 1.0
    return base * (0.5 - 0.5 * math.cos(math.pi * down)) * up


class Ranger(torch.optim.RAdam):
    """RAdam over centralised gradients, whose weights are drawn back to a slow copy every few steps.

    The optimiser of the published latent mappers: RAdam (Liu et al. 2020, arXiv:1908.03265), Lookahead (Zhang et al.
    2019, arXiv:1907.08610) and gradient centralisation (Yong et al. 2020, arXiv:2004.01461), combined by Wright.

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


def optimize(
    parameters: Sequence[Tensor],
    loss_fn: Callable[[int], Tensor],
    *,
    steps: int,
    learning_rate: float,
    schedule: Schedule = ramped_learning_rate,
    callback: Callable[[int, float], None] | None = None,
    stop: Callable[[int], bool] | None = None,
) -> History:
    """Lower a loss with Adam, in place.

    Gradients are taken with respect to the parameters alone: the networks between them and the loss hold none.

    Args:
        parameters: leaf tensors that require gradients.
        loss_fn: step → loss of the parameters as they are; values of a batch are summed, so that rows stay apart.
        steps: how many.
        learning_rate: base, see `schedule`.
        schedule: learning rate of each step.
        callback: called after each step with its number and its loss (of before the step).
        stop: asked after each step; True ends.

    Raises:
        OptionError: no steps, or no learning rate.
        EditError: the loss is no longer finite.
    """
    if steps < 1 or not learning_rate > 0:
        raise OptionError(f"steps is 1 or more and learning_rate above 0, not {steps} and {learning_rate}")
    parameters = list(parameters)
    optimizer = torch.optim.Adam(parameters, lr=learning_rate)
    history = History()
    for step in range(steps):
        rate = schedule(step, steps, learning_rate)
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.enable_grad():
            loss = loss_fn(step).sum()
            gradients = torch.autograd.grad(loss, parameters)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise EditError(f"the loss became {value} at step {step}; try a smaller learning_rate")
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        for parameter in parameters:
            parameter.grad = None
        history.losses.append(value)
        history.learning_rates.append(rate)
        if callback:
            callback(step, value)
        if stop and stop(step):
            history.stopped = step + 1 < steps
            break
    return history
