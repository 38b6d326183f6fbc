"""The search for the square of a photo that a domain can draw.

No landmarks are needed: the domain's own networks search. The domain's kind of picture is in the square of which its
networks leave the least unexplained.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..errors import ImageError
from ..images import resize

if TYPE_CHECKING:
    from ..generators import Generator
    from ..inversion.encoders import Encoder

COMPARED_AT = 64
"""Side at which a picture is compared with its reconstruction: fine grain says little about the domain."""
EXPLAINED = 0.75
"""Largest share of its contrast that stays unexplained of a square that counts as drawn."""
SEARCHED_SIDE = 32
"""Smallest side in pixels of a square that is searched for."""
LEAST_SHARE = 0.3
"""Its smallest share of the photo's shorter side."""
RATIO = 0.84
"""Of one size of the coarse grid to the next larger one."""
STEP = 0.125
"""Between neighbours of the coarse grid, as a share of their side."""
MOST_SQUARES = 2000
"""Of the coarse grid; a panorama is searched for larger squares only."""
STARTS = (8, 4, 2)
"""How many of the best squares each finer grid is laid around."""
FINALISTS = 6
"""Squares that the encoder and the generator judge."""
LAST_STEPS = (0.03, 0.015)
"""By which they move the best of them, as shares of its side."""
EIGEN_SIDE = 16
"""Side in pixels of eigenpictures."""
NUM_PICTURES = 192
"""That they are made of."""
NUM_DIRECTIONS = 32
"""That they keep."""
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
                "frame takes its left edge, top edge and side, in pixels of the picture turned upright"
            )
        return image[..., self.top : self.top + self.side, self.left : self.left + self.side]

    def __str__(self) -> str:
        return f"{self.left},{self.top},{self.side}"


def middle_square(image: Tensor) -> Square:
    """The largest square in the middle; of two middles the upper or left one."""
    height, width = image.shape[-2:]
    side = min(height, width)
    return Square((width - side) // 2, (height - side) // 2, side)


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


class FrameSearch:
    """Find the square of a photo that a domain can draw: the middle one if it is near, else the best of a search.

    Squares on a coarse grid of sizes and positions, then on finer grids around the best, are measured against the
    eigenpictures of the generator. The finalists, and then small moves of the best, are encoded and drawn, at the
    lowest resolution at which the generator shows the same picture. Least `unexplained` wins at every stage. A square
    counts as drawn only if it is near and `EXPLAINED`: a wall is near, too. If none is, the middle square stays. Turned
    faces are not turned back.

    Args:
        far_distance: of the domain: reconstruction distance up to which a picture is near.

    Source: for eigenpictures, Turk and Pentland 1991, "Eigenfaces for Recognition" (distance from face space).
    """

    def __init__(self, encoder: Encoder, generator: Generator, *, far_distance: float) -> None:
        self.encoder, self.generator, self.far_distance = encoder, generator, far_distance
        self._eigenpictures: Eigenpictures | None = None

    @torch.no_grad()
    def find(self, image: Tensor) -> tuple[Square, bool]:
        """The square of a photo, [1, 3, H, W] in [-1, 1], and whether it was searched for and found."""
        middle = middle_square(image)
        look = _Look(image, self)
        if look.can_draw(middle):
            return middle, False
        height, width = image.shape[-2:]
        rough = _Ranking(look.roughly_unexplained)
        rough.add([middle, *coarse_grid(height, width)])
        step, ratio = STEP, RATIO
        for number in STARTS:
            step, ratio = step / 2, math.sqrt(ratio)
            rough.add(near for square in rough.best(number) for near in _neighbours(square, step, ratio, height, width))
        exact = _Ranking(look.unexplained)
        exact.add(rough.best(FINALISTS, apart=step))
        for step in LAST_STEPS:
            exact.add(_neighbours(exact.best(1)[0], step, 1 - 2 * step, height, width))
        square = exact.best(1)[0]
        return (square, True) if square != middle and look.can_draw(square) else (middle, False)

    def eigenpictures(self, resolution: int) -> Eigenpictures:
        """Those of the generator; the first call draws them, and takes as long as that."""
        if self._eigenpictures is None:
            generator = self.generator
            latents = generator.to_space(generator.sample(NUM_PICTURES, seed=0), "w+")
            side = min(EIGEN_SIDE, generator.resolution)
            drawn = [
                resize(generator(latents[slice(first, first + BATCH)], resolution=resolution), side, method="area")
                for first in range(0, NUM_PICTURES, BATCH)
            ]
            self._eigenpictures = Eigenpictures(torch.cat(drawn).clamp(-1, 1))
        return self._eigenpictures


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


class Eigenpictures:
    """The mean of a generator's pictures and their main directions, by which other pictures are drawn; 16 px.

    Args:
        pictures: [N, 3, S, S].
    """

    def __init__(self, pictures: Tensor) -> None:
        self.side = pictures.shape[-1]
        rows = pictures.flatten(1)  # [N, D]
        self._mean = rows.mean(dim=0)
        _, sizes, directions = torch.linalg.svd(rows - self._mean, full_matrices=False)
        self._directions = directions[:NUM_DIRECTIONS][sizes[:NUM_DIRECTIONS] > 1e-3 * sizes[0]]  # [K, D]

    def __call__(self, image: Tensor) -> Tensor:
        """The nearest picture that mean and directions can make, [B, 3, S, S]."""
        rows = image.flatten(1) - self._mean
        made: Tensor = rows @ self._directions.T @ self._directions + self._mean
        return made.view_as(image)


class _Look:
    """What the networks of a domain make of squares of a photo."""

    def __init__(self, image: Tensor, search: FrameSearch) -> None:
        self._search, self._encoder, generator = search, search.encoder, search.generator
        self._image, self._generator = image.to(generator.mean_w.device), generator
        self._side = min(generator.resolution, 256)
        self._scale = min(1.0, self._side / LEAST_SHARE / min(image.shape[-2:]))
        size = (round(image.shape[-2] * self._scale), round(image.shape[-1] * self._scale))
        self._reduced = resize(self._image, size, method="area") if self._scale < 1 else self._image
        self._far_distance = search.far_distance
        self._resolution = generator.resolution

    def can_draw(self, square: Square) -> bool:
        """Whether one square, drawn in full, is near and explained; settles the resolution for the others."""
        picture = resize(square.cut(self._image), self._generator.resolution).clamp(-1, 1)
        latent = self._generator.to_space(self._encoder(picture), "w+")
        drawn = self._generator(latent).clamp(-1, 1)
        self._resolution = self._generator.resolution
        while self._resolution > COMPARED_AT:
            early = self._generator(latent, resolution=self._resolution // 2).clamp(-1, 1)
            if float(reconstruction_distance(drawn, early)) > self._far_distance / 2:
                break
            self._resolution //= 2
        near = float(reconstruction_distance(picture, drawn)) <= self._far_distance
        return near and float(unexplained(picture, drawn)) <= EXPLAINED

    def unexplained(self, squares: Sequence[Square]) -> list[float]:
        """Of each square, by encoder and generator."""
        shares: list[float] = []
        for first in range(0, len(squares), BATCH):
            pictures = torch.cat([self._cut(square, self._side) for square in squares[first : first + BATCH]])
            latents = self._generator.to_space(self._encoder(pictures), "w+")
            drawn = self._generator(latents, resolution=self._resolution).clamp(-1, 1)
            shares += unexplained(pictures, drawn).tolist()
        return shares

    def roughly_unexplained(self, squares: Sequence[Square]) -> list[float]:
        """Of each square, by the eigenpictures."""
        eigen = self._search.eigenpictures(self._resolution)
        pictures = torch.cat([self._cut(square, eigen.side, method="area") for square in squares])
        return unexplained(pictures, eigen(pictures)).tolist()

    def _cut(self, square: Square, size: int, *, method: Literal["bicubic", "area"] = "bicubic") -> Tensor:
        """From the reduced photo, where a pixel more or less does not matter."""
        height, width = self._reduced.shape[-2:]
        side = max(1, min(round(square.side * self._scale), height, width))
        left = min(round(square.left * self._scale), width - side)
        top = min(round(square.top * self._scale), height - side)
        return resize(Square(left, top, side).cut(self._reduced), size, method=method).clamp(-1, 1)


class _Ranking:
    """Squares by what a measure leaves unexplained of them; each is measured once."""

    def __init__(self, measure: Callable[[Sequence[Square]], list[float]]) -> None:
        self._measure = measure
        self.shares: dict[Square, float] = {}

    def add(self, squares: Iterable[Square]) -> None:
        new = [square for square in dict.fromkeys(squares) if square not in self.shares]
        if new:
            self.shares.update(zip(new, self._measure(new), strict=True))

    def best(self, number: int, *, apart: float = 0.0) -> list[Square]:
        """The best, least first; those nearer than a share of their side to a better one left out."""
        chosen: list[Square] = []
        for square in sorted(self.shares, key=lambda square: (self.shares[square], square)):
            if all(_distance(square, other) >= apart * other.side for other in chosen):
                chosen.append(square)
            if len(chosen) == number:
                break
        return chosen


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


def _distance(one: Square, other: Square) -> float:
    """Largest of the differences of their edges and sides, in pixels."""
    return max(abs(one.left - other.left), abs(one.top - other.top), abs(one.side - other.side))


def _positions(room: int, step: float) -> list[int]:
    """From one edge to the other, evenly, no further apart than a step."""
    parts = math.ceil(room / step)
    return [round(room * part / parts) for part in range(parts + 1)] if parts else [0]


def _small(image: Tensor) -> Tensor:
    side = min(image.shape[-1], COMPARED_AT)
    return interpolate(image.clamp(-1, 1), size=(side, side), mode="area")
