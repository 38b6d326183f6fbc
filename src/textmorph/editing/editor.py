"""The whole way: a photo and a wish in, a photo that explains itself out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any, Literal

import torch
from torch import Tensor

from ..edits import Direction, Edit, apply_edits
from ..errors import DomainError, InputError, OptionError
from ..generators import Generator
from ..hashing import fingerprint
from ..inversion.encoders import Encoder
from ..inversion.refinement import Refinement
from ..latents import Latent
from ..methods import method_class
from ..prompts import text_embedding
from . import metrics
from . import record as records
from .alignment import Crop
from .domain import Domain, load_domain
from .photos import Photo, Source, open_source
from .plans import Plan, SavedEdit, make_plan
from .record import Record
from .record import Result as Result
from .strength import PLAIN_SHARE, choose_strength
from .trials import measure
from .wishes import Progress, TextMemory, Wish, channel_bank, leading_somewhere, make_wish, picture_corpus


class Editor:
    """A domain made ready. Its networks are loaded when they are first needed."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self._texts: TextMemory | None = None

    @staticmethod
    def from_pretrained(domain: str | os.PathLike[str] = "portraits", *, device: str | None = None) -> Editor:
        """Make a domain ready.

        Args:
            domain: a name such as `portraits`, or a folder with `domain.toml`.
            device: `cpu`, `cuda`, …; None takes a GPU where there is one.
        """
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        return Editor(load_domain(domain, device=device))

    @property
    def generator(self) -> Generator:
        return self.domain.generator

    @property
    def encoder(self) -> Encoder | None:
        return self.domain.encoder

    @property
    def embedder(self) -> Any:
        return self.domain.embedder

    @property
    def identity(self) -> Any:
        return self.domain.identity

    # Photo in

    def open(self, photo: Photo, *, crop: Crop | str = "auto") -> Source:
        """Read a photo, crop it to a square and bring it to the generator's size; as `open_source`."""
        return open_source(self.domain, photo, crop=crop)

    def invert(
        self, photo: Photo, *, refine: int = 0, crop: Crop | str = "auto", progress: Progress | None = None
    ) -> Latent:
        """Latent in w+ that draws a photo: by the domain's encoder, then `refine` steps of optimisation.

        Raises:
            DomainError: the domain has no encoder, and `refine` is 0.
        """
        return self.invert_source(self.open(photo, crop=crop), refine=refine, progress=progress)

    def invert_source(self, source: Source, *, refine: int = 0, progress: Progress | None = None) -> Latent:
        """`invert`, for a photo that has been opened."""
        return self.invert_sources([source], refine=refine, progress=progress)[0]

    def invert_sources(
        self, sources: Sequence[Source], *, refine: int = 0, progress: Progress | None = None
    ) -> list[Latent]:
        """`invert`, for several opened photos at once; a source that is a latent is given back as it is."""
        if refine < 0:
            raise OptionError(f"refine is a number of steps from 0, not {refine}")
        latents: list[Latent | None] = [source.latent for source in sources]
        photos = [row for row, latent in enumerate(latents) if latent is None]
        if photos:
            images = torch.cat([sources[row].image for row in photos])
            for row, latent in zip(photos, self._invert(images, refine, progress), strict=True):
                latents[row] = latent
        return [latent for latent in latents if latent is not None]

    def _invert(self, images: Tensor, refine: int, progress: Progress | None) -> Latent:
        if self.encoder is None and not refine:
            raise DomainError(
                f"domain {self.domain.name!r} has no encoder; name one in domain.toml, or invert by optimisation alone "
                "with several hundred steps of refine"
            )
        start = None
        if self.encoder is not None:
            with torch.no_grad():
                start = self.generator.to_space(self.encoder(images), "w+").detach()
            if not refine:
                return start
        refinement = Refinement(steps=refine)
        return refinement.invert(self.generator, images, start=start, embedder=self.embedder, progress=progress)

    @torch.no_grad()
    def render(self, latent: Latent, *, resolution: int | None = None) -> Tensor:
        """Image of a latent, clamped to [-1, 1]."""
        return self.generator(latent, resolution=resolution).clamp(-1, 1)

    # Photo out

    def edit(
        self,
        photo: Photo,
        prompt: str | None = None,
        *,
        strength: float | Literal["auto"] = "auto",
        neutral: str | None = None,
        num_channels: int | Literal["auto"] | None = None,
        method: str = "global",
        also: Sequence[tuple[str, float]] = (),
        edits: Sequence[tuple[Edit | str | os.PathLike[str], float]] = (),
        keep_identity: float | None = None,
        refine: int = 0,
        seed: int = 0,
        crop: Crop | str = "auto",
        progress: Progress | None = None,
        **method_options: Any,
    ) -> Result:
        """Edit a photo by a text.

        Args:
            photo: a picture in any form, or a latent.
            prompt: what the picture should show; may be left out where `edits` are given.
            strength: how far; `auto` searches for the gentlest plain effect that keeps the identity.
            neutral: what the picture shows already, as a text; None takes the domain's.
            num_channels: how many style channels, or axes, to move; `auto`, or None with automatic strength, searches
                that too.
            method: `global`, `svm` or `optimize`.
            also: further wishes, (text, strength), found by the same method.
            edits: saved edits or their files, (edit, strength).
            keep_identity: smallest identity that automatic strength accepts; None takes the domain's (usually 0.7).
            refine: optimisation steps after the encoder.
            seed: for methods that draw random numbers.
            crop: which square of the photo; `auto` searches where the domain cannot draw the middle one; or `middle`,
                or (left, top, side) in pixels.
            method_options: further fields of the method.

        Raises:
            InputError: a bad photo, text or option.
            EditError: no style channel can be selected at all.
        """
        plan = self.plan(
            prompt, strength=strength, neutral=neutral, num_channels=num_channels, method=method, also=also,
            edits=edits, keep_identity=keep_identity, refine=refine, seed=seed, crop=crop, **method_options,
        )  # fmt: skip
        return self.carry_out(plan, self.open(photo, crop=plan.crop), progress=progress)

    def plan(
        self,
        prompt: str | None = None,
        *,
        strength: float | Literal["auto"] = "auto",
        neutral: str | None = None,
        num_channels: int | Literal["auto"] | None = None,
        method: str = "global",
        also: Sequence[tuple[str, float]] = (),
        edits: Sequence[tuple[Edit | str | os.PathLike[str], float]] = (),
        keep_identity: float | None = None,
        refine: int = 0,
        seed: int = 0,
        crop: Crop | str = "auto",
        **method_options: Any,
    ) -> Plan:
        """Check what is asked for, before any picture is touched; arguments and errors as in `edit`."""
        return make_plan(
            self.domain, prompt, strength=strength, neutral=neutral, num_channels=num_channels, method=method,
            also=also, edits=edits, keep_identity=keep_identity, refine=refine, seed=seed, crop=crop,
            options=method_options,
        )  # fmt: skip

    def carry_out(
        self, plan: Plan, source: Source, *, latent: Latent | None = None, progress: Progress | None = None
    ) -> Result:
        """Edit one opened photo as planned.

        Args:
            latent: of the photo, in w+ or s, where it has been inverted already.
        """
        if latent is None:
            latent = self.invert_source(source, refine=plan.refine)
        inverted = self.render(latent)
        pairs = [(saved.edit, saved.strength) for saved in plan.edits]
        told = [dict(saved.about) for saved in plan.edits]
        for wish, strength in plan.also:
            pairs.append((self.find(wish, latent, progress), strength))
            told.append(_tell(wish, *pairs[-1]))
        automatic = None
        if plan.wish is not None:
            wish, edit, strength, automatic = self._settle(plan, plan.wish, latent, inverted, pairs, progress)
            pairs.insert(0, (edit, strength))
            told.insert(0, _tell(wish, edit, strength))
        edited = apply_edits(self.generator, latent, pairs)
        image = self.render(edited)
        record = self.describe(plan, source, latent) | {"edits": told, "automatic": automatic}
        record["scores"] = self._scores(plan, source, inverted, image, told)
        record["warnings"] += self._doubts(record)
        return Result(image=image, latent=edited, source=source.image, inverted=inverted, record=record)

    def present(self, latent: Latent, *, request: dict[str, Any], source: Source | None = None) -> Result:
        """A result without an edit: the picture of a latent, with its record.

        Args:
            source: the photo it is an inversion of; None for a new picture.
            request: what was asked for, as JSON.
        """
        latent = self.generator.to_space(latent, "w+") if latent.space in ("z", "w") else latent
        image = self.render(latent)
        photo = source.image if source is not None else None
        about = source.about if source is not None else {"name": None, "of": "latent", "sha256": None}
        record = self._preamble(latent, about, request) | {
            "fingerprints": {part: self._fingerprint(part) for part in ("generator", "embedder")},
            "scores": metrics.compare(photo, image, image, self.identity),
            "warnings": list(source.notes) if source is not None else self._unknown_words([request.get("prompt")]),
        }
        record["warnings"] += self._doubts(record)
        return Result(
            image=image, latent=latent, source=image if photo is None else photo, inverted=image, record=record
        )

    def describe(self, plan: Plan, source: Source, latent: Latent) -> Record:
        """The part of a record that is known before an edit: versions, domain, source, request, input latent."""
        unknown = self._unknown_words([text for wish in plan.wishes for text in (wish.prompt, wish.neutral)])
        return self._preamble(latent, source.about, plan.about) | {
            "fingerprints": self.fingerprints(plan),
            "warnings": [*source.notes, *unknown],
        }

    def _preamble(self, latent: Latent, source: dict[str, Any], request: dict[str, Any]) -> Record:
        return {
            "format": records.FORMAT,
            "kind": "edit",
            "versions": records.versions(),
            "threads": torch.get_num_threads(),
            "domain": {"name": self.domain.name, "folder": str(self.domain.folder)},
            "source": source,
            "request": request,
            "input_latent": records.pack_latent(latent),
            "edits": [],
            "automatic": None,
        }

    def replay(self, record: Record) -> Result:
        """Make the picture of a record again, from its input latent; the source of the result is that latent's image.

        Raises:
            DomainError: the record was made with other networks, a bank or templates than these.
            InputError: the record is damaged, or one of its saved edits is missing or altered.
        """
        self.check_parts(record)
        with records.threads_of(record):
            return self._replay(record)

    def _replay(self, record: Record) -> Result:
        edits = records.recorded_edits(record)
        latent = records.unpack_latent(record.get("input_latent")).to(self._device)
        pairs = [(self._find_again(told, latent), float(told["strength"])) for told in edits]
        inverted = self.render(latent)
        edited = apply_edits(self.generator, latent, pairs)
        return Result(image=self.render(edited), latent=edited, source=inverted, inverted=inverted, record=record)

    def is_done(self, record: Record, plan: Plan, source: Source) -> bool:
        """Whether a record says that this very photo was edited by this very plan, with these networks."""
        photo = record.get("source")
        return (
            record.get("request") == plan.about
            and isinstance(photo, dict)
            and photo.get("sha256") == source.about["sha256"]
            and record.get("fingerprints") == self.fingerprints(plan)
        )

    def fingerprints(self, plan: Plan) -> dict[str, str | None]:
        """Fingerprints of the parts of the domain that a plan uses."""
        parts = ["generator", "encoder", "embedder", "identity", "witness"]
        if [wish for wish in plan.wishes if wish.bank(self.domain) is not None]:  # builds what is to be built
            parts.append("bank")
        parts += [part for part in ("corpus", "templates") if any(wish.uses(part) for wish in plan.wishes)]
        return {part: self._fingerprint(part) for part in parts}

    # Automatic strength

    def _settle(
        self,
        plan: Plan,
        wish: Wish,
        latent: Latent,
        inverted: Tensor,
        others: list[tuple[Edit, float]],
        progress: Progress | None,
    ) -> tuple[Wish, Edit, float, dict[str, Any] | None]:
        """The wish (its number of channels settled), its edit and strength, and how that was chosen."""
        if plan.strength is not None and not plan.search_channels:
            return wish, self.find(wish, latent, progress), plan.strength, None
        ways = wish.ways(self.domain, search=plan.search_channels, space=latent.space)
        if plan.strength is not None:  # which is one of straight steps
            ways = [(each, (plan.strength,)) for each, _ in ways if each.meets == wish.meets]
        ways, found = leading_somewhere(ways, lambda each: self.find(each, latent, progress))
        tries = [(row, strength) for row, (_, strengths) in enumerate(ways) for strength in strengths]
        tried = measure(
            self.domain, self._text_memory, self.render, wish, latent=latent, inverted=inverted, others=others,
            tries=[(found[row], strength) for row, strength in tries],
        )  # fmt: skip
        told = [ways[row][0].way(search=plan.search_channels) for row, _ in tries]
        candidates = [replace(one, **about) for one, about in zip(tried, told, strict=True)]
        share = self.domain.plain_share if self.domain.plain_share is not None else PLAIN_SHARE
        choice = choose_strength(
            candidates, keep_identity=plan.keep_identity, plain_share=share, sideways=self.domain.sideways,
            beyond=self.domain.beyond, astray=self.domain.astray, complete=wish.complete,
        )  # fmt: skip
        row, strength = tries[choice.index]
        automatic = asdict(choice) | {
            "strength": strength,
            **told[choice.index],
            "keep_identity": plan.keep_identity,
            "plain_share": share,
            "sideways": self.domain.sideways,
            "beyond": self.domain.beyond,
            "astray": self.domain.astray,
            "tried": [asdict(candidate) for candidate in candidates],
        }
        return ways[row][0], found[row], strength, automatic

    # The record

    @torch.no_grad()
    def _scores(
        self, plan: Plan, source: Source, inverted: Tensor, image: Tensor, told: list[dict[str, Any]]
    ) -> dict[str, float | None]:
        """Figures about the result; all against the inverted photo, save for the reconstruction's own."""
        judges: dict[str, Any] = {"clip_gain": self._text_memory, "witness_gain": self.domain.witness}
        for about in told:
            for name, judge in judges.items() if about["kind"] == "text" else ():
                about[name] = None
                if judge is not None:
                    target = text_embedding(judge, about["prompt"], templates=self.domain.sentences)
                    about[name] = float(metrics.clip_gain(judge, inverted, image, target))
        main = told[0] if plan.wish is not None else {}
        photo = source.image if source.latent is None else None
        return {name: main.get(name) for name in judges} | metrics.compare(photo, inverted, image, self.identity)

    def _doubts(self, record: Record) -> list[str]:
        """What the figures of a record should warn of."""
        found: list[str] = []
        distance, far = record["scores"]["reconstruction_distance"], self.domain.far_distance
        if distance is not None and far is not None and distance > far:
            found.append(
                f"this picture is far from what the domain {self.domain.name!r} can draw (reconstruction distance "
                f"{distance:.3f}, far is above {far:g}); the result will look like the domain, not like the picture"
            )
        automatic = record["automatic"]
        if automatic and not automatic["goal_met"]:
            found.append(f"automatic strength did not reach its goal: {automatic['reason']}")
        return found

    def _unknown_words(self, texts: Sequence[str | None]) -> list[str]:
        """A warning for every word that the embedder does not know, where it can tell."""
        ask: Callable[[str], list[str]] | None = getattr(self.embedder, "unknown_words", None)
        words = [word for text in texts if text for word in (ask(text) if ask is not None else [])]
        return [f"{word!r} is not a word this small model knows" for word in dict.fromkeys(words)]

    def _fingerprint(self, part: str) -> str | None:
        if part == "templates":
            return hashlib.sha256("\n".join(self.domain.sentences).encode()).hexdigest()[:16]
        if part == "bank":
            bank = channel_bank(self.domain)
            return records.tensor_sha256(bank.effects, bank.consistency, bank.channel_std)[:16]
        if part == "corpus":
            return str(picture_corpus(self.domain).fingerprint)
        if part not in ("generator", "encoder", "embedder", "identity", "witness"):
            raise OptionError(f"this record names an unknown part {part!r}")
        network = getattr(self.domain, part)
        return None if network is None else fingerprint(network)

    def find(self, wish: Wish, latent: Latent, progress: Progress | None = None) -> Edit:
        """Find the edit that a wish asks for, for a latent (which only methods that look at it need)."""
        return wish.find(self.domain, embedder=self._text_memory, latent=latent, progress=progress)

    def _find_again(self, told: dict[str, Any], latent: Latent) -> Edit:
        """The edit that a record tells of."""
        if told["kind"] == "saved":
            return SavedEdit.reload(told)
        return self.find(self.recorded_wish(told), latent)

    def recorded_wish(self, told: dict[str, Any]) -> Wish:
        """The wish that a record tells of."""
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in told["values"].items()}
        for field in fields(method_class(told["method"])):  # newer than the record: the method's own, not the domain's
            values.setdefault(field.name, field.default)
        return make_wish(self.domain, told["prompt"], method=told["method"], neutral=told["neutral"], options=values)

    def check_parts(self, record: Mapping[str, Any]) -> None:
        """Refuse a record made with other parts; those that only judged or inverted do not matter.

        Raises:
            DomainError: a part of this domain is another.
            InputError: the record names none.
        """
        made_with = record.get("fingerprints")
        if not isinstance(made_with, dict):
            raise InputError("this record is damaged: it does not name its networks")
        for part, made in made_with.items():
            have = None if part in ("encoder", "witness") else self._fingerprint(part)
            if part not in ("encoder", "witness") and have != made:
                raise DomainError(
                    f"this picture was made with the {part} {made}, and that of domain {self.domain.name!r} is {have}; "
                    "name the domain that it was made with"
                )

    @property
    def _text_memory(self) -> Any:
        if self._texts is None:
            self._texts = TextMemory(self.embedder)
        return self._texts

    @property
    def _device(self) -> torch.device:
        return self.generator.mean_w.device


def _tell(wish: Wish, edit: Edit, strength: float) -> dict[str, Any]:
    """What the record says of a wish fulfilled."""
    told: dict[str, Any] = {"kind": "text", **wish.about, "strength": strength, "space": edit.space}
    if isinstance(edit, Direction) and edit.space == "s":
        told["channels"] = int(edit.vector.count_nonzero())
    elif "axes" in edit.provenance:
        told["axes"] = edit.provenance["axes"]
    return told
