"""Hair and hats of a drawn portrait. Curls sit at fixed places about the head."""

from __future__ import annotations

import math

import skia

from .brush import Brush, Point, box, code, corner, curve, down, oval
from .head import CENTRE, Head
from .palette import HATS, INK, WHITE, Colour, Tones, hair_tones, material, mix

SIDES = (-1, 1)
ROOMY = ("bald", "short", "long", "curly", "bob")


def style(head: Head) -> str:
    """The hair style as drawn: under a hat, big styles give way to short hair."""
    p = head.portrait
    return p.hair_style if p.hat == "none" or p.hair_style in ROOMY else "short"


def _gloss(head: Head, tones: Tones, low: float) -> skia.Shader:
    """Light on the crown, the hair's own colour, shade at its ends."""
    return down(head.top - 6, low, tones.light, tones.base, tones.base, tones.shade)


def _mirror(half: list[Point]) -> list[Point]:
    """Both sides of an outline given from the middle outwards and down, as (half width, y)."""
    return [(CENTRE + x, y) for x, y in half] + [(CENTRE - x, y) for x, y in half[::-1]]


def back(brush: Brush, head: Head) -> None:
    """The hair behind neck and face."""
    tones = hair_tones(head.portrait.hair_colour)
    w, top, kind = head.width, head.top, style(head)
    cut = head.portrait.hat != "none"
    far = -1.4 * head.portrait.turn
    if kind == "long":
        shape = curve(
            _mirror(
                [(w * 0.6, top - 3), (w + 3.2, top + 12), (w + 5.4, 48), (w + 6.8, 72), (w + 6.0, 92), (w + 4.5, 104)]
            )
        )
        brush.fill(shape, down(40, 98, tones.base, tones.shade, tones.deep))
    elif kind == "bob":
        shape = curve(
            _mirror([(w * 0.6, top - 3), (w + 3.8, top + 12), (w + 5.8, 48), (w + 6.4, 64), *corner(w + 5.8, 73.5)])
        )
        brush.fill(shape, down(40, 74, tones.shade, tones.deep))
    elif kind == "curly":
        for x, y, r in _curls(head, cut):
            brush.fill(oval(CENTRE + x + far, y, r + 1.0), tones.shade)
        core = curve(_mirror([(w * 0.6, top - 2), (w + 3, top + 12), (w + 5, 48), (w + 3, 70)]))
        brush.fill(core, tones.shade)
    elif kind == "afro":
        shape = _afro(head, far)
        brush.fill(shape, skia.GradientShader.MakeRadial(skia.Point(CENTRE - 5 + 8 * head.portrait.light, 18),
            48, _codes(tones.light, tones.base, tones.shade), [0, 0.45, 1]))  # fmt: skip
    elif kind == "bun":
        x, y = CENTRE + far, top - 5.8
        brush.fill(oval(x, y, 9.6, 8.2), down(y - 8, y + 8, tones.light, tones.base, tones.shade))
        for bend in (-0.5, 0.25):
            swirl = curve(
                [(x - 6.0, y + 3 + 3 * bend), (x + 0.5, y + 5 * bend), (x + 6.2, y + 1.5 - 3 * bend)], closed=False
            )
            brush.stroke(swirl, tones.shade, 0.9, 0.7)


def _codes(*colours: Colour) -> list[int]:
    return [code(colour) for colour in colours]


def _afro(head: Head, far: float) -> skia.Path:
    """A round cloud with a softly scalloped edge."""
    path, n = skia.Path(), 22
    rx, ry, cy = head.width + 11.5, 30.5, head.top + 18.0
    for i in range(n):
        turn = 2 * math.pi * i / n
        path.addOval(
            skia.Rect.MakeXYWH(CENTRE + far + rx * math.cos(turn) - 4.2, cy + ry * math.sin(turn) - 4.2, 8.4, 8.4)
        )
    path.addOval(skia.Rect(CENTRE + far - rx - 1, cy - ry - 1, CENTRE + far + rx + 1, cy + ry + 1))
    return path


def _curls(head: Head, cut: bool) -> list[tuple[float, float, float]]:
    """Centres (from the middle) and radii of the big curls that frame a head down to the jaw, back to front."""
    w, top = head.width, head.top
    half = [(1.10, 71.0, 6.0), (0.98, 65.5, 5.0), (1.27, 63.0, 6.6), (1.02, 57.0, 5.0), (1.30, 53.5, 6.8),
        (1.04, 48.0, 5.0), (1.27, 43.5, 6.8), (1.16, top + 18.5, 7.0), (0.98, top + 9.5, 7.2),
        (0.68, top + 2.2, 7.2), (0.30, top - 2.2, 7.4)]  # fmt: skip
    both = [(s * x * w, y, r) for x, y, r in half for s in SIDES]
    return [(x, y, r) for x, y, r in both if not cut or y > 30]


def _curl(brush: Brush, x: float, y: float, r: float, light: float, tones: Tones) -> None:
    """One curl: a soft ball of hair with a swirl on it."""
    shader = skia.GradientShader.MakeRadial(
        skia.Point(x + 0.35 * r * light, y - 0.4 * r), r * 1.7,
        _codes(mix(tones.base, tones.light, 0.7), tones.base, tones.shade), [0, 0.45, 1],
    )  # fmt: skip
    brush.fill(oval(x, y, r), shader)
    swirl = curve([(x + 0.62 * r, y + 0.35 * r), (x + 0.1 * r, y + 0.68 * r), (x - 0.52 * r, y + 0.3 * r),
        (x - 0.35 * r, y - 0.35 * r), (x + 0.2 * r, y - 0.3 * r),
        (x + 0.15 * r, y + 0.12 * r)], closed=False)  # fmt: skip
    brush.stroke(swirl, tones.shade, 0.75, 0.6)


def front(brush: Brush, head: Head) -> None:
    """The hair over forehead, temples and ears."""
    kind = style(head)
    if head.portrait.hat == "none":
        _front(brush, head, kind)
    else:
        with brush.clip(box(-20, head.top + 11, 120, 130)):
            _front(brush, head, kind)


def _cap(head: Head, hairline: list[Point], grow: float, foot: float) -> skia.Path:
    """Hair over the crown: its outer edge follows the skull; the hairline runs from right to left."""
    w, top = head.width, head.top
    outer = [(-(w + grow * 0.5), foot), (-(w + grow), top + 18), (-(w * 0.86 + grow), top + 6),
        (-(w * 0.46), top - grow * 1.05), (0, top - grow * 1.45), (w * 0.46, top - grow * 1.05),
        (w * 0.86 + grow, top + 6), (w + grow, top + 18), (w + grow * 0.5, foot)]  # fmt: skip
    return curve([(CENTRE + x, y) for x, y in outer] + [(head.x(x, 0.55), y) for x, y in hairline])


def _front(brush: Brush, head: Head, kind: str) -> None:
    tones = hair_tones(head.portrait.hair_colour)
    w, top = head.width, head.top
    light = head.portrait.light
    line = top + 10.5
    shadow = mix(tones.deep, INK, 0.2)

    def lay(shape: skia.Path, low: float) -> None:
        """Hair with its soft shadow on the face."""
        with brush.clip(head.outline()):
            brush.canvas.save()
            brush.canvas.translate(-1.2 * light, 1.5)
            brush.fill(shape, shadow, 0.32, blur=1.1)
            brush.canvas.restore()
        brush.fill(shape, _gloss(head, tones, low))

    def shine(shape: skia.Path, y: float, span: float, alpha: float = 0.45) -> None:
        """A band of light over the crown."""
        x = CENTRE + 6 * light
        with brush.clip(shape):
            band = curve(
                [(x - span, y + 4.5), (x - span * 0.45, y + 0.6), (x + span * 0.45, y + 0.6), (x + span, y + 4.5)],
                closed=False,
            )
            brush.stroke(band, mix(tones.light, WHITE, 0.35), 2.2, alpha, blur=0.7)

    if kind == "bald":
        brush.glow(head.x(-2, 0.4) + 6 * light, top + 6.5, w * 0.45, WHITE, 0.38, flat=0.5)
    elif kind == "short":
        shape = _cap(head, [(w * 0.93, 47), (w * 0.88, 38), (w * 0.80, line + 4), (w * 0.45, line - 1.5),
            (-w * 0.05, line - 1.0), (-w * 0.45, line + 1.5), (-w * 0.78, line + 5), (-w * 0.88, 38),
            (-w * 0.93, 47)], 3.0, 46)  # fmt: skip
        lay(shape, 48)
        shine(shape, top + 0.8, w * 0.7)
        for t, low in ((-0.38, 0.0), (-0.08, 0.2), (0.22, 0.4)):
            strand = curve(
                [
                    (head.x(t * w + 5, 0.4), top + 0.5),
                    (head.x(t * w - 1, 0.5), top + 4),
                    (head.x(t * w - 5, 0.5), line - 1.5 + low),
                ],
                closed=False,
            )
            brush.stroke(strand, tones.shade, 0.8, 0.5)
    elif kind == "fringe":
        low = 37.2
        teeth: list[Point] = []
        for i in range(7):
            x = w * (0.78 - 0.26 * i)
            teeth += [(x, low + 0.4 - 1.2 * abs(i - 3) / 3 + 0.6), *([] if i == 6 else corner(x - w * 0.13, low - 1.6))]
        shape = _cap(head, [(w * 0.90, 53), (w * 0.88, 44), *teeth, (-w * 0.88, 44), (-w * 0.90, 53)], 3.8, 53)
        lay(shape, 54)
        shine(shape, top + 6, w * 0.85)
        for i in range(6):
            x = w * (0.65 - 0.26 * i)
            strand = curve([(head.x(x * 0.55, 0.4), top + 6), (head.x(x, 0.55), low - 1.8)], closed=False)
            brush.stroke(strand, tones.shade, 0.75, 0.55)
    elif kind in ("long", "bob"):
        foot = 74.0 if kind == "bob" else 104.0
        for side in SIDES:
            part = -0.0 if kind == "long" else -0.30
            inner = w * (0.80 if kind == "long" else 0.84)
            points = [(head.x(part * w, 0.5), top + 4.5),
                (head.x(side * w * 0.42 + part * w * 0.4, 0.5), line + 2.0), (head.x(side * inner, 0.5), 40),
                (CENTRE + side * (w * 0.90), 54), (CENTRE + side * (w * (0.95 if kind == "long" else 0.83)),
                66)]  # fmt: skip
            ends = ([*corner(CENTRE + side * w * 0.80, foot), *corner(CENTRE + side * (w + 5.6), foot - 0.6)]
                if kind == "bob" else [(CENTRE + side * (w - 2.4), 84),
                *corner(CENTRE + side * (w - 5.0), foot), *corner(CENTRE + side * (w + 5.0), foot),
                (CENTRE + side * (w + 6.9), 80)])  # fmt: skip
            outside = [(CENTRE + side * (w + 6.0), 62), (CENTRE + side * (w + 4.8), 46),
                (CENTRE + side * (w + 3.2), top + 14), (CENTRE + side * w * 0.80, top + 1.5),
                (CENTRE + side * w * 0.3, top - 4.2), (head.x(part * w - side * 1.5, 0.3), top - 4.6)]  # fmt: skip
            shape = curve([*points, *ends, *outside])
            lay(shape, foot + 8)
            shine(shape, top + 8, w * 1.15, 0.4)
            for t in (0.35, 0.75):
                x0 = part * w + (side * w - part * w) * t
                strand = curve([(head.x(part * w + (x0 - part * w) * 0.55, 0.5), top + 3),
                    (CENTRE + side * (w + 1.0 + 2.4 * t - 0.8), 42), (CENTRE + side * (w + 0.2 + 3.6 * t), 66),
                    *([(CENTRE + side * (w - 2.0 + 4.0 * t), 98)] if kind == "long" else [])],
                    closed=False)  # fmt: skip
                brush.stroke(strand, tones.shade, 0.8, 0.45)
    elif kind == "curly":
        cut = head.portrait.hat != "none"
        for x, y, r in _curls(head, cut):
            _curl(brush, CENTRE + x - 0.6 * head.portrait.turn, y, r, light, tones)
        crown = curve([(CENTRE + x, y) for x, y in ((-w * 0.95, top + 12), (-w * 0.6, top + 1), (0, top - 3),
            (w * 0.6, top + 1), (w * 0.95, top + 12), (0, top + 7))])  # fmt: skip
        brush.fill(crown, tones.base)
        locks = ((-0.86, 14.2, 4.8), (0.86, 14.2, 4.8), (-0.58, 9.2, 5.6), (0.60, 9.0, 5.6), (0.22, 6.6, 6.0),
            (-0.20, 5.6, 6.2))  # fmt: skip
        for offset, y, r in locks:
            x = head.x(offset * w, 0.5)
            with brush.clip(head.outline()):
                brush.fill(oval(x - light, top + y + 1.4, r), shadow, 0.28, blur=0.9)
            _curl(brush, x, top + y, r, light, tones)
    elif kind == "afro":
        shape = _cap(head, [(w * 0.92, 44), (w * 0.84, line + 7), (w * 0.55, line + 0.5), (0, line - 1.5),
            (-w * 0.55, line + 0.5), (-w * 0.84, line + 7), (-w * 0.92, 44)], 2.0, 44)  # fmt: skip
        lay(shape, 60)
        for ring, (n, reach) in enumerate(((9, 0.62), (13, 0.88))):
            for i in range(n):
                a = math.pi * (1.0 + (i + 0.5 * (ring + 1)) / (n + 0.5 * ring))
                x = CENTRE + (w + 10) * reach * math.cos(a) - head.portrait.turn
                y = top + 18 + 29 * reach * math.sin(a)
                brush.stroke(
                    curve([(x - 2, y), (x - 0.6, y - 1.6), (x + 1.2, y - 1.1), (x + 1.7, y + 0.6)], closed=False),
                    tones.light,
                    0.8,
                    0.45,
                )
    elif kind == "mohawk":
        shape = _cap(head, [(w * 0.95, 46), (w * 0.90, 38), (w * 0.78, line + 3), (w * 0.4, line - 0.5),
            (0, line - 1.0), (-w * 0.4, line - 0.5), (-w * 0.78, line + 3), (-w * 0.90, 38), (-w * 0.95, 46)],
            0.2, 46)  # fmt: skip
        with brush.clip(head.outline()):
            brush.fill(shape, tones.base, 0.40, blur=0.6)
        x, far = head.x(0, 0.5), CENTRE - 1.5 * head.portrait.turn
        crest = curve([*corner(x - 7.2, line + 1), (x - 9.0, top - 1), (far - 10.2, top - 8),
            *corner(far - 7.6, 1.5), *corner(far - 4.6, 4.4), *corner(far - 1.4, 0.0), *corner(far + 1.6, 3.6),
            *corner(far + 5.2, 0.6), *corner(far + 7.0, 4.4), (far + 10.2, top - 7), (x + 9.0, top - 1),
            *corner(x + 7.2, line + 1), *corner(x + 3.0, line - 0.4), *corner(x, line + 2.4),
            *corner(x - 3.2, line - 0.4)])  # fmt: skip
        brush.fill(crest, down(0, line + 3, tones.light, tones.base, tones.shade))
        with brush.clip(crest):
            for t in (-5.2, -1.7, 1.9, 5.4):
                brush.stroke(curve([(x + t, line), (far + t * 1.15, 4)], closed=False), tones.shade, 0.9, 0.5)
    elif kind == "bun":
        shape = _cap(head, [(w * 0.96, 46), (w * 0.90, 37), (w * 0.72, line + 1.5), (w * 0.4, line - 2.2),
            (0, line - 3.2), (-w * 0.4, line - 2.2), (-w * 0.72, line + 1.5), (-w * 0.90, 37), (-w * 0.96, 46)],
            2.2, 45)  # fmt: skip
        lay(shape, 48)
        shine(shape, top + 2.0, w * 0.7)
        for t in (-0.75, -0.38, 0.0, 0.38, 0.75):
            strand = curve(
                [
                    (CENTRE + t * 5, top - 2.5),
                    (head.x(t * w * 0.75, 0.4), top + 2.2 + 4 * t * t),
                    (head.x(t * w, 0.5), line - 3 + 7 * t * t),
                ],
                closed=False,
            )
            brush.stroke(strand, tones.shade, 0.75, 0.5)
        tie = curve(
            [
                (CENTRE - 5.2 - 1.2 * head.portrait.turn, top - 0.4),
                (CENTRE - head.portrait.turn, top + 1.1),
                (CENTRE + 5.2 - 1.2 * head.portrait.turn, top - 0.4),
            ],
            closed=False,
        )
        brush.stroke(tie, tones.deep, 1.5, 0.9)


def hat(brush: Brush, head: Head) -> None:
    """A cap with a visor, a beanie with a cuff, or a hat with a brim."""
    kind = head.portrait.hat
    if kind == "none":
        return
    main, second, accent = HATS[kind]
    cloth = material(main, lift=0.2, sink=0.3)
    w, top, turn = head.width, head.top, head.portrait.turn
    rim = top + 15.0
    side = w + 3.8
    front_x = CENTRE + 4.5 * turn
    with brush.clip(head.outline()):
        brush.fill(box(CENTRE - w * 1.2, rim - 6, CENTRE + w * 1.2, rim + 2.6, 3), INK, 0.34, blur=1.4)
    if kind == "cap":
        crown = curve([*corner(CENTRE - side, rim), (CENTRE - side + 0.6, top + 3),
            (CENTRE - w * 0.55, top - 6.2), (CENTRE, top - 8.4), (CENTRE + w * 0.55, top - 6.2),
            (CENTRE + side - 0.6, top + 3), *corner(CENTRE + side, rim), (front_x, rim - 2.5)])  # fmt: skip
        brush.fill(crown, down(top - 8, rim, cloth.light, cloth.base, cloth.shade))
        for t in (-0.55, 0.55):
            seam = curve(
                [(CENTRE, top - 8.2), (front_x + t * w * 0.9, top - 1), (front_x + t * w * 1.1, rim - 2)], closed=False
            )
            brush.stroke(seam, cloth.shade, 0.6, 0.6)
        brush.fill(oval(CENTRE, top - 8.4, 1.8, 1.0), second)
        brush.fill(oval(front_x, top + 3.6, 4.4, 4.2), accent)
        visor = curve([*corner(front_x - w * 0.98, rim - 2.6), (front_x - w * 0.5, rim - 5.6),
            (front_x, rim - 6.3), (front_x + w * 0.5, rim - 5.6), *corner(front_x + w * 0.98, rim - 2.6),
            (front_x + w * 1.0, rim + 1.8), (front_x + w * 0.5, rim + 1.4), (front_x, rim + 1.0),
            (front_x - w * 0.5, rim + 1.4), (front_x - w * 1.0, rim + 1.8)])  # fmt: skip
        brush.fill(visor, down(rim - 6, rim + 2, mix(second, WHITE, 0.12), second))
        lip = curve(
            [(front_x - w * 0.7, rim - 3.5), (front_x, rim - 5.2), (front_x + w * 0.7, rim - 3.5)], closed=False
        )
        brush.stroke(lip, WHITE, 0.7, 0.3)
    elif kind == "beanie":
        crown = curve([*corner(CENTRE - side, rim - 4), (CENTRE - side + 0.4, top + 2),
            (CENTRE - w * 0.6, top - 7.6), (CENTRE, top - 10), (CENTRE + w * 0.6, top - 7.6),
            (CENTRE + side - 0.4, top + 2), *corner(CENTRE + side, rim - 4)])  # fmt: skip
        brush.fill(crown, down(top - 10, rim, cloth.light, cloth.base, cloth.shade))
        with brush.clip(crown):
            for t in (-0.8, -0.48, -0.16, 0.16, 0.48, 0.8):
                rib = curve(
                    [
                        (CENTRE + t * 6, top - 10),
                        (CENTRE + t * w * 0.9 + turn, top - 3),
                        (CENTRE + t * side + 2 * turn, rim),
                    ],
                    closed=False,
                )
                brush.stroke(rib, accent, 0.8, 0.6)
        cuff = curve([*corner(CENTRE - side - 0.8, rim - 6.4), (CENTRE + turn, rim - 7.8),
            *corner(CENTRE + side + 0.8, rim - 6.4), *corner(CENTRE + side + 0.4, rim + 1.4),
            (CENTRE + turn, rim + 0.6), *corner(CENTRE - side - 0.4, rim + 1.4)])  # fmt: skip
        brush.fill(cuff, down(rim - 8, rim + 2, second, mix(second, INK, 0.22)))
        with brush.clip(cuff):
            for i in range(-8, 9):
                x = CENTRE + side * math.sin(i * 0.185) / math.sin(8.5 * 0.185) + 2 * turn * (1 - abs(i) / 9)
                brush.stroke(curve([(x, rim - 8), (x, rim + 2)], closed=False), mix(second, INK, 0.5), 0.7, 0.45)
    else:
        crown = curve([*corner(CENTRE - w * 0.98, rim - 3), (CENTRE - w * 0.94, top - 1),
            (CENTRE - w * 0.55, top - 9.4), (CENTRE, top - 8.0), (CENTRE + w * 0.55, top - 9.4),
            (CENTRE + w * 0.94, top - 1), *corner(CENTRE + w * 0.98, rim - 3)])  # fmt: skip
        brim = oval(CENTRE + 1.5 * turn, rim - 3.0, w + 15.5, 5.4)
        brush.fill(brim, down(rim - 8, rim + 3, cloth.base, mix(main, accent, 0.75)))
        brush.fill(oval(CENTRE + 1.5 * turn, rim - 4.4, w + 2, 3.6), mix(main, INK, 0.3), 0.5, blur=0.8)
        brush.fill(crown, down(top - 10, rim, cloth.light, cloth.base, mix(main, accent, 0.6)))
        with brush.clip(crown):
            band = curve([(CENTRE - w * 1.2, rim - 10), (CENTRE + turn, rim - 8.0),
                (CENTRE + w * 1.2, rim - 10), (CENTRE + w * 1.2, rim - 4), (CENTRE + turn, rim - 1.8),
                (CENTRE - w * 1.2, rim - 4)])  # fmt: skip
            brush.fill(band, down(rim - 10, rim - 2, mix(second, WHITE, 0.12), second))
            brush.stroke(
                curve([(CENTRE, top - 9), (CENTRE + 0.8 * turn, top - 1.5)], closed=False), accent, 2.4, 0.5, blur=0.8
            )
