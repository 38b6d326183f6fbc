"""What an editor gives back: a picture that can say how it was made."""

from __future__ import annotations

import os
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from .images import contact_sheet
from .latents import Latent
from .record import Record, write_picture


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """One edited picture.

    Args:
        image: the edited picture, [1, 3, R, R] in [-1, 1].
        latent: the edited latent.
        source: the photo as it went in, cropped and resized, [1, 3, R, R].
        inverted: the photo as the generator draws it: what the edit started from, [1, 3, R, R].
        record: how it was made, see docs/cli.md; JSON.
    """

    image: Tensor
    latent: Latent
    source: Tensor
    inverted: Tensor
    record: Record

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the edited picture and its record: inside a PNG, in a sidecar beside every other format.

        Raises:
            OutputExistsError, OutputError: as `write_image`.
        """
        write_picture(self.image, path, self.record, overwrite=overwrite)

    def before_after(self) -> Image.Image:
        """Photo, inversion and edit side by side; without the first where there was no photo."""
        pictures = {"photo": self.source, "as the generator draws it": self.inverted, "edited": self.image}
        if self.record["source"].get("of") == "latent":
            pictures = {"before": self.inverted, "after": self.image}
        return contact_sheet(list(pictures.values()), columns=len(pictures), labels=list(pictures), size=256)

    @property
    def warnings(self) -> list[str]:
        """What the user should know about this result."""
        return list(self.record["warnings"])
