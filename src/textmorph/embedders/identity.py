"""Face identity: the ArcFace embedding of an IR-SE network (Deng et al. 2019, arXiv:1801.07698).

Two pictures of one person have a cosine near 1. The network reads RGB in [-1, 1] of an aligned face.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import OptionError
from ..layers.ir_se import IRSE, check_image, check_trunk, resize_area

Crop = Literal["ffhq", "none"]


@dataclass(frozen=True, kw_only=True)
class IdentityConfig:
    """Architecture of an identity network. The defaults are IR-SE-50.

    Args:
        input_size: side of the face that the network reads, a multiple of 2 ** stages.
        widths, blocks: channels and number of residual blocks of each stage.
        embedding_dim: length of the embedding.
        crop: `ffhq`: the face within a picture aligned as in FFHQ, as the paper's identity loss crops it (pool to
            256 px, rows 35 to 223, columns 32 to 220, pool to the input size); `none`: the whole picture.
        dropout: before the last linear layer, in training only.
    """

    input_size: int = 112
    widths: tuple[int, ...] = (64, 128, 256, 512)
    blocks: tuple[int, ...] = (3, 4, 14, 3)
    embedding_dim: int = 512
    crop: Crop = "ffhq"
    dropout: float = 0.6

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))  # a list, when it comes from a file's header
        object.__setattr__(self, "blocks", tuple(self.blocks))
        check_trunk(self.widths, self.blocks, self.input_size)
        if self.crop not in ("ffhq", "none"):
            raise OptionError(f"crop is 'ffhq' or 'none', not {self.crop!r}")


class IdentityEmbedder(nn.Module):
    """Image in, unit embedding of the face out.

    Built frozen and in eval mode; who trains it calls `requires_grad_(True).train()`. State dict: `trunk` (see `IRSE`)
    and `head.{0 norm, 3 linear, 4 norm}`.
    """

    config_class: ClassVar = IdentityConfig

    def __init__(self, config: IdentityConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or IdentityConfig()
        self.image_size = config.input_size
        side = config.input_size // 2 ** len(config.widths)
        self.trunk = IRSE(config.widths, config.blocks)
        self.head = nn.Sequential(
            nn.BatchNorm2d(config.widths[-1]),
            nn.Dropout(config.dropout),
            nn.Flatten(),
            nn.Linear(config.widths[-1] * side**2, config.embedding_dim),
            nn.BatchNorm1d(config.embedding_dim),
        )
        self.requires_grad_(False).eval()

    def forward(self, image: Tensor) -> Tensor:
        """Image [B, 3, H, W] in [-1, 1], of any size → unit rows, [B, D]; differentiable in the image.

        Raises:
            ImageError: not such a tensor.
        """
        check_image(image)
        face = self._crop(image)  # [B, 3, S, S]
        return F.normalize(self.head(self.trunk(face)[-1]), dim=1)

    def embed_image(self, image: Tensor) -> Tensor:
        """The same as calling the network."""
        embedding: Tensor = self(image)
        return embedding

    def _crop(self, image: Tensor) -> Tensor:
        size = self.config.input_size
        if self.config.crop == "none":
            return resize_area(image, size, size)
        # Windows of whole pixels that overlap, as in the paper's code: an exact fractional resize differs.
        face = F.adaptive_avg_pool2d(image, 256)[:, :, 35:223, 32:220]
        return F.adaptive_avg_pool2d(face, size)
