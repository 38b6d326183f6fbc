"""A corpus in parts: each embeds some of the images, wherever that is; joined they are the corpus made in one go.

The plan of a corpus is JSON. Its parts begin and end at multiples of the batch, so that every image is embedded in the
same company, to the same bits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import BankMismatchError, OptionError
from ..hashing import fingerprint
from .corpus import Batch, Making

if TYPE_CHECKING:
    from ..embedders import Embedder
    from ..generators import Generator
    from ..inversion.encoders import Encoder

Source = Any
"""A generator, or names of image files, as `Corpus.build` takes."""


def plan_corpus(
    source: Generator | Sequence[str | os.PathLike[str]],
    embedder: Embedder,
    *,
    num: int = 10_000,
    seed: int = 0,
    truncation: float = 1.0,
    encoder: Encoder | None = None,
    batch_size: int = 32,
    thumbnail: int | None = 64,
) -> dict[str, Any]:
    """Plan a corpus; arguments as `Corpus.build`.

    Args:
        thumbnail: side of the small pictures that a folder keeps; None for a corpus in one file, which keeps none.

    Raises:
        OptionError: nothing to embed.
    """
    making = Making(source, embedder, num, seed, truncation, encoder, batch_size, thumbnail)
    return {"info": making.info, "total": making.total, "batch_size": batch_size, "thumbnail": thumbnail}


def corpus_shards(plan: Mapping[str, Any], *, size: int = 256) -> list[tuple[int, int]]:
    """Cut a plan: [(first, last), …], last exclusive, of about `size` images each."""
    step = max(1, size // plan["batch_size"]) * plan["batch_size"]
    return [(first, min(first + step, plan["total"])) for first in range(0, plan["total"], step)]


def corpus_part(
    source: Generator | Sequence[str | os.PathLike[str]],
    embedder: Embedder,
    plan: Mapping[str, Any],
    first: int,
    last: int,
    *,
    encoder: Encoder | None = None,
) -> dict[str, Tensor]:
    """Embed the images of one shard.

    Args:
        source: the generator, or the names of this shard's files alone.
        first, last: a pair of `corpus_shards`.

    Returns:
        `positions` int64 [k] and, if there are any, `embeddings` [k, D], `latents` [k, …], and `thumbnails`, uint8,
        one JPEG after the other, with the place where each ends in `ends` [k].

    Raises:
        BankMismatchError: the networks are not those of the plan.
    """
    info = plan["info"]
    generated = callable(source)
    offset = 0 if generated else first
    shard = Making(
        source, embedder, plan["total"], info.get("seed", 0), info.get("truncation", 1.0), encoder,
        plan["batch_size"], plan["thumbnail"],
    )  # fmt: skip
    networks: dict[str, object] = {"embedder": embedder}
    networks |= {"generator": source} if generated else {}
    networks |= {"encoder": encoder} if encoder is not None else {}
    for role, network in networks.items():
        if fingerprint(network) != info.get(role):
            raise BankMismatchError(f"this corpus is planned with {role} {info.get(role)}, not {fingerprint(network)}")
    batches = list(shard.batches(first - offset, last - offset))
    positions = [position + offset for batch in batches for position in batch.positions]
    part = {"positions": torch.tensor(positions, dtype=torch.int64)}
    if not batches:
        return part
    part["embeddings"] = torch.cat([batch.embeddings for batch in batches]).clone().cpu()
    latents = [batch.latents for batch in batches if batch.latents is not None]
    if latents:
        part["latents"] = torch.cat(latents).clone().cpu()
    codes = [code for batch in batches for code in batch.thumbnails]
    if codes:
        part["thumbnails"] = torch.frombuffer(bytearray(b"".join(codes)), dtype=torch.uint8)
        part["ends"] = torch.tensor([len(code) for code in codes]).cumsum(dim=0)
    return part


def join_corpus(
    source: Generator | Sequence[str | os.PathLike[str]],
    embedder: Embedder,
    plan: Mapping[str, Any],
    parts: Iterator[Mapping[str, Tensor]],
    path: str | os.PathLike[str],
    *,
    encoder: Encoder | None = None,
) -> None:
    """Write the corpus that the parts make, in order: as `Corpus.build` would, to the bit.

    Args:
        source: the generator, or the names of all files.
        path: a file ending in .safetensors, or a LanceDB folder.

    Raises:
        OptionError: none of the files could be read.
        OutputError: it cannot be written.
    """
    info = plan["info"]
    making = Making(
        source, embedder, plan["total"], info.get("seed", 0), info.get("truncation", 1.0), encoder,
        plan["batch_size"], plan["thumbnail"],
    )  # fmt: skip
    if making.info != info:
        raise OptionError("these images or networks are not those that the corpus was planned with")
    ready = (_batch(part) for part in parts if len(part["positions"]))
    if Path(path).suffix == ".safetensors":
        making.in_memory(ready).save(path)
    else:
        making.in_folder(path, ready)


def _batch(part: Mapping[str, Tensor]) -> Batch:
    codes: list[bytes] = []
    if "ends" in part:
        content = part["thumbnails"].numpy().tobytes()
        codes = [content[begin:end] for begin, end in pairwise([0, *part["ends"].tolist()])]
    return Batch(part["positions"].tolist(), part["embeddings"], part.get("latents"), codes)
