"""What a record says beside the edits: the networks, the figures, and the warnings that they give reason for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import DomainError, InputError, OptionError
from ..hashing import fingerprint
from ..latents import Latent
from ..prompts import text_embedding
from . import metrics
from .record import FORMAT, Record, pack_latent, tensor_sha256, versions
from .request import Requests, picture_corpus

if TYPE_CHECKING:
    from .domain import Domain
    from .photos import Photo
    from .settling import Settled

JUDGES = ("encoder", "witness")
"""Parts that no edit depends on: a record may be replayed with others."""


def preamble(domain: Domain, latent: Latent, source: dict[str, Any], request: dict[str, Any]) -> Record:
    """The part of a record that every picture has: versions, domain, source, request, input latent."""
    return {
        "format": FORMAT,
        "kind": "edit",
        "versions": versions(),
        "threads": torch.get_num_threads(),
        "domain": {"name": domain.name, "folder": str(domain.folder)},
        "source": source,
        "request": request,
        "input_latent": pack_latent(latent),
        "edits": [],
    }


def fingerprints(domain: Domain, requests: Requests) -> dict[str, str | None]:
    """Fingerprints of the parts of the domain that requests use; None for a bank that was not made yet."""
    parts = ["generator", "encoder", "embedder", "identity", "witness"]
    parts += [part for part in ("bank", "corpus", "templates") if requests.uses(part)]
    return {part: part_fingerprint(domain, part) for part in parts}


def check_parts(domain: Domain, record: Mapping[str, Any]) -> None:
    """Refuse a record made with other parts; those that only judged or inverted do not matter.

    Raises:
        DomainError: a part of this domain is another.
        InputError: the record names none.
    """
    made_with = record.get("fingerprints")
    if not isinstance(made_with, dict):
        raise InputError("this record is damaged: it does not name its networks")
    for part, made in made_with.items():
        have = None if part in JUDGES else part_fingerprint(domain, part)
        if part not in JUDGES and have != made:
            raise DomainError(
                f"this picture was made with the {part} {made}, and that of domain {domain.name!r} is {have}; "
                "name the domain that it was made with"
            )


@torch.no_grad()
def scores(
    domain: Domain,
    texts: Any,
    photo: Photo,
    inverted: Tensor,
    image: Tensor,
    settled: Sequence[Settled],
    edits: list[dict[str, Any]],
) -> dict[str, float | None]:
    """Figures about the result, against the inverted photo; those of each text are written beside it, too."""
    judges: dict[str, Any] = {"clip_gain": texts, "witness_gain": domain.witness}
    for one, about in zip(settled, edits, strict=True):
        text = one.request.target
        for name, judge in judges.items() if text is not None else ():
            about[name] = None
            if judge is not None and text is not None:
                target = text_embedding(judge, text, templates=domain.sentences)
                about[name] = float(metrics.clip_gain(judge, inverted, image, target))
    source = None if photo.is_latent else photo.image
    return {name: edits[0].get(name) for name in judges} | metrics.compare(source, inverted, image, domain.identity)


def doubts(domain: Domain, record: Record) -> list[str]:
    """Warnings that the figures of a record give reason for."""
    found: list[str] = []
    distance, far = record["scores"]["reconstruction_distance"], domain.far_distance
    if distance is not None and far is not None and distance > far:
        found.append(
            f"this picture is far from what the domain {domain.name!r} can draw (reconstruction distance "
            f"{distance:.3f}, far is above {far:g}); the result will look like the domain, not like the picture"
        )
    for edit in record["edits"]:
        automatic = edit["automatic"]
        if automatic and not automatic["goal_met"]:
            what = edit.get("prompt") or edit["provenance"].get("target")
            found.append(f"{what!r}: automatic strength did not reach its goal: {automatic['reason']}")
    return found


def unknown_words(domain: Domain, texts: Sequence[str | None]) -> list[str]:
    """A warning for every word that the embedder does not know, where it can tell."""
    ask: Callable[[str], list[str]] | None = getattr(domain.embedder, "unknown_words", None)
    words = [word for text in texts if text for word in (ask(text) if ask is not None else [])]
    return [f"{word!r} is not a word this small model knows" for word in dict.fromkeys(words)]


def part_fingerprint(domain: Domain, part: str) -> str | None:
    """Fingerprint of one part of a domain; None where it has none. Makes no bank."""
    if part == "templates":
        return hashlib.sha256("\n".join(domain.sentences).encode()).hexdigest()[:16]
    if part == "bank":
        bank = domain.bank if domain.has_bank else None
        tensors = () if bank is None else (bank.effects, bank.consistency, bank.channel_std)
        return tensor_sha256(*tensors)[:16] if tensors else None
    if part == "corpus":
        return str(picture_corpus(domain).fingerprint)
    if part not in ("generator", "encoder", "embedder", "identity", "witness"):
        raise OptionError(f"this record names an unknown part {part!r}")
    network = getattr(domain, part)
    return None if network is None else fingerprint(network)
