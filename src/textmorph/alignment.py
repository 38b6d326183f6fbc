"""Which square of a photo a domain gets to see: the middle one, one that is named, or the one it can draw best.

No landmarks are looked for: they would need a network of their own for every kind of picture. The domain's own encoder
and generator search: candidate squares are encoded and drawn, and the square of which the least is left unexplained is
where the domain's kind of picture is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from .errors import ImageError, OptionError
from .images import resize

if TYPE_CHECKING:
    from .encoders import Encoder
    from .generators import Generator

Crop = Literal["auto", "middle"] | tuple[int, int, int]
"""What can be asked for: `auto`, `middle`, or left, top and side of a square in pixels."""

COMPARED_AT = 64
"""Side at which a picture is compared with its reconstruction: fine grain says little about the domain."""
EXPLAINED = 0.75
"""Largest share of a square's contrast that may stay unexplained in a square that was searched for."""
LEAST_SIDE = 8
"""Smallest side in pixels of a square that is named."""
SEARCHED_SIDE = 32
"""Smallest side in pixels of a square that is searched for."""
LEAST_SHARE = 0.3
"""Its smallest share of the photo's shorter side."""
RATIO = 0.75
"""Of one size of the coarse grid to the next larger one."""
STEP = 0.3
"""Between neighbours of the coarse grid, as a share of their side."""
MOST_SQUARES = 300
"""Of the coarse grid; a panorama is searched for larger squares only."""
STARTS = (8, 4, 2, 1, 1)
"""How many of the best squares each finer grid is laid around: what is off by an eighth still looks like a miss."""
BATCH = 16
"""Squares drawn at once."""


@dataclass(frozen=True, order=True)
class Square:
    """A square of a photo, in pixels of the upright photo from its upper left corner."""

    left: int
    top: int
    side: int

    def cut(self, image: Tensor) -> Tensor:
        """The square's pixels: [B, C, H, W] → [B, C, S, S].

        Raises:
            ImageError: it does not lie within the image.
        """
        height, width = image.shape[-2:]
        if self.left < 0 or self.top < 0 or self.left + self.side > width or self.top + self.side > height:
            raise ImageError(
                f"the square {self} reaches outside of the picture, which is {width} × {height} pixels; "
                "crop takes its left edge, top edge and side, in pixels of the picture turned upright"
            )
        return image[..., self.top : self.top + self.side, self.left : self.left + self.side]

    def __str__(self) -> str:
        return f"{self.left},{self.top},{self.side}"


def middle_square(image: Tensor) -> Square:
    """The largest square in the middle; of two middles the upper or left one."""
    height, width = image.shape[-2:]
    side = min(height, width)
    return Square((width - side) // 2, (height - side) // 2, side)


def check_crop(crop: object) -> Crop:
    """What is asked for, checked: `auto`, `middle`, three whole numbers, or the same as a text `X,Y,SIZE`.

    Raises:
        OptionError: it is something else.
    """
    if crop == "auto" or crop == "middle":
        return "auto" if crop == "auto" else "middle"
    parts: Iterable[object] = crop.split(",") if isinstance(crop, str) else crop if isinstance(crop, Iterable) else ()
    numbers = [_whole(part) for part in parts]
    if len(numbers) != 3 or None in numbers:
        raise OptionError(
            f"crop is 'auto', 'middle', or left edge, top edge and side of a square in pixels, e.g. 120,40,300; not "
            f"{crop!r}"
        )
    left, top, side = (number or 0 for number in numbers)
    if left < 0 or top < 0 or side < LEAST_SIDE:
        raise OptionError(
            f"a crop begins at 0,0 or further in, with a side of {LEAST_SIDE} pixels or more; not {crop!r}"
        )
    return left, top, side


def reconstruction_distance(image: Tensor, reconstruction: Tensor) -> Tensor:
    """How far a reconstruction is from its picture: root mean square of pixels (0 to 1) at 64 px, [B] in [0, 1].

    Both are averaged down to 64 px where they are larger. What a domain calls far is `far_distance` in `domain.toml`.
    """
    difference = (_small(image) - _small(reconstruction)) / 2
    return difference.square().mean(dim=(1, 2, 3)).sqrt()


def contrast(image: Tensor) -> Tensor:
    """Distance of a picture from its own mean colour, measured as `reconstruction_distance`, [B] in [0, 1]."""
    small = _small(image) / 2
    return (small - small.mean(dim=(2, 3), keepdim=True)).square().mean(dim=(1, 2, 3)).sqrt()


def unexplained(image: Tensor, reconstruction: Tensor) -> Tensor:
    """Reconstruction distance over contrast, [B]: 0 is drawn perfectly, 1 no better than by the mean colour.

    The distance alone is no measure for a search: small flat squares are drawn closely and show nothing.
    """
    return reconstruction_distance(image, reconstruction) / contrast(image).clamp(min=1e-4)


@torch.no_grad()
def find_square(image: Tensor, encoder: Encoder, generator: Generator, *, far_distance: float) -> tuple[Square, bool]:
    """The square of a photo that a domain can draw: the middle one if it is near, else the best of a search.

    Candidates on a coarse grid of sizes and positions, then finer grids around the best, are encoded and drawn at the
    lowest resolution at which the generator shows the same picture; least `unexplained` wins. What is found counts
    only if it is near and plainly explained; else the middle square stays. Turned faces are not turned back.

    Args:
        image: the photo, [1, 3, H, W] in [-1, 1].
        far_distance: of the domain: reconstruction distance up to which a picture is near.

    Returns:
        The square, and whether it was searched for and found.
    """
    middle = middle_square(image)
    look = _Look(image, encoder, generator, far_distance)
    if look.distance(middle) <= far_distance:
        return middle, False
    shares: dict[Square, float] = {}

    def measure(squares: Iterable[Square]) -> None:
        new = [square for square in dict.fromkeys(squares) if square not in shares]
        shares.update(zip(new, look.unexplained(new), strict=True))

    height, width = image.shape[-2:]
    measure([middle, *coarse_grid(height, width)])
    step, ratio = STEP, RATIO
    for number in STARTS:
        step, ratio = step / 2, math.sqrt(ratio)
        best = sorted(shares, key=lambda square: (shares[square], square))[:number]
        measure(near for square in best for near in _neighbours(square, step, ratio, height, width))
    best_square = min(shares, key=lambda square: (shares[square], square))
    found = shares[best_square] <= EXPLAINED and look.distance(best_square) <= far_distance
    return (best_square, True) if found and best_square != middle else (middle, False)


def coarse_grid(height: int, width: int) -> list[Square]:
    """Squares of several sizes all over a photo, large ones first, `MOST_SQUARES` at most."""
    shorter = side = min(height, width)
    squares: list[Square] = []
    while not squares or side >= max(SEARCHED_SIDE, LEAST_SHARE * shorter):
        tops, lefts = _positions(height - side, STEP * side), _positions(width - side, STEP * side)
        level = [Square(left, top, side) for top in tops for left in lefts]
        if squares and len(squares) + len(level) > MOST_SQUARES:
            break
        squares += level[:: math.ceil(len(level) / MOST_SQUARES)]
        side = round(side * RATIO)
    return squares


class _Look:
    """What the networks of a domain make of squares of a photo."""

    def __init__(self, image: Tensor, encoder: Encoder, generator: Generator, far_distance: float) -> None:
        self._image, self._encoder, self._generator = image.to(generator.mean_w.device), encoder, generator
        self._side = min(generator.resolution, 256)
        self._scale = min(1.0, self._side / LEAST_SHARE / min(image.shape[-2:]))
        size = (round(image.shape[-2] * self._scale), round(image.shape[-1] * self._scale))
        self._reduced = resize(self._image, size, method="area") if self._scale < 1 else self._image
        self._far_distance = far_distance
        self._resolution = generator.resolution

    def distance(self, square: Square) -> float:
        """Reconstruction distance of one square, drawn in full; settles the resolution for the others."""
        picture = resize(square.cut(self._image), self._generator.resolution).clamp(-1, 1)
        latent = self._generator.to_space(self._encoder(picture), "w+")
        drawn = self._generator(latent).clamp(-1, 1)
        self._resolution = self._generator.resolution
        while self._resolution > COMPARED_AT:
            early = self._generator(latent, resolution=self._resolution // 2).clamp(-1, 1)
            if float(reconstruction_distance(drawn, early)) > self._far_distance / 2:
                break
            self._resolution //= 2
        return float(reconstruction_distance(picture, drawn))

    def unexplained(self, squares: Sequence[Square]) -> list[float]:
        shares: list[float] = []
        for first in range(0, len(squares), BATCH):
            pictures = torch.cat([self._cut(square) for square in squares[first : first + BATCH]])
            latents = self._generator.to_space(self._encoder(pictures), "w+")
            drawn = self._generator(latents, resolution=self._resolution).clamp(-1, 1)
            shares += unexplained(pictures, drawn).tolist()
        return shares

    def _cut(self, square: Square) -> Tensor:
        """From the reduced photo, where a pixel more or less does not matter."""
        height, width = self._reduced.shape[-2:]
        side = max(1, min(round(square.side * self._scale), height, width))
        left = min(round(square.left * self._scale), width - side)
        top = min(round(square.top * self._scale), height - side)
        return resize(Square(left, top, side).cut(self._reduced), self._side).clamp(-1, 1)


_MOVES = [
    (size, down, right)
    for size, down, right in product((-1, 0, 1), repeat=3)
    if abs(size) + abs(down) + abs(right) in (1, 3)
]
"""Smaller or larger, up or down, left or right: one of them alone, or all three."""


def _neighbours(square: Square, step: float, ratio: float, height: int, width: int) -> list[Square]:
    """14 squares around one, kept within the photo."""
    found = []
    for size, down, right in _MOVES:
        side = min(round(square.side * ratio**size), height, width)
        left = square.left + (square.side - side) / 2 + right * step * side
        top = square.top + (square.side - side) / 2 + down * step * side
        found.append(Square(round(min(max(left, 0), width - side)), round(min(max(top, 0), height - side)), side))
    return found


def _positions(room: int, step: float) -> list[int]:
    """From one edge to the other, evenly, no further apart than a step."""
    parts = math.ceil(room / step)
    return [round(room * part / parts) for part in range(parts + 1)] if parts else [0]


def _small(image: Tensor) -> Tensor:
    side = min(image.shape[-1], COMPARED_AT)
    return interpolate(image.clamp(-1, 1), size=(side, side), mode="area")


def _whole(value: object) -> int | None:
    if isinstance(value, str):
        return int(value) if value.strip().isascii() and value.strip().removeprefix("-").isdigit() else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None
