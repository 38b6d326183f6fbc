"""Many pictures in one: laid out in a sheet, or one after another as a video."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps
from torch import Tensor

from .errors import MissingExtraError, OptionError, OutputError
from .fields import shown
from .files import written_whole
from .images import to_pil

SUFFIXES = (".mp4", ".gif")


def check_writer(path: str | os.PathLike[str]) -> None:
    """Say now, before any work, that a video could not be written.

    Raises:
        OptionError: an ending other than .mp4 and .gif.
        MissingExtraError: .mp4, and its encoder is not installed.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise OptionError(f"a video ends in {', '.join(SUFFIXES)}, not {Path(path).name!r}")
    if suffix == ".mp4" and find_spec("imageio_ffmpeg") is None:
        raise MissingExtraError("an .mp4 needs the extra 'video': pip install 'textmorph[video]'; a .gif needs nothing")


def write_video(
    frames: Sequence[Tensor], path: str | os.PathLike[str], *, fps: float = 30.0, overwrite: bool = False
) -> None:
    """Write frames as a video, by the ending of its name. A .gif loops; it holds 256 colours and at most 50 frames/s.

    Args:
        frames: [1, 3, H, W] each, in [-1, 1], all of one size; H and W even for .mp4.
        fps: frames per second.

    Raises:
        OptionError, MissingExtraError: as `check_writer`; also no frames, or a bad rate.
        OutputExistsError, OutputError: it cannot be written; nothing is left behind.
    """
    check_writer(path)
    if not frames or not isinstance(fps, int | float) or not 0 < fps <= 1000:
        raise OptionError(f"a video has frames and a rate from 0 to 1000, not {len(frames)} frames at {shown(fps)}")
    with written_whole(path, overwrite=overwrite) as temporary:
        if temporary.suffix.lower() == ".gif":
            pictures = [to_pil(frame) for frame in frames]
            duration = max(20, round(1000 / fps))  # ms; browsers slow down anything shorter
            pictures[0].save(temporary, "GIF", save_all=True, append_images=pictures[1:], duration=duration, loop=0)
        else:
            _write_mp4(frames, temporary, fps)


def bounced(frames: Sequence[Tensor]) -> list[Tensor]:
    """The frames forwards and then backwards, so that the video loops without a jump."""
    return [*frames, *frames[-2:0:-1]]


def _write_mp4(frames: Sequence[Tensor], path: Path, fps: float) -> None:
    """H.264 in yuv420p, which every player knows, near to lossless."""
    import imageio_ffmpeg

    height, width = frames[0].shape[-2:]
    options = ["-crf", "16", "-preset", "medium", "-threads", "1", "-fflags", "+bitexact"]
    writer = imageio_ffmpeg.write_frames(
        str(path), (width, height), fps=fps, codec="libx264", quality=None, macro_block_size=2, output_params=options
    )
    try:
        writer.send(None)
        for frame in frames:
            writer.send(to_pil(frame).tobytes())
        writer.close()
    except (OSError, RuntimeError) as error:
        raise OutputError(f"the video cannot be written: {error}") from error
    finally:
        writer.close()


def contact_sheet(
    images: Sequence[Tensor | Image.Image] | Tensor,
    *,
    columns: int,
    labels: Sequence[str] | None = None,
    column_titles: Sequence[str] | None = None,
    row_titles: Sequence[str] | None = None,
    title: str | None = None,
    size: int | None = None,
) -> Image.Image:
    """Lay pictures out in rows on white, with words in dark grey.

    Args:
        images: [N, 3, H, W] in [-1, 1], or a list of single images; scaled to fit their cells.
        columns: pictures per row.
        labels: one below each picture; wrapped to two lines, then cut. All words are spelled in ASCII.
        column_titles, row_titles: above the first row, and left of each row.
        title: above everything.
        size: side of a cell in pixels; None: the largest side among the pictures, at least 160.

    Raises:
        OptionError: no pictures, no columns, or a list of words of another length.
        ImageError: one of the tensors is not one image.
    """
    pictures = [to_pil(image) if isinstance(image, Tensor) else image.convert("RGB") for image in images]
    if not pictures or columns < 1:
        raise OptionError(f"a sheet needs pictures and at least one column, not {len(pictures)} in {columns} columns")
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    for what, words, number in (
        ("labels", labels, len(pictures)),
        ("column titles", column_titles, columns),
        ("row titles", row_titles, rows),
    ):
        if words is not None and len(words) != number:
            raise OptionError(f"{number} {what} are needed, not {len(words)}")
    cell = size or max(160, *(max(picture.size) for picture in pictures))
    gap = max(6, cell // 20)
    font = ImageFont.load_default(max(12, min(28, cell // 16)))
    large = ImageFont.load_default(max(15, min(40, cell // 11)))
    line = _line_height(font)
    wrapped = [_wrap(_plain(label), font, cell) for label in labels or []]
    row_titles = [_plain(words) for words in row_titles or []]
    words_below = max((len(lines) for lines in wrapped), default=0) * line + (gap // 2 if wrapped else 0)
    left = 2 * gap + (round(max(font.getlength(word) for word in row_titles)) + gap if row_titles else 0)
    top = 2 * gap + (_line_height(large) + gap if title else 0) + (line + gap // 2 if column_titles else 0)
    step_x, step_y = cell + gap, cell + words_below + gap
    sheet = Image.new("RGB", (left + columns * step_x + gap, top + rows * step_y + gap), "white")
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((left, 2 * gap), _plain(title), font=large, fill=_INK)
    for column, words in enumerate(column_titles or []):
        middle = left + column * step_x + cell // 2
        draw.text((middle, top - gap // 2), _cut(_plain(words), font, cell), font=font, fill=_INK, anchor="mb")
    for row, words in enumerate(row_titles):
        draw.text((left - gap, top + row * step_y + cell // 2), words, font=font, fill=_INK, anchor="rm")
    for index, picture in enumerate(pictures):
        x, y = left + index % columns * step_x, top + index // columns * step_y
        fitted = ImageOps.contain(picture, (cell, cell), Image.Resampling.LANCZOS)
        sheet.paste(fitted, (x + (cell - fitted.width) // 2, y + (cell - fitted.height) // 2))
        for number, words in enumerate(wrapped[index] if wrapped else []):
            draw.text((x + cell // 2, y + cell + gap // 2 + number * line), words, font=font, fill=_INK, anchor="ma")
    return sheet


_INK = (51, 51, 51)
_SPELLED = str.maketrans({"−": "-", "–": "-", "—": "-", "×": "x", "→": "->", "≥": ">=", "≤": "<=", "ß": "ss"})
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def _line_height(font: _Font) -> int:
    return round((font.getbbox("Ápgj")[3]) * 1.2)


def _plain(text: str) -> str:
    """Spell a text with what PIL's own font can draw: ASCII, without accents."""
    folded = unicodedata.normalize("NFKD", text.translate(_SPELLED))
    return "".join(c for c in folded if not unicodedata.combining(c)).encode("ascii", "replace").decode()


def _wrap(label: str, font: _Font, width: int) -> list[str]:
    """At most two lines that fit; what is left over is cut."""
    words = label.split()
    for count in range(len(words), 0, -1):
        first = " ".join(words[:count])
        if font.getlength(first) <= width:
            rest = " ".join(words[count:])
            return [first, _cut(rest, font, width)] if rest else [first]
    return [_cut(label, font, width)] if words else []


def _cut(text: str, font: _Font, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"
