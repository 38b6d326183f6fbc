"""Neck, shoulders and clothes of a drawn portrait."""

from __future__ import annotations

from .brush import Brush, across, corner, curve, down, polygon
from .head import CENTRE, Head
from .palette import CLOTHES, INK, WHITE, Tones, material, mix, rgb

SIDES = (-1, 1)


def neck_width(head: Head) -> float:
    """Half width of the neck."""
    return 11.2 - 3.4 * head.portrait.femininity + 0.5 * head.portrait.face_width


def neck(brush: Brush, head: Head, skin: Tones) -> None:
    """The neck and the chin's shadow on it."""
    n, p = neck_width(head), head.portrait
    left = mix(skin.shade, skin.base, 0.5 - 0.5 * p.light)
    right = mix(skin.shade, skin.base, 0.5 + 0.5 * p.light)
    shape = curve([*corner(CENTRE - n, 60), (CENTRE - n, 80), (CENTRE - n - 3.5, 89),
        *corner(CENTRE - n - 9, 104), *corner(CENTRE + n + 9, 104), (CENTRE + n + 3.5, 89), (CENTRE + n, 80),
        *corner(CENTRE + n, 60)])  # fmt: skip
    brush.fill(shape, across(CENTRE - n, CENTRE + n, left, mix(skin.base, skin.shade, 0.3), right))
    with brush.clip(shape):
        brush.glow(CENTRE + 0.12 * n * p.tilt - 1.5 * p.light, head.chin_y - 1, 19, skin.deep, 0.95, flat=0.55)


def clothes(brush: Brush, head: Head) -> None:
    """A t-shirt, a shirt with a collar, a turtleneck, or a suit with a tie."""
    p, n = head.portrait, neck_width(head)
    cloth = material(CLOTHES[p.clothes_colour], lift=0.16, sink=0.30)
    wide = 43.0 - 8.0 * p.femininity
    high = 88.0 + 1.2 * p.femininity
    dip = {"t-shirt": 92.5, "shirt": 99.0, "turtleneck": 87.0, "suit": 104.0}[p.clothes]
    open_width = n + (4.2 if p.clothes == "t-shirt" else 1.6)
    neckline = curve(
        [(CENTRE + open_width, high - 2.4), (CENTRE, dip), (CENTRE - open_width, high - 2.4)], closed=False
    )
    body = curve([*corner(CENTRE - open_width, high - 2.4), (CENTRE - n - 9, high - 0.2),
        (CENTRE - wide * 0.8, high + 4.5), (CENTRE - wide, 96), *corner(CENTRE - wide - 3, 106),
        *corner(CENTRE + wide + 3, 106), (CENTRE + wide, 96), (CENTRE + wide * 0.8, high + 4.5),
        (CENTRE + n + 9, high - 0.2), *corner(CENTRE + open_width, high - 2.4), (CENTRE, dip)])  # fmt: skip
    gradient = down(high - 3, 102, cloth.light, cloth.base, cloth.shade)
    if p.clothes == "t-shirt":
        brush.fill(body, gradient)
        brush.stroke(neckline, cloth.shade, 2.4)
        brush.stroke(neckline, cloth.light, 0.6, 0.7)
    elif p.clothes == "turtleneck":
        brush.fill(body, gradient)
        top = min(max(head.chin_y + 1.6, 77.5), 82.0)
        roll = curve([*corner(CENTRE - n - 2.0, top), (CENTRE, top + 2.2), *corner(CENTRE + n + 2.0, top),
            (CENTRE + n + 2.6, 86), *corner(CENTRE + n + 4.6, 92), (CENTRE, 95), *corner(CENTRE - n - 4.6, 92),
            (CENTRE - n - 2.6, 86)])  # fmt: skip
        brush.fill(
            roll, across(CENTRE - n - 4, CENTRE + n + 4, cloth.shade, cloth.base, cloth.light, cloth.base, cloth.shade)
        )
        with brush.clip(roll):
            brush.glow(CENTRE, top - 1, 15, cloth.deep, 0.75, flat=0.45)
            for t in (-0.75, -0.45, -0.15, 0.15, 0.45, 0.75):
                brush.stroke(
                    curve([(CENTRE + t * (n + 2), top), (CENTRE + t * (n + 5), 95)], closed=False),
                    cloth.shade,
                    0.7,
                    0.6,
                )
        fold = curve([(CENTRE - n - 3.6, 89), (CENTRE, 92.2), (CENTRE + n + 3.6, 89)], closed=False)
        brush.stroke(fold, cloth.shade, 1.0, 0.9)
    elif p.clothes == "shirt":
        brush.fill(body, gradient)
        brush.stroke(curve([(CENTRE, 98), (CENTRE, 106)], closed=False), cloth.shade, 0.8)
        for side in SIDES:
            flap = polygon(
                (CENTRE + side * (n + 1.2), high - 6.5),
                (CENTRE + side * (n + 5.6), high - 0.5),
                (CENTRE + side * (n + 2.0), 98.5),
                (CENTRE + side * 0.4, 96.0),
            )
            brush.fill(flap, cloth.deep, 0.5, blur=0.9)
            brush.fill(flap, down(high - 6, 99, mix(cloth.light, WHITE, 0.45), mix(cloth.light, WHITE, 0.12)))
            brush.stroke(flap, cloth.shade, 0.5, 0.8)
    else:
        shirt = polygon((CENTRE - n - 3, high - 4), (CENTRE + n + 3, high - 4), (CENTRE + 7, 106), (CENTRE - 7, 106))
        brush.fill(shirt, down(84, 100, rgb("E4E4EE"), rgb("FDFDFF")))
        for side in SIDES:
            flap = polygon(
                (CENTRE + side * (n + 0.8), high - 6.0),
                (CENTRE + side * (n + 2.4), high - 1),
                (CENTRE + side * (n * 0.55 + 1), 97.5),
                (CENTRE, 93.5),
            )
            brush.fill(flap, WHITE)
            brush.stroke(flap, rgb("B8BACB"), 0.6)
        tie = mix(cloth.deep, INK, 0.45)
        brush.fill(
            polygon(
                (CENTRE - 2.6, 93.0),
                (CENTRE + 2.6, 93.0),
                (CENTRE + 1.8, 97.2),
                (CENTRE + 3.4, 106),
                (CENTRE - 3.4, 106),
                (CENTRE - 1.8, 97.2),
            ),
            tie,
        )
        brush.fill(
            polygon((CENTRE - 2.6, 93.0), (CENTRE + 2.6, 93.0), (CENTRE + 1.8, 97.2), (CENTRE - 1.8, 97.2)),
            mix(tie, WHITE, 0.15),
        )
        for side in SIDES:
            coat = curve([*corner(CENTRE + side * (n + 2.6), high - 4.0),
                (CENTRE + side * (n + 10), high - 0.6), (CENTRE + side * wide * 0.8, high + 3.8),
                (CENTRE + side * (wide + 1), 95), *corner(CENTRE + side * (wide + 4), 106),
                *corner(CENTRE + side * 5, 106)])  # fmt: skip
            brush.fill(coat, gradient)
            lapel = polygon((CENTRE + side * (n + 2.6), high - 4.0), (CENTRE + side * (n + 7.2), high + 1.0),
                (CENTRE + side * (n + 9.0), 95.4), (CENTRE + side * (n + 6.2), 96.6),
                (CENTRE + side * (n + 7.6), 98.8), (CENTRE + side * 5.2, 106), (CENTRE + side * 4.0, 104))  # fmt: skip
            brush.fill(lapel, mix(cloth.base, cloth.deep, 0.45))
            brush.stroke(lapel, cloth.light, 0.45, 0.6)
