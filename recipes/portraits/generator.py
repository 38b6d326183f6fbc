"""The generator: regressed from clean attribute vectors; its mapping network is wired to work from z.

Adversarial training makes about 4 pictures a second on a core and needs a million or more; regression from vectors that
determine the picture needs a hundred thousand. Where there is a GPU, `adversarial` finishes what is learned here.

w is a rotation of the clean vector, and while training every style channel is urged to listen to few attributes. The
model card says so: disentanglement is partly built in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, partial

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from textmorph.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from textmorph.latents import Latent
from textmorph.layers.equalized import EqualizedLinear

from . import attributes as A
from . import data
from .details import THRESHOLD, details, unpack
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
    def change_styles(self, affine: EqualizedLinear, change: Tensor) -> None:
        """Add [C, V] to what `styles` gives; what no attribute moves stays."""
        affine.weight.add_(change @ self.axes.t() / (16 * affine.weight_gain))

    @torch.no_grad()
    def sparsify(self, affine: EqualizedLinear, share: float) -> None:
        """Draw every weight of a style channel towards zero by a share of the channel's largest."""
        told = self.styles(affine)
        step = told.abs().amax(dim=1, keepdim=True) * share
        self.change_styles(affine, -told.clamp(-step, step))


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


class StyleSteps:
    """The style weights as `details` optimizes them: one number per channel and attribute.

    In the rotated coordinates of w every weight carries all attributes, and Adam's step goes where the large ones pull;
    here an attribute that changes few pixels takes steps as long as one that changes many.

    Args:
        affines: the layers; their own weights get no optimizer.
    """

    def __init__(self, basis: AttributeBasis, affines: Iterable[EqualizedLinear]) -> None:
        self.basis = basis
        self.affines = list(affines)
        self.parameters = [nn.Parameter(basis.styles(affine).detach().clone()) for affine in self.affines]

    @torch.no_grad()
    def take(self) -> None:
        """Move the gradients of the layers to `parameters`, and their values too."""
        for affine, told in zip(self.affines, self.parameters, strict=True):
            told.copy_(self.basis.styles(affine))
            gradient = affine.weight.grad
            told.grad = None if gradient is None else gradient @ self.basis.axes / (16 * affine.weight_gain)
            affine.weight.grad = None

    @torch.no_grad()
    def give(self) -> None:
        """Write `parameters` into the layers."""
        for affine, told in zip(self.affines, self.parameters, strict=True):
            self.basis.change_styles(affine, told - self.basis.styles(affine))


def regression_loss(image: Tensor, target: Tensor, weight: Tensor | None = None, *, crispness: float = 1.0) -> Tensor:
    """L1 + L2 over four scales, plus L1 of the differences between neighbours, which keeps edges crisp.

    The face, a sixth of the picture and nearly all of its meaning, weighs four times as much as the rim.

    Args:
        weight: of every pixel beside that, [B, 1, S, S].
        crispness: weight of the differences between neighbours.
    """
    loss = image.new_zeros(())
    for scale in range(4):
        if scale:
            image, target = F.avg_pool2d(image, 2), F.avg_pool2d(target, 2)
            weight = None if weight is None else F.avg_pool2d(weight, 2)
        error = (image - target) * _focus(image.shape[-1]).to(image)
        error = error if weight is None else error * weight
        loss = loss + error.abs().mean() + error.square().mean()
        if scale < 2:
            loss = loss + crispness * (error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean())
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
    _without_noise(pair)
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

    state: dict[str, Stateful] = {"pair": pair, "average": average, "optimizer": optimizer}
    preview = partial(_preview, average.module, "generator")
    train(data.RUNS / "generator", state, step, minutes=minutes, label="generator", preview=preview)
    preview(0)


def train_details(
    minutes: float, *, batch: int = 12, pairs: int = 2, emphasis: float = 7.0, faint_emphasis: float = 25.0
) -> None:
    """Teach the regressed generator what changes few pixels: wrinkles, earrings, make-up, the colour of eyes.

    Where they may lie (`details.py`) an error weighs `emphasis` times more; style weights step by attribute. Wrinkles
    are the faintest: each step also sees pairs of portraits that differ in age alone, and weighs by `faint_emphasis`
    where they do. A core draws about 40 pictures a second.
    """
    base, varied = data.load("base"), data.load("varied")
    assert varied.changed is not None
    aged = np.flatnonzero(varied.changed == "age")
    portraits, where = data.joined("base", "varied"), np.concatenate([details("base"), details("varied")])
    torch.manual_seed(1)
    pair = load_pair("generator").requires_grad_(True)
    pair.generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    average = Average(pair, 0.998)
    steps = StyleSteps(pair.attributes, pair.affines(CONFIG.resolution))
    _without_noise(pair)
    styles = {id(affine.weight) for affine in steps.affines}
    others = [
        p for n, p in pair.named_parameters()
        if not n.startswith("generator.mapping") and p.requires_grad and id(p) not in styles
    ]  # fmt: skip
    optimizer = torch.optim.Adam([{"params": others}, {"params": steps.parameters}], lr=1e-3, betas=(0.9, 0.99))
    order, of_pairs = batches(len(portraits), batch, seed=7), batches(len(aged), pairs, seed=8)

    def step(number: int, progress: float) -> Mapping[str, float]:
        learning_rate(optimizer, 1.2e-3, progress)
        pair_rows = aged[of_pairs(number)]
        rows = np.concatenate([order(number), pair_rows, len(base) + pair_rows])
        target = portraits.tensor(rows, device())
        mask = unpack(where[rows], CONFIG.resolution).to(device())
        weight = 1 + emphasis * mask
        weight[batch:] += faint_emphasis * differing(target[batch : batch + pairs], target[batch + pairs :]).repeat(
            2, 1, 1, 1
        )
        with autocast():
            image = pair(portraits.vectors[rows].to(device()), CONFIG.resolution)
        image = image.float()
        loss = regression_loss(image, target, weight, crispness=2)
        pair.zero_grad()
        torch.autograd.backward(loss)
        steps.take()
        nn.utils.clip_grad_norm_([*others, *steps.parameters], 5.0)
        optimizer.step()
        steps.give()
        for affine in steps.affines:
            pair.attributes.sparsify(affine, SPARSITY * optimizer.param_groups[0]["lr"])
        average.update(pair)
        error = (image.detach() - target).abs()
        return {
            "loss": float(loss.detach()),
            "L1": float(error.mean()),
            "L1 of details": float((error * mask).sum() / (3 * mask.sum())),
        }

    state: dict[str, Stateful] = {"pair": pair, "average": average, "optimizer": optimizer}
    preview = partial(_preview, average.module, "details")
    train(data.RUNS / "details", state, step, minutes=minutes, label="details", preview=preview)
    preview(0)


def differing(first: Tensor, second: Tensor) -> Tensor:
    """Where two batches of pictures differ by more than `details.THRESHOLD` grey levels in a channel, [B, 1, S, S]."""
    return ((first - second).abs().amax(dim=1, keepdim=True) > THRESHOLD / 127.5).float()


def _without_noise(pair: Pair) -> None:
    """Let the strengths of stored noise stand still: it plays no part in a drawn world."""
    for block in pair.generator.blocks:
        for name in ("conv0", "conv1"):
            if hasattr(block, name):
                getattr(block, name).noise_strength.requires_grad_(False)


@torch.no_grad()
def _preview(pair: Pair, stage: str, number: int) -> None:
    """Held-out portraits above, the generator's below."""
    held_out = data.load("test")
    made = pair(held_out.vectors[:16].to(device()), CONFIG.resolution)
    both = torch.cat([held_out.tensor(slice(0, 16)), made.cpu().float()])
    save_sheet(both, 16, data.RUNS / stage / "preview.png")


def load_pair(stage: str | None = None) -> Pair:
    """The averaged weights of `generator`, `details` or `adversarial`; without a name of the last that was run."""
    if stage is None:
        stage = next(s for s in ("adversarial", "details", "generator") if _was_run(s) or s == "generator")
    pair = Pair().to(device())
    pair.load_state_dict(_averaged(stage))
    return pair.requires_grad_(False).eval()


def _was_run(stage: str) -> bool:
    return (data.RUNS / stage / "checkpoint.pt").exists()


def _averaged(stage: str) -> dict[str, Tensor]:
    saved = torch.load(data.RUNS / stage / "checkpoint.pt", map_location=device(), weights_only=True)["average"]
    return {k.removeprefix("module."): v for k, v in saved.items() if k.startswith("module.")}


def uniform_from_z(z: Tensor) -> Tensor:
    """The uniform numbers that z stands for: its first coordinates through the Gaussian distribution function."""
    z = z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
    uniform: Tensor = 0.5 * (1 + torch.erf(z[:, : len(A.ATTRIBUTES)].double() / math.sqrt(2)))
    return uniform


def z_from_uniform(uniform: NDArray[np.float64], z_dim: int) -> Tensor:
    """The other way round: a z [B, z_dim] that stands for uniform numbers [B, attributes].

    The coordinates that say nothing are alike, and bring z to the length that the mapping network brings it to.
    """
    told = math.sqrt(2) * torch.erfinv(torch.from_numpy(uniform * 2 - 1))
    left = (z_dim - told.square().sum(dim=1, keepdim=True)).clamp_min(0) / (z_dim - told.shape[1])
    return torch.cat([told, left.sqrt().expand(-1, z_dim - told.shape[1])], dim=1).float()


def mapping_loss(basis: AttributeBasis, w: Tensor, target: Tensor, *, sharp: bool = True) -> Tensor:
    """How far w [B, W] is from saying the records [B, V], and from saying nothing else.

    `sharp` adds the absolute error: at a threshold one side is right, and half of each is not.
    """
    told = basis.read(w)
    error = told - target
    loss: Tensor = error.square().sum(dim=1).mean() + 0.1 * (w - basis(told)).square().sum(dim=1).mean()
    return loss + error.abs().sum(dim=1).mean() if sharp else loss


def regressed() -> Pair:
    """What the stages `generator` and `details` made, records → w → picture, with z → w wired."""
    pair = load_pair("details" if _was_run("details") else "generator")
    wire(pair.generator.mapping, pair.attributes.axes)
    return pair


def finished() -> StyleGAN2:
    """The generator of the last stage that was run, with mapping and mean w."""
    generator = (load_pair("adversarial") if _was_run("adversarial") else regressed()).generator
    z = np.random.default_rng(11).standard_normal((50_000, generator.config.z_dim), np.float32)
    generator.mapping.mean_w.copy_(generator.mapping(torch.from_numpy(z).to(device())).mean(dim=0))
    return generator


def save_sheet(images: Tensor, columns: int, path: object) -> None:
    """Write images [B, 3, S, S] in [-1, 1] as one picture."""
    array = ((images.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    rows = [np.concatenate(list(array[i : i + columns]), axis=1) for i in range(0, len(array), columns)]
    Image.fromarray(np.concatenate(rows)).save(str(path))
