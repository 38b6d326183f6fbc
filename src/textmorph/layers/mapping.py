"""The mapping network of StyleGAN (Karras et al. 2019, arXiv:1812.04948, Sec. 2), and the mean of what it gives."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from ..errors import OptionError
from .equalized import EqualizedLinear, leaky_relu


class MappingNetwork(nn.Module):
    """z [B, Z] (and class vector [B, K]) → w [B, W].

    Args:
        z_dim, w_dim: widths of the two spaces.
        layers: depth.
        label_dim: length of the class vector; 0 for none.
    """

    mean_w: Tensor

    def __init__(self, z_dim: int, w_dim: int, layers: int, label_dim: int = 0) -> None:
        super().__init__()
        self.z_dim, self.w_dim, self.label_dim = z_dim, w_dim, label_dim
        if label_dim:
            self.embed = EqualizedLinear(label_dim, w_dim)
        widths = [z_dim + (w_dim if label_dim else 0)] + [w_dim] * layers
        self.layers = nn.ModuleList(
            EqualizedLinear(i, o, lr_multiplier=0.01, activation=leaky_relu) for i, o in pairwise(widths)
        )
        self.register_buffer("mean_w", torch.zeros(w_dim))

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """
        Raises:
            OptionError: a class vector where there are no classes, none where there are, or one of another length.
        """
        x = _unit_power(z)
        if self.label_dim:
            if label is None or label.shape[-1] != self.label_dim:
                raise OptionError(f"this generator is conditional: give a label of length {self.label_dim}")
            x = torch.cat([x, _unit_power(self.embed(label.to(x))).expand(len(x), -1)], dim=1)
        elif label is not None:
            raise OptionError("this generator has no classes; leave the label out")
        for layer in self.layers:
            x = layer(x)
        return x


def _unit_power(x: Tensor) -> Tensor:
    """Scale each row to a mean square of 1."""
    return x * (x.square().mean(dim=-1, keepdim=True) + 1e-8).rsqrt()
