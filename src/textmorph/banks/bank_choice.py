"""Where a direction in style space comes from: a channel bank at hand, one built for it, or gradients.

Source: the bank is that of Patashnik et al. 2021, arXiv:2103.17249, Sec. 6; gradients see `screening`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from torch import Tensor

from ..errors import OptionError
from ..hashing import fingerprint
from ..precision import Precision
from .bank import ChannelBank, Relevance, build_bank, recall, remember
from .differences import PRECISIONS, Progress
from .gradients import PRESETS, Screen

if TYPE_CHECKING:
    from ..embedders import Embedder
    from ..generators import Generator

BankChoice = Literal["auto", "build", "screen", "none"]
"""`auto`: the bank at hand, or else none; `build`: the exact bank, built if need be; `screen`: gradients at many
samples and in many directions, which serve all texts to come; `none`: gradients for this text alone."""

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
