"""Which style channels matter to a text, without a channel bank: by gradients, then by exact differences of a few.

One pass backwards through embedder and generator gives what all channels do to first order, along one direction; a bank
moves every channel by itself. Three estimates meet here, for a sample i and a channel c with standard deviation σ:

    slope       a = t · J σ            along the text, one pass for each of N samples
    length      ‖V J σ‖                along the m main directions V of the embeddings, k passes for each sample
    difference  f = t · u              of the bank's own definition, for the best candidates, at few samples

A slope over its length stands for f where f is not known. The best candidates by it race (`racing`): differences are
taken in turns, and who cannot be among the channels wanted any more is left alone.

Source: the definition is that of Patashnik et al. 2021, arXiv:2103.17249, Sec. 6. The combination is ours, and measured
in docs/banks.md.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import OptionError
from ..latents import Latent
from ..memory import halving
from .bank import ChannelBank, Relevance, check_selection, select_relevant
from .differences import (
    PRECISIONS,
    Prober,
    Progress,
    angle_error,
    check_tolerance,
    plan_bank,
    rounding,
    true_square,
    unit_rows,
)
from .racing import along_the_others, carried_ratios, ratio_of, still_in

if TYPE_CHECKING:
    from ..embedders import Embedder
    from ..generators import Generator

_PRIOR = 8
"""Samples that what is known without them counts for: of a channel's consistency, what all channels have in common; of
its differences, what gradients say."""
_KEPT = 2**29
"""Bytes of differences that are kept for the next texts."""
_GRADIENT_SHARE = 4
"""An image with all that its gradient needs takes less memory than so many without."""


@dataclass(frozen=True, kw_only=True)
class Screening:
    """How much is measured. The defaults of the two presets are those of docs/banks.md.

    Args:
        num_samples: N, samples whose slopes and lengths are taken.
        sketch: m, main directions of the embeddings.
        num_directions: k, passes for the length at each sample: along so many directions among the main ones, drawn for
            each sample; m or more takes the main ones themselves.
        candidates: channels whose differences are taken, as a multiple of those wanted.
        most: channels at most whose differences are taken, the best; the other candidates keep their first order.
        num_differences: samples at which they are, at most: see `racing`.
        tolerance: sine to which the direction of a channel is to be known, after which no more differences of it are
            taken; None for no such end. As of `build_bank`.
        defined_at: samples of the bank whose relevance is estimated: a mean over fewer is longer by chance.
    """

    num_samples: int = 50
    sketch: int = 32
    num_directions: int = 8
    candidates: float = 1.5
    most: int = 64
    num_differences: int = 3
    tolerance: float | None = None
    defined_at: int = 100

    def __post_init__(self) -> None:
        if (
            min(self.num_samples, self.num_directions, self.sketch, self.most, self.num_differences) < 1
            or self.candidates < 1
        ):
            raise OptionError("every number of a screening is 1 or more")
        if self.num_differences > self.num_samples:
            raise OptionError("differences are taken at some of the samples whose slopes are, or at all")
        check_tolerance(self.tolerance)


PRESETS = {
    "none": Screening(),
    "screen": Screening(num_samples=100, sketch=48, num_directions=48, candidates=6.0, most=300, num_differences=100),
}


class Screen:
    """What is known of the channels of one generator as one embedder sees them; it grows with every text.

    Args:
        screening: how much is measured.
        options: of `plan_bank`: seed, truncation, max_resolution, to_rgb, resolution, batch_size, autocast …
    """

    def __init__(
        self, generator: Generator, embedder: Embedder, screening: Screening | None = None, **options: Any
    ) -> None:
        self.screening = screening or PRESETS["none"]
        self.generator, self.embedder = generator, embedder
        self.plan = plan_bank(generator, embedder, num_samples=self.screening.num_samples, **options)
        self.prober = Prober(generator, embedder, self.plan, samples=options.get("samples"))
        self._slopes: dict[bytes, Tensor] = {}  # along a text, and along what of it the basis leaves out, [N, 2, P]
        self._differences: dict[tuple[int, int], Tensor] = {}  # flat index and first sample of a turn → [n, D]
        self._basis: Tensor | None = None  # [m, D]
        self._units: Tensor | None = None  # unit slopes along the basis, [N, m, P]
        self._lengths: Tensor | None = None  # [N, P]

    @property
    def channels(self) -> Tensor:
        """Flat indices of the channels looked at, [P]."""
        return self.prober.channels

    @property
    def info(self) -> dict[str, Any]:
        """How it is made, as JSON."""
        told = {name: value for name, value in self.plan.items() if name not in ("layers", "shard_size", "tolerance")}
        return {**told, "screening": asdict(self.screening)}

    def relevance(
        self,
        shift: Tensor,
        *,
        num_channels: int | None = None,
        threshold: float | None = None,
        relevance: Relevance = "cosine",
        progress: Progress | None = None,
    ) -> Tensor:
        """Relevance of each channel to a text, as a bank's, [P]; zero for those that were no candidates.

        Args:
            shift: unit vector, [D].
            num_channels, threshold, relevance: what is wanted, see `ChannelBank.direction`.
            progress: called with what is done and the total, in passes through the networks.
        """
        check_selection(num_channels=num_channels, threshold=threshold, relevance=relevance)
        steps = _Steps(self, shift, num_channels, progress)
        first, unit = self.first_order(shift, steps=steps)
        size = (first * self._size if relevance == "consistent" else first).abs()
        if threshold is None:
            wanted = int(self.screening.candidates * (num_channels or 1))
        else:  # differences of rank stay within that factor
            wanted = int((size >= threshold / self.screening.candidates).sum())
        chosen = size.argsort(descending=True, stable=True)[: max(1, wanted)]
        best = chosen[: self.screening.most].sort().values
        out = torch.zeros_like(first)
        out[chosen] = first[chosen].clamp(-1, 1)
        scale = self._size[best] if relevance == "consistent" else torch.ones_like(first[best])
        out[best] = self._refine(shift, best, first, unit, scale, steps, num=num_channels, threshold=threshold)
        return out * self._size if relevance == "consistent" else out

    def first_order(self, shift: Tensor, *, steps: _Steps | None = None) -> tuple[Tensor, Tensor]:
        """Relevance by gradients alone, [P], and the unit slopes of each sample behind it, [N, P]."""
        lengths, slopes, beyond = self._measured(shift, steps)  # [N, P]
        lengths = (lengths.square() + beyond.square() + rounding(self.plan) ** 2).sqrt()
        unit = torch.where(lengths > 0, slopes / lengths.clamp_min(1e-12), 0).clamp(-1, 1)
        return unit.mean(dim=0) / self._size, unit

    def direction(
        self,
        shift: Tensor,
        *,
        num_channels: int | None = None,
        threshold: float | None = None,
        relevance: Relevance = "cosine",
        progress: Progress | None = None,
    ) -> Tensor:
        """Direction in style space, [C], as `ChannelBank.direction`.

        Raises:
            EmptyDirectionError: no channel is relevant enough.
        """
        found = self.relevance(
            shift, num_channels=num_channels, threshold=threshold, relevance=relevance, progress=progress
        )
        std = self.prober.std[self.channels]
        selected = select_relevant(found, std, num_channels=num_channels, threshold=threshold)
        direction = shift.new_zeros(self.generator.style_layout.num_channels)
        direction[self.channels] = selected.to(direction)
        return direction

    def bank(self, *, progress: Progress | None = None) -> ChannelBank:
        """A bank for all texts by gradients alone: the effects along the main directions of the embeddings."""
        steps = _Steps(self, None, None, progress)
        self._measure(None, steps)
        assert self._units is not None
        assert self._basis is not None
        mean = self._units.mean(dim=0)  # [m, P]
        effects = unit_rows(mean.t() @ self._basis)
        mean_style, std = self.prober.mean.clone(), self.prober.std.clone()
        return ChannelBank(effects, mean.norm(dim=0), self.channels.clone(), mean_style, std, self.info)

    @property
    def _size(self) -> Tensor:
        """Length of the mean unit effect that a bank would find, [P].

        Of few samples it is known badly, and who happens to be found short would come first; so what is found of a
        channel is drawn towards the mean of all.
        """
        assert self._units is not None
        assert self._basis is not None
        num = len(self._units)
        mean = self._units.mean(dim=0).square().sum(dim=0)
        each = self._units.square().sum(dim=1).mean(dim=0)  # 1 where all main directions were taken
        true = ((num * mean - each) / max(1, num - 1)).clamp(0, 1)
        trust = _PRIOR * max(1.0, len(self._basis) / self.screening.num_directions)  # fewer of them tell less
        true = (num * true + trust * true.mean()) / (num + trust)
        return (true + (1 - true) / self.screening.defined_at).sqrt()

    def _refine(
        self, shift: Tensor, rows: Tensor, first: Tensor, unit: Tensor, scale: Tensor, steps: _Steps, **wanted: Any
    ) -> Tensor:
        """Relevance of some channels from their differences, carried to all samples by their slopes, [G].

        Args:
            rows: of the channels, in the order of the network, [G].
            first, unit: of `first_order`, for all channels, [P], [N, P].
            scale: what a relevance is times when channels are compared, [G].
            wanted: see `racing.still_in`.
        """
        assert self._units is not None
        last, turn = min(self.screening.num_differences, len(self._units)), self.prober.turn
        slopes = unit[:, rows].t()  # [G, N]
        taken = torch.zeros_like(rows)
        along, across = (slopes.new_zeros(len(rows), last) for _ in range(2))
        seen = slopes.new_zeros(len(rows), last, len(shift))
        size = torch.zeros_like(scale)
        known = torch.zeros_like(rows, dtype=torch.bool)
        racing = torch.arange(len(rows), device=rows.device)
        for start in range(0, last, turn):
            end = min(start + turn, last)
            found = self._differences_of(rows[racing], start, end)  # [g, n, D]
            seen[racing, start:end] = found
            along[racing, start:end] = found @ shift
            taken[racing] = end
            units = seen[racing, :end]
            mean = units.mean(dim=1)
            across[racing, :end] = along_the_others(units)
            size[racing] = self._expected_size(rows[racing], mean, end)
            if self.screening.tolerance is not None:
                known[racing] = angle_error(mean, taken[racing]) <= self.screening.tolerance
                size[racing] = torch.where(known[racing], mean.norm(dim=1), size[racing])
            value, error = carried_ratios(along, slopes, taken, across, size)
            share = taken / (taken + _PRIOR * (1 - taken / len(unit)))  # the rest is what gradients say
            value, error = share * value + (1 - share) * first[rows].clamp(-1, 1), share * error
            value = torch.where(known, ratio_of(along.sum(dim=1) / taken, size), value)  # as a bank has it
            error = torch.where(known, 0, error)
            staying = still_in((value * scale).abs(), error * scale, **wanted) & ~known & (taken == end)
            steps.add(2 * (end - start) * len(racing), more=2 * (last - end) * int(staying.sum()))
            racing = staying.nonzero().flatten()
            if not len(racing):
                break
        return value

    def _expected_size(self, rows: Tensor, mean: Tensor, taken: int) -> Tensor:
        """Length of the mean unit effect that a bank would find, from differences at some samples and slopes, [G].

        Args:
            mean: of the unit differences of some channels, [G, D].
        """
        at = self.screening.defined_at
        length: Tensor = mean.norm(dim=1)
        if taken == at:
            return length
        guess = ((self._size[rows].square() - 1 / at) / (1 - 1 / at)).clamp(0, 1) if at > 1 else mean.new_ones(1)
        trust = _PRIOR * (1 - taken / self.screening.num_samples)
        true = true_square(mean.square().sum(dim=1), taken)
        true = ((taken - 1) * true + trust * guess) / max(taken - 1 + trust, 1e-12)
        return torch.where(length > 0, (true + (1 - true) / at).sqrt(), 0)

    def _differences_of(self, rows: Tensor, start: int, end: int) -> Tensor:
        """Unit differences of channels at some samples, [G, n, D]; kept, the newest of them."""
        channels = self.channels[rows]
        new = [channel for channel in channels.tolist() if (channel, start) not in self._differences]
        for layer in self.prober.by_layer(channels.new_tensor(new)):
            found = self.prober.differences(layer, end, first=start)
            self._differences |= {(channel, start): row for channel, row in zip(layer.tolist(), found, strict=True)}
        out: Tensor = torch.stack([self._differences[channel, start] for channel in channels.tolist()])
        held = sum(row.nbytes for row in self._differences.values())
        while held > _KEPT:
            held -= self._differences.pop(next(iter(self._differences))).nbytes
        return out

    def _measured(self, shift: Tensor, steps: _Steps | None) -> tuple[Tensor, Tensor, Tensor]:
        """Lengths, slopes along a shift, and slopes along what of it lies beyond the main directions, [N, P] each.

        A length along the main directions alone leaves the last out, and a channel that does next to nothing along
        them would seem to do nothing but what the text says.
        """
        self._measure(shift, steps)
        assert self._lengths is not None
        slopes = self._slopes[_key(shift)]
        return self._lengths, slopes[:, 0], slopes[:, 1]

    def _measure(self, shift: Tensor | None, steps: _Steps | None) -> None:
        """Take the slopes that are not known yet: along a shift, and those that tell the lengths; of one rendering."""
        basis = self._main_directions(steps)
        drawn = self._drawn_directions(len(basis)) if self._lengths is None else None  # [N, k, m]
        new = None if shift is None or _key(shift) in self._slopes else shift.to(basis)
        parts = [] if drawn is None else [drawn @ basis]
        if new is not None:
            rest = new - (basis @ new) @ basis
            rest = torch.where(rest.norm() > 1e-3, rest / rest.norm().clamp_min(1e-3), 0)
            parts.append(torch.stack([new, rest]).expand(len(self.prober.styles), -1, -1))
        if not parts:
            return
        slopes = self._pass(self.prober.styles, torch.cat(parts, dim=1), steps)
        if drawn is not None:
            self._take_lengths(drawn, slopes[:, : drawn.shape[1]])
        if new is not None:
            if len(self._slopes) >= 64:
                self._slopes.clear()
            self._slopes[_key(new)] = slopes[:, -2:].clone()

    def _take_lengths(self, drawn: Tensor, slopes: Tensor) -> None:
        """Lengths and unit slopes along the main directions, from slopes [N, k, P] along those drawn [N, k, m].

        Along k of m directions a square is m / k times what is seen of it, but for the luck of the draw; so it is drawn
        towards the mean of all samples.
        """
        gain = drawn.shape[2] / drawn.shape[1]
        along = slopes if gain == 1 else gain * torch.einsum("nkm,nkp->nmp", drawn, slopes)
        square = gain * slopes.square().sum(dim=1)
        share = gain**-0.5
        self._lengths = (share * square + (1 - share) * square.mean(dim=0)).sqrt()
        self._units = torch.where(self._lengths[:, None] > 0, along / self._lengths[:, None].clamp_min(1e-12), 0)

    def _drawn_directions(self, num: int) -> Tensor:
        """Orthonormal directions for each sample, in units of the main ones, [N, k, m]."""
        samples, k = len(self.prober.styles), self.screening.num_directions
        if k >= num:
            return torch.eye(num).to(self.prober.styles).expand(samples, -1, -1)
        random = torch.Generator().manual_seed(int(self.plan["seed"] or 0))
        drawn: Tensor = torch.linalg.qr(torch.randn(samples, num, k, generator=random)).Q
        return drawn.transpose(1, 2).to(self.prober.styles)

    def _main_directions(self, steps: _Steps | None) -> Tensor:
        if self._basis is None:
            seen = torch.cat(self._embeddings(max(len(self.prober.styles), 2 * self.screening.sketch)))
            self._basis = main_directions(seen, self.screening.sketch)
            if steps:
                steps.add(len(seen))
        return self._basis

    @torch.inference_mode()
    def _embeddings(self, num: int) -> list[Tensor]:
        """Embeddings of random samples, in batches; the first are those probed. Of given samples there are no more."""
        latents, plan = [Latent(self.prober.styles, "s")], self.plan
        if num > len(self.prober.styles) and plan["samples"] == "random":
            more = self.generator.sample(num, seed=plan["seed"], truncation=plan["truncation"])
            latents.append(more[len(self.prober.styles) :])
        size = max(1, plan["batch_size"] // 2)
        parts = [latent[start : start + size] for latent in latents for start in range(0, len(latent), size)]
        return [self._embed(part).clone() for part in parts]

    def _embed(self, latent: Latent) -> Tensor:
        """Embeddings in the precision of the plan, [B, D]; of bfloat16 the embedder's passes too.

        Its rounding would hide the difference that a channel makes, but not a slope or a direction among many.
        """
        short = PRECISIONS.get(self.plan["autocast"])
        with torch.autocast(latent.device.type, short, enabled=short is not None):
            image = self.generator(latent, resolution=self.plan["resolution"])
        with torch.autocast(latent.device.type, short, enabled=short is torch.bfloat16):
            return self.embedder.embed_image(image.float()).float()

    def _pass(self, styles: Tensor, directions: Tensor, steps: _Steps | None) -> Tensor:
        """Slope along each direction of each channel times its σ, [N, k, P]; directions [k, D], or [N, k, D]."""
        std = self.prober.std[self.channels]
        directions = directions.expand(len(styles), -1, -1)

        def run(rows: slice) -> Tensor:
            style = styles[rows].clone().requires_grad_(True)
            with torch.enable_grad():
                embedding = self._embed(Latent(style, "s"))
                along = torch.einsum("bd,bkd->bk", embedding, directions[rows].to(embedding))
            slopes, num = [], along.shape[1]
            for i in range(num):
                (slope,) = torch.autograd.grad(along[:, i].sum(), style, retain_graph=i + 1 < num)
                slopes.append(slope[:, self.channels] * std)
            if steps:
                steps.add(len(style) * (1 + num))
            return torch.stack(slopes, dim=1)

        return torch.cat(halving(run, len(styles), max(1, self.plan["batch_size"] // _GRADIENT_SHARE)))


class _Steps:
    """Tells how far a screening is, in passes through the networks."""

    def __init__(self, screen: Screen, shift: Tensor | None, wanted: int | None, progress: Progress | None) -> None:
        how = screen.screening
        self.progress, self.done, self.total = progress, 0, 0
        directions = 0 if shift is None else 2
        if screen._lengths is None:
            directions += min(how.num_directions, how.sketch)
        if directions:
            self.total += how.num_samples * (1 + directions)
        if screen._basis is None:
            self.total += max(how.num_samples, 2 * how.sketch)
        if wanted is not None:
            self.total += 2 * how.num_differences * min(how.most, int(how.candidates * wanted))

    def add(self, passes: int, *, more: int | None = None) -> None:
        """Passes done, and where it is known how many more there are at most."""
        self.done += passes
        self.total = max(self.total, self.done) if more is None else self.done + more
        if self.progress:
            self.progress(self.done, self.total)


def _key(shift: Tensor) -> bytes:
    return shift.detach().cpu().float().numpy().tobytes()


def main_directions(embeddings: Tensor, num: int) -> Tensor:
    """Directions in which embeddings [N, D] differ most, orthonormal rows, [m, D]; m is at most num, D and N − 1."""
    centred = embeddings - embeddings.mean(dim=0)
    directions: Tensor = torch.linalg.svd(centred.cpu().double(), full_matrices=False).Vh
    return directions[: max(1, min(num, len(embeddings) - 1))].to(embeddings)
