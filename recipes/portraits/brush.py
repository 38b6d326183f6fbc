"""A brush for vector drawing in a unit square of 100 by 100, on skia."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import skia

from .palette import Colour

Point = tuple[float, float]


def code(colour: Colour, alpha: float = 1.0) -> int:
    """The colour as skia's integer."""
    red, green, blue = (min(255, max(0, round(value))) for value in colour)
    return int(skia.ColorSetARGB(min(255, max(0, round(alpha * 255))), red, green, blue))


def curve(points: Sequence[Point], *, closed: bool = True) -> skia.Path:
    """A smooth path through the points (Catmull–Rom); a point given twice is a corner."""
    n = len(points)
    path = skia.Path()
    path.moveTo(*points[0])
    for i in range(n if closed else n - 1):
        p0, p1 = points[i - 1 if closed or i else 0], points[i]
        p2 = points[(i + 1) % n]
        if p1 == p2:  # a corner
            continue
        p3 = points[(i + 2) % n if closed else min(i + 2, n - 1)]
        path.cubicTo(
            p1[0] + (p2[0] - p0[0]) / 6, p1[1] + (p2[1] - p0[1]) / 6,
            p2[0] - (p3[0] - p1[0]) / 6, p2[1] - (p3[1] - p1[1]) / 6, *p2,
        )  # fmt: skip
    if closed:
        path.close()
    return path


def corner(x: float, y: float) -> list[Point]:
    """A point at which a curve turns sharply."""
    return [(x, y), (x, y)]


def polygon(*points: Point) -> skia.Path:
    """A closed path with straight sides."""
    path = skia.Path()
    path.moveTo(*points[0])
    for point in points[1:]:
        path.lineTo(*point)
    path.close()
    return path


def oval(x: float, y: float, rx: float, ry: float | None = None) -> skia.Path:
    """An ellipse about (x, y)."""
    ry = rx if ry is None else ry
    return skia.Path().addOval(skia.Rect(x - rx, y - ry, x + rx, y + ry))


def box(left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> skia.Path:
    """A rectangle with round corners."""
    return skia.Path().addRoundRect(skia.Rect(left, top, right, bottom), radius, radius)


def down(top: float, bottom: float, *colours: tuple[Colour, float] | Colour) -> skia.Shader:
    """A gradient from y = top to y = bottom; a colour may come with its alpha."""
    return _linear((0, top), (0, bottom), colours)


def across(left: float, right: float, *colours: tuple[Colour, float] | Colour) -> skia.Shader:
    """A gradient from x = left to x = right."""
    return _linear((left, 0), (right, 0), colours)


def _linear(start: Point, end: Point, colours: Sequence[tuple[Colour, float] | Colour]) -> skia.Shader:
    return skia.GradientShader.MakeLinear([skia.Point(*start), skia.Point(*end)], [_code(c) for c in colours])


def _code(colour: tuple[Colour, float] | Colour) -> int:
    return code(colour) if len(colour) == 3 else code(colour[0], colour[1])


class Brush:
    """Fills and strokes paths on a canvas."""

    def __init__(self, canvas: skia.Canvas) -> None:
        self.canvas = canvas

    def _paint(self, ink: Colour | skia.Shader, alpha: float, blur: float) -> skia.Paint:
        paint = skia.Paint(AntiAlias=True)
        if isinstance(ink, tuple):
            paint.setColor(code(ink, alpha))
        else:
            paint.setShader(ink)
            paint.setAlphaf(min(1.0, max(0.0, alpha)))
        if blur:
            paint.setMaskFilter(skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, blur))
        return paint

    def fill(self, path: skia.Path, ink: Colour | skia.Shader, alpha: float = 1.0, blur: float = 0.0) -> None:
        """Fill the path; blur is the sigma of its edge."""
        if alpha > 0:
            self.canvas.drawPath(path, self._paint(ink, alpha, blur))

    def stroke(
        self, path: skia.Path, ink: Colour | skia.Shader, width: float, alpha: float = 1.0, blur: float = 0.0
    ) -> None:
        """Stroke the path with round ends."""
        if alpha <= 0 or width <= 0:
            return
        paint = self._paint(ink, alpha, blur)
        paint.setStyle(skia.Paint.kStroke_Style)
        paint.setStrokeWidth(width)
        paint.setStrokeCap(skia.Paint.kRound_Cap)
        paint.setStrokeJoin(skia.Paint.kRound_Join)
        self.canvas.drawPath(path, paint)

    def glow(self, x: float, y: float, radius: float, colour: Colour, alpha: float, *, flat: float = 1.0) -> None:
        """A soft spot that fades to nothing at its radius; `flat` squeezes its height."""
        shader = skia.GradientShader.MakeRadial(
            skia.Point(0, 0), radius, [code(colour, alpha), code(colour, alpha * 0.55), code(colour, 0)], [0, 0.45, 1]
        )
        with self.moved(x, y, 1, flat):
            self.canvas.drawPath(oval(0, 0, radius), self._paint(shader, 1, 0))

    @contextmanager
    def clip(self, path: skia.Path, *, outside: bool = False) -> Iterator[None]:
        """Draw only inside the path (or outside of it)."""
        self.canvas.save()
        self.canvas.clipPath(path, skia.ClipOp.kDifference if outside else skia.ClipOp.kIntersect, True)
        yield
        self.canvas.restore()

    @contextmanager
    def moved(self, x: float, y: float, sx: float, sy: float) -> Iterator[None]:
        """Draw about (x, y) in a scaled coordinate system."""
        self.canvas.save()
        self.canvas.translate(x, y)
        self.canvas.scale(sx, sy)
        yield
        self.canvas.restore()

    @contextmanager
    def turned(self, degrees: float, x: float, y: float) -> Iterator[None]:
        """Draw rotated about (x, y)."""
        self.canvas.save()
        self.canvas.rotate(degrees, x, y)
        yield
        self.canvas.restore()
