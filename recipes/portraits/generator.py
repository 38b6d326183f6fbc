"""The generator: regressed from clean attribute vectors; its mapping network is wired to work from z.

Adversarial training makes about 4 pictures a second on a core and needs a million or more; regression from vectors that
determine the picture needs a hundred thousand. Where there is a GPU, `adversarial` finishes what is learned here.

w is a rotation of the clean vector, and while training every style channel is urged to listen to few attributes. The
model card says so: disentanglement is partly built in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from textmorph.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from textmorph.latents import Latent
from textmorph.layers.equalized import EqualizedLinear

from . import attributes as A
from . import data
from .mapping import wire
from .training import Average, Stateful, autocast, batches, device, learning_rate, train

CONFIG = StyleGAN2Config(
    resolution=data.SIZE, z_dim=256, w_dim=256, mapping_layers=6, channel_base=4096, channel_max=192
)  # fmt: skip


SPARSITY = 0.1
"""Share of a channel's largest weight that every weight loses per step, times the learning rate."""


class AttributeBasis(nn.Module):
    """Clean attribute vector [B, V] → w [B, W], by orthogonal axes that stand still: w varies by about 1."""

    axes: Tensor  # [W, V]

    def __init__(self, w_dim: int) -> None:
        super().__init__()
        random = torch.randn(w_dim, A.vector_size(), generator=torch.Generator().manual_seed(5))
        self.register_buffer("axes", 4 * torch.linalg.qr(random).Q)

    def forward(self, vectors: Tensor) -> Tensor:
        return vectors @ self.axes.t()

    def read(self, w: Tensor) -> Tensor:
        """What w says of every attribute, [B, V]."""
        return w @ self.axes / 16  # the axes have length 4

    def styles(self, affine: EqualizedLinear) -> Tensor:
        """How much every style channel listens to every attribute, [C, V]."""
        return affine.weight @ self.axes * affine.weight_gain

    @torch.no_grad()
    def sparsify(self, affine: EqualizedLinear, share: float) -> None:
        """Draw every weight of a style channel towards zero by a share of the channel's largest."""
        told = self.styles(affine)
        step = told.abs().amax(dim=1, keepdim=True) * share
        less = told.clamp(-step, step)
        affine.weight.sub_(less @ self.axes.t() / (16 * affine.weight_gain))


class Pair(nn.Module):
    """Mapping from vectors and generator, trained together."""

    def __init__(self, config: StyleGAN2Config = CONFIG) -> None:
        super().__init__()
        self.attributes = AttributeBasis(config.w_dim)
        self.generator = StyleGAN2(config)

    def affines(self, resolution: int) -> Iterator[EqualizedLinear]:
        """The affine layers that pictures of this size depend on."""
        for i, block in enumerate(self.generator.blocks):
            if 4 * 2**i <= resolution:
                for name in ("conv0", "conv1", "to_rgb"):
                    if hasattr(block, name):
                        yield getattr(block, name).affine

    def forward(self, vectors: Tensor, resolution: int) -> Tensor:
        image: Tensor = self.generator(Latent(self.attributes(vectors), "w"), noise="none", resolution=resolution)
        return image


def regression_loss(image: Tensor, target: Tensor) -> Tensor:
    """L1 + L2 over four scales, plus L1 of the differences between neighbours, which keeps edges crisp.

    The face, a sixth of the picture and nearly all of its meaning, weighs four times as much as the rim.
    """
    loss = image.new_zeros(())
    for scale in range(4):
        if scale:
            image, target = F.avg_pool2d(image, 2), F.avg_pool2d(target, 2)
        error = (image - target) * _focus(image.shape[-1]).to(image)
        loss = loss + error.abs().mean() + error.square().mean()
        if scale < 2:
            loss = loss + error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    return loss


@cache
def _focus(side: int) -> Tensor:
    """Weight of each pixel, [S, S]: high where eyes, nose and mouth are."""
    at = (torch.arange(side) + 0.5) / side
    return 0.7 + 2.1 * torch.exp(-((at[:, None] - 0.5) ** 2) / 0.045 - ((at[None] - 0.5) ** 2) / 0.035)


def train_generator(minutes: float, *, batch: int = 16, low_resolution_until: float = 0.75) -> None:
    """Regress the generator: first at half resolution, where a picture costs a third, then at full.

    One core draws about 75 pictures a second at half resolution, 40 at full; a GPU should need minutes (estimated).
    """
    portraits = data.joined("base", "varied", "looks")
    torch.manual_seed(0)
    pair = Pair().to(device()).requires_grad_(True)
    pair.generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    for block in pair.generator.blocks:  # stored noise plays no part in a drawn world
        for name in ("conv0", "conv1"):
            if hasattr(block, name):
                getattr(block, name).noise_strength.requires_grad_(False)
    average = Average(pair, 0.998)
    parameters = [p for n, p in pair.named_parameters() if not n.startswith("generator.mapping") and p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=1e-3, betas=(0.9, 0.99))
    order = batches(len(portraits), batch, seed=3)

    def step(number: int, progress: float) -> Mapping[str, float]:
        learning_rate(optimizer, 2.5e-3, progress)
        rows = order(number)
        target = portraits.tensor(rows, device())
        resolution = CONFIG.resolution
        if progress < low_resolution_until:
            resolution //= 2
            target = F.avg_pool2d(target, 2)
        with autocast():
            image = pair(portraits.vectors[rows].to(device()), resolution)
        image = image.float()
        loss = regression_loss(image, target)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        for affine in pair.affines(resolution):
            pair.attributes.sparsify(affine, SPARSITY * optimizer.param_groups[0]["lr"])
        average.update(pair)
        return {"loss": float(loss.detach()), "L1": float((image.detach() - target).abs().mean())}

    def preview(number: int) -> None:
        """Held-out portraits above, the generator's below."""
        held_out = data.load("test")
        with torch.no_grad():
            made = average.module(held_out.vectors[:16].to(device()), CONFIG.resolution)
        both = torch.cat([held_out.tensor(slice(0, 16)), made.cpu().float()])
        save_sheet(both, 16, data.RUNS / "generator" / "preview.png")

    state: dict[str, Stateful] = {"pair": pair, "average": average, "optimizer": optimizer}
    train(data.RUNS / "generator", state, step, minutes=minutes, label="generator", preview=preview)
    preview(0)


def load_pair(stage: str | None = None) -> Pair:
    """The averaged weights of a stage, `generator` or `adversarial`; without a name of the last that was run."""
    if stage is None:
        stage = "adversarial" if (data.RUNS / "adversarial" / "checkpoint.pt").exists() else "generator"
    pair = Pair().to(device())
    pair.load_state_dict(_averaged(stage))
    return pair.requires_grad_(False).eval()


def _averaged(stage: str) -> dict[str, Tensor]:
    saved = torch.load(data.RUNS / stage / "checkpoint.pt", map_location=device(), weights_only=True)["average"]
    return {k.removeprefix("module."): v for k, v in saved.items() if k.startswith("module.")}


def uniform_from_z(z: Tensor) -> Tensor:
    """The uniform numbers that z stands for: its first coordinates through the Gaussian distribution function."""
    z = z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
    uniform: Tensor = 0.5 * (1 + torch.erf(z[:, : len(A.ATTRIBUTES)].double() / math.sqrt(2)))
    return uniform


def mapping_loss(basis: AttributeBasis, w: Tensor, target: Tensor, *, sharp: bool = True) -> Tensor:
    """How far w [B, W] is from saying the records [B, V], and from saying nothing else.

    `sharp` adds the absolute error: at a threshold one side is right, and half of each is not.
    """
    told = basis.read(w)
    error = told - target
    loss: Tensor = error.square().sum(dim=1).mean() + 0.1 * (w - basis(told)).square().sum(dim=1).mean()
    return loss + error.abs().sum(dim=1).mean() if sharp else loss


def regressed() -> Pair:
    """What the stage `generator` made, records → w → picture, with z → w wired."""
    pair = load_pair("generator")
    wire(pair.generator.mapping, pair.attributes.axes)
    return pair


def finished() -> StyleGAN2:
    """The generator of the last stage that was run, with mapping and mean w."""
    adversarial = (data.RUNS / "adversarial" / "checkpoint.pt").exists()
    generator = (load_pair("adversarial") if adversarial else regressed()).generator
    z = np.random.default_rng(11).standard_normal((50_000, generator.config.z_dim), np.float32)
    generator.mapping.mean_w.copy_(generator.mapping(torch.from_numpy(z).to(device())).mean(dim=0))
    return generator


def save_sheet(images: Tensor, columns: int, path: object) -> None:
    """Write images [B, 3, S, S] in [-1, 1] as one picture."""
    array = ((images.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    rows = [np.concatenate(list(array[i : i + columns]), axis=1) for i in range(0, len(array), columns)]
    Image.fromarray(np.concatenate(rows)).save(str(path))
