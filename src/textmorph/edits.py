"""Edits: what every method returns. A `Direction` is a vector, a `Residual` a network; `apply_edits` combines them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from torch import Tensor, nn

from . import checkpoints, mappers
from .errors import CheckpointMismatchError, EditError, InputError, LatentError, OptionError, SpaceError
from .fields import check_fields
from .latents import Latent, Space

if TYPE_CHECKING:
    from .checkpoints import Checkpoint
    from .generators import Generator

PUBLISHED_ROWS = 18
"""Rows of w+ of a StyleGAN2 of 1024 px. A smaller generator's are the first of them, so that directions fit it."""

Strength = float | Tensor
"""A number, or one per row of the batch, [B]."""


@runtime_checkable
class Edit(Protocol):
    """A change of a latent that can be scaled and saved."""

    @property
    def space(self) -> Space:
        """The space it works in; a latent in any other raises SpaceError."""
        ...

    @property
    def provenance(self) -> dict[str, Any]:
        """Where it comes from, as JSON."""
        ...

    def __call__(self, latent: Latent, strength: Strength = 1.0) -> Latent:
        """The edited latent; the input stays as it is. Strength 0 changes nothing."""
        ...

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write it as safetensors, with its provenance."""
        ...


@dataclass(frozen=True, eq=False)
class Direction:
    """A vector to add: edited = latent + strength · vector.

    Args:
        vector: [C] in `s`, [L, W] in `w+` ([1, W]: the same for every row; [18, W]: a generator with fewer rows uses
            the first of them); with a batch dimension in front, one vector per picture.
        space: `s` or `w+`.
        provenance: where it comes from, as JSON.

    Raises:
        SpaceError: another space.
        LatentError: wrong number of dimensions, or values that are not finite.
    """

    vector: Tensor
    space: Space
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.space not in ("s", "w+"):
            raise SpaceError(f"a direction lies in s or w+, not in {self.space!r}")
        dims = self._dims
        if self.vector.ndim not in (dims, dims + 1) or not self.vector.is_floating_point():
            kind, shape = self.vector.dtype, list(self.vector.shape)
            raise LatentError(f"a direction in {self.space} has {dims} or {dims + 1} dimensions, not {kind} {shape}")
        if not self.vector.isfinite().all():
            raise LatentError("a direction has finite values; this one does not")

    def __call__(self, latent: Latent, strength: Strength = 1.0) -> Latent:
        """Add the vector, scaled by the strength.

        Raises:
            SpaceError: the latent lies in another space.
            LatentError: the latent does not fit the vector.
        """
        _check_space(self, latent)
        return Latent(latent.value + _column(strength, latent) * self._fitted(latent), latent.space)

    def _fitted(self, latent: Latent) -> Tensor:
        """The vector with a batch dimension, on the latent's device and in its precision."""
        vector = self.vector if self.vector.ndim > self._dims else self.vector[None]
        want = latent.value.shape
        if self.space == "w+" and vector.shape[1] == PUBLISHED_ROWS > want[1] > 1:
            vector = vector[:, : want[1]]
        got = vector.shape
        rows_fit = self.space == "s" or got[1] in (1, want[1])
        if got[0] not in (1, want[0]) or got[-1] != want[-1] or not rows_fit:
            raise LatentError(f"a direction of shape {list(self.vector.shape)} does not fit a latent of {list(want)}")
        return vector.to(latent.value)

    def __getitem__(self, row: int) -> Direction:
        """The vector of one picture, of a direction with one per picture."""
        if self.vector.ndim == self._dims:
            raise LatentError("this direction is the same for every picture; there are no rows to choose from")
        return Direction(self.vector[row], self.space, self.provenance)

    def __mul__(self, factor: float) -> Direction:
        return Direction(self.vector * factor, self.space, {"factor": float(factor), "of": self.provenance})

    __rmul__ = __mul__

    def __neg__(self) -> Direction:
        return self * -1.0

    def __add__(self, other: Direction) -> Direction:
        if other.space != self.space:
            raise SpaceError(f"cannot add a direction in {other.space} to one in {self.space}; use apply_edits")
        return Direction(self.vector + other.vector, self.space, {"sum": [self.provenance, other.provenance]})

    def __sub__(self, other: Direction) -> Direction:
        return self + -other

    def to(self, *args: Any, **kwargs: Any) -> Direction:
        """Move or cast, with the arguments of `Tensor.to`."""
        return Direction(self.vector.to(*args, **kwargs), self.space, self.provenance)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write it as safetensors, with its provenance."""
        checkpoints.native.write(
            path,
            {"vector": self.vector.detach().cpu().contiguous()},
            kind="direction",
            architecture="direction",
            config={"space": self.space},
            provenance=_plain(self.provenance),
            overwrite=overwrite,
        )

    @property
    def _dims(self) -> int:
        return 1 if self.space == "s" else 2


@dataclass(frozen=True, eq=False)
class Residual:
    """A mapper network to add: edited = latent + strength · factor · mapper(latent).

    Args:
        mapper: latent values in, a change of the same shape out.
        factor: 0.1 in the paper's code, in training as well as in use.
        space: what the mapper reads, `w+` or `s`.
        provenance: where it comes from, as JSON.

    Source: Patashnik et al. 2021, arXiv:2103.17249, Sec. 5 (whose text leaves out the factor).
    """

    mapper: nn.Module
    factor: float = 0.1
    space: Space = "w+"
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.space not in ("s", "w+"):
            raise SpaceError(f"a residual lies in s or w+, not in {self.space!r}")
        check_fields(Residual, {"factor": self.factor})

    def __call__(self, latent: Latent, strength: Strength = 1.0) -> Latent:
        """Add the mapper's change, scaled by factor and strength.

        Raises:
            SpaceError: the latent lies in another space.
        """
        _check_space(self, latent)
        return Latent(latent.value + _column(strength, latent) * self.factor * self.mapper(latent.value), latent.space)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the network as safetensors, with its provenance."""
        mappers.save_mapper(
            self.mapper,
            path,
            config={"factor": self.factor, "space": self.space},
            provenance=_plain(self.provenance),
            overwrite=overwrite,
        )


def apply_edits(generator: Generator, latent: Latent, edits: Sequence[tuple[Edit, Strength]]) -> Latent:
    """Apply several edits in the one order of the house, whatever the order they are given in.

    Residuals in w+ come first, then directions in w+, then the lift to s, then residuals and directions in s. Styles
    are affine in w+, so a direction in w+ applies to a style code exactly. If no edit is in s, a latent in w+ stays
    there. Among those of one kind the given order holds.

    Args:
        generator: lifts the latent.
        latent: in any space; in `s` only if no residual is in `w+`.
        edits: pairs of edit and strength.

    Raises:
        SpaceError: a residual in w+ for a latent in s.
    """
    if not edits:
        return latent
    ordered = sorted(edits, key=lambda pair: (pair[0].space == "s", isinstance(pair[0], Direction)))
    for edit, strength in ordered:
        if edit.space == "s":
            latent = edit(generator.to_space(latent, "s"), strength)
        elif latent.space == "s":
            latent = _style_direction(generator, edit)(latent, strength)
        else:
            latent = edit(generator.to_space(latent, "w+"), strength)
    return latent


def load_edit(path: str | os.PathLike[str]) -> Edit:
    """Read an edit written by `save`, or a published mapper of StyleCLIP (.pt).

    Raises:
        EditError: the file is something else.
        CheckpointError: it cannot be read, or is damaged.
    """
    checkpoint = checkpoints.read(path)
    if checkpoint.kind == "direction":
        return _read_direction(checkpoint, path)
    if checkpoint.kind == "mapper":
        config = dict(checkpoint.config)
        factor, space = config.pop("factor", 0.1), config.pop("space", "w+")
        mapper = mappers.build_mapper(checkpoint.architecture, config, checkpoint.tensors, source=path)
        try:
            return Residual(mapper, factor, space, dict(checkpoint.provenance))
        except InputError as error:
            raise CheckpointMismatchError(f"{path} is no mapper: {error}") from error
    raise EditError(f"{path} holds a {checkpoint.kind}, not an edit; an edit is a direction or a mapper")


def _read_direction(checkpoint: Checkpoint, path: str | os.PathLike[str]) -> Direction:
    try:
        return Direction(checkpoint.tensors["vector"], checkpoint.config["space"], dict(checkpoint.provenance))
    except (KeyError, LatentError) as error:
        raise CheckpointMismatchError(f"{path} is no direction: {error}") from error


def _style_direction(generator: Generator, edit: Edit) -> Direction:
    """A direction in w+ as one in s: with s = A·w + b, the change A·v is what v adds to any style code."""
    if not isinstance(edit, Direction):
        raise SpaceError("a residual in w+ needs a latent in w+, and this one is in s already")
    rows = 1 + max(generator.style_layout.rows)
    batch = len(edit.vector) if edit.vector.ndim == 3 else 1
    zero = Latent(generator.mean_w.new_zeros(batch, rows, len(generator.mean_w)), "w+")
    moved = generator.to_space(edit(zero), "s")
    still = generator.to_space(zero, "s")
    return Direction(moved.value - still.value, "s", edit.provenance)


def _check_space(edit: Edit, latent: Latent) -> None:
    if latent.space != edit.space:
        raise SpaceError(f"this edit works in {edit.space}, and the latent is in {latent.space}; lift it by to_space")


def _column(strength: Strength, latent: Latent) -> Tensor | float:
    """A strength per row, shaped to multiply the latent's value."""
    if not isinstance(strength, Tensor):
        return float(strength)
    if strength.ndim == 0:
        return strength.to(latent.value)
    if strength.shape != (len(latent),):
        raise OptionError(f"{list(strength.shape)} strengths for {len(latent)} latents; give one number, or one each")
    return strength.to(latent.value).view(-1, *[1] * (latent.value.ndim - 1))


def _plain(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The provenance as JSON gives it back; raises where it is none."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(provenance, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise EditError(f"the provenance of an edit is JSON: {error}") from error
    return plain
