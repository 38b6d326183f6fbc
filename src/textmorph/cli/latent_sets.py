"""The latents that `train` and `evaluate` work on: of a file, of a folder of photos, or drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import LatentError, OptionError
from . import console

if TYPE_CHECKING:
    from ..editing.domain import Domain as Networks
    from ..latents import Latent

BATCH = 16
"""Pictures drawn and encoded at once."""

Latents = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Latents of 'textmorph invert', or a .pt of the paper's code, [N, L, W]."),
]
Photos = Annotated[str | None, typer.Option(metavar="FOLDER", help="Photos, which the encoder inverts.")]
Draw = Annotated[int, typer.Option("--num-latents", "-n", min=2, help="How many are drawn where neither is given.")]
Encode = Annotated[
    bool | None,
    typer.Option(
        "--encode/--no-encode",
        help="Invert those drawn by the encoder, as the photos of an edit.  [default: where there is one]",
        show_default=False,
    ),
]


def gather_latents(
    found: Networks,
    file: str | None,
    photos: str | None,
    num: int,
    truncation: float,
    seed: int,
    encode: bool | None,
    *,
    keep: Path | None = None,
) -> Latent:
    """The latents of a file, of a folder of photos, or drawn; those drawn and encoded are kept for another time."""
    import torch

    from ..latents import Latent

    if file is not None and photos is not None:
        raise OptionError("give --latents or --photos, not both")
    if file is not None:
        return read_latents(Path(file).expanduser())
    if (photos is not None or encode) and found.encoder is None:
        raise OptionError(f"domain {found.name!r} has no encoder to invert with; give --latents or --no-encode")
    if photos is None:
        drawn = found.generator.sample(num, seed=seed, truncation=truncation)
        if encode is False or found.encoder is None:
            return drawn
        if keep is not None and keep.is_file():
            return Latent.load(keep)
        images = (found.generator(drawn[i : i + BATCH]) for i in range(0, num, BATCH))
        total = num
    else:
        from ..editing.photos import open_photo

        files = console.pictures_in(Path(photos).expanduser())
        images = (open_photo(found, path).image for path in files)
        total = len(files)
    parts: list[Latent] = []
    with console.progress_bar("encoding") as show, torch.no_grad():
        for image in images:
            parts.append(found.generator.to_space(found.encoder(image.clamp(-1, 1)), "w+"))  # type: ignore[misc]
            show(sum(map(len, parts)), total)
    joined = Latent.cat(parts)
    if keep is not None and photos is None:
        console.make_folder(keep.parent)
        joined.save(keep, overwrite=True)
    return joined


def read_latents(path: Path) -> Latent:
    """Latents from our file, or a tensor [N, L, W] from one of the paper's code.

    Raises:
        LatentError: it is neither.
    """
    from pickle import UnpicklingError

    import torch

    from ..latents import Latent

    if path.suffix != ".pt":
        return Latent.load(path)
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, UnpicklingError) as error:
        raise LatentError(f"{path} cannot be read as a tensor file: {error}") from error
    if not isinstance(value, torch.Tensor):
        raise LatentError(f"{path} holds {type(value).__name__}, not one tensor [N, L, W]")
    return Latent(value.float(), "w+")
