"""Write what ships with the domain `faces`: sample faces, text model, corpus."""

from __future__ import annotations

import io
from pathlib import Path

import torch

from textmorph.corpora.corpus import Corpus
from textmorph.embedders.clip import ClipEmbedder
from textmorph.files import write_bytes
from textmorph.generators import Generator
from textmorph.hashing import fingerprint
from textmorph.images import resize, to_pil
from textmorph.latents import Latent

from .faces import CORPUS_SEED, TRUNCATION, generator
from .measure import embed_set
from .text_model import export

DOMAIN = Path("src/textmorph/assets/faces")
TEXT = DOMAIN / "text"
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


def write_text_model() -> None:
    """The face–text model as a folder of `transformers`, in half precision."""
    export(TEXT)


def write_corpus() -> None:
    """The embeddings of the corpus as a table that edits search; its latents come back from the seeds.

    The pictures are those of `generate`: drawn by the head at 256 px, not exactly.
    """
    embedder = ClipEmbedder.from_pretrained(TEXT)
    embeddings = embed_set(embedder, "corpus")
    info = {
        "embedder": fingerprint(embedder),
        "images": len(embeddings),
        "generator": fingerprint(generator()),
        "seed": CORPUS_SEED,
        "truncation": TRUNCATION,
        "space": "w",
    }
    Corpus(embeddings, info).save(DOMAIN / "corpus.safetensors", overwrite=True)
