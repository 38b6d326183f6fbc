"""Pictures between the browser and tensors: data URLs in, data URLs out, nothing on a shared disk."""

from __future__ import annotations

import base64
import binascii
import io
import re
import warnings

from PIL import Image
from torch import Tensor

from ..errors import ImageError, InputError
from ..images import ImageWarning, read_image, to_pil

_DATA_URL = re.compile(r"data:[\w.+-]*/?[\w.+-]*(;[\w.+=-]+)*;base64,")
SMALL = 256
"""Up to this side a picture is sent without loss."""


def unpack(text: object, *, max_bytes: int, what: str = "the picture") -> bytes:
    """The bytes of a data URL, or of plain base64.

    Raises:
        InputError: it is too large, or no such text.
    """
    if not isinstance(text, str) or not text:
        raise InputError(f"{what} did not arrive; choose it again")
    head = _DATA_URL.match(text, 0, 200)
    body = text[head.end() :] if head else text
    if len(body) * 3 // 4 > max_bytes + 2:
        raise InputError(f"{what} is too large: at most {max_bytes / 2**20:.3g} MB are taken")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"{what} did not arrive whole: it is no base64") from error


def decode(content: bytes, *, max_pixels: int, max_bytes: int | None = None) -> tuple[Tensor, tuple[str, ...]]:
    """A picture from the bytes of its file, [1, 3, H, W] in [-1, 1], and what to know of it.

    Raises:
        InputError: the file is too large.
        ImageError: as `read_image`.
    """
    if max_bytes is not None and len(content) > max_bytes:
        raise InputError(f"the picture is too large: at most {max_bytes / 2**20:.3g} MB are taken")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ImageWarning)
        image = read_image(content, max_pixels=max_pixels)
    return image, tuple(str(warning.message) for warning in caught if issubclass(warning.category, ImageWarning))


def data_url(picture: Tensor | Image.Image, *, preview: bool = False) -> str:
    """A picture as a data URL: PNG while small, else WebP; a preview always as WebP."""
    picture = to_pil(picture) if isinstance(picture, Tensor) else picture
    buffer = io.BytesIO()
    if preview or max(picture.size) > SMALL:
        picture.save(buffer, "WEBP", quality=80 if preview else 92, method=0 if preview else 4)
        kind = "webp"
    else:
        picture.save(buffer, "PNG")
        kind = "png"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def png_bytes(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def thumbnail(picture: Tensor | Image.Image, side: int = 128) -> str:
    """A small data URL."""
    picture = (to_pil(picture) if isinstance(picture, Tensor) else picture).copy()
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return data_url(picture, preview=True)


def open_png(content: bytes, *, side: int) -> Image.Image:
    """A square picture that we wrote ourselves, from a state.

    Raises:
        ImageError: it is something else.
    """
    image, _ = decode(content, max_pixels=side * side)
    if image.shape[-2:] != (side, side):
        raise ImageError("the picture in this state has another size than this domain draws")
    return to_pil(image)
