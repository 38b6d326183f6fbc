"""The encoder: photo → w+. First towards the w of the drawn record, then by what the generator makes of it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional as F

from textmorph.encoders.e4e import E4eEncoder, EncoderConfig
from textmorph.latents import Latent

from . import data
from .generator import CONFIG as GENERATOR
from .generator import finished, load_pair, regression_loss
from .identity import load_identity_net
from .training import Average, autocast, batches, device, learning_rate, train, views

CONFIG = EncoderConfig(
    input_size=96, num_rows=GENERATOR.num_rows, widths=(24, 64, 128, 192), blocks=(1, 2, 2, 1), w_dim=GENERATOR.w_dim,
    head_width=36,
)  # fmt: skip


def train_encoder(minutes: float, *, batch: int = 32, supervised_until: float = 0.85) -> None:
    """Train the encoder: closeness to w, then also reconstruction and identity through the frozen generator.

    The identity loss needs the stage `identity`; the first part needs no generator, since w is a fixed rotation of the
    record. On two cores 40 minutes; on a GPU four (estimated).
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
    spread = pair.attributes(portraits.vectors[:4000].to(device())).std(dim=0).mean()

    def step(number: int, progress: float) -> Mapping[str, float]:
        learning_rate(optimizer, 1.5e-3, progress, warmup=0.03)
        through = progress > supervised_until
        rows = order(number)
        rows = rows[: batch // 2] if through else rows
        target = portraits.tensor(rows, device())
        random = torch.Generator().manual_seed(number)
        seen = views(target, random) if not through and number % 2 else target
        w = pair.attributes(portraits.vectors[rows].to(device()))
        with autocast():
            w_plus = encoder(seen.contiguous(memory_format=torch.channels_last)).value.float()
        closeness = F.smooth_l1_loss(w_plus / spread, (w / spread)[:, None].expand_as(w_plus), beta=0.5)
        loss = closeness
        metrics = {"closeness": float(closeness.detach())}
        if through:
            with autocast():
                image = pair.generator(Latent(w_plus, "w+"), noise="none").float()
                same = F.cosine_similarity(identity(image), identity(target).detach(), dim=1).mean()
            picture = regression_loss(image, target)
            loss = closeness + picture + 0.3 * (1 - same.float())
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
