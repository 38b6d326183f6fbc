"""The geometry of a head: where everything sits, as smooth functions of the record."""

from __future__ import annotations

from dataclasses import dataclass

import skia

from .attributes import Portrait
from .brush import Point, curve

CENTRE = 50.0


@dataclass(frozen=True)
class Expression:
    """What a mood does to brows, eyes and mouth; lengths in units, down is positive."""

    brow_inner: float
    brow_outer: float
    lid: float  # opening of the eye
    slant: float  # inner end of the upper lid lowered
    width: float  # half width of the closed mouth
    open_width: float
    lift: float  # corners of the mouth raised
    opening: float  # height of the open mouth
    round: float  # 0 almond, 1 ellipse
    teeth: float  # share of the opening that upper teeth fill


EXPRESSIONS = {
    "neutral": Expression(0, 0, 1.0, 0.0, 7.8, 7.2, 0.3, 5.6, 0.55, 0.35),
    "smiling": Expression(-0.6, -0.8, 0.86, 0.0, 10.0, 10.2, 3.9, 7.4, 0.25, 0.45),
    "sad": Expression(-3.4, 2.2, 0.84, -1.0, 7.4, 7.0, -3.8, 5.0, 0.4, 0.0),
    "surprised": Expression(-5.4, -5.0, 1.42, 0.0, 4.6, 5.4, 0.0, 10.0, 1.0, 0.0),
    "angry": Expression(3.4, -2.6, 0.82, 1.9, 6.6, 7.8, -2.0, 5.6, 0.75, 1.0),
}


def ramp(low: float, high: float, value: float) -> float:
    """0 below low, 1 above high, smooth in between."""
    t = min(1.0, max(0.0, (value - low) / (high - low)))
    return t * t * (3 - 2 * t)


class Head:
    """Places and sizes of the features of one portrait, in units of a 100 by 100 picture."""

    def __init__(self, portrait: Portrait) -> None:
        p = self.portrait = portrait
        fem = p.femininity
        self.mood = EXPRESSIONS[p.expression]
        self.opening = self.mood.opening if p.mouth == "open" else 0.0
        self.width = 20.9 + 2.7 * p.face_width - 0.9 * fem
        self.top = 16.0 - 1.0 * p.face_length
        self.eye_y = 45.0 - 0.3 * p.face_length
        self.nose_y = 56.0 + 0.7 * p.face_length + 2.6 * p.nose_length
        self.mouth_y = 64.6 + 1.7 * p.face_length + 0.9 * p.nose_length
        self.chin_y = 75.2 + 3.4 * p.face_length - 0.6 * fem + 0.22 * self.opening
        self.jaw_y = self.chin_y - 9.0
        self.jaw_width = self.width * (0.80 + 0.105 * p.jaw - 0.085 * (fem - 0.5))
        self.chin_width = self.width * (0.40 + 0.16 * p.jaw - 0.12 * (fem - 0.5))
        self.eye_x = self.width * (0.450 + 0.068 * p.eye_spacing)
        self.eye_width = 4.95 * (1 + 0.19 * p.eye_size)
        self.eye_height = 2.9 * (1 + 0.27 * p.eye_size) * (0.94 + 0.12 * fem)
        self.ear_y = 48.0

    def x(self, offset: float, depth: float = 1.0) -> float:
        """Where a point of the face lands when the head turns; the silhouette stays, the middle moves most."""
        inside = max(0.0, 1 - (offset / (self.width * 1.08)) ** 2)
        return CENTRE + offset + self.portrait.turn * 0.25 * self.width * depth * inside

    def squeeze(self, offset: float) -> float:
        """How much narrower a feature at `offset` looks for the turn."""
        return 1 - self.portrait.turn * 0.50 * offset / self.width / 1.17

    def profile(self) -> list[Point]:
        """Half of the face's outline from the crown to the chin, as (half width, y)."""
        w = self.width
        return [
            (0.52 * w, self.top + 2.0), (0.88 * w, self.top + 10.0), (1.0 * w, 41.0), (0.965 * w, 54.0),
            (self.jaw_width, self.jaw_y), (self.chin_width, self.chin_y - 1.7),
        ]  # fmt: skip

    def outline(self, grow: float = 0.0) -> skia.Path:
        """The outline of the face."""
        drift = 1.6 * self.portrait.turn  # the chin follows the turn
        half = self.profile()
        shift = [0.0, 0.0, 0.0, 0.2 * drift, 0.6 * drift, drift]
        right = [(CENTRE + w + grow + s, y) for (w, y), s in zip(half, shift, strict=True)]
        left = [(CENTRE - w - grow + s, y) for (w, y), s in zip(half, shift, strict=True)]
        return curve([(CENTRE, self.top - grow), *right, (CENTRE + drift, self.chin_y + grow), *left[::-1]])

    def ear(self, side: int) -> tuple[float, float]:
        """Centre x and half width of the ear on a side (-1 left, 1 right): the far one hides behind the cheek."""
        far = side * self.portrait.turn
        return CENTRE + side * (self.width + 0.9 - 1.6 * far), 3.3 * (1 - 0.35 * far)
