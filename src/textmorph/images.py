"""Pictures in files and in tensors.

Inside, an image is a tensor [B, 3, H, W], RGB, float, in [-1, 1]. Files, PIL, uint8 and [0, 1] stop here.
"""

from __future__ import annotations

import io
import os
import stat
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageCms, PngImagePlugin, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional as F

from .errors import ImageError, OptionError
from .files import check_output, write_bytes

Picture = str | os.PathLike[str] | bytes | Image.Image | np.ndarray
"""What can be read as one picture: a path, the content of a file, a PIL image or an array."""

MAX_PIXELS = 120_000_000
"""Larger pictures are refused before they are decoded; a phone of 108 megapixels is not."""

MAX_SIDE = 6000
"""Longest side that is of use to anyone who edits a square of it; see `max_side` of `read_image`."""

MAX_BYTES = 2**30
"""Larger files are refused before they are read."""

READ_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
WRITE_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}

_ORIENTATION = 0x0112  # EXIF tag
_STRIP = 2**21  # pixels that are converted at once


class ImageWarning(UserWarning):
    """A picture was read, but not all of it was used."""


def read_image(source: Picture, *, max_pixels: int = MAX_PIXELS, max_side: int | None = None) -> Tensor:
    """Read one picture as [1, 3, H, W], RGB, in [-1, 1].

    Turned upright by its EXIF orientation; colours brought to sRGB from an embedded profile; transparency composited
    on white; grey, palette, CMYK and 16-bit pictures converted. Of an animation or a document with pages the first
    frame is read, with an ImageWarning. Takes 12 bytes a pixel for the result, and about 4 to decode it.

    Args:
        source: path; content of a file; PIL image; or array [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], with uint8,
            uint16 or bool values, or float in [0, 1].
        max_pixels: larger pictures are refused before they are decoded.
        max_side: a picture with a longer side is made smaller to it while it is decoded, its shape kept, so that it
            takes no more memory than it is worth; None leaves every size. An array is left as it is.

    Raises:
        ImageError: it is missing, a folder, empty, damaged, no picture, of another shape, or too large.
    """
    if isinstance(source, Image.Image):
        return from_pil(source, max_side=max_side)
    if isinstance(source, np.ndarray):
        return _from_array(source, max_pixels)
    if isinstance(source, Tensor):
        raise ImageError("a tensor [B, 3, H, W] in [-1, 1] is an image already; there is nothing to read")
    name, content = _content(source)
    image = _open(content, name, max_pixels)
    with _decoding(name):
        more = _has_more_frames(image, content)
    if more:
        warnings.warn(f"{name} has more than one frame; the first one is used", ImageWarning, stacklevel=2)
    with _decoding(name):
        if max_side is not None:
            image.draft(image.mode, _fitted(image.size, max_side))  # a JPEG decodes to 1/2, 1/4 or 1/8 for less
        return _to_tensor(image, max_side)


def picture_size(source: str | os.PathLike[str] | bytes) -> tuple[int, int]:
    """Width and height of a picture turned upright, from the header of its file.

    Raises:
        ImageError: as `read_image`.
    """
    name, content = _content(source)
    image = _open(content, name, MAX_PIXELS)
    with _decoding(name):
        lies = _orientation(image) >= 5 and image.format != "TIFF"  # whose size PIL turns itself
        return image.size[::-1] if lies else image.size


def from_pil(picture: Image.Image, *, max_side: int | None = None) -> Tensor:
    """PIL image of any mode → [1, 3, H, W], RGB, in [-1, 1]; conversions and `max_side` as in `read_image`.

    Raises:
        ImageError: it cannot be decoded, or its values have no known range.
    """
    if picture.width * picture.height > MAX_PIXELS:
        raise ImageError(_too_large("the picture", picture, MAX_PIXELS))
    with _decoding("the picture"):
        return _to_tensor(picture, max_side)


def to_pil(image: Tensor) -> Image.Image:
    """One image, [1, 3, H, W] or [3, H, W] in [-1, 1] → PIL RGB; values outside are clamped.

    Raises:
        ImageError: another shape, or not-a-number values.
    """
    rows = image[None] if image.ndim == 3 else image
    if rows.ndim != 4 or rows.shape[:2] != (1, 3):
        raise ImageError(f"expected one image [1, 3, H, W], got shape {list(image.shape)}")
    rows = rows.detach().float()
    if not rows.isfinite().all():
        raise ImageError("the image has values that are not finite")
    levels = ((rows[0].clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).contiguous().cpu().numpy())


def write_image(
    image: Tensor | Image.Image,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    text: Mapping[str, str] | None = None,
    quality: int = 95,
) -> None:
    """Write one image as PNG, JPEG or WebP, by the ending of its name; the file appears whole or not at all.

    Args:
        image: [1, 3, H, W] or [3, H, W] in [-1, 1] (clamped), or a PIL image.
        path: a name ending in .png, .jpg, .jpeg or .webp, in a folder that exists.
        overwrite: replace a file of that name.
        text: entries for the text chunk of a PNG, read back by `read_text`; keys of 1 to 79 ASCII characters.
        quality: of JPEG and WebP, 1 to 100.

    Raises:
        OptionError: another ending, quality out of range, or text for a format that has no place for it.
        ImageError: the tensor is not one image.
        OutputExistsError, OutputError: it cannot be written; nothing is left behind.
    """
    name = Path(path).name
    format = _format_of(name, quality=quality, text=text)
    check_output(path, overwrite=overwrite)
    write_bytes(path, _encoded(image, format, quality=quality, text=text), overwrite=overwrite)


def encode_image(
    image: Tensor | Image.Image, ending: str = ".png", *, text: Mapping[str, str] | None = None, quality: int = 95
) -> bytes:
    """The bytes of the file that `write_image` writes under a name with this ending.

    Raises:
        OptionError, ImageError: as there.
    """
    format = _format_of(f"picture{ending}", quality=quality, text=text)
    return _encoded(image, format, quality=quality, text=text)


def _format_of(name: str, *, quality: int, text: Mapping[str, str] | None) -> str:
    format = WRITE_FORMATS.get(Path(name).suffix.lower())
    if format is None:
        raise OptionError(f"cannot write {name!r}: a picture ends in {', '.join(WRITE_FORMATS)}")
    if not 1 <= quality <= 100:
        raise OptionError(f"quality is 1 to 100, not {quality}")
    if text and format != "PNG":
        raise OptionError(f"only a .png carries text, not {name!r}")
    return format


def _encoded(image: Tensor | Image.Image, format: str, *, quality: int, text: Mapping[str, str] | None) -> bytes:
    picture = to_pil(image) if isinstance(image, Tensor) else image
    buffer = io.BytesIO()
    if format == "PNG":
        picture.save(buffer, format, pnginfo=_png_text(text or {}))
    elif format == "JPEG":
        picture.convert("RGB").save(buffer, format, quality=quality, subsampling=0)
    else:
        picture.save(buffer, format, quality=quality, method=4)
    return buffer.getvalue()


def read_text(path: str | os.PathLike[str] | bytes) -> dict[str, str]:
    """The text entries of a PNG; empty for a picture of another format.

    Raises:
        ImageError: it is no picture that can be read.
    """
    name, content = _content(path)
    image = _open(content, name, MAX_PIXELS)
    if not isinstance(image, PngImagePlugin.PngImageFile):
        return {}
    with _decoding(name):
        return {str(key): str(value) for key, value in image.text.items()}


def resize(
    image: Tensor,
    size: int | tuple[int, int],
    *,
    method: Literal["bicubic", "area"] = "bicubic",
    antialias: bool = True,
) -> Tensor:
    """Resize to a square or to (height, width); differentiable. An image of that size is returned as it is.

    Args:
        image: [B, C, H, W].
        size: side of the square, or (height, width); the shape is not kept.
        method: `bicubic`, which may overshoot the range a little; or `area`: a pixel is the mean over the exact area
            it covers, shares of pixels at the border included (unlike adaptive pooling, whose windows overlap).
        antialias: bicubic only: widen the filter when the image gets smaller.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if image.ndim != 4:
        raise ImageError(f"expected images [B, 3, H, W], got shape {list(image.shape)}")
    if height < 1 or width < 1:
        raise OptionError(f"cannot resize to {height} × {width} pixels")
    if image.shape[-2:] == (height, width):
        return image
    if method == "bicubic":
        return F.interpolate(image, size=(height, width), mode="bicubic", antialias=antialias, align_corners=False)
    if method != "area":
        raise OptionError(f"method is 'bicubic' or 'area', not {method!r}")
    rows = _area_weights(image.shape[-2], height).to(image)
    columns = _area_weights(image.shape[-1], width).to(image)
    return rows @ image @ columns.t()


def center_square(image: Tensor) -> Tensor:
    """Crop the largest square in the middle: [B, C, H, W] → [B, C, S, S]; of two middles the upper or left one."""
    height, width = image.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[..., top : top + side, left : left + side]


def _area_weights(old: int, new: int) -> Tensor:
    """Share of every old pixel in every new one, [new, old]; rows sum to 1."""
    edges = torch.arange(new + 1, dtype=torch.float64) * old / new
    pixels = torch.arange(old, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], pixels + 1) - torch.maximum(edges[:-1, None], pixels)
    return overlap.clamp(min=0) * new / old


def _content(source: str | os.PathLike[str] | bytes) -> tuple[str, bytes]:
    """Name for messages, and the bytes of a file."""
    if isinstance(source, bytes):
        name, content = "the picture", source
    elif isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        try:
            status = os.stat(source)
            if stat.S_ISDIR(status.st_mode):
                raise ImageError(f"{name} is a folder, not a picture")
            if not stat.S_ISREG(status.st_mode):
                raise ImageError(f"{name} is not a regular file")
            if status.st_size > MAX_BYTES:
                raise ImageError(f"{name} is too large: {status.st_size / 2**30:.1f} GiB, at most {MAX_BYTES >> 30}")
            content = Path(source).read_bytes()
        except FileNotFoundError as error:
            raise ImageError(f"there is no file {name}") from error
        except ImageError:
            raise
        except (OSError, ValueError) as error:  # ValueError: a null byte in the name
            raise ImageError(f"{name!r} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    else:
        raise ImageError(f"cannot read a picture from {type(source).__name__}; give a path, bytes, PIL image or array")
    if not content:
        raise ImageError(f"{name} is empty (0 bytes)")
    return name, content


def _open(content: bytes, name: str, max_pixels: int) -> Image.Image:
    """Read the header only, and refuse what would be too large to decode."""
    with _decoding(name):
        Image.init()
        formats = [format for format in READ_FORMATS if format in Image.OPEN]  # AVIF depends on how PIL was built
        try:
            image = Image.open(io.BytesIO(content), formats=formats)
        except Image.DecompressionBombError as error:
            raise ImageError(_too_large(name, None, max_pixels)) from error
        except UnidentifiedImageError as error:
            message = f"{name} is not a picture that can be read ({', '.join(formats)}), or it is damaged"
            raise ImageError(message) from error
    if image.width * image.height > max_pixels:
        raise ImageError(_too_large(name, image, max_pixels))
    return image


def _too_large(name: str, image: Image.Image | None, max_pixels: int) -> str:
    has = f"; it has {image.width} × {image.height}" if image else ""
    return f"{name} is too large: at most {max_pixels / 1e6:g} million pixels are decoded{has}"


@contextmanager
def _decoding(name: str) -> Iterator[None]:
    """Turn whatever a decoder raises into an ImageError, and keep its remarks on damaged metadata to itself."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(f"{name} does not fit into memory") from error
    except Exception as error:  # on damaged files decoders raise anything: OSError, SyntaxError, struct.error, …
        raise ImageError(f"{name} is damaged: {error}") from error


def _has_more_frames(image: Image.Image, content: bytes) -> bool:
    """Whether there is a second frame; without counting them, which takes time by the square of their number."""
    if image.format == "MPO":  # a phone's photo with its depth map or preview behind it
        return False
    if image.format == "GIF":
        return bool(image.is_animated)  # type: ignore[attr-defined]  # looks for a second frame, and decodes none
    if image.format != "TIFF":
        return getattr(image, "n_frames", 1) > 1  # of these formats the header says it
    with Image.open(io.BytesIO(content), formats=("TIFF",)) as other:
        try:
            other.seek(1)
        except EOFError:
            return False
    return True


def _to_tensor(image: Image.Image, max_side: int | None) -> Tensor:
    """Decode, shrink in the file's own few bits, and convert in strips: only the result is held as floats."""
    image.load()
    turn = _TURNS.get(_orientation(image))
    image = _shrunk(image, max_side)
    if turn is not None:
        image = image.transpose(turn)
    if image.mode == "La":
        image = image.convert("LA")
    width, height = image.size
    result = torch.empty(1, 3, height, width)
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        strip = image if rows >= height else image.crop((0, top, width, min(top + rows, height)))
        result[:, :, top : top + rows] = _levels(_colours(strip))
    return result


def _colours(image: Image.Image) -> np.ndarray:
    """RGB in sRGB on white as [H, W, 3], uint8; or deep grey in [0, 1], [H, W]."""
    if image.mode.startswith("I") or image.mode == "F":
        return _deep_grey(image)
    image, alpha = _split_alpha(image)
    image = _to_srgb(image)
    if alpha is not None:
        image = Image.composite(image, Image.new("RGB", image.size, "white"), alpha)
    return np.asarray(image)


def _fitted(size: tuple[int, int], max_side: int) -> tuple[int, int]:
    """Width and height, made smaller where the longer one is longer than that."""
    longest = max(*size, max_side)
    return max(1, round(size[0] * max_side / longest)), max(1, round(size[1] * max_side / longest))


def _shrunk(image: Image.Image, max_side: int | None) -> Image.Image:
    """The picture, its longer side no longer than that."""
    if max_side is None or max(image.size) <= max_side:
        return image
    if image.mode == "P":
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) / np.float32(65535)).astype(np.float32))
    return image.resize(_fitted(image.size, max_side), Image.Resampling.LANCZOS, reducing_gap=2.0)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 where its EXIF is damaged."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF raises anything, and is no reason to refuse the picture
        return 1
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation → what turns it upright (EXIF 2.32, tag 274)."""


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colours without transparency, and the transparency as 8-bit grey where there is any."""
    if not image.has_transparency_data:
        return image, None
    profile = image.info.get("icc_profile")
    full = image.convert("RGBA")
    colours = full.convert("RGB")
    if profile is not None and image.mode not in ("LA", "La"):
        colours.info["icc_profile"] = profile
    return colours, full.getchannel("A")


def _to_srgb(image: Image.Image) -> Image.Image:
    """8-bit RGB in sRGB; the embedded profile is followed where there is one that fits."""
    profile = image.info.get("icc_profile")
    if image.mode == "P":
        image = image.convert("RGB")
    if profile and image.mode in ("RGB", "CMYK", "L"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "sRGB" not in ImageCms.getProfileDescription(source):
                target = ImageCms.createProfile("sRGB")
                converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
                assert converted is not None
                return converted
        except (ImageCms.PyCMSError, OSError, ImportError):  # a damaged profile, or one for other colours
            pass
    return image.convert("RGB")


def _deep_grey(image: Image.Image) -> np.ndarray:
    """16- or 32-bit grey as float in [0, 1], [H, W]."""
    values = np.asarray(image).astype(np.float64)
    top = 1.0 if image.mode == "F" else 65535.0
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > top:
        raise ImageError(f"a picture of mode {image.mode} has values from 0 to {top:g}, this one has others")
    return values / top


def _from_array(array: np.ndarray, max_pixels: int) -> Tensor:
    shape = array.shape
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[-1] not in (1, 3, 4) or not array.size:
        raise ImageError(f"an array is [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], not {list(shape)}")
    if array.shape[0] * array.shape[1] > max_pixels:
        raise ImageError(f"{shape[1]} × {shape[0]} pixels are too many; the limit is {max_pixels / 1e6:.0f} million")
    if array.dtype.name not in _TOPS:
        if array.dtype.kind != "f":
            raise ImageError(f"an array is uint8, uint16, bool or float in [0, 1], not {array.dtype}")
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise ImageError("a float array has values in [0, 1]; this one has others")
    result = torch.empty(1, 3, *array.shape[:2])
    rows = max(1, _STRIP // array.shape[1])
    for first in range(0, len(array), rows):
        result[:, :, first : first + rows] = _levels(array[first : first + rows])
    return result


_TOPS = {"uint8": 255.0, "uint16": 65535.0, "bool": 1.0}
"""Kind of array → its brightest value."""


def _levels(array: np.ndarray) -> Tensor:
    """[H, W], [H, W, 1], [H, W, 3] or [H, W, 4] of checked values → [1, 1 or 3, H, W] in [-1, 1]."""
    top = _TOPS.get(array.dtype.name, 1.0)
    if array.ndim == 2:
        array = array[..., None]
    levels = torch.from_numpy(array.astype(np.float32)).permute(2, 0, 1)[None]  # [1, 1|3|4, H, W]
    image = levels[:, :3] * (2 / top) - 1
    if levels.shape[1] == 4:
        alpha = levels[:, 3:] / top
        image = image * alpha + (1 - alpha)  # on white
    return image


def _png_text(text: Mapping[str, str]) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    for key, value in text.items():
        if not (1 <= len(key) <= 79 and key.isascii() and key.isprintable()):
            raise OptionError(f"a key of a PNG text has 1 to 79 ASCII characters, not {key!r}")
        info.add_itxt(key, value)
    return info
