"""A photo made ready for a domain: read, cropped to a square (see `alignment`), brought to the generator's size."""

from __future__ import annotations

import os
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import ImageError, LatentError, OptionError
from ..images import MAX_SIDE, ImageWarning, picture_size, read_image, resize
from ..latents import Latent
from .alignment import Crop, Square, check_crop, find_square, middle_square
from .domain import Domain, file_sha256
from .record import tensor_sha256

Photo = str | os.PathLike[str] | bytes | Image.Image | np.ndarray | Tensor | Latent
"""What can be edited: whatever `read_image` reads, an image [1, 3, H, W], or one latent (or a file with one)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """One photo made ready.

    Args:
        image: [1, 3, R, R] in [-1, 1], R the resolution of the generator.
        latent: what it was given as, in w+ or s; None for a picture.
        about: name, size and SHA-256: `of` the file, or of the pixels or the latent where there is no file; and the
            `crop`: left, top and side of the square that was taken, and `by` what (`middle`, `search` or `given`).
        notes: what a reader of the picture should know.
    """

    image: Tensor
    latent: Latent | None
    about: dict[str, Any]
    notes: tuple[str, ...] = ()


def open_source(domain: Domain, photo: Photo, *, crop: Crop | str = "auto") -> Source:
    """Make a photo ready for a domain.

    Args:
        crop: `auto` takes the middle square where that is near the domain, else the square that the domain can draw
            best, if it can draw one; `middle` takes the middle square; or (left, top, side) in pixels of the upright
            picture.

    Raises:
        ImageError: it cannot be read, is not one picture, or the crop reaches outside of it.
        LatentError: it is a latent that does not fit the generator, or more than one.
        OptionError: a crop that says nothing, or one for a latent.
    """
    crop = check_crop(crop)
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
        if not isinstance(crop, str):
            raise OptionError("a latent is no picture that could be cropped; leave crop out")
        with torch.no_grad():
            latent = content.to(device) if content.space == "s" else generator.to_space(content.to(device), "w+")
            image = generator(latent).clamp(-1, 1)
        return Source(image=image, latent=latent, about=about if path else about | {"of": "latent"})
    width, height = content.shape[3], content.shape[2]
    if max(width, height) == MAX_SIDE and isinstance(photo, str | os.PathLike | bytes):  # perhaps made smaller
        width, height = picture_size(photo)
    square, by = _square(domain, content, crop, (width, height))
    about |= {"width": width, "height": height, "crop": {**asdict(square), "by": by}}
    scale = content.shape[3] / width
    image = resize(_scaled(square, scale, content).cut(content).to(device), generator.resolution).clamp(-1, 1)
    notes = [str(warning.message) for warning in caught if issubclass(warning.category, ImageWarning)]
    if by == "search":
        notes.append(
            f"cropped to the square {square} (left, top, side in pixels): the domain {domain.name!r} can draw it, and "
            "not the middle square; crop 'middle' takes that all the same"
        )
    return Source(image=image, latent=None, about=about, notes=tuple(notes))


def _square(domain: Domain, image: Tensor, crop: Crop, size: tuple[int, int]) -> tuple[Square, str]:
    """The square to take, in pixels of a photo of that width and height, and what it was chosen by."""
    if not isinstance(crop, str):
        square = Square(*crop)
        square.cut(torch.empty(()).expand(1, 1, size[1], size[0]))  # within the photo
        return square, "given"
    square, by = _chosen(domain, image, crop)
    whole = torch.empty(()).expand(1, 1, size[1], size[0])
    return (middle_square(whole) if by == "middle" else _scaled(square, size[0] / image.shape[3], whole)), by


def _scaled(square: Square, scale: float, image: Tensor) -> Square:
    """The same square in another size of its photo, within that image."""
    if scale == 1:
        return square
    height, width = image.shape[-2:]
    side = max(1, min(round(square.side * scale), height, width))
    return Square(min(round(square.left * scale), width - side), min(round(square.top * scale), height - side), side)


def _chosen(domain: Domain, image: Tensor, crop: Crop) -> tuple[Square, str]:
    if crop == "auto" and domain.encoder is not None and domain.far_distance is not None:
        square, found = find_square(image, domain.encoder, domain.generator, far_distance=domain.far_distance)
        return square, "search" if found else "middle"
    return middle_square(image), "middle"


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
    return read_image(photo, max_side=MAX_SIDE)


def _tensor(content: Tensor | Latent) -> Tensor:
    return content.value if isinstance(content, Latent) else content
