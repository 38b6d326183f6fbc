"""Write what ships with the domain `faces`: directions, sample faces, text model, corpus."""

from __future__ import annotations

import io
from pathlib import Path

import torch

from textmorph.files import write_bytes
from textmorph.generators import Generator
from textmorph.images import resize, to_pil
from textmorph.latents import Latent

from .faces import generator

DOMAIN = Path("src/textmorph/assets/faces")
SAMPLES = 6
PSI = 0.7
THUMBNAIL = 128


def write_samples() -> None:
    """The faces of the first seeds, as latents in w, each beside a small picture."""
    folder = DOMAIN / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    network = generator()
    for seed in range(SAMPLES):
        latent = network.sample(1, seed=seed, truncation=PSI)
        latent.save(folder / f"face-{seed + 1}.safetensors", overwrite=True)
        write_bytes(folder / f"face-{seed + 1}.jpg", _thumbnail(network, latent), overwrite=True)


@torch.inference_mode()
def _thumbnail(network: Generator, latent: Latent) -> bytes:
    buffer = io.BytesIO()
    to_pil(resize(network(latent).clamp(-1, 1), THUMBNAIL)).save(buffer, "JPEG", quality=88, optimize=True)
    return buffer.getvalue()
