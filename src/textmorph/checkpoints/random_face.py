"""The generator of faces out of its wheel: converted, with the mean of w and the heads that ship with textmorph."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from safetensors.torch import load

from ..registry import PARTS, read_member
from . import native, openvino
from .containers import open_file

EXTRAS = "assets/faces/generator-parts.safetensors"
"""Made by recipes/faces/heads.py, of these weights alone."""


def make(archive: Path, folder: Path) -> None:
    """Write `generator.safetensors` and the wheel's `LICENSE` into a folder.

    Raises:
        CheckpointError: as `openvino.read`.
        DownloadError: the wheel has no licence.
    """
    part = PARTS["random-face"]
    found = openvino.read(open_file(archive), None)
    extras = load(resources.files("textmorph").joinpath(EXTRAS).read_bytes())
    blocks = sorted(int(name.split(".")[1]).bit_length() - 3 for name in extras if name.endswith(".bias"))
    native.write(
        folder / part.main,
        {**found.tensors, **extras},
        kind=found.kind,
        architecture=found.architecture,
        config={**found.config, "heads": blocks},
        provenance={"source": f"{part.package.name} {part.package.version}", "licence": part.licence},
    )
    licence = f"{part.package.name.replace('-', '_')}-{part.package.version}.dist-info/LICENSE"
    (folder / "LICENSE").write_bytes(read_member(archive, licence, limit=1 << 20))
