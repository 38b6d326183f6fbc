"""The one loop that optimises what is on a canvas."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

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
