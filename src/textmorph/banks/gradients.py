"""Banks by gradients: what every style channel does to first order, without moving each by itself.

One pass backwards through embedder and generator gives the slope of all channels along one direction of the embedding.
`gradient_bank` takes the main directions of the embeddings, and serves all texts; `text_bank` takes one text alone.

Shapes: N samples, P channels, D embedding dimensions, M directions.
Source: the bank is that of Patashnik et al. 2021, arXiv:2103.17249, Sec. 6; gradients in place of differences are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import OptionError
from ..latents import Latent
from ..memory import halving
from .bank import ChannelBank
from .differences import PRECISIONS, Progress, plan_bank, probe_points, unit_rows

if TYPE_CHECKING:
    from ..embedders import Embedder
    from ..generators import Generator

_GRADIENT_SHARE = 4
"""An image with all that its gradient needs takes at most the memory of so many without."""
_ROUNDING = torch.finfo(torch.float32).eps
"""A slope of a unit embedding below it is rounding: the channel does nothing that can be seen."""


def gradient_bank(
    generator: Generator,
    embedder: Embedder,
    *,
    num_samples: int = 32,
    num_directions: int = 48,
    samples: Latent | None = None,
    seed: int = 0,
    truncation: float = 0.7,
    max_resolution: int | None = 128,
    to_rgb: bool = False,
    resolution: int | None = None,
    batch_size: int | None = None,
    autocast: torch.dtype | None = None,
    progress: Progress | None = None,
) -> ChannelBank:
    """Measure what every style channel does, for all texts: N · (1 + M) passes.

    The effect of channel c at a sample is the change of the unit embedding per deviation of c, V Vᵀ ∂e/∂s_c · σ_c, with
    V the M main directions of the embeddings; its unit vectors are averaged over the samples, as differences are.

    Args:
        generator, embedder: the networks; the bank is good for these alone.
        num_samples: N.
        num_directions: M, at most D and 2N − 1; what lies outside of them is not seen.
        samples: latents to measure at; None draws random ones.
        seed, truncation: of random samples.
        max_resolution, to_rgb: which layers are measured, see `StyleLayout.mask`.
        resolution, batch_size: as in `build_bank`.
        autocast: run the networks in this lower precision.
        progress: called with the passes done and their total.

    Raises:
        OptionError: a value out of range.
        LatentError: fewer than two samples.
    """
    if num_directions < 1:
        raise OptionError(f"num_directions is 1 or more, not {num_directions}")
    work = _Slopes(
        generator, embedder, samples=samples, num_samples=num_samples, seed=seed, truncation=truncation,
        max_resolution=max_resolution, to_rgb=to_rgb, resolution=resolution, batch_size=batch_size, autocast=autocast,
    )  # fmt: skip
    num = len(work.styles)
    work.watch(progress, num * (1 + num_directions) + (2 * num if samples is None else num))
    basis = main_directions(work.embeddings(2 * num), num_directions)  # [M, D]
    work.total = work.done + num * (1 + len(basis))  # an embedding space may have fewer directions
    slopes = work(basis)  # [N, M, P]
    lengths = (slopes.square().sum(dim=1, keepdim=True) + _ROUNDING**2).sqrt()  # [N, 1, P]
    mean = (slopes / lengths).mean(dim=0)  # [M, P]
    return work.bank(unit_rows(mean.t() @ basis), mean.norm(dim=0), "gradients", num_directions=len(basis))


def text_bank(
    generator: Generator,
    embedder: Embedder,
    shift: Tensor,
    *,
    num_samples: int = 32,
    samples: Latent | None = None,
    seed: int = 0,
    truncation: float = 0.7,
    max_resolution: int | None = 128,
    to_rgb: bool = False,
    resolution: int | None = None,
    batch_size: int | None = None,
    autocast: torch.dtype | None = None,
    progress: Progress | None = None,
) -> ChannelBank:
    """Measure what every style channel does for one text alone: 2 · N passes.

    The relevance of channel c is the mean slope Δt · ∂e/∂s_c · σ_c over the samples, the largest of all channels made
    1; the consistency is its mean over its root mean square. The bank answers for this shift, and for its opposite.

    Args:
        shift: unit vector from the neutral to the target text, [D].
        num_samples, samples, seed, truncation, max_resolution, to_rgb, resolution, batch_size, autocast, progress: as
            in `gradient_bank`.
    """
    work = _Slopes(
        generator, embedder, samples=samples, num_samples=num_samples, seed=seed, truncation=truncation,
        max_resolution=max_resolution, to_rgb=to_rgb, resolution=resolution, batch_size=batch_size, autocast=autocast,
    )  # fmt: skip
    work.watch(progress, 2 * len(work.styles))
    slopes = work(shift[None].to(work.styles))[:, 0]  # [N, P]
    mean = slopes.mean(dim=0)  # [P]
    relevance = mean / mean.abs().max().clamp_min(_ROUNDING)
    consistency = mean.abs() / slopes.square().mean(dim=0).sqrt().clamp_min(_ROUNDING)
    return work.bank(relevance[:, None] * shift.to(relevance), consistency, "gradients of one text")


def main_directions(embeddings: Tensor, num: int) -> Tensor:
    """Directions in which embeddings [N, D] differ most, orthonormal rows, [M, D]; M is at most num, D and N − 1."""
    centred = embeddings - embeddings.mean(dim=0)
    directions: Tensor = torch.linalg.svd(centred.cpu().double(), full_matrices=False).Vh
    return directions[: max(1, min(num, len(embeddings) - 1))].to(embeddings)


class _Slopes:
    """Slopes of all channels at the samples, and what a bank needs beside them; options of `plan_bank`."""

    def __init__(self, generator: Generator, embedder: Embedder, *, samples: Latent | None, **options: Any) -> None:
        self.generator, self.embedder = generator, embedder
        self.plan = plan_bank(generator, embedder, samples=samples, **options)
        self.styles, self.mean, self.std = probe_points(generator, self.plan, samples)  # [N, C], [C], [C]
        mask = generator.style_layout.mask(to_rgb=options["to_rgb"], max_resolution=options["max_resolution"])
        self.channels = mask.nonzero().flatten().to(self.styles.device)  # [P]
        self.watch(None, 0)

    def watch(self, progress: Progress | None, total: int) -> None:
        """Report the passes from here on."""
        self.progress, self.done, self.total = progress, 0, total

    def __call__(self, directions: Tensor) -> Tensor:
        """Slope of each channel, per deviation, along each direction [M, D] at each sample, [N, M, P]."""
        scale = self.std[self.channels]

        def run(rows: slice) -> Tensor:
            style = self.styles[rows].clone().requires_grad_(True)
            with torch.enable_grad():
                along = self._embed(Latent(style, "s")) @ directions.t().to(style)  # [n, M]
            self._step(len(style))
            slopes = []
            for i in range(along.shape[1]):
                (slope,) = torch.autograd.grad(along[:, i].sum(), style, retain_graph=i + 1 < along.shape[1])
                slopes.append(slope[:, self.channels] * scale)
                self._step(len(style))
            return torch.stack(slopes, dim=1)

        return torch.cat(halving(run, len(self.styles), max(1, self.plan["batch_size"] // _GRADIENT_SHARE)))

    @torch.inference_mode()
    def embeddings(self, num: int) -> Tensor:
        """Embeddings of random samples, [N', D], the samples first; of given samples there are no more than these."""
        latent = Latent(self.styles, "s")
        if self.plan["samples"] == "random":
            drawn = self.generator.sample(num, seed=self.plan["seed"], truncation=self.plan["truncation"])
            latent = self.generator.to_space(drawn, "s")
        size = max(1, self.plan["batch_size"] // 2)
        parts = []
        for start in range(0, len(latent), size):
            parts.append(self._embed(latent[start : start + size]))
            self._step(len(parts[-1]))
        return torch.cat(parts).clone()

    def bank(self, effects: Tensor, consistency: Tensor, made_by: str, **more: Any) -> ChannelBank:
        """The bank of these effects [P, D]."""
        unused = ("layers", "shard_size", "tolerance", "magnitude", "probe", "compiled")
        info = {"made_by": made_by} | {name: value for name, value in self.plan.items() if name not in unused} | more
        mean, std = self.mean.clone(), self.std.clone()
        return ChannelBank(effects.detach(), consistency.detach(), self.channels.clone(), mean, std, info)

    def _embed(self, latent: Latent) -> Tensor:
        short = PRECISIONS.get(self.plan["autocast"])
        with torch.autocast(latent.device.type, short, enabled=short is not None):
            image = self.generator(latent, resolution=self.plan["resolution"])
            return self.embedder.embed_image(image.float()).float()

    def _step(self, passes: int) -> None:
        self.done += passes
        if self.progress:
            self.progress(self.done, max(self.done, self.total))
