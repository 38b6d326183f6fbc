"""Draw a portrait from its record: the same record gives the same bits, at any size."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import skia
from numpy.typing import NDArray

from . import clothes, face, hair
from .attributes import Portrait
from .attributes import portrait as record
from .brush import Brush, box, code, down
from .head import CENTRE, Head
from .palette import BACKGROUND, WHITE, mix, rgb, skin_tones

Pixels = NDArray[np.uint8]


def render(portrait: Portrait, size: int = 128) -> Pixels:
    """Draw the portrait.

    Args:
        portrait: the record.
        size: side of the picture in pixels, at least 1.

    Returns:
        RGB picture, uint8 [size, size, 3].
    """
    if size < 1:
        raise ValueError(f"size is {size}; a picture needs at least 1 pixel")
    surface = skia.Surface(size, size)
    with surface as canvas:
        canvas.scale(size / 100, size / 100)
        _draw(Brush(canvas), portrait)
    return np.ascontiguousarray(surface.toarray(colorType=skia.ColorType.kRGBA_8888_ColorType)[..., :3])


def _draw(brush: Brush, portrait: Portrait) -> None:
    head, skin = Head(portrait), skin_tones(portrait.skin)
    _background(brush, portrait)
    brush.canvas.saveLayer()
    tilt = 8.0 * portrait.tilt
    pivot = (CENTRE, 82.0)
    with brush.turned(tilt, *pivot):
        hair.back(brush, head)
    clothes.neck(brush, head, skin)
    clothes.clothes(brush, head)
    with brush.turned(tilt, *pivot):
        face.ears(brush, head, skin)
        face.skin(brush, head, skin)
        face.wrinkles(brush, head, skin)
        face.beard(brush, head, skin)
        face.eyes(brush, head, skin)
        face.nose(brush, head, skin)
        face.mouth(brush, head, skin)
        face.moustache(brush, head)
        face.brows(brush, head)
        hair.front(brush, head)
        face.glasses(brush, head)
        hair.hat(brush, head)
        face.earrings(brush, head)
    _light(brush, portrait.light)
    brush.canvas.restore()


def _background(brush: Brush, portrait: Portrait) -> None:
    """A soft gradient, brighter behind the head on the side of the light."""
    colour = BACKGROUND[portrait.background]
    brush.fill(box(0, 0, 100, 100), down(0, 100, mix(colour, WHITE, 0.14), mix(colour, rgb("3A2A5A"), 0.20)))
    brush.glow(CENTRE + 22 * portrait.light, 36, 62, mix(colour, WHITE, 0.75), 0.55)


def _light(brush: Brush, light: float) -> None:
    """Shade the figure (what the layer holds) on the side away from the light, brighten it on the other."""
    dark, bright = rgb("1B1038"), rgb("FFF2D0")
    left = (bright, 0.16 * -light) if light < 0 else (dark, 0.34 * light)
    right = (bright, 0.16 * light) if light > 0 else (dark, 0.34 * -light)
    shader = skia.GradientShader.MakeLinear(
        [skia.Point(16, 0), skia.Point(84, 0)],
        [code(*left), code(left[0], 0), code(right[0], 0), code(*right)], [0, 0.48, 0.52, 1],
    )  # fmt: skip
    brush.canvas.drawPaint(skia.Paint(Shader=shader, BlendMode=skia.BlendMode.kSrcATop))


def render_many(cols: Mapping[str, NDArray[Any]], size: int = 128, *, processes: int | None = None) -> Pixels:
    """Draw all portraits of the columns.

    Args:
        cols: attribute columns of N portraits, as `attributes.columns` gives them.
        size: side of each picture in pixels.
        processes: how many processes share the work; None takes one per core, 1 stays in this process.

    Returns:
        RGB pictures, uint8 [N, size, size, 3].
    """
    n = len(cols["age"])
    out = np.empty((n, size, size, 3), np.uint8)
    workers = min(os.cpu_count() or 1 if processes is None else processes, -(-n // 64))
    if workers <= 1:
        for row in range(n):
            out[row] = render(record(cols, row), size)
        return out
    starts = range(0, n, 256)
    jobs = [({k: v[s : s + 256] for k, v in cols.items()}, size) for s in starts]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for start, pictures in zip(starts, pool.imap(_render_chunk, jobs), strict=True):
            out[start : start + len(pictures)] = pictures
    return out


def _render_chunk(job: tuple[dict[str, NDArray[Any]], int]) -> Pixels:
    cols, size = job
    return np.stack([render(record(cols, row), size) for row in range(len(cols["age"]))])
