"""A visitor's picture as the editor takes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image

from ..editing.editor import Editor
from ..editing.photos import Frame, Photo
from ..latents import Latent


def photo_of(
    editor: Editor, photo: Image.Image, about: dict[str, Any], notes: Sequence[str], latent: Latent, drawn: bool
) -> Photo:
    image = editor.open(photo, frame="middle").image
    frame = Frame.from_json(about["frame"]) if about.get("frame") is not None else None
    return Photo(image=image, latent=latent, is_latent=drawn, frame=frame, about=about, notes=tuple(notes))
