"""What an edit did: how far towards the words, whether the person stayed, and what else changed.

All images are [B, 3, H, W], RGB in [-1, 1] (clamped where pixels are compared); every result is [B].
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ..embedders import Embedder
from ..errors import ImageError
from .framing import reconstruction_distance


def compare(
    photo: Tensor | None, inverted: Tensor, edited: Tensor, identity: Embedder | None
) -> dict[str, float | None]:
    """The figures of one edited picture that need no text, [1, 3, H, W] each.

    Args:
        photo: what was edited; None where it began as a latent.
        inverted: the photo as the generator draws it. The edit is measured against this.
        edited: the result.
        identity: identity net; None leaves its figures None.
    """
    report: dict[str, float | None] = {
        "identity": None,
        "change_outside": float(change_outside(inverted, edited)),
        "edit_region": float(edit_region(inverted, edited).float().mean()),
        "reconstruction_distance": None if photo is None else float(reconstruction_distance(photo, inverted)),
        "reconstruction_identity": None,
    }
    if identity is not None:
        report["identity"] = float(identity_kept(identity, inverted, edited))
        if photo is not None:
            report["reconstruction_identity"] = float(identity_kept(identity, photo, inverted))
    return report


@torch.no_grad()
def seen(embedder: Embedder, image: Tensor) -> Tensor:
    """Embeddings of images as a screen shows them, [B, D]."""
    return embedder.embed_image(_shown(image))


@torch.no_grad()
def clip_gain(embedder: Embedder, before: Tensor, after: Tensor, target: Tensor) -> Tensor:
    """How much closer to a text an image came: cosine after minus cosine before, [B] in [-2, 2].

    Args:
        embedder: reads images; unit rows.
        before, after: images, [B, 3, H, W] each, or one `before` for all.
        target: text embedding, unit length, [D].
    """
    cosines = [seen(embedder, image) @ target.to(image) for image in (after, before)]
    return cosines[0] - cosines[1]


@torch.no_grad()
def identity_kept(identity: Embedder, before: Tensor, after: Tensor) -> Tensor:
    """Cosine between the identities of two images, [B] in [-1, 1]; 1 is the same person."""
    return (identity.embed_image(_shown(after)) * identity.embed_image(_shown(before))).sum(dim=1)


def change_outside(before: Tensor, after: Tensor) -> Tensor:
    """How much changed outside of the edit: mean absolute change of the pixels outside `edit_region`, [B] in [0, 1].

    Pixels count from 0 (black) to 1 (white). Where the region covers the whole picture, nothing is outside: 0.
    """
    outside = ~edit_region(before, after)  # [B, H, W]
    change = _change(before, after)
    return (change * outside).sum(dim=(1, 2)) / outside.sum(dim=(1, 2)).clamp(min=1)


def edit_region(before: Tensor, after: Tensor, *, share: float = 0.25) -> Tensor:
    """Where an edit happened: bool [B, H, W], from the two images alone.

    The change of each pixel (mean over colours) is averaged over a square of a sixteenth of the side; the region is
    where this smooth change reaches `share` of its peak.
    """
    change = _change(before, after)[:, None]  # [B, 1, H, W]
    side = max(1, change.shape[-1] // 16) | 1
    smooth = avg_pool2d(change, side, stride=1, padding=side // 2, count_include_pad=False)[:, 0]
    peak = smooth.amax(dim=(1, 2), keepdim=True)
    return (smooth >= share * peak) & (peak > 0)


def _shown(image: Tensor) -> Tensor:
    """The image as a screen shows it."""
    return image.clamp(-1, 1)


def _change(before: Tensor, after: Tensor) -> Tensor:
    """Absolute change of each pixel, mean over colours, [B, H, W] in [0, 1]."""
    if before.shape[1:] != after.shape[1:]:
        raise ImageError(f"images of one size can be compared, not {list(before.shape)} and {list(after.shape)}")
    return (_shown(after) - _shown(before)).abs().mean(dim=1) / 2
