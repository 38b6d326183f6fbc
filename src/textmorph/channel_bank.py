"""The channel bank: what every style channel of a generator does to an image, as seen by an embedder.

Shapes: P probed channels, C style channels, N samples, D embedding dimensions.
Source: Patashnik et al. 2021, arXiv:2103.17249, Sec. 6.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from . import checkpoints
from .errors import BankMismatchError, CheckpointMismatchError, EmptyDirectionError, LatentError, OptionError
from .fingerprint import fingerprint
from .generators.resolution import render_resolution
from .latents import Latent, StyleLayout

if TYPE_CHECKING:
    from .embedders import Embedder
    from .generators import Generator

Probe = Literal["paper", "reference"]
Relevance = Literal["cosine", "consistent"]
Progress = Callable[[int, int], None]
"""Called with what is done and the total."""

_PARTS = ("effects", "consistency", "channels", "channel_mean", "channel_std")
_STILL = 1e-5
"""A shorter difference of unit embeddings is float32 rounding: the channel does nothing."""


@dataclass(frozen=True, eq=False)
class ChannelBank:
    """The effect of style channels on images, in an embedder's space.

    Args:
        effects: mean unit difference that raising a channel makes, made unit again, [P, D]; zero for a channel that
            does nothing.
        consistency: length of that mean before it was made unit, in [0, 1], [P]: 1 where every sample moves alike.
        channels: flat index of each probed channel in the style code, int64 [P].
        channel_mean, channel_std: of all style channels over random samples, [C].
        info: how it was made: fingerprints of `generator` and `embedder`, and the options of `build_bank`.
    """

    effects: Tensor
    consistency: Tensor
    channels: Tensor
    channel_mean: Tensor
    channel_std: Tensor
    info: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        probed, total = len(self.channels), len(self.channel_std)
        fits = self.effects.ndim == 2 and len(self.effects) == probed and self.consistency.shape == (probed,)
        fits = fits and self.channel_std.ndim == 1 and self.channel_mean.shape == (total,) and probed > 0
        if not fits or self.channels.min() < 0 or self.channels.max() >= total:
            raise CheckpointMismatchError("the parts of this channel bank do not fit each other")

    def direction(
        self,
        shift: Tensor,
        layout: StyleLayout,
        *,
        num_channels: int | None = None,
        threshold: float | None = None,
        relevance: Relevance = "cosine",
        max_resolution: int | None = 128,
        to_rgb: bool = False,
    ) -> Tensor:
        """Turn a shift in embedding space into a direction in style space, [C]; see `select_channels`.

        Args:
            shift: unit vector, [D].
            layout: of the bank's generator.
            num_channels, threshold: how many channels, or which, are kept: give one of the two.
            relevance: `cosine`, or `consistent`: the cosine times the channel's consistency, the mean of the
                paper's text before its code normalises it.
            max_resolution, to_rgb: layers that may be edited, see `StyleLayout.mask`.

        Raises:
            EmptyDirectionError: no channel is relevant enough.
            BankMismatchError: the bank lacks some of the layers, or does not fit the layout or the shift.
        """
        check_selection(num_channels=num_channels, threshold=threshold, relevance=relevance)
        if layout.num_channels != len(self.channel_std) or shift.shape != self.effects.shape[1:]:
            raise BankMismatchError(
                f"this bank is for {len(self.channel_std)} style channels and embeddings of length "
                f"{self.effects.shape[1]}, not for {layout.num_channels} and {list(shift.shape)}"
            )
        allowed = layout.mask(to_rgb=to_rgb, max_resolution=max_resolution)
        channels = self.channels.cpu()
        lacking = int(allowed.sum()) - int(allowed[channels].sum())
        if lacking:
            raise BankMismatchError(
                f"this bank lacks {lacking} of the chosen style channels; build one with "
                f"max_resolution={max_resolution}, to_rgb={to_rgb}"
            )
        probed = allowed[channels].nonzero().flatten()  # [P'], rows of the bank
        std = self.channel_std[channels[probed]].to(shift)
        consistency = self.consistency[probed].to(shift) if relevance == "consistent" else None
        selected = select_channels(
            self.effects[probed].to(shift), shift, std, num_channels=num_channels, threshold=threshold,
            consistency=consistency,
        )  # fmt: skip
        direction = shift.new_zeros(layout.num_channels)
        direction[channels[probed].to(shift.device)] = selected
        return direction

    def check(self, generator: Generator, embedder: Embedder) -> None:
        """Refuse a bank that was made with other networks.

        Raises:
            BankMismatchError: the fingerprints differ.
        """
        for role, network in (("generator", generator), ("embedder", embedder)):
            made, given = self.info.get(role), fingerprint(network)
            if made != given:
                raise BankMismatchError(
                    f"this channel bank was made with {role} {made}, and this one is {given}; "
                    "build one for these networks: textmorph bank build"
                )

    def to(self, device: torch.device | str) -> ChannelBank:
        """Move it to a device."""
        parts = {name: getattr(self, name).to(device) for name in _PARTS}
        return ChannelBank(**parts, info=self.info)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False, dtype: torch.dtype | None = None) -> None:
        """Write it as safetensors; `dtype=torch.float16` halves the effects, at an error of 5e-4."""
        tensors = {name: getattr(self, name).detach().cpu().contiguous() for name in _PARTS}
        tensors["effects"] = tensors["effects"].to(dtype or self.effects.dtype)
        checkpoints.native.write(
            path, tensors, kind="bank", architecture="channel_bank", config=self.info, overwrite=overwrite
        )

    @staticmethod
    def load(path: str | os.PathLike[str]) -> ChannelBank:
        """Read a bank written by `save`.

        Raises:
            CheckpointMismatchError: the file is no channel bank.
        """
        checkpoint = checkpoints.read(path)
        if checkpoint.kind != "bank" or set(checkpoint.tensors) != set(_PARTS):
            raise CheckpointMismatchError(
                f"{path} holds a {checkpoint.kind} ({', '.join(sorted(checkpoint.tensors)[:5])}), not a channel bank"
            )
        types = {"channels": torch.int64}
        parts = {name: checkpoint.tensors[name].to(types.get(name, torch.float32)) for name in _PARTS}
        return ChannelBank(**parts, info=dict(checkpoint.config))


def channel_effects(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean effect of each channel, from the embeddings of its probes.

    Args:
        features: [P, N, 2, D]; of every sample the channel lowered (0) and raised (1). Need not be unit.

    Returns:
        Effects, unit rows [P, D] (zero where nothing moves), and their consistency [P].

    The reference code divides by zero where a channel does nothing.
    """
    lowered, raised = F.normalize(features, dim=-1).unbind(dim=2)  # [P, N, D]
    effect = _unit(raised - lowered).mean(dim=1)  # [P, D]
    return _unit(effect), effect.norm(dim=-1)


def select_channels(
    effects: Tensor,
    shift: Tensor,
    channel_std: Tensor,
    *,
    num_channels: int | None = None,
    threshold: float | None = None,
    consistency: Tensor | None = None,
) -> Tensor:
    """Turn a shift in embedding space into a direction over the probed channels.

    Args:
        effects: effect of each probed channel, unit rows, [P, D].
        shift: unit vector, [D]: target minus neutral text, or the normal of a hyperplane.
        channel_std: standard deviation of each probed channel over random samples, [P].
        num_channels: k, keeps this many channels of largest |relevance|, or all that move if they are fewer.
        threshold: beta of the paper; channels with a smaller |relevance| are dropped. In [0, 1].
        consistency: of each channel, [P]; multiplies the relevance, which is the cosine without it.

    Returns:
        [P]: at strength 1 the most relevant channel moves by its standard deviation, the others by less.

    Raises:
        EmptyDirectionError: no channel is left.

    Source: Patashnik et al. 2021, arXiv:2103.17249, Sec. 6. The reference code divides by zero where we raise.
    """
    relevance = effects @ shift  # [P]
    if consistency is not None:
        relevance = relevance * consistency
    size = relevance.abs()
    if threshold is not None:
        kept = size >= threshold
    else:
        order = size.argsort(descending=True, stable=True)
        kept = torch.zeros_like(size, dtype=torch.bool)
        kept[order[:num_channels]] = True
    largest = float(size.max())
    if not kept.any() or largest == 0:
        raise EmptyDirectionError(
            f"no style channel is relevant enough: the largest relevance is {largest:.4f}"
            + (f", below the threshold of {threshold:g}; lower it, or choose a number of channels" if threshold else "")
        )
    return torch.where(kept, relevance / largest, 0) * channel_std


def check_selection(*, num_channels: int | None, threshold: float | None, relevance: str = "cosine") -> None:
    """Check the options by which channels are selected.

    Raises:
        OptionError: not exactly one of num_channels and threshold, or a value out of range.
    """
    if (num_channels is None) == (threshold is None):
        raise OptionError("give one of num_channels and threshold, and None for the other")
    if num_channels is not None and (isinstance(num_channels, bool) or num_channels < 1):
        raise OptionError(f"num_channels is 1 or more, not {num_channels}")
    if threshold is not None and not 0 <= threshold <= 1:
        raise OptionError(f"threshold is a cosine from 0 to 1, not {threshold}")
    if relevance not in get_args(Relevance):
        raise OptionError(f"relevance is 'cosine' or 'consistent', not {relevance!r}")


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


def build_bank(
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
    progress: Progress | None = None,
) -> ChannelBank:
    """Measure what every style channel does: 2 · P · N renders.

    Args:
        generator, embedder: the networks; the bank is good for these alone.
        num_samples: N.
        magnitude: how far a channel is moved each way, in its standard deviations.
        probe: `paper` moves the channel of each sample, s ± 5σ; `reference` sets it to mean ± 5σ in every sample, as
            the published code does (without its leak of one channel's mean into the next).
        samples: latents to probe at and to take mean and σ over (images of a corpus, as in StyleCLIP-FEU, Eq. 1); the
            first N are probed. None draws random ones.
        seed, truncation: of random samples; the reference's truncation of 0.7 is also the unit of its strengths.
        num_statistics: number of random samples for mean and σ, of which the first N are probed.
        max_resolution, to_rgb: which layers are probed, see `StyleLayout.mask`.
        resolution: of the renders; None takes the smallest that the embedder and the probed layers need.
        batch_size: renders at once; None takes 64.
        autocast: run both networks in this lower precision. Rounding hides small effects.
        progress: called with the renders done and their total.

    Raises:
        OptionError: a value out of range.
        LatentError: fewer than two samples.

    Source: Patashnik et al. 2021, arXiv:2103.17249, Sec. 6; Baba et al. 2023, arXiv:2304.00964, Eq. 1 and 2.
    """
    if probe not in get_args(Probe):
        raise OptionError(f"probe is 'paper' or 'reference', not {probe!r}")
    if num_samples < 1 or not magnitude > 0 or (batch_size is not None and batch_size < 2):
        raise OptionError("num_samples is 1 or more, magnitude above 0, batch_size 2 or more")
    layout = generator.style_layout
    mask = layout.mask(to_rgb=to_rgb, max_resolution=max_resolution)
    channels = mask.nonzero().flatten()
    if not len(channels):
        raise OptionError(f"no layer of this generator works at {max_resolution} px or below")
    if resolution is None:
        shown = int(_sides(layout)[mask].max())  # below it, the last probed layers would not be rendered at all
        resolution = render_resolution(generator, embedder, at_least=shown)
    with torch.inference_mode():
        styles, mean, std = _probe_points(generator, samples, num_samples, num_statistics, seed, truncation)
    num = len(styles)
    batch_size = batch_size or 64

    effects: list[Tensor] = []
    consistency: list[Tensor] = []
    with torch.inference_mode(), torch.autocast(styles.device.type, autocast, enabled=autocast is not None):
        for group in _batches(channels.to(styles.device), max(1, batch_size // (2 * num))):
            probes = probe_styles(styles, group, mean, std, magnitude=magnitude, probe=probe)  # [G, N, 2, C]
            features = [
                embedder.embed_image(generator(Latent(part, "s"), resolution=resolution)).float()
                for part in _batches(probes.flatten(0, 2), batch_size)
            ]
            effect, length = channel_effects(torch.cat(features).view(*probes.shape[:3], -1))
            effects.append(effect)
            consistency.append(length)
            if progress:
                progress(2 * num * sum(map(len, effects)), 2 * num * len(channels))
    info = {
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
    }
    # Clones leave inference mode, so that a bank may take part in gradients.
    parts = (torch.cat(effects), torch.cat(consistency), channels.to(styles.device), mean, std)
    return ChannelBank(**{name: part.clone() for name, part in zip(_PARTS, parts, strict=True)}, info=info)


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


_BANKS: dict[tuple[str, str], ChannelBank] = {}


def remember(bank: ChannelBank) -> None:
    """Keep a bank for this process, so that `recall` finds it by its networks."""
    _BANKS[bank.info["generator"], bank.info["embedder"]] = bank


def recall(generator: Generator, embedder: Embedder) -> ChannelBank | None:
    """The bank of these two networks, if this process has built or loaded one."""
    return _BANKS.get((fingerprint(generator), fingerprint(embedder)))


def ensure_bank(
    bank: ChannelBank | None,
    generator: Generator,
    embedder: Embedder,
    *,
    max_resolution: int | None = 128,
    to_rgb: bool = False,
    progress: Progress | None = None,
) -> ChannelBank:
    """The bank given, checked; or else the one remembered; or else a new one, which is then remembered.

    Raises:
        BankMismatchError: the bank given was made with other networks.
    """
    if bank is not None:
        bank.check(generator, embedder)
        return bank
    bank = recall(generator, embedder)
    allowed = generator.style_layout.mask(to_rgb=to_rgb, max_resolution=max_resolution)
    if bank is None or not set(allowed.nonzero().flatten().tolist()) <= set(bank.channels.tolist()):
        bank = build_bank(generator, embedder, max_resolution=max_resolution, to_rgb=to_rgb, progress=progress)
        remember(bank)
    return bank


def _probe_points(
    generator: Generator, samples: Latent | None, num: int, num_statistics: int, seed: int, truncation: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Styles to probe at [N, C], and mean and standard deviation of all channels [C]."""
    if samples is None:
        mean, std = style_statistics(generator, num=max(num, num_statistics), seed=seed, truncation=truncation)
        latent = generator.sample(num, seed=seed, truncation=truncation)
        return generator.to_space(latent, "s").value.clone(), mean, std
    if len(samples) < 2:
        raise LatentError(f"two samples or more have a standard deviation; there is {len(samples)}")
    styles = generator.to_space(samples, "s").value
    std, mean = torch.std_mean(styles, dim=0, correction=0)
    return styles[:num].clone(), mean, std


def _sides(layout: StyleLayout) -> Tensor:
    """Side of the layer that each style channel belongs to, [C]."""
    return torch.tensor(layout.resolutions).repeat_interleave(torch.tensor(layout.widths))


def _batches(rows: Tensor, size: int) -> list[Tensor]:
    return [rows[first : first + size] for first in range(0, len(rows), size)]


def _unit(rows: Tensor) -> Tensor:
    """Rows of length 1; those that are no longer than rounding errors become zero."""
    length = rows.norm(dim=-1, keepdim=True)
    return torch.where(length > _STILL, rows / length.clamp_min(_STILL), 0)
