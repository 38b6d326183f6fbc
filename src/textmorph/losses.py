"""Losses: pure functions, one value per row, [B]."""

from __future__ import annotations

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
