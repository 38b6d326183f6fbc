"""The corpus: a searchable table of embedded images, each with what is needed to see it again.

A corpus of generated images is its embeddings and a seed: row i is `generator.sample(1, seed=seed + i)`. In memory it
is one matrix and searched exactly. On disk it is one safetensors file (compact, embeddings in half precision), or a
LanceDB folder with embedding, latent, source, thumbnail and seed of every row, searched by an index where the matrix
would not fit into memory.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from .. import checkpoints
from ..errors import BankMismatchError, CheckpointMismatchError, ImageError, InputError, JobError, OptionError
from ..files import check_output
from ..generators.resolution import render_resolution
from ..hashing import fingerprint
from ..images import center_square, read_image, resize, to_pil
from ..latents import Latent, Space
from .table import CorpusTable

if TYPE_CHECKING:
    from ..embedders import Embedder
    from ..generators import Generator
    from ..inversion.encoders import Encoder

Progress = Callable[[int, int], None]
"""Called with what is done and the total."""

MEMORY = 4 << 30
"""Bytes of embeddings that are read into memory and searched exactly: 2 M rows of length 512."""
INDEXED = 200_000
"""A table with more rows gets an index."""


@dataclass(frozen=True, eq=False)
class Matches:
    """Rows of a corpus and their cosine to the query, best first: int64 [k] and [k]."""

    rows: Tensor
    scores: Tensor


class Corpus:
    """Embedded images, searchable.

    Args:
        embeddings: unit rows, [N, D]; None where they stay in the table.
        info: how it was made; `embedder` is the fingerprint of the embedder.
        latents: of every row, where kept in memory.
        sources: file names of the images, where they come from files and are kept in memory.
        table: holds all of it, where it is on disk.
    """

    def __init__(
        self,
        embeddings: Tensor | None,
        info: dict[str, Any],
        *,
        latents: Latent | None = None,
        sources: Sequence[str] | None = None,
        table: CorpusTable | None = None,
    ) -> None:
        if embeddings is None and table is None:
            raise OptionError("a corpus needs embeddings, in memory or in a table")
        self.info = info
        self._embeddings = embeddings
        self._latents = latents
        self._sources = None if sources is None else tuple(sources)
        self._table = table

    def __len__(self) -> int:
        return len(self._table) if self._table is not None else len(self.embeddings)

    @property
    def in_memory(self) -> bool:
        """Whether it is searched exactly."""
        return self._embeddings is not None

    @property
    def embeddings(self) -> Tensor:
        """All of them, unit rows [N, D]; those of a corpus too large for memory are read each time."""
        return self._embeddings if self._embeddings is not None else self._rows_of("embedding")

    @property
    def fingerprint(self) -> str:
        """Names this corpus by its making and its size."""
        text = json.dumps({**self.info, "rows": len(self)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def nearest(self, query: Tensor, num: int) -> Matches:
        """The rows of highest cosine to a unit query [D], best first."""
        return self.extremes(query, num, 0)[0]

    def farthest(self, query: Tensor, num: int) -> Matches:
        """The rows of lowest cosine to a unit query [D], lowest first."""
        return self.extremes(query, 0, num)[1]

    def extremes(self, query: Tensor, num_nearest: int, num_farthest: int) -> tuple[Matches, Matches]:
        """Both ends at the cost of one search: nearest and farthest rows of a unit query [D].

        Raises:
            OptionError: more rows than there are, or a query of another length.
        """
        if max(num_nearest, num_farthest) > len(self):
            raise OptionError(f"this corpus has {len(self)} rows; {max(num_nearest, num_farthest)} were asked for")
        if self._embeddings is None:
            assert self._table is not None
            near, far = self._table.search(query, num_nearest), self._table.search(-query, num_farthest)
            return Matches(*near), Matches(far[0], -far[1])
        if query.shape != self._embeddings.shape[1:]:
            raise OptionError(f"a query of shape {list(query.shape)} for embeddings {list(self._embeddings.shape)}")
        scores = self._embeddings @ query.to(self._embeddings)
        best, worst = scores.topk(num_nearest), scores.topk(num_farthest, largest=False)
        return Matches(best.indices, best.values), Matches(worst.indices, worst.values)

    def embedding(self, rows: Tensor) -> Tensor:
        """Embeddings of some rows, [k, D]."""
        return self._embeddings[rows] if self._embeddings is not None else self._rows_of("embedding", rows)

    def latents(self, rows: Tensor, generator: Generator | None = None) -> Latent:
        """Latents of some rows: those kept, or drawn again from the seed.

        Args:
            generator: the one that made the corpus; needed where no latents were kept.

        Raises:
            InputError: none were kept, and there is no generator to draw them with.
            BankMismatchError: another generator.
        """
        if self._latents is not None:
            return self._latents[rows]
        if self._has("latent"):
            flat = self._rows_of("latent", rows)
            return Latent(flat.reshape(len(rows), *self.info["latent_shape"]), cast(Space, self.info["space"]))
        if self.info.get("seed") is None or generator is None:
            raise InputError("this corpus keeps no latents; give the generator it was made with, or build it with one")
        if fingerprint(generator) != self.info["generator"]:
            raise BankMismatchError(f"this corpus was made with generator {self.info['generator']}, not with this one")
        return _draw(generator, self.info, rows.tolist())

    def pictures(self, rows: Tensor, *, generator: Generator | None = None, size: int = 64) -> Tensor:
        """Small pictures of some rows, [k, 3, size, size] in [-1, 1]: thumbnails, files read again, or rendered again.

        Raises:
            InputError: there is no way to them without the generator.
            ImageError: a file is no longer there.
        """
        if self._has("thumbnail"):
            assert self._table is not None
            codes = self._table.values("thumbnail", rows.tolist())
            images = [read_image(bytes(code), max_pixels=1 << 20) for code in codes]
        elif sources := self.sources(rows):
            images = [center_square(read_image(source)) for source in sources]
        else:
            if generator is None:
                raise InputError("this corpus keeps no pictures; give the generator it was made with")
            with torch.inference_mode():
                images = [generator(latent).clamp(-1, 1) for latent in self.latents(rows, generator)]
        return torch.cat([resize(image, size) for image in images])

    def sources(self, rows: Tensor) -> list[str]:
        """File names of some rows; empty for a corpus of generated images."""
        if self._sources is not None:
            return [self._sources[row] for row in rows.tolist()]
        if self._has("source"):
            assert self._table is not None
            return [str(name) for name in self._table.values("source", rows.tolist())]
        return []

    def check(self, embedder: Embedder) -> None:
        """Refuse a corpus that was made with another embedder.

        Raises:
            BankMismatchError: the fingerprints differ.
        """
        made, given = self.info.get("embedder"), fingerprint(embedder)
        if made != given:
            raise BankMismatchError(
                f"this corpus was made with embedder {made}, and this one is {given}; "
                "build one for it: textmorph corpus build"
            )

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the compact form, a safetensors file: embeddings in half precision, and sources.

        Latents of generated images come back from the seed; those of an encoder are written too. Thumbnails are not.
        """
        rows = torch.arange(len(self))
        tensors, config = {"embeddings": self.embeddings}, {**self.info, "sources": self.sources(rows)}
        if self.info.get("seed") is None and self.info.get("space") is not None:
            tensors["latents"] = self.latents(rows).value
        checkpoints.native.write(
            path, tensors, kind="corpus", architecture="corpus", config=config, dtype=torch.float16, overwrite=overwrite
        )

    @staticmethod
    def build(
        source: Generator | Sequence[str | os.PathLike[str]],
        embedder: Embedder,
        *,
        num: int = 10_000,
        seed: int = 0,
        truncation: float = 1.0,
        encoder: Encoder | None = None,
        path: str | os.PathLike[str] | None = None,
        batch_size: int = 32,
        thumbnail: int = 64,
        progress: Progress | None = None,
    ) -> Corpus:
        """Embed images, generated or from files.

        Args:
            source: a generator, or the names of image files; unreadable ones are left out and listed in
                `info["skipped"]`.
            num, seed, truncation: of generated images; row i is `generator.sample(1, seed=seed + i)`.
            encoder: gives the latents of image files; None keeps none.
            path: where to keep it: a file ending in .safetensors for the compact form, or else a LanceDB folder, in
                which a build that was interrupted goes on. None keeps it in memory.
            thumbnail: side of the small pictures in a folder.
            progress: called with the images done and their total.

        Raises:
            OptionError: nothing to embed.
            JobError: the folder holds a corpus of other images or networks.
            OutputError: it cannot be written; the file exists.
        """
        single = path is None or Path(path).suffix == ".safetensors"
        making = Making(source, embedder, num, seed, truncation, encoder, batch_size, None if single else thumbnail)
        if path is None or single:
            if path is not None:
                check_output(path)
            corpus = making.in_memory(progress=progress)
            if path is not None:
                corpus.save(path)
            return corpus
        making.in_folder(path, progress=progress)
        return Corpus.load(path)

    def _has(self, column: str) -> bool:
        return self._table is not None and column in self._table.columns

    def _rows_of(self, column: str, rows: Tensor | None = None) -> Tensor:
        assert self._table is not None
        return self._table.matrix(column, None if rows is None else rows.tolist())

    @staticmethod
    def load(path: str | os.PathLike[str], *, memory: int = MEMORY) -> Corpus:
        """Read a corpus of either form.

        Args:
            path: a safetensors file, or a LanceDB folder.
            memory: largest number of bytes of embeddings to read into memory.

        Raises:
            CheckpointMismatchError: it is no corpus, or one that is not finished.
            MissingExtraError: a folder, and lancedb is not installed.
        """
        if Path(path).is_dir():
            table = CorpusTable(path)
            if not table.finished:
                raise CheckpointMismatchError(f"the corpus {path} is not finished; build it again, and it goes on")
            fits = len(table) * table.dims * 4 <= memory
            return Corpus(table.matrix("embedding") if fits else None, table.info, table=table)
        checkpoint = checkpoints.read(path)
        if checkpoint.kind != "corpus" or "embeddings" not in checkpoint.tensors:
            raise CheckpointMismatchError(f"{path} holds a {checkpoint.kind}, not a corpus")
        info = dict(checkpoint.config)
        sources = info.pop("sources", None) or None
        latents = checkpoint.tensors.get("latents")
        return Corpus(
            F.normalize(checkpoint.tensors["embeddings"], dim=1),  # half precision is not quite unit
            info,
            latents=None if latents is None else Latent(latents, info["space"]),
            sources=sources,
        )


@dataclass(frozen=True)
class Batch:
    """Some images, embedded.

    Args:
        positions: of each among all images.
        embeddings: [k, D].
        latents: [k, …], or None.
        thumbnails: JPEG files; empty where none are wanted.
    """

    positions: list[int]
    embeddings: Tensor
    latents: Tensor | None
    thumbnails: list[bytes]


@dataclass(frozen=True)
class Making:
    """How a corpus is made, see `Corpus.build`."""

    source: Any
    embedder: Embedder
    num: int
    seed: int
    truncation: float
    encoder: Encoder | None
    batch_size: int
    thumbnail: int | None

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.total < 1:
            raise OptionError("a corpus needs at least one image, and batch_size is 1 or more")

    @property
    def generated(self) -> bool:
        return callable(self.source)

    @property
    def total(self) -> int:
        return self.num if self.generated else len(self.source)

    @property
    def names(self) -> list[str]:
        return [] if self.generated else [os.fspath(name) for name in self.source]

    @property
    def info(self) -> dict[str, Any]:
        """How it is made, as JSON: the same for the same corpus."""
        info: dict[str, Any] = {"embedder": fingerprint(self.embedder), "images": self.total}
        if self.generated:
            made = {"generator": fingerprint(self.source), "seed": self.seed, "truncation": float(self.truncation)}
            return {**info, **made, "space": "w"}
        info["files"] = hashlib.sha256("\0".join(self.names).encode(errors="surrogateescape")).hexdigest()[:16]
        return info if self.encoder is None else {**info, "encoder": fingerprint(self.encoder), "space": "w+"}

    def batches(self, first: int = 0, last: int | None = None) -> Iterator[Batch]:
        """Embedded images from a position on, up to another; batches keep their bits where both are multiples."""
        end = self.total if last is None else last
        for start in range(first, end, self.batch_size):
            positions = list(range(start, min(start + self.batch_size, end)))
            with torch.inference_mode():
                batch = self._generate(positions) if self.generated else self._read(positions)
            if batch is not None:
                yield batch

    def in_memory(self, ready: Iterable[Batch] | None = None, *, progress: Progress | None = None) -> Corpus:
        """The corpus, of batches that are made now or were made before."""
        batches = []
        for batch in self.batches() if ready is None else ready:
            batches.append(batch)
            if progress:
                progress(batch.positions[-1] + 1, self.total)
        if not batches:
            raise OptionError("none of these files can be read as an image")
        positions = [position for batch in batches for position in batch.positions]
        latents = [batch.latents for batch in batches if batch.latents is not None]
        info = {**self.info, "skipped": self._skipped(positions)}
        return Corpus(
            torch.cat([batch.embeddings for batch in batches]).clone(),
            info,
            latents=Latent(torch.cat(latents).clone(), cast(Space, info["space"])) if latents else None,
            sources=None if self.generated else [self.names[position] for position in positions],
        )

    def in_folder(
        self,
        folder: str | os.PathLike[str],
        ready: Iterable[Batch] | None = None,
        *,
        progress: Progress | None = None,
    ) -> None:
        """Write the corpus to a folder: go on where it was left, or take batches that were made before."""
        table = CorpusTable(folder) if CorpusTable.exists(folder) else None
        if table is not None and {k: table.info.get(k) for k in self.info} != self.info:
            raise JobError(f"{folder} holds a corpus of other images or networks; choose another folder")
        begin = 0 if table is None else table.last_position() + 1
        for batch in self.batches(begin) if ready is None else ready:
            if table is None:
                table = self._begin(folder, batch)
            table.add(self._columns(batch))
            if progress:
                progress(batch.positions[-1] + 1, self.total)
        if table is None:
            raise OptionError("none of these files can be read as an image")
        if not table.finished:
            if len(table) > INDEXED:
                table.index()
            table.finish(self._skipped(table.values("position")))

    def _begin(self, folder: str | os.PathLike[str], batch: Batch) -> CorpusTable:
        info, size = self.info, 0
        if batch.latents is not None:
            info["latent_shape"] = list(batch.latents.shape[1:])
            size = batch.latents[0].numel()
        dims = batch.embeddings.shape[1]
        return CorpusTable.create(
            folder, info, dims=dims, latent_size=size, sources=not self.generated, seeds=self.generated
        )

    def _columns(self, batch: Batch) -> dict[str, Any]:
        return {
            "position": batch.positions,
            "embedding": batch.embeddings.cpu().numpy(),
            "latent": None if batch.latents is None else batch.latents.flatten(1).cpu().numpy(),
            "source": None if self.generated else [self.names[position] for position in batch.positions],
            "seed": [self.seed + position for position in batch.positions] if self.generated else None,
            "thumbnail": batch.thumbnails,
        }

    def _generate(self, positions: list[int]) -> Batch:
        latent = _draw(self.source, self.info, positions)
        resolution = render_resolution(self.source, self.embedder)
        images = self.source(latent, resolution=resolution).clamp(-1, 1)
        return Batch(positions, self._embed([images]), latent.value, self._thumbnails(list(images[:, None])))

    def _read(self, positions: list[int]) -> Batch | None:
        images: dict[int, Tensor] = {}
        for position in positions:
            with suppress(ImageError):
                images[position] = center_square(read_image(self.source[position]))
        if not images:
            return None
        same = len({image.shape for image in images.values()}) == 1
        groups = [torch.cat(list(images.values()))] if same else list(images.values())
        latents = None if self.encoder is None else torch.cat([self.encoder(group).value for group in groups])
        return Batch(list(images), self._embed(groups), latents, self._thumbnails(list(images.values())))

    def _thumbnails(self, images: list[Tensor]) -> list[bytes]:
        return [] if self.thumbnail is None else [_jpeg(resize(image, self.thumbnail)) for image in images]

    def _embed(self, groups: list[Tensor]) -> Tensor:
        return torch.cat([self.embedder.embed_image(group) for group in groups]).float()

    def _skipped(self, positions: list[int]) -> list[str]:
        there = set(positions)
        return [name for position, name in enumerate(self.names) if position not in there]


def _draw(generator: Generator, info: dict[str, Any], rows: list[int]) -> Latent:
    """Latents of generated images, in w."""
    seed, truncation = info["seed"], info["truncation"]
    return Latent.cat([generator.sample(1, seed=seed + row, truncation=truncation) for row in rows])


def _jpeg(image: Tensor) -> bytes:
    buffer = io.BytesIO()
    to_pil(image).save(buffer, "JPEG", quality=90, subsampling=0)
    return buffer.getvalue()
