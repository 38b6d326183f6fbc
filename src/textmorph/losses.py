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


def sideways(change: Tensor, shift: Tensor) -> Tensor:
    """Squared length of that part of a change [B, D] which is at right angles to a unit shift [D]; [B].

    What an image's embedding gains along the shift of the texts costs nothing; whatever else changes in it does. The
    directional loss of Gal et al. 2021, arXiv:2108.00946, eq. 2, asks for the same, but of a change's direction alone,
    which a change that has just begun does not have.
    """
    along = (change @ shift)[:, None] * shift
    return (change - along).square().sum(dim=1)
