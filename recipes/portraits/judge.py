"""The judge: an attribute classifier that only ever measures. No edit and no automatic choice may see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textmorph.layers.ir_se import IRSE

from . import attributes as A
from . import data
from .clip import attribute_loss
from .training import Average, Stateful, autocast, batches, device, learning_rate, train, views

SIZE = 128
"""Side of the pictures that the judge reads: as they are drawn, for wrinkles and mouths are a few pixels."""


class AttributeJudge(nn.Module):
    """Image [B, 3, H, W] in [-1, 1] → attribute logits [B, V], laid out as `attributes.vectors`.

    Four neighbouring pixels are read as channels of one: nothing is lost, and the widest layer has a quarter to do.
    """

    def __init__(self, widths: tuple[int, ...] = (48, 96, 192, 256), blocks: tuple[int, ...] = (1, 1, 2, 1)) -> None:
        super().__init__()
        self.trunk = IRSE(widths, blocks, channels=12)
        side = SIZE // 2 ** (len(widths) + 1)
        self.head = nn.Sequential(
            nn.BatchNorm2d(widths[-1]), nn.Conv2d(widths[-1], 64, 1), nn.LeakyReLU(0.2), nn.Flatten(), nn.Dropout(0.1),
            nn.Linear(64 * side**2, A.vector_size()),
        )  # fmt: skip
        self.requires_grad_(False).eval()

    def forward(self, image: Tensor) -> Tensor:
        if image.shape[-1] != SIZE:
            image = F.interpolate(image, size=SIZE, mode="bicubic", antialias=True)
        out: Tensor = self.head(self.trunk(F.pixel_unshuffle(image, 2))[-1])
        return out


@dataclass(frozen=True)
class Verdict:
    """What the judge sees: an index per category [B] and a value per scalar [B]."""

    categories: dict[str, Tensor]
    scalars: dict[str, Tensor]
    probabilities: dict[str, Tensor]


def read(logits: Tensor) -> Verdict:
    """Split the judge's output into attributes."""
    at = len(A.SCALARS)
    scalars = {}
    for i, (name, (low, high)) in enumerate(A.SCALARS.items()):
        scalars[name] = ((logits[:, i] + 1) / 2 * (high - low) + low).clamp(low, high)
    categories, probabilities = {}, {}
    for name, words in A.CATEGORIES.items():
        probabilities[name] = logits[:, at : at + len(words)].softmax(dim=1)
        categories[name] = probabilities[name].argmax(dim=1)
        at += len(words)
    return Verdict(categories, scalars, probabilities)


def train_judge(minutes: float, *, batch: int = 48) -> None:
    """Train the attribute judge. On two cores 36 minutes; on a GPU five (estimated)."""
    portraits = data.joined("base", "varied")
    torch.manual_seed(7)
    judge = AttributeJudge().to(device()).requires_grad_(True).train()
    judge.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    average = Average(judge, 0.995)
    optimizer = torch.optim.AdamW(judge.parameters(), lr=1e-3, weight_decay=1e-3)
    order = batches(len(portraits), batch, seed=40)

    def step(number: int, progress: float) -> Mapping[str, float]:
        learning_rate(optimizer, 2e-3, progress, warmup=0.03)
        rows = order(number)
        random = torch.Generator().manual_seed(number * 2 + 1)
        images = views(portraits.tensor(rows, device()), random).contiguous(memory_format=torch.channels_last)
        with autocast():
            logits = judge(images)
        loss = attribute_loss(logits.float(), portraits.vectors[rows].to(device()))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(judge.parameters(), 2.0)
        optimizer.step()
        average.update(judge)
        return {"loss": float(loss.detach())}

    state: dict[str, Stateful] = {"judge": judge, "average": average, "optimizer": optimizer}
    train(data.RUNS / "judge", state, step, minutes=minutes, label="judge")


def load_judge() -> AttributeJudge:
    """The averaged weights of a training run."""
    saved = torch.load(data.RUNS / "judge" / "checkpoint.pt", map_location=device(), weights_only=True)["average"]
    judge = AttributeJudge().to(device())
    judge.load_state_dict({k.removeprefix("module."): v for k, v in saved.items() if k.startswith("module.")})
    return judge
