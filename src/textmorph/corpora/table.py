"""A table of embedded images in a LanceDB folder: embedding, latent, source, thumbnail and seed of every row.

Rows are only ever added, in order, and each batch is there whole or not at all; so a table that was not finished says
by its length where to go on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import CheckpointMismatchError, MissingExtraError, OptionError, OutputError
from ..fields import shown
from ..files import write_bytes

NAME = "corpus"
DONE = "finished.json"
_HEADER = b"textmorph"
_NOTE = 64 << 20  # bytes of a note that are read
_READ = 100_000  # rows at once
_REFINED = 50
"""Candidates of the index looked at exactly, per row asked for. At 1 M rows of length 192 with CLIP-like clusters this
finds all of the 100 nearest and 94 to 98 of the 100 farthest; 20 finds 98 and 83 to 93."""


class CorpusTable:
    """One LanceDB table. `info` is JSON kept in its schema.

    Raises:
        MissingExtraError: lancedb is not installed.
        CheckpointMismatchError: the folder holds no corpus.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        database = _lancedb().connect(str(folder))
        if not Path(folder).is_dir() or NAME not in _names(database):
            raise CheckpointMismatchError(f"{folder} holds no corpus; 'textmorph corpus build' makes one")
        self.folder = Path(folder)
        self._table = database.open_table(NAME)
        header = (self._table.schema.metadata or {}).get(_HEADER)
        if header is None:
            raise CheckpointMismatchError(f"{folder} holds a LanceDB table, but not one of textmorph's")
        self.info = self._note(header)
        if self.finished:
            self.info["skipped"] = self._skipped()

    def _skipped(self) -> list[str]:
        """What `finish` noted."""
        note = self.folder / DONE
        if note.stat().st_size > _NOTE:
            raise CheckpointMismatchError(f"{note} is too large to be one of textmorph's; build the corpus again")
        skipped = self._note(note.read_bytes()).get("skipped", [])
        if not isinstance(skipped, list) or not all(isinstance(name, str) for name in skipped):
            raise CheckpointMismatchError(f"{note} does not list the images left out; build the corpus again")
        return skipped

    def _note(self, text: bytes) -> dict[str, Any]:
        """An object of JSON that this class wrote."""
        try:
            note = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CheckpointMismatchError(f"a note of the corpus {self.folder} is damaged: {error}") from error
        if not isinstance(note, dict):
            raise CheckpointMismatchError(f"a note of the corpus {self.folder} is damaged: it is {shown(note)}")
        return note

    @staticmethod
    def exists(folder: str | os.PathLike[str]) -> bool:
        """Whether a corpus was begun in this folder."""
        return Path(folder).is_dir() and NAME in _names(_lancedb().connect(str(folder)))

    @staticmethod
    def create(
        folder: str | os.PathLike[str],
        info: Mapping[str, Any],
        *,
        dims: int,
        latent_size: int = 0,
        sources: bool = False,
        seeds: bool = False,
        thumbnails: bool = True,
    ) -> CorpusTable:
        """Begin an empty table.

        Args:
            dims: length of an embedding.
            latent_size: numbers in a latent, 0 for none.
            sources, seeds, thumbnails: which further columns there are.

        Raises:
            OutputError: it cannot be written.
        """
        lancedb, pyarrow = _lancedb(), _pyarrow()
        fields = [pyarrow.field("row", pyarrow.int64()), pyarrow.field("position", pyarrow.int64())]
        fields.append(pyarrow.field("embedding", pyarrow.list_(pyarrow.float32(), dims)))
        if latent_size:
            fields.append(pyarrow.field("latent", pyarrow.list_(pyarrow.float32(), latent_size)))
        fields += [pyarrow.field("source", pyarrow.string())] if sources else []
        fields += [pyarrow.field("seed", pyarrow.int64())] if seeds else []
        fields += [pyarrow.field("thumbnail", pyarrow.binary())] if thumbnails else []
        schema = pyarrow.schema(fields, metadata={_HEADER: json.dumps(dict(info)).encode()})
        try:
            lancedb.connect(str(folder)).create_table(NAME, schema=schema)
        except (OSError, RuntimeError, ValueError) as error:
            raise OutputError(f"cannot write a corpus to {folder}: {error}") from error
        return CorpusTable(folder)

    def __len__(self) -> int:
        return int(self._table.count_rows())

    @property
    def columns(self) -> list[str]:
        return list(self._table.schema.names)

    @property
    def dims(self) -> int:
        """Length of an embedding."""
        return int(self._table.schema.field("embedding").type.list_size)

    def add(self, columns: Mapping[str, np.ndarray | Sequence[Any]]) -> None:
        """Append rows; `row` is filled in. Arrays [k, size] for embedding and latent.

        Raises:
            OutputError: it cannot be written.
        """
        pyarrow = _pyarrow()
        schema = self._table.schema
        num = len(columns["position"])
        ready = []
        for name in schema.names:
            values = np.arange(len(self), len(self) + num) if name == "row" else columns[name]
            kind = schema.field(name).type
            if pyarrow.types.is_fixed_size_list(kind):
                flat = np.ascontiguousarray(values, dtype=np.float32).ravel()
                ready.append(pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(flat), kind.list_size))
            else:
                ready.append(pyarrow.array(list(values), type=kind))
        try:
            self._table.add(pyarrow.Table.from_arrays(ready, schema=schema))
        except (OSError, RuntimeError) as error:
            raise OutputError(f"cannot add to the corpus {self.folder}: {error}") from error

    def last_position(self) -> int:
        """Largest position added, −1 for none."""
        return int(self.values("position", [len(self) - 1])[0]) if len(self) else -1

    def matrix(self, name: str, rows: Sequence[int] | None = None) -> Tensor:
        """A column of vectors, of some rows or of all, float32 [k, size]."""
        size = int(self._table.schema.field(name).type.list_size)
        chosen = range(len(self)) if rows is None else rows
        result = np.empty((len(chosen), size), dtype=np.float32)
        for first in range(0, len(chosen), _READ):
            part = self._take(name, chosen[first : first + _READ])
            flat = part.combine_chunks().flatten().to_numpy(zero_copy_only=False)
            result[first : first + _READ] = flat.reshape(-1, size)
        return torch.from_numpy(result)

    def values(self, name: str, rows: Sequence[int] | None = None) -> list[Any]:
        """A column of anything else, of some rows or of all."""
        return list(self._take(name, range(len(self)) if rows is None else rows).to_pylist())

    def _take(self, name: str, rows: Sequence[int]) -> Any:
        """A column at some rows, in their order (LanceDB gives them in its own)."""
        if not len(rows):
            return self._table.search().select([name]).limit(1).to_arrow()[name][:0]
        taken = self._table.take_offsets(sorted(set(rows))).select(["row", name]).to_arrow()
        place = {row: i for i, row in enumerate(taken["row"].to_pylist())}
        if place.keys() != set(rows):
            raise CheckpointMismatchError(f"the corpus {self.folder} was changed by someone else; build it again")
        return taken[name].take([place[row] for row in rows])

    def search(self, vector: Tensor, num: int) -> tuple[Tensor, Tensor]:
        """Rows of highest cosine to a unit vector [D] and these cosines, best first; by the index, if there is one."""
        if num == 0:
            return torch.zeros(0, dtype=torch.int64), torch.zeros(0)
        if vector.shape != (self.dims,):
            raise OptionError(f"a query of shape {list(vector.shape)} for embeddings of length {self.dims}")
        query = self._table.search(vector.detach().cpu().float().numpy()).distance_type("cosine")
        found = query.nprobes(64).refine_factor(_REFINED).select(["row", "_distance"]).limit(num).to_arrow()
        rows = torch.tensor(found["row"].to_pylist(), dtype=torch.int64)
        return rows, 1 - torch.tensor(found["_distance"].to_pylist())

    @property
    def finished(self) -> bool:
        """Whether all images are in."""
        return (self.folder / DONE).is_file()

    def finish(self, skipped: Sequence[str]) -> None:
        """Note that all images are in, and which could not be read."""
        write_bytes(self.folder / DONE, json.dumps({"skipped": list(skipped)}).encode(), overwrite=True)

    def index(self) -> None:
        """Make the index that finds near rows without looking at all."""
        from lancedb.index import IvfPq

        self._table.create_index("embedding", config=IvfPq(distance_type="cosine"))


def _names(database: Any) -> list[str]:
    names: list[str] = database.list_tables().tables
    return names


def _lancedb() -> Any:
    try:
        import lancedb
    except ImportError as error:
        raise MissingExtraError("a corpus in a folder needs LanceDB: pip install 'textmorph[corpus]'") from error
    return lancedb


def _pyarrow() -> Any:
    import pyarrow

    return pyarrow
