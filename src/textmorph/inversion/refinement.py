"""Refine an inversion by a few optimisation steps: the latent an encoder found, moved until its image fits better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn.functional import interpolate, mse_loss

from ..errors import ImageError, OptionError
from ..latents import Latent
from ..optimization import optimize

if TYPE_CHECKING:
    from ..embedders import Embedder
    from ..generators import Generator


@dataclass(frozen=True, kw_only=True)
class Refinement:
    """Move a latent in w+ until its image fits a picture, without straying far from where it started.

    The loss of one picture is pixels · MSE + coarse · MSE of the images at a quarter of the side + features ·
    (1 − cosine of an embedder) + drift · mean square of the way from the start; images in [-1, 1].

    Args:
        steps: optimisation steps; 0 leaves the latent as it is.
        learning_rate: of Adam, after a linear warm-up and before a cosine decay.
        pixels, coarse, features, drift: weights of the loss.
    """

    steps: int = 50
    learning_rate: float = 0.05
    pixels: float = 1.0
    coarse: float = 1.0
    features: float = 0.1
    drift: float = 0.01

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise OptionError(f"refinement takes 0 steps or more, not {self.steps}")
        if self.learning_rate <= 0:
            raise OptionError(f"the learning rate is above 0, not {self.learning_rate}")

    def invert(
        self,
        generator: Generator,
        image: Tensor,
        *,
        start: Latent | None = None,
        embedder: Embedder | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Latent:
        """Latent in w+ whose image is close to a picture. Rows of a batch do not influence one another.

        Args:
            image: [B, 3, R, R] in [-1, 1], R the resolution of the generator.
            start: latent in w or w+ of an encoder; the mean of w if left out.
            embedder: an image embedder for the feature term; without one there is no such term.
            progress: called with (steps done, steps in all).

        Raises:
            ImageError: the image has another size than the generator's.
        """
        side = generator.resolution
        if image.shape[1:] != (3, side, side):
            raise ImageError(f"this generator draws [B, 3, {side}, {side}], not {list(image.shape)}")
        if start is None:
            start = Latent(generator.mean_w.expand(len(image), -1).to(image), "w")
        origin = generator.to_space(start, "w+").value.detach().clone()  # [B, L, W]
        if self.steps == 0:
            return Latent(origin, "w+")
        rows = origin.clone().requires_grad_(True)
        wanted = embedder.embed_image(image).detach() if embedder is not None and self.features else None

        def loss(step: int) -> Tensor:
            drawn = generator(Latent(rows, "w+"))
            total = self.pixels * mse_loss(drawn, image, reduction="none").mean(dim=(1, 2, 3))
            total = total + self.coarse * (_coarse(drawn) - _coarse(image)).square().mean(dim=(1, 2, 3))
            if embedder is not None and wanted is not None:
                total = total + self.features * (1 - (embedder.embed_image(drawn) * wanted).sum(dim=1))
            total = total + self.drift * (rows - origin).square().mean(dim=(1, 2))
            return total.sum()  # a sum, so that each row has the gradient it would have alone

        def report(step: int, *_: object) -> None:
            if progress is not None:
                progress(step + 1, self.steps)

        optimize([rows], loss, steps=self.steps, learning_rate=self.learning_rate, callback=report)
        return Latent(rows.detach(), "w+")


def _coarse(image: Tensor) -> Tensor:
    side = max(4, image.shape[-1] // 4)
    return interpolate(image, size=(side, side), mode="area")
