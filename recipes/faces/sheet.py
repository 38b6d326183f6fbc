"""A sheet of the shipped directions on the first seeds, to look at: `docs/images/faces-directions.jpg`."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from PIL import Image, ImageDraw

from textmorph.edits import apply_edits, load_edit
from textmorph.files import write_bytes
from textmorph.images import resize, to_pil
from textmorph.latents import Latent

from .bundle import PSI
from .directions import DIRECTIONS, FOLDER
from .faces import SIZE, generator

TARGET = Path("docs/images/faces-directions.jpg")
SIDE, LEFT = 128, 80
FACES = 4
STRENGTHS = {"smile": 2.5, "glasses": 4, "old": 3, "child": 2.5, "beard": 3, "blond": 2}


def write_sheet() -> None:
    """A row for each direction: every face before and after, at one strength for all faces."""
    rows = [generator().sample(1, seed=seed, truncation=PSI) for seed in range(FACES)]
    before = [_picture(row) for row in rows]
    sheet = Image.new("RGB", (LEFT + 2 * FACES * SIDE, len(DIRECTIONS) * SIDE), "white")
    draw = ImageDraw.Draw(sheet)
    for top, name in enumerate(DIRECTIONS):
        edit, strength = load_edit(FOLDER / f"{name}.safetensors"), STRENGTHS[name]
        draw.text((6, top * SIDE + SIDE // 2), f"{name}\n{strength:g}", fill="black")
        for column, row in enumerate(rows):
            after = _picture(apply_edits(generator(), row, [(edit, strength)]))
            for half, picture in enumerate((before[column], after)):
                sheet.paste(picture, (LEFT + (2 * column + half) * SIDE, top * SIDE))
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=82, optimize=True)
    write_bytes(TARGET, buffer.getvalue(), overwrite=True)


@torch.inference_mode()
def _picture(latent: Latent) -> Image.Image:
    return to_pil(resize(generator()(latent, resolution=SIZE).clamp(-1, 1), SIDE))
