"""The encoder: photo → w+. First it learns to read the drawn record, then also from what the generator makes of it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textmorph.inversion.e4e import E4eEncoder, EncoderConfig
from textmorph.latents import Latent

from . import attributes as A
from . import data
from .generator import CONFIG as GENERATOR
from .generator import AttributeBasis, finished, load_pair, regression_loss
from .identity import load_identity_net
from .training import Average, autocast, batches, device, learning_rate, train, views

CONFIG = EncoderConfig(
    input_size=96, num_rows=GENERATOR.num_rows, widths=(24, 64, 128, 192), blocks=(1, 2, 2, 1), w_dim=GENERATOR.w_dim,
    head_width=16, base_width=160,
)  # fmt: skip
"""All rows of a drawn portrait are the same w, which 77 numbers vary: the base head has to be wider than that."""


def record_loss(basis: AttributeBasis, w_plus: Tensor, vectors: Tensor, *, sharp: bool = True) -> Tensor:
    """How far the rows of w+ [B, L, W] are from the records they should stand for, [B, V].

    Every row is read in the terms of the record. Squared error alone settles for blends (half a beard where one cannot
    tell), which the generator draws as ghosts; `sharp` adds twice the absolute error, which goes for the likelier one.
    From the start it would never learn what is rare: of ten hair colours, none is likelier than not.
    """
    told = basis.read(w_plus)  # [B, L, V]
    beside = (w_plus - basis(told)) / 4  # axes have length 4
    error = told - vectors[:, None]
    every = error.square().sum(dim=-1) + beside.square().sum(dim=-1)
    if sharp:
        every = every + 2 * error.abs().sum(dim=-1)
    return every.mean() / len(A.ATTRIBUTES)


def train_encoder(
    minutes: float, *, batch: int = 32, sharpen_from: float = 0.5, supervised_until: float = 0.85
) -> None:
    """Train the encoder: closeness to the record, then also reconstruction and identity through the frozen generator.

    The identity loss needs the stage `identity`; the first part needs no generator, since w is a fixed rotation of the
    record. On two cores 75 minutes; on a GPU five (estimated).
    """
    portraits = data.joined("base", "varied", "looks")
    pair, identity = load_pair(), load_identity_net("identity")
    torch.manual_seed(8)
    encoder = E4eEncoder(CONFIG).to(device())
    encoder.mean_w.copy_(finished().mean_w.expand_as(encoder.mean_w))
    encoder.requires_grad_(True).train()
    encoder.to(memory_format=torch.channels_last)
    average = Average(encoder, 0.997)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-3, weight_decay=1e-4)
    order = batches(len(portraits), batch, seed=50)

    def step(number: int, progress: float) -> Mapping[str, float]:
        learning_rate(optimizer, 1.5e-3, progress, warmup=0.03)
        through = progress > supervised_until
        rows = order(number)
        rows = rows[: batch // 2] if through else rows
        target = portraits.tensor(rows, device())
        random = torch.Generator().manual_seed(number)
        seen = views(target, random) if not through and number % 2 else target
        with autocast():
            w_plus = encoder(seen.contiguous(memory_format=torch.channels_last)).value.float()
        told = portraits.vectors[rows].to(device())
        record = record_loss(pair.attributes, w_plus, told, sharp=progress > sharpen_from)
        loss = record
        metrics = {"record": float(record.detach())}
        if through:
            with autocast():
                image = pair.generator(Latent(w_plus, "w+"), noise="none").float()
                same = F.cosine_similarity(identity(image), identity(target).detach(), dim=1).mean()
            picture = regression_loss(image, target)
            loss = record + picture + 0.3 * (1 - same.float())
            metrics |= {"picture": float(picture.detach()), "identity": float(same.detach())}
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(encoder.parameters(), 2.0)
        optimizer.step()
        average.update(encoder)
        return metrics

    state = {"encoder": encoder, "average": average, "optimizer": optimizer}
    train(data.RUNS / "encoder", state, step, minutes=minutes, label="encoder")


def load_trained_encoder() -> E4eEncoder:
    """The averaged weights."""
    saved = torch.load(data.RUNS / "encoder" / "checkpoint.pt", map_location=device(), weights_only=True)["average"]
    encoder = E4eEncoder(CONFIG).to(device())
    encoder.load_state_dict({k.removeprefix("module."): v for k, v in saved.items() if k.startswith("module.")})
    return encoder
