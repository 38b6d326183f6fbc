"""The one loop that optimises what is on a canvas."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

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


class RowAdam(torch.optim.Optimizer):
    """Adam with one second moment for each row of a batch: the mean over its coordinates.

    Adam steps equally far along every coordinate, whether the loss hears of it or not. Here a step keeps the direction
    of the gradient's average, so that it does not depend on how the axes lie; its root mean square is about the
    learning rate.
    """

    def __init__(
        self, params: Sequence[Tensor], lr: float, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step along the gradients that the parameters [B, ...] hold."""
        for group in self.param_groups:
            first_beta, second_beta = group["betas"]
            for parameter in group["params"]:
                gradient, state = parameter.grad, self.state[parameter]
                power = gradient.flatten(1).square().mean(dim=1).view(-1, *[1] * (gradient.ndim - 1))  # [B, 1, ...]
                if not state:
                    state.update(step=0, first=torch.zeros_like(parameter), second=torch.zeros_like(power))
                state["step"] += 1
                state["first"].lerp_(gradient, 1 - first_beta)
                state["second"].lerp_(power, 1 - second_beta)
                first = state["first"] / (1 - first_beta ** state["step"])
                second = state["second"] / (1 - second_beta ** state["step"])
                parameter.sub_(group["lr"] * first / (second.sqrt() + group["eps"]))


def optimize(
    parameters: Sequence[Tensor],
    loss_fn: Callable[[int], Tensor],
    *,
    steps: int,
    learning_rate: float,
    schedule: Schedule = ramped_learning_rate,
    second_moment: Literal["coordinate", "row"] = "coordinate",
    shrinkage: float = 0.0,
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
        second_moment: what Adam divides a gradient by: an average for each coordinate, or one for each row of a batch.
        shrinkage: after each step every coordinate goes towards zero, and at most to it, by this share of the learning
            rate: only those on which the loss insists leave zero (the proximal step of an L1 norm).
        callback: called after each step with its number and its loss (of before the step).
        stop: asked after each step; True ends.

    Raises:
        OptionError: no steps, or no learning rate.
        EditError: the loss is no longer finite.
    """
    if steps < 1 or not learning_rate > 0:
        raise OptionError(f"steps is 1 or more and learning_rate above 0, not {steps} and {learning_rate}")
    parameters = list(parameters)
    adam = torch.optim.Adam if second_moment == "coordinate" else RowAdam
    optimizer = adam(parameters, lr=learning_rate)
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
            if shrinkage:
                with torch.no_grad():
                    parameter.copy_(F.softshrink(parameter, rate * shrinkage))
        history.losses.append(value)
        history.learning_rates.append(rate)
        if callback:
            callback(step, value)
        if stop and stop(step):
            history.stopped = step + 1 < steps
            break
    return history
