from __future__ import annotations

import math

import torch
from torch import Tensor

from textmorph.optimization import Ranger


def by_hand(start: Tensor, gradients: list[Tensor], *, lr: float, k: int = 6, alpha: float = 0.5) -> Tensor:
    """The three papers, step by step, on one weight."""
    beta1, beta2, eps = 0.95, 0.999, 1e-5
    x, slow = start.clone(), start.clone()
    mean, square = torch.zeros_like(x), torch.zeros_like(x)
    longest = 2 / (1 - beta2) - 1
    for t, raw in enumerate(gradients, start=1):
        g = raw - raw.mean(dim=tuple(range(1, raw.ndim)), keepdim=True) if raw.ndim > 1 else raw
        mean = beta1 * mean + (1 - beta1) * g
        square = beta2 * square + (1 - beta2) * g * g
        length = longest - 2 * t * beta2**t / (1 - beta2**t)
        momentum = mean / (1 - beta1**t)
        if length > 5:
            rectified = math.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
            x = x - lr * rectified * math.sqrt(1 - beta2**t) * momentum / (square.sqrt() + eps)
        else:
            x = x - lr * momentum
        if t % k == 0:
            slow = slow + alpha * (x - slow)
            x = slow.clone()
    return x


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_it_does_what_the_three_papers_say():
    starts = {"weight": random(3, 4), "bias": random(3, seed=1)}
    parameters = {name: start.clone().requires_grad_(True) for name, start in starts.items()}
    optimizer = Ranger(parameters.values(), lr=0.3)
    gradients = {name: [random(*start.shape, seed=10 + i) for i in range(20)] for name, start in starts.items()}
    for i in range(20):
        for name, parameter in parameters.items():
            parameter.grad = gradients[name][i].clone()
        optimizer.step()
    for name, start in starts.items():
        expected = by_hand(start, gradients[name], lr=0.3)
        torch.testing.assert_close(parameters[name].detach(), expected, atol=1e-9, rtol=1e-9)


def test_centralised_gradients_keep_the_mean_of_each_row():
    start = random(5, 7)
    weight = start.clone().requires_grad_(True)
    optimizer = Ranger([weight], lr=0.1)
    for i in range(5):  # until then RAdam is plain momentum; its adaptive steps need not keep the mean
        weight.grad = random(5, 7, seed=i)
        optimizer.step()
    torch.testing.assert_close(weight.detach().mean(dim=1), start.mean(dim=1), atol=1e-12, rtol=0)


def test_it_continues_from_its_state_to_the_same_bits():
    def steps(parameter: Tensor, optimizer: Ranger, numbers: range) -> None:
        for i in numbers:
            parameter.grad = random(4, 4, seed=i)
            optimizer.step()

    whole = random(4, 4).requires_grad_(True)
    steps(whole, Ranger([whole], lr=0.2), range(20))
    first = random(4, 4).requires_grad_(True)
    optimizer = Ranger([first], lr=0.2)
    steps(first, optimizer, range(9))
    second = first.detach().clone().requires_grad_(True)
    resumed = Ranger([second], lr=0.2)
    resumed.load_state_dict(optimizer.state_dict())
    steps(second, resumed, range(9, 20))
    assert torch.equal(second, whole)


def test_a_parameter_without_a_gradient_stays():
    still, moved = random(2).requires_grad_(True), random(2).requires_grad_(True)
    before = still.detach().clone()
    moved.grad = torch.ones(2, dtype=torch.float64)
    Ranger([still, moved], lr=0.1).step()
    assert torch.equal(still, before)


def test_it_finds_the_bottom_of_a_bowl():
    x, bottom = random(5).requires_grad_(True), random(5, seed=5)
    optimizer = Ranger([x], lr=0.5)
    start = float((x - bottom).detach().norm())
    for _ in range(300):
        optimizer.zero_grad()
        torch.autograd.backward((x - bottom).square().sum())
        optimizer.step()
    assert float((x - bottom).detach().norm()) < 0.05 * start
