"""The patches of a vision transformer (Dosovitskiy et al. 2020, arXiv:2010.11929, Sec. 3.1) as a matrix product."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class PatchConv2d(nn.Conv2d):
    """A convolution whose windows neither overlap nor leave gaps: each pixel is read once, by one product.

    The same numbers as the convolution but for rounding, with the same state; its gradient takes a CPU less time, in
    bfloat16 above all (docs/banks.md).
    """

    @classmethod
    def of(cls, conv: nn.Conv2d) -> PatchConv2d:
        """The same layer, with the same parameters. `conv` is one that `fits`."""
        height, width = conv.kernel_size
        layer = cls(conv.in_channels, conv.out_channels, (height, width), (height, width), bias=False, device="meta")
        layer.weight, layer.bias = conv.weight, conv.bias
        return layer.train(conv.training)

    @staticmethod
    def fits(layer: nn.Module) -> bool:
        """Whether it is a convolution of that kind."""
        return (
            type(layer) is nn.Conv2d
            and layer.kernel_size == layer.stride
            and layer.padding in ("valid", (0, 0))
            and layer.dilation == (1, 1)
            and layer.groups == 1
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] → [B, O, H / k, W / k]; what is left of a row or column at the end is not read."""
        (down, across), batch = self.kernel_size, len(x)
        rows, columns = x.shape[2] // down, x.shape[3] // across
        x = x[:, :, : rows * down, : columns * across]
        x = x.reshape(batch, -1, rows, down, columns, across).permute(0, 2, 4, 1, 3, 5)  # [B, h, w, C, k, k]
        y = F.linear(x.reshape(batch, rows * columns, -1), self.weight.flatten(1), self.bias)
        return y.transpose(1, 2).view(batch, -1, rows, columns)
