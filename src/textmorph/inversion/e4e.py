"""Encoders from image to w+ over one IR-SE trunk: e4e (Tov et al. 2021, arXiv:2102.02766), pSp (Richardson et al. 2021,
arXiv:2008.00951) and the single code in w that pSp compares with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import OptionError
from ..latents import Latent
from ..layers.equalized import EqualizedLinear
from ..layers.ir_se import IRSE, check_image, check_trunk, resize_area

Variant = Literal["e4e", "psp", "single"]

COARSE_HEADS = 3  # heads 0–2 read the coarsest features,
MEDIUM_HEADS = 4  # heads 3–6 the medium ones, all others the fine ones


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Architecture of an encoder. The defaults are the released e4e for 1024 px faces.

    Args:
        input_size: side of the image that the network reads, a multiple of 2 ** stages; its width, where it is not
            square.
        input_height: height of a picture that is not square (the released car encoder reads 192 × 256); None: square.
        num_rows: rows of w+, L.
        widths, blocks: channels and number of residual blocks of each stage; at least three stages but for `single`.
        w_dim: width of w.
        head_width: channels of the convolutions in each head; None: those of the last stage.
        base_width: those of head 0, which in `e4e` says most of what all rows say; None: as in the other heads.
        variant: `e4e`: head 0 gives a w for all rows, every other head adds an offset to its row; `psp`: each head
            gives its row; `single`: the mean of the last features gives one w for all rows.
    """

    input_size: int = 256
    input_height: int | None = None
    num_rows: int = 18
    widths: tuple[int, ...] = (64, 128, 256, 512)
    blocks: tuple[int, ...] = (3, 4, 14, 3)
    w_dim: int = 512
    head_width: int | None = None
    base_width: int | None = None
    variant: Variant = "e4e"

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))  # a list, when it comes from a file's header
        object.__setattr__(self, "blocks", tuple(self.blocks))
        check_trunk(self.widths, self.blocks, *self.input_shape)
        if self.variant not in ("e4e", "psp", "single"):
            raise OptionError(f"variant is 'e4e', 'psp' or 'single', not {self.variant!r}")
        if self.variant != "single" and len(self.widths) < 3:
            raise OptionError(f"{self.variant} reads the ends of the last three stages; there are {len(self.widths)}")
        if not 1 <= self.num_rows <= 64:
            raise OptionError(f"num_rows is 1 to 64, not {self.num_rows}")

    @property
    def input_shape(self) -> tuple[int, int]:
        """Height and width of the image that the network reads."""
        return self.input_height or self.input_size, self.input_size

    def width(self, head: int) -> int:
        """Channels of the convolutions in a head."""
        width = self.base_width if head == 0 and self.base_width is not None else self.head_width
        return width or self.widths[-1]

    def level(self, head: int) -> int:
        """Which features a head reads: 0 the coarsest (last stage), 1 the stage before, 2 the one before that.

        Heads 0–2 are coarse, 3–6 medium, all others fine, whatever the number of heads: a row of w+ belongs to a layer
        counted from 4 px up, so the lowest rows come from the coarsest features.
        """
        return int(head >= COARSE_HEADS) + int(head >= COARSE_HEADS + MEDIUM_HEADS)


class Head(nn.Module):
    """Convolutions of stride 2 down to one pixel, then a linear layer; [B, I, h, w] → [B, W].

    Args:
        side: the longer side of the features; ⌈log2⌉ of it is the number of convolutions.
    """

    def __init__(self, inputs: int, width: int, outputs: int, side: int) -> None:
        super().__init__()
        count = math.ceil(math.log2(side))
        layers: list[nn.Module] = []
        for i in range(count):
            layers += [nn.Conv2d(width if i else inputs, width, 3, stride=2, padding=1), nn.LeakyReLU(0.01)]
        self.convs = nn.Sequential(*layers)
        self.linear = EqualizedLinear(width if count else inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(self.convs(x).flatten(1))
        return y


class E4eEncoder(nn.Module):
    """Image in, latent in w+ out.

    Built frozen and in eval mode; who trains it calls `requires_grad_(True).train()`. State dict: `trunk` (see `IRSE`),
    `heads.{i}.{convs.{0, 2, …}, linear}`, `lateral1` and `lateral2` (to the medium and the fine features; the names
    follow the reference's `latlayer1`, `latlayer2`), `mean_w`; in `single`, `linear` stands for heads and laterals.
    """

    config_class: ClassVar = EncoderConfig
    mean_w: Tensor

    def __init__(self, config: EncoderConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or EncoderConfig()
        last = config.widths[-1]
        self.trunk = IRSE(config.widths, config.blocks)
        if config.variant == "single":
            self.linear = EqualizedLinear(last, config.w_dim)
        else:
            stages = len(config.widths)
            self.heads = nn.ModuleList(
                Head(last, config.width(i), config.w_dim, max(config.input_shape) // 2 ** (stages - config.level(i)))
                for i in range(config.num_rows)
            )
            self.lateral1 = nn.Conv2d(config.widths[-2], last, 1)
            self.lateral2 = nn.Conv2d(config.widths[-3], last, 1)
        self.register_buffer("mean_w", torch.zeros(config.num_rows, config.w_dim))
        self.requires_grad_(False).eval()

    def forward(self, image: Tensor) -> Latent:
        """Image [B, 3, H, W] in [-1, 1], of any size (it is resized to the network's own) → latent in w+.

        Raises:
            ImageError: not such a tensor.
        """
        check_image(image)
        return Latent(self.offset(resize_area(image, *self.config.input_shape)) + self.mean_w, "w+")

    def offset(self, image: Tensor) -> Tensor:
        """What the network adds to `mean_w`, [B, L, W], for an image of its own input size."""
        ends = self.trunk(image)
        if self.config.variant == "single":
            w: Tensor = self.linear(ends[-1].mean(dim=(2, 3)))
            return w[:, None].expand(-1, self.config.num_rows, -1)
        coarse = ends[-1]
        medium = _upsample_to(coarse, self.lateral1(ends[-2]))
        fine = _upsample_to(medium, self.lateral2(ends[-3]))
        levels = (coarse, medium, fine)
        rows = torch.stack([head(levels[self.config.level(i)]) for i, head in enumerate(self.heads)], dim=1)
        if self.config.variant == "psp":
            return rows  # [B, L, W]
        return torch.cat([rows[:, :1], rows[:, :1] + rows[:, 1:]], dim=1)


def _upsample_to(x: Tensor, finer: Tensor) -> Tensor:
    """Sum of two levels of the feature pyramid, at the size of the finer."""
    return F.interpolate(x, finer.shape[2:], mode="bilinear", align_corners=True) + finer
