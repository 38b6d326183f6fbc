"""The channel bank: what every style channel of a generator does to an image, as seen by an embedder.

Shapes: P probed channels, C style channels, N samples, D embedding dimensions.
Source: Patashnik et al. 2021, arXiv:2103.17249, Sec. 6.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from .. import checkpoints
from ..errors import BankMismatchError, CheckpointMismatchError, EmptyDirectionError, OptionError
from ..hashing import fingerprint
from ..latents import Latent, StyleLayout
from .differences import Probe as Probe
from .differences import Prober, bank_shards, plan_bank, probe_points
from .differences import Progress as Progress
from .differences import channel_effects as channel_effects
from .differences import style_statistics as style_statistics

if TYPE_CHECKING:
    from ..embedders import Embedder
    from ..generators import Generator

Relevance = Literal["cosine", "consistent"]

_PARTS = ("effects", "consistency", "channels", "channel_mean", "channel_std")


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

    def relevance(self, shift: Tensor, kind: Relevance = "cosine") -> Tensor:
        """How far each channel moves pictures along a shift in embedding space, [P]: Δi_c · Δt of the paper.

        Args:
            shift: unit vector, [D].
            kind: `cosine`, or `consistent`: the cosine times the channel's consistency, which is the mean of the
                paper's text before its code normalises it.

        Raises:
            BankMismatchError: the shift has another length.
        """
        if shift.shape != self.effects.shape[1:]:
            raise BankMismatchError(
                f"this bank is for embeddings of length {self.effects.shape[1]}, not for a shift {list(shift.shape)}"
            )
        relevance = self.effects.to(shift) @ shift
        return relevance * self.consistency.to(shift) if kind == "consistent" else relevance

    @property
    def std(self) -> Tensor:
        """Standard deviation of its own channels, [P]."""
        return self.channel_std[self.channels]

    def scatter(self, step: Tensor) -> Tensor:
        """A step of its own channels [P] → a step of all style channels [C], zero for the others."""
        full = step.new_zeros(len(self.channel_std))
        full[self.channels.to(step.device)] = step
        return full

    def within(self, layout: StyleLayout, *, max_resolution: int | None = 128, to_rgb: bool = False) -> ChannelBank:
        """The bank of some layers alone, see `StyleLayout.mask`.

        Raises:
            BankMismatchError: it lacks some of their channels, or is for another generator.
        """
        if layout.num_channels != len(self.channel_std):
            raise BankMismatchError(
                f"this bank is for {len(self.channel_std)} style channels, and the generator has {layout.num_channels}"
            )
        allowed = layout.mask(to_rgb=to_rgb, max_resolution=max_resolution)
        channels = self.channels.cpu()
        lacking = int(allowed.sum()) - int(allowed[channels].sum())
        if lacking:
            flags = f"--max-resolution {max_resolution or 'all'}" + (" --to-rgb" if to_rgb else "")
            raise BankMismatchError(
                f"this bank lacks {lacking} of the chosen style channels; build one with "
                f"max_resolution={max_resolution}, to_rgb={to_rgb} (textmorph bank build {flags} --overwrite), or "
                f"choose layers that it has{' (to_rgb=False)' if to_rgb else ''}"
            )
        rows = allowed[channels].nonzero().flatten().to(self.channels.device)
        return replace(
            self, effects=self.effects[rows], consistency=self.consistency[rows], channels=self.channels[rows]
        )

    def covers(self, mask: Tensor) -> bool:
        """Whether it knows every style channel of a mask [C]."""
        known = torch.zeros(len(self.channel_std), dtype=torch.bool)
        known[self.channels.cpu()] = True
        return len(mask) == len(known) and bool(known[mask.cpu()].all())

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


def select_channels(relevance: Tensor, *, num_channels: int | None = None, threshold: float | None = None) -> Tensor:
    """The relevance of the channels that are kept, the largest made 1, and 0 for the others, [P] → [P].

    Args:
        relevance: of each channel, [P].
        num_channels: k, keeps this many channels of largest |relevance|, or all that move if they are fewer.
        threshold: beta of the paper; channels with a smaller |relevance| are dropped. In [0, 1].

    Raises:
        EmptyDirectionError: no channel is left.

    Source: Patashnik et al. 2021, arXiv:2103.17249, Sec. 6. The reference code divides by zero where we raise.
    """
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
    return torch.where(kept, relevance / largest, 0)


def check_selection(*, num_channels: int | None, threshold: float | None) -> None:
    """Check how channels are selected.

    Raises:
        OptionError: not exactly one of num_channels and threshold, or a value out of range.
    """
    if (num_channels is None) == (threshold is None):
        raise OptionError("give one of num_channels and threshold, and None for the other")
    if num_channels is not None and num_channels < 1:
        raise OptionError(f"num_channels is 1 or more, not {num_channels}")
    if threshold is not None and not 0 <= threshold <= 1:
        raise OptionError(f"threshold is a cosine from 0 to 1, not {threshold}")


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
    tolerance: float | None = None,
    compiled: bool = False,
    progress: Progress | None = None,
) -> ChannelBank:
    """Measure what every style channel does: 2 · P · N renders, each from the channel's layer upwards.

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
        batch_size: renders at once; None takes what the free memory holds. Out of memory, it is halved.
        autocast: run the generator in this lower precision; what it draws is seen in float32.
        tolerance: stop probing a channel when the direction of its effect is known to this angle (its sine), see
            `probing.angle_error`; N is then the most. None probes every channel N times.
        compiled: let `torch.compile` record CUDA graphs of the generator; on a GPU only.
        progress: called with the renders done and their total, which shrinks where channels stop early.

    Raises:
        OptionError: a value out of range.
        LatentError: fewer than two samples.

    Source: Patashnik et al. 2021, arXiv:2103.17249, Sec. 6; Baba et al. 2023, arXiv:2304.00964, Eq. 1 and 2.
    """
    plan = plan_bank(
        generator, embedder, num_samples=num_samples, magnitude=magnitude, probe=probe, samples=samples, seed=seed,
        truncation=truncation, num_statistics=num_statistics, max_resolution=max_resolution, to_rgb=to_rgb,
        resolution=resolution, batch_size=batch_size, autocast=autocast, tolerance=tolerance, compiled=compiled,
    )  # fmt: skip
    prober = Prober(generator, embedder, plan, samples=samples)
    parts: list[dict[str, Tensor]] = []
    done, num = 0, len(prober.styles)
    shards = bank_shards(plan)

    def report(rendered: int, of: int) -> None:
        if progress:
            rest = 2 * num * (len(prober.channels) - shards[len(parts)][1])
            progress(done + rendered, done + of + rest)

    for first, last in shards:
        parts.append(prober.part(first, last, progress=report))
        done += 2 * int(parts[-1]["samples"].sum())
    return join_bank(generator, plan, parts, samples=samples)


def join_bank(
    generator: Generator,
    plan: Mapping[str, Any],
    parts: Sequence[Mapping[str, Tensor]],
    *,
    samples: Latent | None = None,
) -> ChannelBank:
    """The bank of all shards of a plan, in their order (see `probing.bank_part`).

    Raises:
        CheckpointMismatchError: the parts are not those of this plan.
    """
    _, mean, std = probe_points(generator, plan, samples)
    mask = generator.style_layout.mask(to_rgb=plan["to_rgb"], max_resolution=plan["max_resolution"])
    device = generator.mean_w.device
    effects, consistency = (torch.cat([part[name] for part in parts]).to(device) for name in _PARTS[:2])
    info: dict[str, Any] = {"made_by": "differences"}
    info |= {name: value for name, value in plan.items() if name not in ("layers", "shard_size")}
    if plan["tolerance"] is not None:
        info["mean_samples"] = float(torch.cat([part["samples"] for part in parts]).double().mean())
    # Clones leave inference mode, so that a bank may take part in gradients.
    return ChannelBank(effects, consistency, mask.nonzero().flatten().to(device), mean.clone(), std.clone(), info)
