"""A photo made ready for a domain: read, cropped to its middle square, brought to the generator's size."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .domains import Domain, file_sha256
from .errors import ImageError, LatentError
from .images import ImageWarning, center_square, read_image, resize
from .latents import Latent
from .record import tensor_sha256

Photo = str | os.PathLike[str] | bytes | Image.Image | np.ndarray | Tensor | Latent
"""What can be edited: whatever `read_image` reads, an image [1, 3, H, W], or one latent (or a file with one)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """One photo made ready.

    Args:
        image: [1, 3, R, R] in [-1, 1], R the resolution of the generator.
        latent: what it was given as, in w+ or s; None for a picture.
        about: name, size and SHA-256: `of` the file, or of the pixels or the latent where there is no file.
        notes: what a reader of the picture should know.
    """

    image: Tensor
    latent: Latent | None
    about: dict[str, Any]
    notes: tuple[str, ...] = ()


def open_source(domain: Domain, photo: Photo) -> Source:
    """Make a photo ready for a domain.

    Raises:
        ImageError: it cannot be read, or is not one picture.
        LatentError: it is a latent that does not fit the generator, or more than one.
    """
    generator = domain.generator
    device = generator.mean_w.device
    path = Path(photo) if isinstance(photo, str | os.PathLike) else None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ImageWarning)
        content = _load(photo)
    about: dict[str, Any] = {"name": path.name if path else None, "of": "file" if path else "pixels"}
    about["sha256"] = file_sha256(path) if path else tensor_sha256(_tensor(content))
    if isinstance(content, Latent):
        if len(content) != 1:
            raise LatentError(f"one latent is edited at a time, and this holds {len(content)}")
        with torch.no_grad():
            latent = content.to(device) if content.space == "s" else generator.to_space(content.to(device), "w+")
            image = generator(latent).clamp(-1, 1)
        return Source(image=image, latent=latent, about=about if path else about | {"of": "latent"})
    about |= {"width": content.shape[3], "height": content.shape[2]}
    image = resize(center_square(content).to(device), generator.resolution).clamp(-1, 1)
    notes = tuple(str(warning.message) for warning in caught if issubclass(warning.category, ImageWarning))
    return Source(image=image, latent=None, about=about, notes=notes)


def _load(photo: Photo) -> Tensor | Latent:
    if isinstance(photo, Latent):
        return photo
    if isinstance(photo, Tensor):
        image = photo[None] if photo.ndim == 3 else photo
        if image.ndim != 4 or image.shape[:2] != (1, 3) or 0 in image.shape or not image.is_floating_point():
            raise ImageError(f"an image is one float tensor [1, 3, H, W] in [-1, 1], not {list(photo.shape)}")
        if not image.isfinite().all():
            raise ImageError("the image has values that are not finite")
        return image.detach().float().clamp(-1, 1)
    if isinstance(photo, str | os.PathLike) and Path(photo).suffix.lower() == ".safetensors":
        return Latent.load(photo)
    return read_image(photo)


def _tensor(content: Tensor | Latent) -> Tensor:
    return content.value if isinstance(content, Latent) else content
