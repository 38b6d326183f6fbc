"""Losses: pure functions, one value per row, [B]; and the random views that images are judged by."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def clip_loss(image: Tensor, text: Tensor) -> Tensor:
    """1 − cosine of image embeddings [B, D] and text embeddings [D] or [B, D]; in [0, 2].

    Source: Patashnik et al. 2021, arXiv:2103.17249, Sec. 4, D_CLIP.
    """
    return 1 - F.cosine_similarity(image, text, dim=-1)


def identity_loss(image: Tensor, source: Tensor) -> Tensor:
    """1 − cosine of identity embeddings [B, D]; in [0, 2], 0 for the same image.

    Source: Patashnik et al. 2021, arXiv:2103.17249, Sec. 4, L_ID.
    """
    return 1 - F.cosine_similarity(image, source, dim=-1)


def latent_l2(change: Tensor) -> Tensor:
    """Sum of squares of a change of a latent, [B, ...] → [B].

    The paper writes a norm; its code takes this sum for latent optimisation (and a mean for the mapper).
    """
    return change.square().flatten(1).sum(dim=1)


def random_views(image: Tensor, num: int, *, seed: int, min_scale: float = 0.75, flip: bool = True) -> Tensor:
    """Random crops of an image, each enlarged to its size again, half of them mirrored; [B, 3, H, W] → [V, B, 3, H, W].

    A view is the same for every row of the batch and depends on the seed and its place alone.

    Args:
        num: V.
        min_scale: smallest side of a crop, as a share of the image's; crops range up to the whole image.
        flip: mirror about half of the views.
    """
    height, width = image.shape[2:]
    random = torch.Generator().manual_seed(seed)
    views = []
    for _ in range(num):
        size, x, y, coin = torch.rand(4, generator=random).tolist()
        scale = min_scale + (1 - min_scale) * size
        mirror = -1.0 if flip and coin < 0.5 else 1.0
        slack = 1 - scale  # the crop's centre may move this far, in the coordinates of affine_grid
        theta = image.new_tensor([[scale * mirror, 0, slack * (2 * x - 1)], [0, scale, slack * (2 * y - 1)]])
        grid = F.affine_grid(theta.expand(len(image), 2, 3), [len(image), 3, height, width], align_corners=False)
        views.append(F.grid_sample(image, grid, mode="bilinear", padding_mode="reflection", align_corners=False))
    return torch.stack(views)
