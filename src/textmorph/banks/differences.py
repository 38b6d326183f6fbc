"""Probing style channels: the renders and embeddings behind a channel bank, cut into shards that stand alone.

A bank is the join of its shards, and a shard depends on the networks and its JSON plan alone: whoever computes it, in
whatever order, gets the same bits (on one kind of device, with one number of threads).

Shapes: P probed channels, C style channels, N samples, G channels of one shard, D embedding dimensions.
Source: Patashnik et al. 2021, arXiv:2103.17249, Sec. 6.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor

from ..errors import BankMismatchError, LatentError, OptionError
from ..generators.resolution import render_resolution
from ..hashing import fingerprint
from ..latents import Latent, StyleLayout
from ..memory import free_memory, halving

if TYPE_CHECKING:
    from ..embedders import Embedder
    from ..generators import Generator

Probe = Literal["paper", "reference"]
Progress = Callable[[int, int], None]
"""Called with what is done and the total."""

PRECISIONS: dict[str, torch.dtype] = {"bfloat16": torch.bfloat16, "float16": torch.float16}
SHARD_SIZE = 32
FIRST_LOOK = 8
"""Samples of a channel before it may be found known well enough, and between two looks."""

_STILL = 1e-5
"""A shorter difference of unit embeddings is float32 rounding: the channel does nothing."""
_LARGEST_BATCH = {"cpu": 64, "cuda": 512}
_LIVE_FEATURES = 8
"""Copies of the largest features that are alive at once while an image is drawn; measured on StyleGAN2."""


def plan_bank(
    generator: Generator,
    embedder: Embedder,
    *,
    num_samples: int = 100,
    magnitude: float = 5.0,
    probe: Probe = "paper",
    samples: Latent | None = None,
    seed: int = 0,
    truncation: float = 0.7,
    num_statistics: int = 10_000,
    max_resolution: int | None = 128,
    to_rgb: bool = False,
    resolution: int | None = None,
    batch_size: int | None = None,
    autocast: torch.dtype | None = None,
    tolerance: float | None = None,
    compiled: bool = False,
    shard_size: int = SHARD_SIZE,
) -> dict[str, Any]:
    """Check the options of `build_bank` and write them down, every default resolved, as JSON.

    Raises:
        OptionError: a value out of range.
        LatentError: fewer than two samples.
    """
    if probe not in get_args(Probe):
        raise OptionError(f"probe is 'paper' or 'reference', not {probe!r}")
    if num_samples < 1 or not magnitude > 0 or (batch_size is not None and batch_size < 2) or shard_size < 1:
        raise OptionError("num_samples and shard_size are 1 or more, magnitude above 0, batch_size 2 or more")
    check_tolerance(tolerance)
    if autocast is not None and autocast not in PRECISIONS.values():
        raise OptionError(f"autocast is one of {', '.join(PRECISIONS)}, not {autocast}")
    device = generator.mean_w.device
    if compiled and device.type != "cuda":
        raise OptionError("compiling pays only on a GPU; leave it off here")
    if samples is not None and len(samples) < 2:
        raise LatentError(f"two samples or more have a standard deviation; there is {len(samples)}")
    layout = generator.style_layout
    mask = layout.mask(to_rgb=to_rgb, max_resolution=max_resolution)
    if not mask.any():
        raise OptionError(f"no layer of this generator works at {max_resolution} px or below")
    if resolution is None:
        shown = int(_sides(layout)[mask].max())  # below it, the last probed layers would not be rendered at all
        resolution = render_resolution(generator, embedder, at_least=shown)
    num = num_samples if samples is None else min(num_samples, len(samples))
    return {
        "generator": fingerprint(generator),
        "embedder": fingerprint(embedder),
        "num_samples": num,
        "magnitude": float(magnitude),
        "probe": probe,
        "samples": "random" if samples is None else "given",
        "seed": seed if samples is None else None,
        "truncation": float(truncation) if samples is None else None,
        "num_statistics": max(num_statistics, num) if samples is None else len(samples),
        "max_resolution": max_resolution,
        "to_rgb": to_rgb,
        "resolution": resolution,
        "autocast": None if autocast is None else str(autocast).removeprefix("torch."),
        "tolerance": tolerance,
        "compiled": compiled,
        "batch_size": batch_size or largest_batch(generator, resolution),
        "shard_size": shard_size,
        "layers": [int(part.sum()) for part in torch.split(mask, list(layout.widths))],
    }


def check_tolerance(tolerance: float | None) -> None:
    """Raises OptionError unless it is the sine of an angle, or None."""
    if tolerance is not None and not 0 < tolerance < 1:
        raise OptionError(f"tolerance is the sine of an angle, between 0 and 1, not {tolerance}")


def bank_shards(plan: Mapping[str, Any]) -> list[tuple[int, int]]:
    """The parts that a bank is computed in, as rows of the bank (first, last), last exclusive.

    In order, together all rows, never across a layer.
    """
    shards: list[tuple[int, int]] = []
    first = 0
    for width in plan["layers"]:
        end = first + width
        shards += [(row, min(row + plan["shard_size"], end)) for row in range(first, end, plan["shard_size"])]
        first = end
    return shards


def bank_part(
    generator: Generator,
    embedder: Embedder,
    plan: Mapping[str, Any],
    first: int,
    last: int,
    *,
    samples: Latent | None = None,
    progress: Progress | None = None,
) -> dict[str, Tensor]:
    """Compute one shard of a bank; see `Prober.part`. For many shards, keep the `Prober`."""
    return Prober(generator, embedder, plan, samples=samples).part(first, last, progress=progress)


class Prober:
    """Computes shards of one bank. Holds networks, samples and statistics, and nothing that a shard could change.

    Args:
        plan: of `plan_bank`, for these networks.
        samples: those the plan was made with, where it was given some.

    Raises:
        BankMismatchError: the plan is for other networks.
        LatentError: the plan asks for samples and none are given, or the other way round.
    """

    def __init__(
        self, generator: Generator, embedder: Embedder, plan: Mapping[str, Any], *, samples: Latent | None = None
    ) -> None:
        for role, network in (("generator", generator), ("embedder", embedder)):
            if plan[role] != fingerprint(network):
                raise BankMismatchError(f"this plan of a bank is for {role} {plan[role]}, not {fingerprint(network)}")
        if (plan["samples"] == "given") != (samples is not None):
            raise LatentError(f"this plan of a bank is for {plan['samples']} samples")
        self.generator, self.embedder, self.plan = generator, embedder, plan
        self.styles, self.mean, self.std = probe_points(generator, plan, samples)  # [N, C], [C], [C]
        mask = generator.style_layout.mask(to_rgb=plan["to_rgb"], max_resolution=plan["max_resolution"])
        self.channels = mask.nonzero().flatten().to(self.styles.device)  # [P]
        self._finish: Any = getattr(generator, "resume", None)
        if plan["compiled"] and self._finish is not None:
            self._finish = torch.compile(self._finish, mode="reduce-overhead")

    def part(self, first: int, last: int, *, progress: Progress | None = None) -> dict[str, Tensor]:
        """Compute the rows `first` to `last` (exclusive) of a bank.

        Args:
            progress: called with the renders of this shard done and their total.

        Returns:
            `effects` [G, D] and `consistency` [G], as in `ChannelBank`, and `samples`, how many each channel took,
            int64 [G]; on the CPU.

        Raises:
            OptionError: these rows are no shard of the plan.
        """
        if (first, last) not in bank_shards(self.plan):
            raise OptionError(f"rows {first} to {last} are no shard of this bank; see bank_shards")
        return self.probe(self.channels[first:last], progress=progress)

    @property
    def turn(self) -> int:
        """Samples between two looks at what is known of a channel."""
        size: int = self.plan["batch_size"]
        return min(FIRST_LOOK, max(1, size // 2))

    @torch.inference_mode()
    def probe(
        self, channels: Tensor, *, num_samples: int | None = None, progress: Progress | None = None
    ) -> dict[str, Tensor]:
        """`part` for any channels of one layer, by flat index [G], over the first samples.

        Samples come in turns, the same for all channels; the way to the layer is rendered once for each sample. With a
        tolerance, a channel whose mean is known well enough (`angle_error`) takes no part in the turns after.
        """
        layer = self._layer(channels)
        num = len(self.styles) if num_samples is None else min(num_samples, len(self.styles))
        tolerance, size = self.plan["tolerance"], self.plan["batch_size"]
        turn = self.turn if tolerance else min(num, max(1, size // 2))
        active = torch.arange(len(channels), device=channels.device)
        total: Tensor | None = None  # sums of unit differences, [G, D]
        used = torch.zeros(len(channels), dtype=torch.int64, device=channels.device)
        for start in range(0, num, turn):
            styles = self.styles[start : min(start + turn, num)]
            paused = self._pause(styles, layer)
            for rows in torch.split(active, max(1, size // (2 * len(styles)))):
                unit = self._differences(styles, paused, channels[rows])  # [g, n, D]
                if total is None:
                    total = unit.new_zeros(len(channels), unit.shape[-1])
                total[rows] += unit.sum(dim=1)
            assert total is not None
            used[active] += len(styles)
            if tolerance:
                error = angle_error(total[active] / used[active, None], used[active])
                active = active[error > tolerance]
            if progress:
                progress(2 * int(used.sum()), 2 * int(used.sum() + len(active) * (num - start - len(styles))))
            if not len(active):
                break
        assert total is not None
        mean = total / used[:, None]
        return {
            "effects": unit_rows(mean).cpu().clone(),
            "consistency": mean.norm(dim=-1).cpu().clone(),
            "samples": used.cpu().clone(),
        }

    def _layer(self, channels: Tensor) -> int:
        layout = self.generator.style_layout
        layer = bisect.bisect_right(layout.offsets, int(channels.min())) - 1
        if int(channels.max()) >= layout.offsets[layer] + layout.widths[layer]:
            raise OptionError("channels probed together belong to one layer")
        return layer

    def _pause(self, styles: Tensor, layer: int) -> Any:
        """The rendering of samples up to a layer; None where the generator cannot stop on the way."""
        if self._finish is None:
            return None
        with self._precision():
            return self.generator.pause(Latent(styles, "s"), layer, resolution=self.plan["resolution"])  # type: ignore[attr-defined]

    def _differences(self, styles: Tensor, paused: Any, channels: Tensor) -> Tensor:
        """Unit difference that each channel makes in each sample, [g, n, D]."""
        probes = probe_styles(
            styles, channels, self.mean, self.std, magnitude=self.plan["magnitude"], probe=self.plan["probe"]
        )  # [g, n, 2, C]
        rows = torch.arange(len(styles), device=styles.device)
        rows = rows[None, :, None].expand(probes.shape[:3]).flatten()  # sample of each probe

        def embed(part: slice) -> Tensor:
            latent = Latent(probes.flatten(0, 2)[part], "s")
            with self._precision():
                if paused is None:
                    image = self.generator(latent, resolution=self.plan["resolution"])
                else:
                    image = self._finish(paused[rows[part]], latent)
            return self.embedder.embed_image(image.float()).float()

        features = torch.cat(halving(embed, len(rows), self.plan["batch_size"]))
        return unit_differences(features.view(*probes.shape[:3], -1))

    def _precision(self) -> torch.autocast:
        """For the generator. The embedder is cheap beside it, and a small effect is less than its rounding."""
        short = PRECISIONS.get(self.plan["autocast"])
        return torch.autocast(self.styles.device.type, short, enabled=short is not None)


def channel_effects(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean effect of each channel, from the embeddings of its probes.

    Args:
        features: [P, N, 2, D]; of every sample the channel lowered (0) and raised (1). Need not be unit.

    Returns:
        Effects, unit rows [P, D] (zero where nothing moves), and their consistency [P].

    The reference code divides by zero where a channel does nothing.
    """
    effect = unit_differences(features).mean(dim=1)  # [P, D]
    return unit_rows(effect), effect.norm(dim=-1)


def unit_differences(features: Tensor) -> Tensor:
    """Embeddings with a channel lowered and raised [..., 2, D] → unit difference [..., D], zero where none is seen."""
    lowered, raised = torch.nn.functional.normalize(features, dim=-1).unbind(dim=-2)
    return unit_rows(raised - lowered)


def unit_rows(rows: Tensor) -> Tensor:
    """Rows of length 1; those that are no longer than rounding errors become zero."""
    length = rows.norm(dim=-1, keepdim=True)
    return torch.where(length > _STILL, rows / length.clamp_min(_STILL), 0)


def angle_error(mean: Tensor, num: Tensor) -> Tensor:
    """How far the direction of a mean of unit vectors may be off: about the sine of its angle to the true one, [G].

    With R the length of the mean of n unit vectors, ρ² = (n R² − 1) / (n − 1) estimates the squared length of the true
    mean without bias, and (1 − ρ²) / n the variance around it; the error is its root in units of ρ. It is the
    spherical standard error of directional statistics, in D dimensions and freed of its bias at small n.

    Args:
        mean: of unit vectors, [G, D]. A row of zeros, of a channel that does nothing, is known: its error is 0.
        num: how many vectors, [G].

    Source: Fisher, Lewis & Embleton, Statistical Analysis of Spherical Data, 1987, on the spherical standard error.
    """
    square = mean.square().sum(dim=-1)
    true = true_square(square, num)
    error = ((1 - true) / (num * true.clamp_min(1e-12))).sqrt()
    return torch.where(square > _STILL**2, error, 0)


def true_square(square: Tensor, num: Tensor | int) -> Tensor:
    """Squared length of the true mean of unit vectors, from that of the mean of n of them; 0 to 1."""
    return ((num * square - 1) / (torch.as_tensor(num) - 1).clamp_min(1)).clamp(0, 1)


def style_statistics(
    generator: Generator, *, num: int = 10_000, seed: int = 0, truncation: float = 0.7
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (of the population) of every style channel over random samples, [C] each."""
    latent = generator.sample(num, seed=seed, truncation=truncation)
    total = square = torch.zeros(generator.style_layout.num_channels, dtype=torch.float64, device=latent.device)
    with torch.inference_mode():
        for first in range(0, num, 1000):
            style = generator.to_space(latent[first : first + 1000], "s").value.double()
            total, square = total + style.sum(dim=0), square + style.square().sum(dim=0)
    mean = total / num
    variance = (square / num - mean.square()).clamp_min(0)
    return mean.float(), variance.sqrt().float()


def probe_points(
    generator: Generator, plan: Mapping[str, Any], samples: Latent | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Styles to probe at [N, C], and mean and standard deviation of all channels [C]."""
    num = plan["num_samples"]
    with torch.inference_mode():
        if samples is None:
            seed, truncation = plan["seed"], plan["truncation"]
            mean, std = style_statistics(generator, num=plan["num_statistics"], seed=seed, truncation=truncation)
            latent = generator.sample(num, seed=seed, truncation=truncation)
            return generator.to_space(latent, "s").value.clone(), mean, std
        styles = generator.to_space(samples, "s").value
        std, mean = torch.std_mean(styles, dim=0, correction=0)
        return styles[:num].clone(), mean, std


def probe_styles(
    styles: Tensor, channels: Tensor, mean: Tensor, std: Tensor, *, magnitude: float, probe: Probe = "paper"
) -> Tensor:
    """Style codes with one channel lowered and raised, [G, N, 2, C].

    Args:
        styles: the samples, [N, C].
        channels: flat indices, [G].
        mean, std: of all channels, [C].
    """
    steps = torch.tensor([-magnitude, magnitude]).to(std) * std[channels, None]  # [G, 2]
    probes = styles[None, :, None].repeat(len(channels), 1, 2, 1)  # [G, N, 2, C]
    start = styles.t()[channels] if probe == "paper" else mean[channels, None].expand(-1, len(styles))  # [G, N]
    rows = torch.arange(len(channels), device=channels.device)
    probes[rows, :, :, channels] = start[:, :, None] + steps[:, None]
    return probes


def largest_batch(generator: Generator, resolution: int, *, share: float = 0.3) -> int:
    """How many images may be drawn at once in a share of the memory that is free: a power of two from 2."""
    device = generator.mean_w.device
    widest = getattr(generator, "widest", None)
    each = 4 * _LIVE_FEATURES * (widest(resolution) if widest else 64 * resolution**2)
    limit = _LARGEST_BATCH.get(device.type, 64)
    free = free_memory(device)
    fits = limit if free is None else max(2, int(share * free / each))
    return 1 << (min(limit, fits).bit_length() - 1)


def _sides(layout: StyleLayout) -> Tensor:
    """Side of the layer that each style channel belongs to, [C]."""
    return torch.tensor(layout.resolutions).repeat_interleave(torch.tensor(layout.widths))
