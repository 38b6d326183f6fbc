"""Write what ships with the domain `faces`: sample faces, text model, corpus."""

from __future__ import annotations

import io
import json
from pathlib import Path

import torch

from textmorph.corpora.corpus import Corpus
from textmorph.embedders.clip import ClipEmbedder
from textmorph.files import file_sha256, write_bytes
from textmorph.generators import Generator
from textmorph.hashing import fingerprint
from textmorph.images import resize, to_pil
from textmorph.latents import Latent

from .faces import CORPUS_SEED, TRUNCATION, generator
from .measure import embed_set
from .text_model import export
from .words import NEUTRAL, TEMPLATES

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


def write_domain() -> None:
    """Write domain.toml, with the hashes of the files that it names."""
    templates = ", ".join(json.dumps(template) for template in TEMPLATES[:6])
    hashed = [*sorted(TEXT.glob("*.json")), TEXT / "model.safetensors", DOMAIN / "corpus.safetensors"]
    hashes = "".join(f'"{path.relative_to(DOMAIN)}" = "{file_sha256(path)}"\n' for path in hashed)
    content = f"""# Photographs of faces that do not exist. Written by recipes/faces; for figures see MODEL_CARD.md.
name = "faces"
title = "Faces"
description = "Photographs of faces that do not exist, from a generator that is fetched once (38 MB)."
licence = "research use, unless you clear the rights: see LICENSE in the domain's folder"
generator = "registry:random-face"
embedder = "text"
corpus = "corpus.safetensors"
neutral = "{NEUTRAL}"
truncation = {PSI}
templates = [{templates}]
method = "interfacegan"

[strength]
min_effect = 0.7
strengths = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0]

[hashes]
{hashes}"""
    write_bytes(DOMAIN / "domain.toml", content.encode(), overwrite=True)
