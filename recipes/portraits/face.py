"""Skin, eyes, nose, mouth, brows, beard and glasses of a drawn portrait."""

from __future__ import annotations

import skia

from .brush import Brush, across, box, curve, down, oval
from .head import CENTRE, Head, ramp
from .palette import (
    BLUSH,
    EYE_SHADOW,
    EYES,
    GOLD,
    GOLD_DARK,
    GOLD_LIGHT,
    INK,
    LIPSTICK,
    WHITE,
    Tones,
    beard_tones,
    brow_colour,
    mix,
    rgb,
)  # fmt: skip

SIDES = (-1, 1)


def ears(brush: Brush, head: Head, skin: Tones) -> None:
    """Both ears, behind the face."""
    for side in SIDES:
        x, rx = head.ear(side)
        brush.fill(oval(x, head.ear_y, rx, 5.6), mix(skin.base, skin.shade, 0.25))
        brush.fill(oval(x + side * 0.2, head.ear_y + 0.3, rx * 0.5, 3.3), skin.shade, 0.75)


def skin(brush: Brush, head: Head, skin: Tones) -> None:
    """The face itself: form shading from the light, warmth on the cheeks, a sheen on the forehead."""
    p, w = head.portrait, head.width
    outline = head.outline()
    left = mix(skin.shade, skin.light, 0.5 - 0.5 * p.light)
    right = mix(skin.shade, skin.light, 0.5 + 0.5 * p.light)
    brush.fill(outline, across(CENTRE - w, CENTRE + w, mix(left, skin.base, 0.25), mix(left, skin.base, 0.75),
                               skin.base, mix(right, skin.base, 0.75), mix(right, skin.base, 0.25)))  # fmt: skip
    with brush.clip(outline):
        # the side away from the light falls into a soft crescent of shade
        for side in SIDES:
            strength = max(0.0, -side * p.light)
            brush.glow(CENTRE + side * w * 1.35, 56, w * 1.15, skin.deep, 0.55 * strength, flat=1.9)
        brush.glow(CENTRE, head.chin_y + 6, w * 0.9, skin.shade, 0.55, flat=0.6)
        brush.glow(head.x(0) + 5 * p.light, head.top + 13, w * 0.6, WHITE, 0.20 - 0.06 * p.skin, flat=0.6)
        warm = mix(BLUSH, skin.base, 0.35)
        for side in SIDES:
            x = head.x(side * w * 0.60)
            brush.glow(x, 57.5, w * 0.36, warm, 0.34 + 0.12 * p.femininity, flat=0.8)
            if p.makeup == "makeup":
                brush.glow(x + side * 0.8, 56.6, w * 0.42, BLUSH, 0.55, flat=0.68)


def wrinkles(brush: Brush, head: Head, skin: Tones) -> None:
    """Lines that grow with age: forehead, crow's feet, bags under the eyes, folds beside the mouth."""
    p, w = head.portrait, head.width
    old = ramp(0.30, 0.95, p.age)
    if old <= 0:
        return
    ink, alpha = skin.deep, 0.85 * old
    lift = -0.12 * (head.mood.brow_inner + head.mood.brow_outer)
    for row, (y, span) in enumerate(((26.2, 0.40), (29.6, 0.50), (33.0, 0.42))):
        y -= lift
        points = [
            (head.x(t * span * w), y + bend) for t, bend in ((-1, 0.6), (-0.5, -0.3), (0, 0.25), (0.5, -0.3), (1, 0.6))
        ]
        brush.stroke(curve(points, closed=False), ink, 0.55 + 0.35 * old, alpha * (0.6, 0.75, 0.7)[row])
    for side in SIDES:
        x = head.x(side * head.eye_x)
        reach = head.eye_width * head.squeeze(side * head.eye_x)
        outer = x + side * (reach + 1.3)
        for dy in (-2.2, 0.0, 2.2):
            line = curve(
                [(outer, head.eye_y + 0.4 * dy), (outer + side * (1.3 + old), head.eye_y + 0.9 * dy)], closed=False
            )
            brush.stroke(line, ink, 0.65, alpha * 0.75)
        y = head.eye_y + head.eye_height + 1.3
        bag = curve([(x - reach * 0.8, y), (x + side * 0.3, y + 1.9), (x + reach * 0.9, y - 0.1)], closed=False)
        brush.stroke(bag, ink, 0.8, alpha * 0.65)
        brush.glow(x, y + 0.6, reach, skin.shade, 0.6 * old, flat=0.4)
        fold = [
            (head.x(side * (nose_width(head) + 1.2), 1.1), head.nose_y - 1.0),
            (head.x(side * (nose_width(head) + 4.2)), head.nose_y + 3.6),
            (head.x(side * (mouth_width(head) + 2.2)), head.mouth_y + 1.6),
        ]  # fmt: skip
        brush.stroke(curve(fold, closed=False), ink, 0.6 + 0.6 * old, alpha * 0.7)
        jowl = [
            (head.x(side * (mouth_width(head) + 0.6)), head.mouth_y + 4),
            (head.x(side * (mouth_width(head) + 1.0)), head.mouth_y + 7),
        ]
        brush.stroke(curve(jowl, closed=False), ink, 0.8, alpha * 0.45 * old)


def nose_width(head: Head) -> float:
    """Half width of the nose."""
    return 4.9 + 1.8 * head.portrait.nose_width - 0.5 * (head.portrait.femininity - 0.5)


def nose(brush: Brush, head: Head, skin: Tones) -> None:
    """Bridge, tip and nostrils; the shadow lies on the side away from the light."""
    p, n, y = head.portrait, nose_width(head), head.nose_y
    x, root = head.x(0, 1.75), head.x(0, 1.1)
    bridge = 0.8 + 0.2 * n / 4.4
    for side in SIDES:
        dark = 0.44 - 0.34 * side * p.light - 0.10 * side * p.turn
        flank = curve([(root + side * 1.9 * bridge, head.eye_y - 3),
            (root + side * 1.7 * bridge, head.eye_y + 2), (x + side * n, y - 1.2),
            (x + side * n * 0.55, y + 0.6), (x + side * 0.9, y - 1.5),
            (root + side * 0.7, head.eye_y + 1)])  # fmt: skip
        brush.fill(flank, skin.shade, max(0.0, dark), blur=0.5)
    for side in SIDES:  # the wings
        wing = oval(x + side * n * 0.66, y - 1.3, n * 0.36, 1.9)
        brush.fill(wing, skin.light, 0.55 + 0.40 * p.skin, blur=0.3)
    base = curve([(x - n, y - 1.5), (x - n * 0.98, y + 0.1), (x - n * 0.5, y + 0.9), (x, y + 1.5),
        (x + n * 0.5, y + 0.9), (x + n * 0.98, y + 0.1), (x + n, y - 1.5), (x + n * 0.5, y - 0.7), (x, y - 0.1),
        (x - n * 0.5, y - 0.7)])  # fmt: skip
    brush.fill(base, mix(skin.shade, skin.deep, 0.50 + 0.30 * p.skin), 0.95)
    for side in SIDES:
        brush.fill(oval(x + side * n * 0.48, y + 0.1, n * 0.24, 0.62), skin.deep, 0.8)
    ridge = curve([(root, head.eye_y + 0.5), (x, y - 3.2)], closed=False)
    brush.stroke(ridge, WHITE, 1.5, 0.26 - 0.10 * p.skin, blur=0.6)
    brush.glow(x + p.light, y - 2.6, 2.6, WHITE, 0.42 - 0.14 * p.skin)


def eyes(brush: Brush, head: Head, skin: Tones) -> None:
    """Both eyes, with lids, lashes and eye shadow."""
    for side in SIDES:
        _eye(brush, head, skin, side)


def _eye(brush: Brush, head: Head, skin: Tones, side: int) -> None:
    p, mood = head.portrait, head.mood
    x, y = head.x(side * head.eye_x), head.eye_y
    a = head.eye_width * head.squeeze(side * head.eye_x)  # half width
    h = head.eye_height
    rise = 0.5 * (p.femininity - 0.3) - (0.9 if p.expression == "sad" else 0.0)  # outer corner
    made_up = p.makeup == "makeup"
    inner, outer = (x - side * a, y + 0.5), (x + side * a, y - rise)
    lash = mix(INK, skin.deep, 0.15)
    brush.glow(x, y - 0.8, a * 1.5, skin.shade, 0.55, flat=0.75)
    upper = h * (0.35 if p.eyes == "closed" else mood.lid)
    if made_up:
        lid = curve([(x - side * a * 1.02, y + 0.3), (x - side * a * 0.75, y - upper - 1.9),
            (x, y - upper - 3.0), (x + side * a * 0.85, y - upper - 2.5), (x + side * a * 1.5, y - rise - 2.4),
            (x + side * a * 1.1, y + 0.4)])  # fmt: skip
        brush.fill(lid, mix(EYE_SHADOW, WHITE, 0.10 + 0.15 * p.skin), 0.82, blur=0.55)
    line = 1.0 + 0.45 * p.femininity + (0.35 if made_up else 0.0)
    length = 2.5 * ramp(0.25, 0.95, p.femininity) + (0.8 if made_up else 0.0)
    if p.eyes == "closed":
        droop = h * 0.75
        dome = curve([inner, (x - side * a * 0.5, y - h * 0.72), (x + side * a * 0.45, y - h * 0.72), outer,
                      (x + side * a * 0.5, y + droop * 0.8), (x - side * a * 0.5, y + droop * 0.8)])  # fmt: skip
        brush.fill(dome, mix(skin.base, skin.light, 0.6), 0.25 if made_up else 0.55, blur=0.3)
        shut = curve(
            [inner, (x - side * a * 0.5, y + droop * 0.85), (x + side * a * 0.45, y + droop * 0.85), outer],
            closed=False,
        )
        brush.stroke(shut, lash, line + 0.25)
        for t, spread in ((0.15, 0.15), (0.55, 0.45), (0.92, 0.9)):
            sx, sy = x + side * a * t, y - rise * max(0.0, t) + droop * 0.9 * (1 - t * t)
            size = 0.9 + length * 0.7
            brush.stroke(curve([(sx, sy), (sx + side * spread * size, sy + size * 0.75)], closed=False), lash, 0.7)
        return
    lower = h * (0.80 if mood.lid <= 1 else 1.0) * (0.86 if p.expression == "smiling" else 1.0)
    slant = mood.slant
    white = skia.Path()
    white.moveTo(*inner)
    white.cubicTo(
        x - side * a * 0.62, y - upper * 1.28 + slant, x + side * a * 0.55, y - upper * 1.38 - slant * 0.3, *outer
    )
    white.cubicTo(x + side * a * 0.62, y + lower * 1.25, x - side * a * 0.55, y + lower * 1.3, *inner)
    white.close()
    lid_line = skia.Path()
    lid_line.moveTo(*inner)
    lid_line.cubicTo(
        x - side * a * 0.62, y - upper * 1.28 + slant, x + side * a * 0.55, y - upper * 1.38 - slant * 0.3, *outer
    )
    brush.fill(white, rgb("FBF7F4"))
    with brush.clip(white):
        iris, r = EYES[p.eye_colour], 2.55 * (1 + 0.2 * p.eye_size)
        ix, iy = x + 0.35 * p.turn, y - 0.25
        brush.fill(oval(ix, iy, r), mix(iris, INK, 0.45))
        brush.fill(oval(ix, iy, r * 0.87), down(iy - r, iy + r, mix(iris, INK, 0.2), mix(iris, WHITE, 0.25)))
        brush.fill(oval(ix, iy, r * 0.43), INK)
        brush.fill(oval(ix - 0.9, iy - 0.95, r * 0.27), WHITE)
        brush.stroke(lid_line, INK, 2.2, 0.22)
    brush.stroke(lid_line, lash, line)
    brush.stroke(curve([(x + side * a * 0.1, y + lower * 0.97), (x + side * a * 0.6, y + lower * 0.72), outer],
        closed=False), skin.deep, 0.55, 0.6)  # fmt: skip
    crease = curve([(x - side * a * 0.7, y - upper * 0.9 - 0.9 + slant * 0.5), (x + side * a * 0.1, y - upper - 1.6),
                    (x + side * a * 0.95, y - upper * 0.6 - 1.2 - rise)], closed=False)  # fmt: skip
    brush.stroke(crease, skin.deep, 0.6, 0.45)
    for t, lean in ((0.52, 0.35), (0.80, 0.75), (1.0, 1.1)):
        sx, sy = x + side * a * t, y - rise * t - upper * 0.98 * max(0.0, 1 - t * t) ** 0.75
        tip = (sx + side * lean * length * 0.8, sy - length * (0.9 - 0.25 * t))
        brush.stroke(curve([(sx, sy), tip], closed=False), lash, 0.75, min(1.0, length))


def brows(brush: Brush, head: Head) -> None:
    """Brows: a darker tone of the hair; weight, sex and mood shape them."""
    p, mood = head.portrait, head.mood
    thick = (2.05 + 1.15 * p.brow_weight) * (1.2 - 0.40 * p.femininity)
    ink = brow_colour(p.hair_colour)
    high = head.eye_y - 7.0 - 1.0 * (p.femininity - 0.5) - 0.6 * p.eye_size
    for side in SIDES:
        x = head.x(side * head.eye_x)
        s = head.squeeze(side * head.eye_x) * side
        inner, outer = high + 0.6 + mood.brow_inner * 0.85, high + 1.3 + mood.brow_outer * 0.85
        arch = high - 0.9 * (0.5 + p.femininity) + (mood.brow_inner * 0.35 + mood.brow_outer * 0.65) * 0.75
        top = [(x - s * 4.9, inner - thick * 0.45), (x + s * 1.6, arch - thick * 0.6), (x + s * 6.2, outer)]
        low = [(x + s * 1.6, arch + thick * 0.55), (x - s * 4.9, inner + thick * 0.55), (x - s * 5.2, inner)]
        brush.fill(curve([top[0], top[1], *[top[2]] * 2, *low]), ink, 0.96)


def mouth_width(head: Head) -> float:
    """Half width of the mouth."""
    return (head.mood.open_width if head.opening else head.mood.width) * (1 + 0.05 * head.portrait.face_width)


def _arc(path: skia.Path, x0: float, y0: float, x1: float, y1: float, middle: float, fullness: float) -> None:
    """Continue from (x0, y0) to (x1, y1) by a symmetric bow whose middle lies at height `middle`."""
    y = (8 * middle - y0 - y1) / 6
    inset = (1 - fullness) * (x1 - x0)
    path.cubicTo(x0 + inset, y, x1 - inset, y, x1, y1)


def mouth(brush: Brush, head: Head, skin: Tones) -> None:
    """Lips, and teeth and tongue when open; the mood bends them."""
    p, mood, w, gap = head.portrait, head.mood, mouth_width(head), head.opening
    x = head.x(0, 1.25)
    y = head.mouth_y
    painted = p.lipstick == "lipstick"
    full = 1.05 + 1.00 * p.femininity + (0.45 if painted else 0.0)
    if p.expression == "angry":
        full *= 0.72
    upper_lip, lower_lip = full * 0.95, full * 1.35
    edge = y - mood.lift * 0.55 + (gap * 0.12 if mood.round == 1 else 0.0)
    top = y + mood.lift * 0.42 - gap * (0.15 if mood.lift > 1 else 0.42)
    bottom = top + gap
    tint = (
        LIPSTICK
        if painted
        else mix(mix(skin.base, rgb("C4485A"), 0.36 + 0.20 * p.femininity + 0.06 * p.skin), skin.deep, 0.06)
    )
    bow = 0.72 + 0.28 * mood.round if gap else 0.72
    left, right = x - w, x + w
    brush.glow(x, bottom + lower_lip + 1.6, w * 0.8, skin.shade, 0.6, flat=0.45)

    lips = skia.Path()
    lips.moveTo(left - 0.5, edge)
    lips.cubicTo(
        x - w * 0.62,
        top - upper_lip * 1.05 - (edge - top) * -0.1,
        x - w * 0.32,
        top - upper_lip * 1.5,
        x,
        top - upper_lip * 0.85,
    )
    lips.cubicTo(
        x + w * 0.32,
        top - upper_lip * 1.5,
        x + w * 0.62,
        top - upper_lip * 1.05 - (edge - top) * -0.1,
        right + 0.5,
        edge,
    )
    _arc(lips, right + 0.5, edge, left - 0.5, edge, bottom + lower_lip, bow)
    lips.close()
    brush.fill(lips, mix(tint, skin.deep, 0.10))
    lower = skia.Path()
    lower.moveTo(left, edge)
    _arc(lower, left, edge, right, edge, bottom, bow)
    _arc(lower, right, edge, left, edge, bottom + lower_lip, bow)
    lower.close()
    brush.fill(lower, mix(tint, WHITE, 0.13))
    with brush.clip(lips):
        brush.glow(
            x - w * 0.1 + p.light, bottom + lower_lip * 0.45, w * 0.42, WHITE, 0.55 if painted else 0.32, flat=0.25
        )

    if gap:
        inside = skia.Path()
        inside.moveTo(left, edge)
        _arc(inside, left, edge, right, edge, top, bow)
        _arc(inside, right, edge, left, edge, bottom, bow)
        inside.close()
        brush.fill(inside, rgb("5A1420"))
        with brush.clip(inside):
            brush.fill(oval(x, bottom + gap * 0.12, w * 0.62, gap * 0.42), rgb("D2545F"))
            if mood.teeth:
                reach = top + gap * mood.teeth
                teeth = skia.Path()
                teeth.moveTo(left - 1, min(edge, top) - 4)
                teeth.lineTo(right + 1, min(edge, top) - 4)
                teeth.lineTo(right + 1, edge)
                _arc(teeth, right + 1, edge, left - 1, edge, reach, bow)
                teeth.close()
                brush.fill(teeth, rgb("FFFCF6"))
                if p.expression == "angry":
                    brush.fill(inside, rgb("FFFCF6"))
                    brush.stroke(
                        curve([(left, y + 0.4), (x, top + gap * 0.5), (right, y + 0.4)], closed=False),
                        rgb("7A4A4A"),
                        0.6,
                    )
                    for t in (-0.6, -0.3, 0.0, 0.3, 0.6):
                        brush.stroke(
                            curve([(x + t * w, y - 6), (x + t * w, y + 8)], closed=False), rgb("7A4A4A"), 0.4, 0.5
                        )
        brush.stroke(inside, mix(tint, INK, 0.35), 0.5, 0.6)
    else:
        seam = skia.Path()
        seam.moveTo(left - 0.6, edge)
        _arc(seam, left - 0.6, edge, right + 0.6, edge, top, 0.72)
        brush.stroke(seam, mix(tint, rgb("2A0810"), 0.62), 1.0)
    if mood.lift > 1:  # dimples where a smile ends
        for side in SIDES:
            px = x + side * (w + 1.1)
            brush.stroke(
                curve([(px - side * 0.2, edge - 1.5), (px + side * 0.7, edge), (px, edge + 1.4)], closed=False),
                skin.deep,
                0.7,
                0.55,
            )


def _beard_shape(head: Head, below: float) -> skia.Path:
    """The jaw's hair: from the temples around the chin, up to the mouth."""
    w, y, drift = head.width, head.mouth_y, 1.6 * head.portrait.turn
    m = mouth_width(head)
    outer = [(w * 1.0, 44.0), (w * 1.0, 53.0), (head.jaw_width + 1.1, head.jaw_y + 0.6),
             (head.chin_width + 1.4, head.chin_y + below * 0.5)]  # fmt: skip
    inner = [(w * 0.86, 46.0), (w * 0.79, 54.5), (w * 0.60, y - 3.4), (m + 1.6, y - 1.6), (m * 0.55, y - 0.4)]
    right = [(CENTRE + a + drift * (0, 0.2, 0.6, 1)[i], b) for i, (a, b) in enumerate(outer)]
    left = [(CENTRE - a + drift * (0, 0.2, 0.6, 1)[i], b) for i, (a, b) in enumerate(outer)]
    return curve([*right, (CENTRE + drift, head.chin_y + below), *left[::-1], *[(head.x(-a), b) for a,
        b in inner], (head.x(0), y - 0.2), *[(head.x(a), b) for a, b in inner[::-1]]])  # fmt: skip


def beard(brush: Brush, head: Head, skin: Tones) -> None:
    """Stubble or a full beard, under the mouth."""
    p = head.portrait
    tones = beard_tones(p.hair_colour)
    if p.beard == "stubble":
        with brush.clip(head.outline()):
            brush.fill(_beard_shape(head, 0.5), mix(tones.base, skin.deep, 0.45), 0.60, blur=0.8)
            lip = curve([(head.x(-mouth_width(head) - 1), head.mouth_y), (head.x(0, 1.3), head.nose_y + 2.0),
                         (head.x(mouth_width(head) + 1), head.mouth_y)])  # fmt: skip
            brush.fill(lip, mix(tones.base, skin.deep, 0.45), 0.50, blur=0.7)
    if p.beard == "full":
        shape = _beard_shape(head, 4.6)
        brush.fill(shape, down(head.mouth_y - 14, head.chin_y + 5, tones.light, tones.base, tones.shade))
        with brush.clip(shape):
            x, end = head.x(0), head.chin_y + 3.2
            for t in (-0.8, -0.48, -0.16, 0.16, 0.48, 0.8):
                lock = curve(
                    [
                        (x + t * head.jaw_width * 1.1, head.jaw_y - 2),
                        (x + t * head.chin_width * 1.6, end - 2.5 * abs(t)),
                    ],
                    closed=False,
                )
                brush.stroke(lock, tones.shade, 0.9, 0.55)


def moustache(brush: Brush, head: Head) -> None:
    """Two lobes over the upper lip."""
    p = head.portrait
    if p.moustache == "none":
        return
    tones = beard_tones(p.hair_colour)
    x, w = head.x(0, 1.4), max(6.4, mouth_width(head) * 0.95)
    top = head.nose_y + 1.9
    lip = head.mouth_y + head.mood.lift * 0.42 - head.opening * (0.15 if head.mood.lift > 1 else 0.42)
    low = min(max(lip - 0.3, top + 2.4), top + 4.2)
    shape = curve([(x, top + 0.5), (x + w * 0.4, top - 0.2), (x + w * 0.85, low - 0.9), *[(x + w + 1.6, low + 0.9)] * 2,
                   (x + w * 0.6, low + 0.9), (x, low - 0.6), (x - w * 0.6, low + 0.9), *[(x - w - 1.6, low + 0.9)] * 2,
                   (x - w * 0.85, low - 0.9), (x - w * 0.4, top - 0.2)])  # fmt: skip
    brush.fill(shape, down(top - 1, low + 1.5, tones.base, tones.shade))


def earrings(brush: Brush, head: Head) -> None:
    """Golden hoops below the lobes, over any hair."""
    if head.portrait.earrings == "none":
        return
    for side in SIDES:
        x, rx = head.ear(side)
        x, y = x + side * 0.3, head.ear_y + 5.4
        r = 3.0 * (0.75 + 0.25 * rx / 3.3)
        hoop = oval(x, y + 3.2, r * 0.9, 3.4)
        brush.stroke(hoop, GOLD_DARK, 2.0, 0.75)
        brush.stroke(hoop, GOLD, 1.35)
        brush.stroke(curve([(x - r * 0.8, y + 2.6), (x - r * 0.3, y + 0.2)], closed=False), GOLD_LIGHT, 0.7, 0.9)
        brush.fill(oval(x, y - 0.3, 1.25), GOLD)
        brush.fill(oval(x - 0.3, y - 0.6, 0.5), GOLD_LIGHT)


def glasses(brush: Brush, head: Head) -> None:
    """Round, square or dark glasses that sit on the nose and turn with the head."""
    kind = head.portrait.glasses
    if kind == "none":
        return
    frame = {"round": rgb("5B2F1C"), "square": rgb("17171F"), "sunglasses": rgb("15131B")}[kind]
    thick = {"round": 1.25, "square": 2.0, "sunglasses": 1.4}[kind]
    shine = {"round": rgb("C98B4E"), "square": rgb("6B6F86"), "sunglasses": rgb("77718C")}[kind]
    y = head.eye_y + 0.6
    lenses, inner = [], {}
    for side in SIDES:
        off = max(head.eye_x, 8.2)
        x, s = head.x(side * off, 1.12), head.squeeze(side * off)
        if kind == "round":
            r = 6.9
            lens, half = oval(x, y, r * s, r), r * s
        elif kind == "square":
            half = 7.4 * s
            lens = box(x - half, y - 5.2, x + half, y + 5.4, 1.4)
        else:
            half = 7.5 * s
            lens = curve([(x - half * 0.96, y - 4.6), (x, y - 5.4), (x + half * 0.96, y - 4.6),
                (x + side * half * 1.0, y + 1.0), (x + side * half * 0.62, y + 5.9),
                (x - side * half * 0.3, y + 5.6), (x - side * half * 0.95, y + 0.6)]
                if side > 0 else [(x - half * 0.96, y - 4.6), (x, y - 5.4), (x + half * 0.96, y - 4.6),
                (x + half * 0.95, y + 0.6), (x + half * 0.3, y + 5.6), (x - half * 0.62, y + 5.9),
                (x - half * 1.0, y + 1.0)])  # fmt: skip
        lenses.append((x, half, lens))
        inner[side] = x - side * half
        temple = curve([(x + side * half, y - 2.2), (CENTRE + side * (head.width + 0.4), y - 1.0)], closed=False)
        with brush.clip(head.outline(0.6)):
            brush.stroke(temple, frame, thick)
    bridge = curve([(inner[-1], y - 1.4), ((inner[-1] + inner[1]) / 2, y - 2.7), (inner[1], y - 1.4)], closed=False)
    brush.stroke(bridge, frame, thick)
    for x, half, lens in lenses:
        if kind == "sunglasses":
            brush.fill(lens, down(y - 5, y + 6, rgb("14121C"), rgb("4A3E58")))
            with brush.clip(lens):
                gleam = curve([(x - half * 0.2, y - 6), (x - half * 0.75, y + 3)], closed=False)
                brush.stroke(gleam, WHITE, 1.6, 0.30)
        else:
            brush.fill(lens, WHITE, 0.16)
        brush.stroke(lens, frame, thick)
        with brush.clip(box(0, 0, 100, y - 2.5)):
            brush.stroke(lens, shine, thick * 0.32, 0.9)
