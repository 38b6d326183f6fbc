"""How large to render an image for those who will look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import Generator


def render_resolution(generator: Generator, *viewers: object, at_least: int = 4) -> int:
    """The smallest side, in pixels, that none of the viewers has to enlarge, and at most the generator's own.

    Args:
        viewers: networks with an `image_size`; one without gets the full resolution.
        at_least: another lower bound.
    """
    sizes = [int(getattr(viewer, "image_size", generator.resolution)) for viewer in viewers]
    wanted = max([at_least, *sizes])
    return min(generator.resolution, 1 << (wanted - 1).bit_length())
