"""A toy domain: a folder with real files of every kind, small enough to edit with in milliseconds."""

from __future__ import annotations

from pathlib import Path

from textmorph.checkpoints import native
from textmorph.embedders.identity import IdentityConfig, IdentityEmbedder
from textmorph.inversion.e4e import E4eEncoder, EncoderConfig

from .embedders.tiny_clip import WORDS, write_tiny_clip
from .toys import seed_weights, toy_generator

FIVE_LINES = """\
generator = "generator.safetensors"
encoder = "encoder.safetensors"
embedder = "clip"
identity = "identity.safetensors"
neutral = "a person"
"""


def write_toy_domain(folder: Path, *, bank: bool = True, corpus: bool = True, entries: str = "") -> Path:
    """Write the folder and return it: 16 px generator, e4e, CLIP and identity net, all with seeded random weights."""
    from dataclasses import asdict

    from textmorph.banks.bank import build_bank
    from textmorph.corpora.corpus import Corpus
    from textmorph.editing.domain import load_domain

    folder.mkdir(parents=True, exist_ok=True)
    generator = toy_generator()
    encoder = E4eEncoder(EncoderConfig(input_size=16, num_rows=6, widths=(4, 4, 4), blocks=(1, 1, 1), w_dim=8))
    identity = IdentityEmbedder(
        IdentityConfig(input_size=16, widths=(4, 4, 4), blocks=(1, 1, 1), embedding_dim=8, crop="none")
    )
    parts = {("generator", "stylegan2"): generator, ("encoder", "e4e"): encoder, ("identity", "ir_se"): identity}
    for (kind, architecture), network in parts.items():
        if network is not generator:
            seed_weights(network, 0)
        config = asdict(network.config)
        native.write(
            folder / f"{kind}.safetensors", network.state_dict(), kind=kind, architecture=architecture, config=config
        )
    write_tiny_clip(folder / "clip", image_size=16, words=(*WORDS, "red", "face", "hat", "smile"))
    (folder / "domain.toml").write_text(FIVE_LINES + 'templates = ["{}", "a photo of {}"]\n' + entries)
    domain = load_domain(folder)
    if bank:
        build_bank(domain.generator, domain.embedder, num_samples=8, num_statistics=100).save(
            folder / "bank.safetensors"
        )
    if corpus:
        Corpus.build(domain.generator, domain.embedder, num=40, path=folder / "corpus.safetensors")
    return folder
