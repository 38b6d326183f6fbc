"""A photo made ready for a domain: read, framed, brought to the generator's size.

A frame is the affine map between the photo and the square that the generator knows. Framers make it: the middle square,
a box that the user names, or the search for the square that the domain can draw (`framing.FrameSearch`).
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import ImageError, InputError, LatentError, OptionError
from ..files import file_sha256
from ..images import MAX_SIDE, ImageWarning, picture_size, read_image, resize
from ..latents import Latent
from .domain import Domain
from .framing import Square, middle_square
from .record import tensor_sha256

FrameChoice = Literal["auto", "middle"] | tuple[int, int, int]
"""What can be asked for: `auto`, `middle`, or left, top and side of a square in pixels."""
LEAST_SIDE = 8
"""Smallest side in pixels of a square that is named."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The affine map from the unit square to a photo, in pixels of the upright photo from its upper left corner.

    (u, v) in [0, 1]² lies at x = a·u + b·v + c, y = d·u + e·v + f.

    Args:
        map: a, b, c, d, e, f.
        by: the framer: `middle`, `box` or `search`.

    Raises:
        InputError: the map has no inverse.
    """

    map: tuple[float, float, float, float, float, float]
    by: str

    def __post_init__(self) -> None:
        if len(self.map) != 6 or not all(math.isfinite(number) for number in self.map) or not self._determinant:
            raise InputError(f"a frame is six finite numbers with an inverse, not {list(self.map)}")

    @staticmethod
    def of(square: Square, by: str) -> Frame:
        """The frame of an upright square."""
        side = float(square.side)
        return Frame(map=(side, 0.0, float(square.left), 0.0, side, float(square.top)), by=by)

    @property
    def box(self) -> tuple[int, int, int] | None:
        """Left, top and side, where it is an upright square of whole pixels."""
        a, b, c, d, e, f = self.map
        upright = b == d == 0 and a == e > 0 and all(number == int(number) for number in (a, c, f))
        return (int(c), int(f), int(a)) if upright else None

    def to_photo(self, points: Tensor) -> Tensor:
        """Points of the unit square, [N, 2], in the photo, [N, 2]."""
        a, b, c, d, e, f = self.map
        u, v = points.unbind(dim=-1)
        return torch.stack([a * u + b * v + c, d * u + e * v + f], dim=-1)

    def to_square(self, points: Tensor) -> Tensor:
        """Points of the photo, [N, 2], in the unit square, [N, 2]: the inverse of `to_photo`."""
        a, b, c, d, e, f = self.map
        x, y = (points - points.new_tensor([c, f])).unbind(dim=-1)
        return torch.stack([e * x - b * y, a * y - d * x], dim=-1) / self._determinant

    @property
    def json(self) -> dict[str, Any]:
        """The frame as JSON."""
        return {"map": list(self.map), "by": self.by}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Frame:
        """The frame of such JSON.

        Raises:
            InputError: it is damaged.
        """
        try:
            return Frame(map=tuple(float(number) for number in values["map"]), by=str(values["by"]))  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"the frame in this record is damaged: {error}") from error

    @property
    def _determinant(self) -> float:
        a, b, _, d, e, _ = self.map
        return a * e - b * d


def parse_frame(frame: object) -> FrameChoice:
    """Check which frame is asked for: `auto`, `middle`, three whole numbers, or the same as a text `X,Y,SIDE`.

    Raises:
        OptionError: it is something else.
    """
    if frame == "auto" or frame == "middle":
        return "auto" if frame == "auto" else "middle"
    parts: Iterable[object] = (
        frame.split(",") if isinstance(frame, str) else frame if isinstance(frame, Iterable) else ()
    )
    numbers = [_whole(part) for part in parts]
    if len(numbers) != 3 or None in numbers:
        raise OptionError(
            f"frame is 'auto', 'middle', or left edge, top edge and side of a square in pixels, e.g. 120,40,300; not "
            f"{frame!r}"
        )
    left, top, side = (number or 0 for number in numbers)
    if left < 0 or top < 0 or side < LEAST_SIDE:
        raise OptionError(
            f"a frame begins at 0,0 or further in, with a side of {LEAST_SIDE} pixels or more; not {frame!r}"
        )
    return left, top, side


@dataclass(frozen=True, kw_only=True, eq=False)
class Photo:
    """One photo made ready.

    Args:
        image: [1, 3, R, R] in [-1, 1], R the resolution of the generator.
        latent: what it was given as, or inverted to, in w+ or s; None for a picture that was not inverted yet.
        is_latent: whether it was given as a latent.
        frame: which square of the photo was taken; None for a latent.
        about: for the record: name, size and SHA-256, `of` the file, or of the pixels or the latent where there is no
            file; and the frame.
        notes: what a reader of the picture should know.
    """

    image: Tensor
    latent: Latent | None
    is_latent: bool
    frame: Frame | None
    about: dict[str, Any]
    notes: tuple[str, ...] = ()


_Content = str | os.PathLike[str] | bytes | Image.Image | np.ndarray | Tensor | Latent
PhotoLike = _Content | Photo
"""What can be edited: what `read_image` reads, an image [1, 3, H, W], one latent or its file, or a `Photo`."""


def open_photo(domain: Domain, photo: PhotoLike, *, frame: FrameChoice | str = "auto") -> Photo:
    """Make a photo ready for a domain; a `Photo` is given back as it is.

    Args:
        frame: `auto` takes the middle square where that is near the domain, else the square that the domain can draw
            best, if it can draw one; `middle` takes the middle square; or (left, top, side) in pixels of the upright
            picture.

    Raises:
        ImageError: it cannot be read, is not one picture, or the frame reaches outside of it.
        LatentError: it is a latent that does not fit the generator, or more than one.
        OptionError: a frame that says nothing, or one for a latent.
    """
    if isinstance(photo, Photo):
        return photo
    choice = parse_frame(frame)
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
        if not isinstance(choice, str):
            raise OptionError("a latent is no picture to take a square of; leave frame out")
        with torch.no_grad():
            latent = content.to(device) if content.space == "s" else generator.to_space(content.to(device), "w+")
            image = generator(latent).clamp(-1, 1)
        about = about if path else about | {"of": "latent"}
        return Photo(image=image, latent=latent, is_latent=True, frame=None, about=about)
    width, height = content.shape[3], content.shape[2]
    if max(width, height) == MAX_SIDE and isinstance(photo, str | os.PathLike | bytes):  # perhaps made smaller
        width, height = picture_size(photo)
    square, by = _square(domain, content, choice, (width, height))
    chosen = Frame.of(square, by)
    about |= {"width": width, "height": height, "frame": chosen.json}
    scale = content.shape[3] / width
    image = resize(_scaled(square, scale, content).cut(content).to(device), generator.resolution).clamp(-1, 1)
    notes = [str(warning.message) for warning in caught if issubclass(warning.category, ImageWarning)]
    if by == "search":
        notes.append(
            f"the square {square} (left, top, side in pixels) was taken: the domain {domain.name!r} can draw it, and "
            "not the middle square; frame 'middle' takes that all the same"
        )
    return Photo(image=image, latent=None, is_latent=False, frame=chosen, about=about, notes=tuple(notes))


def _square(domain: Domain, image: Tensor, frame: FrameChoice, size: tuple[int, int]) -> tuple[Square, str]:
    """The square to take, in pixels of a photo of that width and height, and what it was chosen by."""
    if not isinstance(frame, str):
        square = Square(*frame)
        square.cut(torch.empty(()).expand(1, 1, size[1], size[0]))  # within the photo
        return square, "box"
    square, by = _chosen(domain, image, frame)
    whole = torch.empty(()).expand(1, 1, size[1], size[0])
    return (middle_square(whole) if by == "middle" else _scaled(square, size[0] / image.shape[3], whole)), by


def _scaled(square: Square, scale: float, image: Tensor) -> Square:
    """The same square in another size of its photo, within that image."""
    if scale == 1:
        return square
    height, width = image.shape[-2:]
    side = max(1, min(round(square.side * scale), height, width))
    return Square(min(round(square.left * scale), width - side), min(round(square.top * scale), height - side), side)


def _chosen(domain: Domain, image: Tensor, frame: FrameChoice) -> tuple[Square, str]:
    if frame == "auto" and domain.frame_search is not None:
        square, found = domain.frame_search.find(image)
        return square, "search" if found else "middle"
    return middle_square(image), "middle"


def _load(photo: _Content) -> Tensor | Latent:
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


def _whole(value: object) -> int | None:
    if isinstance(value, str):
        return int(value) if value.strip().isascii() and value.strip().removeprefix("-").isdigit() else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None
