"""Linear layers with equalised learning rate (Karras et al. 2018, arXiv:1710.10196, Sec. 4.1)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Activation = Callable[[Tensor], Tensor]


def leaky_relu(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2, times √2 to keep the variance (StyleGAN2's activation)."""
    return F.leaky_relu(x, 0.2) * math.sqrt(2)


class EqualizedLinear(nn.Module):
    """y = activation(x · Wᵀ · m/√in + b · m) with the stored weight of unit scale divided by m, the lr multiplier.

    Args:
        lr_multiplier: m; StyleGAN's mapping network uses 0.01.
        bias_init: value of the bias after the multiplier.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        lr_multiplier: float = 1.0,
        bias_init: float = 0.0,
        activation: Activation | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), bias_init / lr_multiplier))
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.bias_gain = lr_multiplier
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        bias = self.bias if self.bias_gain == 1 else self.bias * self.bias_gain
        y = F.linear(x, self.weight * self.weight_gain, bias)
        return self.activation(y) if self.activation else y
