"""Which style channels matter to a text, without a channel bank: by gradients, then by exact differences of a few.

One pass backwards through embedder and generator gives what all channels do to first order, along one direction; a bank
moves every channel by itself. Three estimates meet here, for a sample i and a channel c with standard deviation σ:

    slope       a = t · J σ            along the text, one pass for each of N samples
    length      ‖V J σ‖                along the main directions V of the embeddings, m passes for each of n samples
    difference  f = t · u              of the bank's own definition, for the best candidates, at few samples

A slope over its length stands for f where f is not known; where both are, the slope carries what they have in common to
all N samples (a control variate), so that few differences do.

Source: the definition is that of Patashnik et al. 2021, arXiv:2103.17249, Sec. 6; control variates as in Glasserman,
Monte Carlo Methods in Financial Engineering, 2003, Sec. 4.1. The combination is ours; docs/banks.md measures it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor

from .channel_bank import ChannelBank, Relevance, build_bank, check_selection, recall, remember, select_relevant
from .errors import OptionError
from .fingerprint import fingerprint
from .latents import Latent
from .memory import halving
from .precision import Precision
from .probing import PRECISIONS, Prober, Progress, plan_bank, true_square, unit_rows

if TYPE_CHECKING:
    from .embedders import Embedder
    from .generators import Generator

BankChoice = Literal["auto", "build", "screen", "none"]
"""`auto`: the bank at hand, or else none; `build`: the exact bank, built if need be; `screen`: gradients at many
samples and in many directions, which serve all texts to come; `none`: gradients for this text alone."""

_GRADIENT_SHARE = 8
"""An image with all that its gradient needs takes the memory of so many without."""


@dataclass(frozen=True, kw_only=True)
class Screening:
    """How much is measured. The defaults of the two presets are those of docs/banks.md.

    Args:
        num_samples: N, samples whose slopes are taken.
        num_lengths: n, of them, whose lengths are.
        sketch: m, main directions of the embeddings.
        candidates: channels whose differences are taken, as a multiple of those wanted.
        most: channels at most whose differences are taken, the best; the other candidates keep their first order.
        num_differences: samples at which they are.
        defined_at: samples of the bank whose relevance is estimated: a mean over fewer is longer by chance.
    """

    num_samples: int = 50
    num_lengths: int = 8
    sketch: int = 32
    candidates: float = 2.0
    most: int = 64
    num_differences: int = 4
    defined_at: int = 100

    def __post_init__(self) -> None:
        if (
            min(self.num_samples, self.num_lengths, self.sketch, self.most, self.num_differences) < 1
            or self.candidates < 1
        ):
            raise OptionError("every number of a screening is 1 or more")
        if not self.num_differences <= self.num_lengths <= self.num_samples:
            raise OptionError("differences are taken at some of the samples of the lengths, and those at some of all")


PRESETS = {
    "none": Screening(),
    "screen": Screening(num_samples=100, num_lengths=100, sketch=48, candidates=4.0, most=200, num_differences=24),
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
        self._slopes: dict[bytes, Tensor] = {}
        self._differences: dict[int, Tensor] = {}  # flat index → [n, D]
        self._basis: Tensor | None = None  # [m, D]
        self._units: Tensor | None = None  # unit slopes along the basis, [n, m, P]
        self._lengths: Tensor | None = None  # [n, P]

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
        out[best] = self._refine(shift, best, unit, steps)
        return out * self._size if relevance == "consistent" else out

    def first_order(self, shift: Tensor, *, steps: _Steps | None = None) -> tuple[Tensor, Tensor]:
        """Relevance by gradients alone, [P], and the unit slopes of each sample behind it, [N, P]."""
        slopes = self._slopes_along(shift, steps)  # [N, P]
        lengths = self._measured_lengths(steps)  # [n, P]
        beyond = self._beyond(shift, slopes[: len(lengths)])
        lengths = (lengths.square() + beyond.square() + rounding(self.plan) ** 2).sqrt()
        usual = lengths.mean(dim=0).expand(len(slopes) - len(lengths), -1)
        lengths = torch.cat([lengths, usual])
        unit = torch.where(lengths > 0, slopes / lengths.clamp_min(1e-12), 0).clamp(-1, 1)
        return unit.mean(dim=0) / self._size, unit

    def _beyond(self, shift: Tensor, slopes: Tensor) -> Tensor:
        """Slopes along what of a shift lies beyond the main directions, per unit of it, [n, P].

        A length along the main directions alone leaves this out, and a channel that does next to nothing along them
        would seem to do nothing but what the text says.
        """
        assert self._basis is not None
        assert self._units is not None
        assert self._lengths is not None
        basis = self._basis.to(shift)
        inside = basis @ shift  # [m]
        rest = float((shift - inside @ basis).norm())
        if rest < 1e-3:
            return torch.zeros_like(slopes)
        known = torch.einsum("m,nmp->np", inside.to(slopes), self._units) * self._lengths
        return (slopes - known) / rest

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
        self._measured_lengths(steps)
        assert self._units is not None
        assert self._basis is not None
        mean = self._units.mean(dim=0)  # [m, P]
        effects = unit_rows(mean.t() @ self._basis)
        mean_style, std = self.prober.mean.clone(), self.prober.std.clone()
        return ChannelBank(effects, mean.norm(dim=0), self.channels.clone(), mean_style, std, self.info)

    @property
    def _size(self) -> Tensor:
        """Length of the mean unit effect that a bank would find, [P]."""
        assert self._units is not None
        num = len(self._units)
        true = true_square(self._units.mean(dim=0).square().sum(dim=0), num)
        return (true + (1 - true) / self.screening.defined_at).sqrt()

    def _refine(self, shift: Tensor, rows: Tensor, unit: Tensor, steps: _Steps) -> Tensor:
        """Relevance of some channels from their differences, carried to all samples by their slopes, [G]."""
        num = self.screening.num_differences
        for channel in self.channels[rows].tolist():
            if channel not in self._differences:
                self._differences[channel] = self.prober.differences(torch.tensor([channel]).to(rows), num)[0]
            steps.add(2 * num)
        found = torch.stack([self._differences[channel] for channel in self.channels[rows].tolist()])  # [G, n, D]
        along = found @ shift  # [G, n]
        slopes = unit[:, rows].t()  # [G, N]
        near = slopes[:, :num]
        weight = _slope(near, along)
        mean = along.mean(dim=1) + weight * (slopes.mean(dim=1) - near.mean(dim=1))
        assert self._units is not None
        size, guess = found.mean(dim=1).norm(dim=1), self._units[:num, :, rows].mean(dim=0).norm(dim=0)  # same samples
        size = self._size[rows] * size / guess.clamp_min(1e-12)
        return torch.where(size > 0, mean / size.clamp_min(1e-12), 0).clamp(-1, 1)

    def _slopes_along(self, shift: Tensor, steps: _Steps | None) -> Tensor:
        key = shift.detach().cpu().float().numpy().tobytes()
        if key not in self._slopes:
            if len(self._slopes) >= 64:
                self._slopes.clear()
            seen, slopes = self._pass(self.prober.styles, shift[None], steps)
            self._slopes[key] = slopes[:, 0]
            if self._basis is None:
                more = self._embeddings(len(seen), 2 * self.screening.sketch)
                self._basis = main_directions(torch.cat([seen, *more]), self.screening.sketch)
        return self._slopes[key]

    def _measured_lengths(self, steps: _Steps | None) -> Tensor:
        if self._lengths is None:
            if self._basis is None:
                more = self._embeddings(0, max(len(self.prober.styles), 2 * self.screening.sketch))
                self._basis = main_directions(torch.cat(more), self.screening.sketch)
            _, slopes = self._pass(self.prober.styles[: self.screening.num_lengths], self._basis, steps)
            self._lengths = slopes.norm(dim=1)
            self._units = unit_rows(slopes.transpose(1, 2)).transpose(1, 2)
        return self._lengths

    @torch.inference_mode()
    def _embeddings(self, first: int, last: int) -> list[Tensor]:
        """Embeddings of random samples, from one to another (exclusive), in batches; the first N are those probed."""
        num, plan = len(self.prober.styles), self.plan
        latents = [Latent(self.prober.styles[first:], "s")] if first < num else []
        if last > max(first, num) and plan["samples"] == "random":
            more = self.generator.sample(last, seed=plan["seed"], truncation=plan["truncation"])
            latents.append(more[max(first, num) :])
        size = max(1, self.plan["batch_size"] // 2)
        parts = [latent[start : start + size] for latent in latents for start in range(0, len(latent), size)]
        side = self.plan["resolution"]
        return [self.embedder.embed_image(self.generator(part, resolution=side)).float().clone() for part in parts]

    def _pass(self, styles: Tensor, directions: Tensor, steps: _Steps | None) -> tuple[Tensor, Tensor]:
        """Embeddings [N, D], and the slope along each direction of each channel times its σ, [N, m, P]."""
        std = self.prober.std[self.channels]
        seen: list[Tensor] = []

        def run(rows: slice) -> tuple[Tensor, Tensor]:
            style = styles[rows].clone().requires_grad_(True)
            short = PRECISIONS.get(self.plan["autocast"])
            with torch.enable_grad(), torch.autocast(style.device.type, short, enabled=short is not None):
                image = self.generator(Latent(style, "s"), resolution=self.plan["resolution"])
            with torch.enable_grad():
                embedding = self.embedder.embed_image(image.float()).float()
                along = embedding @ directions.t().to(embedding)  # [b, m]
            slopes = []
            for i in range(len(directions)):
                (slope,) = torch.autograd.grad(along[:, i].sum(), style, retain_graph=i + 1 < len(directions))
                slopes.append(slope[:, self.channels] * std)
            if steps:
                steps.add(len(style) * (1 + len(directions)))
            return embedding.detach(), torch.stack(slopes, dim=1)

        parts = halving(run, len(styles), max(1, self.plan["batch_size"] // _GRADIENT_SHARE))
        seen = [part[0] for part in parts]
        return torch.cat(seen), torch.cat([part[1] for part in parts])


def rounding(plan: Mapping[str, Any]) -> float:
    """Effect of one deviation that differences in the precision of a plan cannot tell from nothing.

    A coordinate of a unit embedding is rounded by a few tenths of the precision's epsilon; the difference spans twice
    the magnitude. A gradient sees far smaller effects, and would rank channels by them that a bank cannot know.
    """
    short = PRECISIONS.get(plan["autocast"], torch.float32)
    magnitude: float = plan["magnitude"]
    return torch.finfo(short).eps / (8 * magnitude)


class _Steps:
    """Tells how far a screening is, in passes through the networks."""

    def __init__(self, screen: Screen, shift: Tensor | None, wanted: int | None, progress: Progress | None) -> None:
        how = screen.screening
        self.progress, self.done, self.total = progress, 0, 0
        if shift is not None:
            self.total += 2 * how.num_samples
        if screen._lengths is None:
            self.total += how.num_lengths * (1 + how.sketch)
        if wanted is not None:
            self.total += 2 * how.num_differences * min(how.most, int(how.candidates * wanted))

    def add(self, passes: int) -> None:
        self.done += passes
        self.total = max(self.total, self.done)
        if self.progress:
            self.progress(self.done, self.total)


def main_directions(embeddings: Tensor, num: int) -> Tensor:
    """Directions in which embeddings [N, D] differ most, orthonormal rows, [m, D]; m is at most num, D and N − 1."""
    centred = embeddings - embeddings.mean(dim=0)
    directions: Tensor = torch.linalg.svd(centred.cpu().double(), full_matrices=False).Vh
    return directions[: max(1, min(num, len(embeddings) - 1))].to(embeddings)


def _slope(x: Tensor, y: Tensor) -> Tensor:
    """Factor of x that explains most of y, both taken from their rows' means; one for all rows."""
    x = x - x.mean(dim=1, keepdim=True)
    y = y - y.mean(dim=1, keepdim=True)
    weight: Tensor = (x * y).sum() / x.square().sum().clamp_min(1e-12)
    return weight


# ------------------------------------------------------------------------------------------------ the choice

_SCREENS: dict[tuple[str, ...], Screen] = {}


def direction_for(
    shift: Tensor,
    generator: Generator,
    embedder: Embedder,
    *,
    choice: BankChoice = "auto",
    bank: ChannelBank | None = None,
    num_channels: int | None,
    threshold: float | None,
    relevance: Relevance,
    max_resolution: int | None,
    to_rgb: bool,
    precision: Precision = "float32",
    truncation: float | None = None,
    progress: Progress | None = None,
) -> tuple[Tensor, dict[str, Any]]:
    """Direction in style space for a shift in embedding space, [C], and how its channels were found, as JSON.

    Args:
        choice: how to find them, see `BankChoice`.
        bank: of these two networks, where there is one at hand; `screen` and `none` do without.
        num_channels, threshold, relevance, max_resolution, to_rgb: see `ChannelBank.direction`.
        precision: of the passes, where there is no bank.
        truncation: of the samples, where there is no bank; None takes that of `build_bank`.
        progress: called with what is done and the total.

    Raises:
        EmptyDirectionError: no channel is relevant enough.
        BankMismatchError: the bank given is for other networks or layers.
        OptionError: no such choice.
    """
    layers: dict[str, Any] = {"max_resolution": max_resolution, "to_rgb": to_rgb}
    wanted: dict[str, Any] = {"num_channels": num_channels, "threshold": threshold, "relevance": relevance}
    measured: dict[str, Any] = {"truncation": truncation, "precision": precision}
    found = find_bank(generator, embedder, choice, bank, **layers, **measured, progress=progress)
    if found is not None:
        return found.direction(shift.to(found.effects), generator.style_layout, **wanted, **layers), found.info
    preset = "screen" if choice == "screen" else "none"
    screen = screen_for(generator, embedder, preset, **layers, **measured)
    return screen.direction(shift, **wanted, progress=progress), screen.info


def find_bank(
    generator: Generator,
    embedder: Embedder,
    choice: BankChoice = "auto",
    bank: ChannelBank | None = None,
    *,
    max_resolution: int | None = 128,
    to_rgb: bool = False,
    precision: Precision = "float32",
    truncation: float | None = None,
    progress: Progress | None = None,
) -> ChannelBank | None:
    """The bank to use: that given, checked; or that remembered; or, if so chosen, a new one. None does without.

    Args:
        max_resolution, to_rgb: layers that it has to cover, save for a bank that is given.
        precision: of the passes for a new one.
        truncation: of the samples of a new one; None takes that of `build_bank`.

    Raises:
        BankMismatchError: the bank given was made with other networks.
        OptionError: no such choice.
    """
    if check_choice(choice) in ("screen", "none"):
        return None
    if bank is not None:
        bank.check(generator, embedder)
        return bank
    layers: dict[str, Any] = {"max_resolution": max_resolution, "to_rgb": to_rgb}
    known = recall(generator, embedder)
    if known is None or not known.covers(generator.style_layout.mask(**layers)):
        known = None
    if known is None and choice == "build":
        known = build_bank(generator, embedder, **layers, **_measured(truncation, precision), progress=progress)
        remember(known)
    return known


def check_choice(choice: str) -> str:
    """Check how the channels are to be found.

    Raises:
        OptionError: no such choice.
    """
    if choice not in get_args(BankChoice):
        raise OptionError(f"bank is one of {', '.join(get_args(BankChoice))}, not {choice!r}")
    return choice


def screen_for(
    generator: Generator,
    embedder: Embedder,
    preset: str,
    *,
    max_resolution: int | None = 128,
    to_rgb: bool = False,
    precision: Precision = "float32",
    truncation: float | None = None,
) -> Screen:
    """The screen of these networks with a preset, kept in this process: what it has measured serves the next text."""
    options: dict[str, Any] = {"max_resolution": max_resolution, "to_rgb": to_rgb, **_measured(truncation, precision)}
    key = fingerprint(generator), fingerprint(embedder), preset, str(options)
    screen = _SCREENS.get(key)
    if screen is None or screen.generator is not generator:
        screen = Screen(generator, embedder, PRESETS[preset], **options)
        _SCREENS[key] = screen
    return screen


def _measured(truncation: float | None, precision: Precision) -> dict[str, Any]:
    """How samples are drawn and passed through the networks, as `plan_bank` takes it."""
    drawn = {} if truncation is None else {"truncation": truncation}
    return {**drawn, "autocast": PRECISIONS.get(precision)}


def preparation(generator: Generator, embedder: Embedder, choice: str, **layers: Any) -> str | None:
    """What is to be measured before the first edit, in a line for people; None where all is at hand."""
    if choice in ("screen", "none"):
        how = PRESETS[choice]
        known = (fingerprint(generator), fingerprint(embedder), choice) in {key[:3] for key in _SCREENS}
        if choice == "screen" and not known:
            return f"no channel bank: screening the style channels by gradients at {how.num_samples} samples"
        return f"no channel bank: asking the generator which channels matter here, at {how.num_samples} samples"
    if choice == "build" and find_bank(generator, embedder, "auto", **layers) is None:
        return "no channel bank: building one; 'textmorph bank build' would keep it for the next time"
    return None
