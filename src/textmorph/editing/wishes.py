"""A wish: a text, the method that is to fulfil it, and what that method needs from the domain."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..axes import MOST, independent_effects
from ..edits import Edit
from ..errors import DomainError, EmptyDirectionError, OptionError, PromptError
from ..fields import check_fields
from ..hashing import fingerprint
from ..latents import Latent, Space
from ..methods import method_class
from ..prompts import check_prompt, text_shift
from ..shift_method import ShiftMethod
from .domain import Domain
from .strength import AXIS_COUNTS, CHANNEL_COUNTS, SCALES, STRENGTHS

if TYPE_CHECKING:
    from ..banks.bank import ChannelBank
    from ..embedders import TextEmbedder

Progress = Callable[[int, int], None]

OF_CHANNELS = ("threshold", "relevance", "max_resolution", "to_rgb", "bank", "precision")
"""Fields of a `ShiftMethod` that are about style channels."""
OF_AXES = ("space", "towards", "num_channels", "num_exemplars")
"""Those that mean something else, or nothing, where style channels are moved."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What one text asks for.

    Args:
        prompt: the target text.
        neutral: what the target is measured against; None where the method takes none.
        method: name in the table of methods.
        recipe: the method itself, its hyper-parameters filled in.
    """

    prompt: str
    neutral: str | None
    method: str
    recipe: Any

    @property
    def values(self) -> dict[str, Any]:
        """Every hyper-parameter, as JSON."""
        return asdict(self.recipe)

    @property
    def about(self) -> dict[str, Any]:
        """The wish as JSON."""
        return {"prompt": self.prompt, "neutral": self.neutral, "method": self.method, "values": self.values}

    @property
    def searches_channels(self) -> bool:
        """Whether the method chooses a number of channels, and that number is what decides."""
        return getattr(self.recipe, "num_channels", None) is not None and not self.meets

    @property
    def moves(self) -> str:
        """What a method that selects some of many moves: `channels`, or `axes`."""
        return "axes" if getattr(self.recipe, "space", "s") == "w" else "channels"

    @property
    def meets(self) -> bool:
        """Whether its edit leads to where exemplars lie, and is complete at 1."""
        return getattr(self.recipe, "towards", None) == "exemplars"

    def ways(self, domain: Domain, *, search: bool, space: Space = "w+") -> list[Way]:
        """The wishes that automatic strength tries for this one, each with its strengths.

        Args:
            search: numbers of channels or axes, too, and exemplars where they are left open.
            space: of the latent; from a style code nothing leads to exemplars, which lie in w.
        """
        scales = domain.scales or SCALES
        if self.complete:
            return [(self, (*(scale for scale in scales if scale < 1), 1.0))]
        if self.per_picture or self.meets:
            return [(self, scales)]
        straight = self._towards("shift")
        strengths = domain.strengths or STRENGTHS
        if not search:
            return [(straight, strengths)]
        ways = [(straight.with_channels(count), strengths) for count in self.counts(domain)]
        if getattr(self.recipe, "towards", None) == "either" and space != "s":
            ways.append((self._towards("exemplars"), scales))
        return ways

    def way(self, *, search: bool) -> dict[str, Any]:
        """What sets this one apart from the others that were tried, as JSON."""
        counts = search and self.searches_channels
        return {
            "num_channels": self.recipe.num_channels if counts else None,
            "towards": getattr(self.recipe, "towards", None) if self.moves == "axes" else None,
        }

    def _towards(self, towards: str) -> Wish:
        """The same with that where it was left open."""
        if getattr(self.recipe, "towards", None) != "either":
            return self
        return replace(self, recipe=replace(self.recipe, towards=towards))

    @property
    def complete(self) -> bool:
        """Whether its edit is whole at 1: found for one picture, by a loss that has weighed what else changes."""
        return self.per_picture and bool(getattr(self.recipe, "sideways", 0.0))

    def counts(self, domain: Domain) -> tuple[int, ...]:
        """The numbers of channels, or of axes, that automatic strength tries."""
        if self.moves == "axes":
            return domain.axis_counts or AXIS_COUNTS
        return domain.channel_counts or CHANNEL_COUNTS

    @property
    def per_picture(self) -> bool:
        """Whether the edit is found for one latent, so that it is scaled around 1 and shared by no other picture."""
        return "latent" in self._parameters

    def uses(self, part: str) -> bool:
        """Whether the method reads this part of the domain: `bank`, `corpus`, `templates` or `identity_embedder`."""
        return part in self._parameters

    @property
    def bank_choice(self) -> str | None:
        """How the method knows the style channels, see `bank_choice.BankChoice`; None where it selects none."""
        return getattr(self.recipe, "bank", None) if self.uses("bank") else None

    @property
    def measuring(self) -> dict[str, Any]:
        """The fields that say what is measured where there is no bank: which layers, and in which precision."""
        return {name: value for name, value in self.values.items() if name in ("max_resolution", "to_rgb", "precision")}

    def uses_bank(self, domain: Domain) -> bool:
        """Whether it takes its channels from a channel bank."""
        return self.bank_choice == "build" or (self.bank_choice == "auto" and has_bank(domain))

    def preparation(self, domain: Domain) -> str | None:
        """What has to be measured before this wish's first edit, in a line for people; None where all is at hand."""
        from ..banks.bank_choice import preparation

        if self.bank_choice is None or (self.bank_choice in ("auto", "build") and domain.bank is not None):
            return None
        return preparation(domain.generator, domain.embedder, self.bank_choice, **self.measuring)

    def bank(self, domain: Domain) -> ChannelBank | None:
        """The channel bank that the method takes its channels from, built if it chose so; None where it takes none."""
        if not self.uses_bank(domain):
            return None
        return channel_bank(domain, self.bank_choice, **self.measuring)

    def with_channels(self, num_channels: int) -> Wish:
        if not hasattr(self.recipe, "num_channels"):
            raise OptionError(f"the method {self.method!r} selects no number of channels")
        return replace(self, recipe=replace(self.recipe, num_channels=num_channels))

    def load(self, domain: Domain) -> None:
        """Find once what serves every picture and every text: where axes are moved, what each of them does."""
        if self.moves == "axes" and self.searches_channels:
            from sklearn import linear_model  # noqa: F401 - takes a second, and is needed for each text

            independent_effects(picture_corpus(domain), domain.generator)

    def shift(self, domain: Domain, embedder: Any) -> Tensor | None:
        """From the neutral text to the wish in the embedder's space, [D]; None where they mean the same."""
        neutral = self.neutral if self.neutral is not None else domain.neutral
        try:
            return text_shift(embedder, neutral=neutral, target=self.prompt, templates=domain.sentences)
        except PromptError:
            return None

    def farthest(self, domain: Domain, shift: Tensor) -> float:
        """How far along a shift, [D], the picture of the domain's corpus lies that lies farthest.

        Raises:
            DomainError: the domain has no corpus.
            BankMismatchError: it was made with another embedder.
        """
        corpus = picture_corpus(domain)
        corpus.check(domain.embedder)
        rows = torch.arange(min(len(corpus), MOST))
        return float((corpus.embedding(rows).to(shift) @ shift).max())

    def find(
        self, domain: Domain, *, embedder: Any, latent: Latent, progress: Progress | None = None, **watching: Any
    ) -> Edit:
        """Find the edit, with the parts of the domain that the method asks for.

        Args:
            watching: `callback` and `stop`, for a method that takes them.

        Raises:
            DomainError: the domain lacks such a part.
            EmptyDirectionError, PromptError, OptionError: as the method says.
        """
        inputs = self.inputs(domain) | {"latent": latent, "progress": progress} | watching
        taken = {name: value for name, value in inputs.items() if name in self._parameters}
        edit: Edit = self.recipe.find(domain.generator, embedder, target=self.prompt, **taken)
        return edit

    def inputs(self, domain: Domain) -> dict[str, Any]:
        """The parts of a domain that the method's `find` takes.

        Raises:
            DomainError: the domain lacks one of them.
        """
        offers: dict[str, Callable[[], Any]] = {
            "neutral": lambda: self.neutral,
            "templates": lambda: None if domain.templates == "imagenet" else domain.sentences,
            "bank": lambda: self.bank(domain),
            "truncation": lambda: domain.truncation,
            "corpus": lambda: picture_corpus(domain),
            "identity_embedder": lambda: domain.identity,
        }
        return {name: offer() for name, offer in offers.items() if name in self._parameters}

    @property
    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        return inputs_of(self.recipe)


Way = tuple[Wish, tuple[float, ...]]
"""One way to fulfil a wish, and the strengths to try."""


def leading_somewhere(ways: Sequence[Way], find: Callable[[Wish], Edit]) -> tuple[list[Way], list[Edit]]:
    """The ways whose edits can be found, and these.

    Raises:
        EmptyDirectionError: none can; the error of the first.
    """
    found: list[tuple[Way, Edit]] = []
    refused: list[EmptyDirectionError] = []
    for way in ways:
        try:
            found.append((way, find(way[0])))
        except EmptyDirectionError as error:  # noqa: PERF203 - each way may fail for itself
            refused.append(error)
    if not found:
        raise refused[0]
    return [way for way, _ in found], [edit for _, edit in found]


class TextMemory:
    """An embedder that embeds a list of texts once: a search over numbers of channels asks for the same ones again."""

    def __init__(self, embedder: TextEmbedder) -> None:
        self._embedder = embedder
        self._known: dict[tuple[str, ...], Tensor] = {}

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """Texts → unit rows, [T, D]."""
        key = tuple(texts)
        if key not in self._known:
            if len(self._known) >= 64:
                self._known.clear()
            with torch.no_grad():
                self._known[key] = self._embedder.embed_text(list(texts))
        return self._known[key]

    @property
    def fingerprint(self) -> str:
        """That of the embedder, so that its banks fit."""
        return fingerprint(self._embedder)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._embedder, name)


def make_wish(
    domain: Domain,
    prompt: str,
    *,
    method: str = "global",
    neutral: str | None = None,
    num_channels: int | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
) -> Wish:
    """Check a text and the options of its method.

    Args:
        neutral: None takes the domain's; a method that reads none is refused one.
        num_channels: None takes the domain's, or the method's own.
        seed: for a method that draws random numbers.
        options: further fields of the method; those left out are the domain's where it has them (`to_rgb`, and its
            table for the method), else the method's own. Where an option is about style channels, those are moved,
            whatever the domain's table says of `space`.

    Raises:
        DomainError: the domain's table for the method names something that is no field of it.
        PromptError: an empty or over-long text.
        OptionError: no such method, or an option that does not belong to it.
    """
    prompt = check_prompt(prompt)
    cls = method_class(method)
    if not hasattr(cls, "find"):
        raise OptionError(f"the method {method!r} does not find edits")
    known = {field.name for field in fields(cls)}
    given = dict(options or {})
    if num_channels is not None:
        given["num_channels"] = num_channels
    for name in given:
        if name not in known:
            raise OptionError(
                f"{name} does not belong to the method {method!r}; its options are: {', '.join(sorted(known))}"
            )
    if "seed" in known:
        given.setdefault("seed", seed)
    values = _filled_in(domain, cls, method, given)
    check_fields(cls, values)
    recipe = cls(**values)
    if "neutral" not in inputs_of(recipe):
        if neutral is not None:
            raise OptionError(f"the method {method!r} takes no neutral text here; leave it out")
    else:
        neutral = check_prompt(neutral if neutral is not None else domain.neutral)
    return Wish(prompt=prompt, neutral=neutral, method=method, recipe=recipe)


def inputs_of(recipe: Any) -> dict[str, inspect.Parameter]:
    """What the `find` of a method takes, without what its hyper-parameters leave no use for."""
    unused = getattr(recipe, "unused", ())
    return {name: p for name, p in inspect.signature(recipe.find).parameters.items() if name not in unused}


def _filled_in(domain: Domain, cls: type, method: str, given: dict[str, Any]) -> dict[str, Any]:
    """The options given, and what the domain says of those left out."""
    known = {field.name: field.default for field in fields(cls)}
    usual = usual_values(domain, method, cls)
    of_channels = [name for name in OF_CHANNELS if name in given]
    if issubclass(cls, ShiftMethod):
        if given.get("space") == "w" and (of_channels := [name for name in of_channels if given[name] != known[name]]):
            raise OptionError(
                f"{', '.join(of_channels)}: about style channels; leave it out, or move them by space='s'"
            )
        if usual.get("space") == "w" and (of_channels or given.get("space") == "s"):  # then the others are about axes
            usual = {name: value for name, value in usual.items() if name not in OF_AXES}
    given = usual | given
    if issubclass(cls, ShiftMethod) and given.get("space") == "w":
        return given
    if "threshold" in known and "threshold" in given:
        given.setdefault("num_channels", None)
    elif "num_channels" in known and "num_channels" not in given and domain.num_channels is not None:
        given["num_channels"] = domain.num_channels
    if "to_rgb" in known:
        given.setdefault("to_rgb", domain.to_rgb)
    if "bank" in known and given.get("bank", "auto") == "auto" and not has_bank(domain):
        given["bank"] = "none"  # said here, so that a record says it too
    return given


def usual_values(domain: Domain, method: str, cls: type) -> dict[str, Any]:
    """A domain's own values for a method, fields of its class.

    Raises:
        DomainError: its table names something that is no field of it.
    """
    table = domain.tables.get(method, {})
    unknown = sorted(table.keys() - {field.name for field in fields(cls)})
    if unknown:
        raise DomainError(f"{domain.folder / 'domain.toml'}: [{method}] has no {', '.join(unknown)}")
    return {name: value for name, value in table.items() if name != "identity" or "identity" in domain.files}


def has_bank(domain: Domain) -> bool:
    """Whether a domain has a channel bank, or this process has made one for its networks."""
    from ..banks.bank import recall

    return "bank" in domain.files or recall(domain.generator, domain.embedder) is not None


def channel_bank(domain: Domain, choice: str | None = "auto", **layers: Any) -> ChannelBank:
    """The channel bank of a domain, or the one that this process made for its networks.

    Args:
        choice: `build` makes one where there is none, and keeps it for this process.
        layers: that the one made covers, `max_resolution` and `to_rgb`; and the `precision` of its making.

    Raises:
        DomainError: there is none yet.
    """
    from ..banks.bank import recall
    from ..banks.bank_choice import find_bank

    networks = domain.generator, domain.embedder
    if choice == "build":
        bank = find_bank(*networks, "build", domain.bank, truncation=domain.truncation, **layers)
    else:
        bank = domain.bank or recall(*networks)
    if bank is None:
        raise DomainError(
            f"domain {domain.name!r} has no channel bank yet; build it once with: "
            f"textmorph bank build --domain {domain.folder}"
        )
    return bank


def picture_corpus(domain: Domain) -> Any:
    """The corpus of a domain.

    Raises:
        DomainError: there is none.
    """
    if domain.corpus is None:
        raise DomainError(
            f"domain {domain.name!r} has no corpus yet; build it once with: "
            f"textmorph corpus build --domain {domain.folder}"
        )
    return domain.corpus
