"""Write what was trained as a domain folder, and the judges beside the recipe; build bank and corpus with it."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

from textmorph import load_domain
from textmorph.checkpoints import native
from textmorph.editing.domain import TABLES
from textmorph.editing.tasks import make_bank, make_corpus
from textmorph.jobs.engine import ProcessEngine
from textmorph.layers.ir_se import ResidualBlock

from . import adversarial, captions, clip, data, encoder, generator, identity, judge
from . import attributes as A
from .render import render
from .training import countdown

DOMAIN = Path("src/textmorph/assets/portraits")
JUDGES = Path("recipes/portraits/judges")
TUNED = Path("recipes/portraits/tuned.json")
DESCRIPTION = (
    "Drawn portraits with known attributes, for tests and known truth. Its mapping network is wired by hand; what "
    "works here predicts nothing about photographs."
)
BANK_SAMPLES = 100
BANK_TOLERANCE = 0.3
CORPUS_SIZE = 5000
SAMPLES = 6
TRUNCATION, TO_RGB = 1.0, True
"""Attributes are discrete here: truncation would blend them (half a hair colour), and hair colour lives in to_rgb."""

ORIGIN = {
    "source": "trained from scratch on drawn portraits, recipes/portraits",
    "licence": "Apache-2.0",
}


def write_bundle() -> None:
    """Write the networks of the domain, samples and domain.toml."""
    write_generator_and_clip()
    trained = encoder.load_trained_encoder()
    bring_within_half(trained)
    _network(DOMAIN / "encoder.safetensors", trained, "encoder", encoder.CONFIG.variant)
    _network(DOMAIN / "identity.safetensors", identity.load_identity_net("identity"), "identity", "ir_se")
    if _trained("witness"):
        clip.export("witness", DOMAIN / "witness")
    write_samples()
    write_toml()
    size = sum(f.stat().st_size for f in DOMAIN.rglob("*") if f.is_file())
    print(f"{DOMAIN}: {size / 1e6:.1f} MB")


def write_judges() -> None:
    """Write the judges that this run folder has trained; one that it has not stays as it is."""
    JUDGES.mkdir(parents=True, exist_ok=True)
    if _trained("identity_judge"):
        _network(JUDGES / "identity.safetensors", identity.load_identity_net("identity_judge"), "identity", "ir_se")
    if _trained("judge"):
        _network(JUDGES / "attributes.safetensors", judge.load_judge(), "judge", "attributes")


def write_generator_and_clip() -> None:
    """What bank and corpus are built with."""
    DOMAIN.mkdir(parents=True, exist_ok=True)
    training = {"training": adversarial.trained() or "regression"}  # the model card reads it
    _network(DOMAIN / "generator.safetensors", generator.finished(), "generator", "stylegan2", **training)
    clip.export("clip", DOMAIN / "clip")


def write_bank_and_corpus() -> None:
    """Build channel bank and corpus with the networks of the folder, a process per thread; stopped, it goes on."""
    write_generator_and_clip()
    write_toml()
    domain, parts = load_domain(DOMAIN), data.RUNS / "bank"
    parts.mkdir(parents=True, exist_ok=True)
    engine = ProcessEngine(workers=torch.get_num_threads())
    bank = make_bank(
        domain, parts / "bank.safetensors", num_samples=BANK_SAMPLES, truncation=TRUNCATION, to_rgb=TO_RGB, seed=21,
        autocast=torch.bfloat16, tolerance=BANK_TOLERANCE, engine=engine, overwrite=True, progress=countdown("bank"),
    )  # fmt: skip
    bank.save(DOMAIN / "bank.safetensors", overwrite=True, dtype=torch.float16)
    corpus = parts / "corpus.safetensors"
    make_corpus(
        domain, corpus, num=CORPUS_SIZE, truncation=TRUNCATION, seed=22, engine=engine, overwrite=True,
        progress=countdown("corpus"),
    )  # fmt: skip
    shutil.copyfile(corpus, DOMAIN / "corpus.safetensors")
    write_toml()


@torch.no_grad()
def bring_within_half(network: nn.Module) -> None:
    """Bring every channel that a residual block normalises to variance 1, so that half precision holds it.

    Long training lets the convolution before a normalisation grow, and variances with its square; the network computes
    the same as before.
    """
    for block in network.modules():
        if isinstance(block, ResidualBlock):
            convolution, norm = block.residual[3], block.residual[4]
            assert isinstance(convolution, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            assert norm.running_var is not None
            assert norm.running_mean is not None
            spread = norm.running_var.sqrt()
            convolution.weight /= spread[:, None, None, None]
            norm.running_mean /= spread
            norm.running_var.fill_(1)


def _trained(stage: str) -> bool:
    return (data.RUNS / stage / "checkpoint.pt").exists()


def write_samples() -> None:
    """The first held-out portraits as picture files, for `textmorph demo` and the studio."""
    folder = DOMAIN / "samples"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    cols, _ = data.records("test", SAMPLES)
    for i in range(SAMPLES):
        Image.fromarray(render(A.portrait(cols, i), 256)).save(folder / f"portrait-{i + 1}.png", optimize=True)


def write_toml(**found: Any) -> None:
    """Write domain.toml with the hashes of the files; `found` are values that were measured, kept in TUNED."""
    tuned = json.loads(TUNED.read_text()) if TUNED.exists() else {}
    tuned.update(found)
    TUNED.write_text(json.dumps(tuned, indent=2, sort_keys=True) + "\n")
    templates = ",\n".join(f"    {json.dumps(t)}" for t in captions.TEMPLATES)
    witness = 'witness = "witness"\n' if (DOMAIN / "witness").exists() else ""
    tables = "".join(f"[{name}]\n{_lines(tuned.pop(name))}\n" for name in TABLES if name in tuned)
    numbers = _lines(tuned)
    hashed = sorted(f for f in DOMAIN.glob("*.safetensors"))
    hashes = "".join(f'"{f.name}" = "{hashlib.sha256(f.read_bytes()).hexdigest()}"\n' for f in hashed)
    (DOMAIN / "domain.toml").write_text(
        f"""# The embedded domain: drawn portraits. Written by recipes/portraits; MODEL_CARD.md says how it was made.
name = "portraits"
title = "Portraits: a small drawn world"
description = "{DESCRIPTION}"
licence = "Apache-2.0"
generator = "generator.safetensors"
encoder = "encoder.safetensors"
embedder = "clip"
identity = "identity.safetensors"
{witness}bank = "bank.safetensors"
corpus = "corpus.safetensors"
neutral = "{captions.NEUTRAL}"
truncation = {json.dumps(TRUNCATION)}
{numbers}templates = [
{templates},
]

{tables}[hashes]
{hashes}"""
    )


def _lines(values: dict[str, Any]) -> str:
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in sorted(values.items()))


def _network(path: Path, network: Any, kind: str, architecture: str, **provenance: str) -> None:
    config = vars(network.config) if hasattr(network, "config") else {}
    native.write(
        path, network.state_dict(), kind=kind, architecture=architecture, config=config, provenance=ORIGIN | provenance,
        dtype=torch.float16, overwrite=True,
    )  # fmt: skip
