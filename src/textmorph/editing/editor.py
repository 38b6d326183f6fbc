"""The editor: a photo and requests in, a picture and the record of its making out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from ..edits import Edit, apply_edits
from ..errors import DomainError, InputError, OptionError
from ..inversion.refinement import Refinement
from ..latents import Latent
from ..prompts import TextMemory, check_known
from . import metrics, provenance
from . import record as records
from .domain import DEFAULT_DOMAIN, Domain, load_domain
from .photos import FrameChoice, Photo, PhotoLike, open_photo
from .record import Record
from .record import Result as Result
from .request import Request, Requests, make_requests
from .settling import Settled, settle
from .strength import StrengthSearch

if TYPE_CHECKING:
    from ..banks.bank import ChannelBank
    from ..generators import Generator
    from ..inversion.encoders import Encoder
    from ..jobs.job_folder import Progress

Automatic = Literal["auto"]


class Editor:
    """A domain made ready. Its networks are loaded when they are first needed."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain

    @staticmethod
    def from_pretrained(domain: str | os.PathLike[str] = DEFAULT_DOMAIN, *, device: str | None = None) -> Editor:
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

    @property
    def bank(self) -> ChannelBank:
        return self.domain.bank

    def edit(
        self,
        photo: PhotoLike,
        requests: Any,
        *,
        method: Any = None,
        strength: float | Automatic | StrengthSearch = "auto",
        neutral: str | None = None,
        refine: int = 0,
        frame: FrameChoice | str = "auto",
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Result:
        """Edit a photo by words or by saved edits.

        Those of automatic strength are settled one after the other, beside those whose strength is given and those
        settled before.

        Args:
            photo: a picture in any form, a latent, or a `Photo` that was opened.
            requests: a text; a saved edit or its file; either with its strength, as a pair; a list of these; or
                `Requests` that were checked before, and then no other option.
            method: name of a method, or a method object, for all texts; None takes the domain's.
            strength: of all requests without their own; `auto` searches as the domain says, a `StrengthSearch` as it
                says.
            neutral: what the picture shows already, as a text; None takes the domain's.
            refine: optimisation steps after the encoder.
            frame: which square of the photo: `auto`, `middle`, or (left, top, side) in pixels.
            seed: for methods that draw random numbers.

        Raises:
            InputError: a bad photo, text or option.
            EditError: no style channel can be selected at all.
        """
        options = {
            "method": method, "strength": strength, "neutral": neutral, "refine": refine, "frame": frame, "seed": seed,
        }  # fmt: skip
        checked = self.check(requests, **options)
        photo = self.invert_photos([self.open(photo, frame=checked.frame)], refine=checked.refine)[0]
        latent = _latent(photo)
        inverted = self.render(latent)
        settled: dict[int, Settled] = {}
        order = sorted(range(len(checked.items)), key=lambda row: checked.items[row].strength is None)  # stable
        for row in order:
            settled[row] = self.settle(
                checked.items[row], latent, search=checked.search, inverted=inverted, progress=progress,
                others=[settled[other] for other in sorted(settled)],
            )  # fmt: skip
        return self.apply(photo, checked, [settled[row] for row in range(len(checked.items))])

    def check(self, requests: Any, *, values: Mapping[str, Any] | None = None, **options: Any) -> Requests:
        """Check what is asked for before any photo is touched; arguments and errors as in `make_requests`."""
        if isinstance(requests, Requests):
            usual = {"strength": "auto", "refine": 0, "frame": "auto", "seed": 0}
            given = [name for name, value in options.items() if value != usual.get(name)]
            if given:
                raise OptionError(f"{', '.join(given)}: these requests were checked with options of their own")
            return requests
        return make_requests(self.domain, requests, values=values, **options)

    # Photo in

    def open(self, photo: PhotoLike, *, frame: FrameChoice | str = "auto") -> Photo:
        """Read a photo, take a square of it and bring it to the generator's size; as `open_photo`."""
        return open_photo(self.domain, photo, frame=frame)

    def invert(
        self,
        photo: PhotoLike,
        *,
        refine: int = 0,
        frame: FrameChoice | str = "auto",
        progress: Progress | None = None,
    ) -> Latent:
        """Latent in w+ that draws a photo: by the domain's encoder, then `refine` steps of optimisation.

        Raises:
            DomainError: the domain has no encoder, and `refine` is 0.
        """
        return _latent(self.invert_photos([self.open(photo, frame=frame)], refine=refine, progress=progress)[0])

    def invert_photos(
        self, photos: Sequence[Photo], *, refine: int = 0, progress: Progress | None = None
    ) -> list[Photo]:
        """Several opened photos with their latents; those that have one already keep it."""
        if refine < 0:
            raise OptionError(f"refine is a number of steps from 0, not {refine}")
        found = list(photos)
        rows = [row for row, photo in enumerate(photos) if photo.latent is None]
        if rows:
            images = torch.cat([photos[row].image for row in rows])
            for row, latent in zip(rows, self._invert(images, refine, progress), strict=True):
                found[row] = replace(photos[row], latent=latent)
        return found

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

    # Edits

    def find(self, request: Request, latent: Latent, *, progress: Progress | None = None, **watching: Any) -> Edit:
        """Find the edit of a request, for a latent (which only some methods need).

        Args:
            watching: `callback` and `stop`, for a method that takes them.

        Raises:
            DomainError: the domain lacks a part that the method needs.
            PromptError: the embedder knows no word that says what to change.
            EmptyDirectionError, PromptError, OptionError: as the method says.
        """
        if request.edit is not None:
            return request.edit
        check_known(self.embedder, request.prompt or "", neutral=request.neutral or self.domain.neutral)
        offers = request.inputs(self.domain, progress) | {"latent": latent, "progress": progress} | watching
        taken = {name: value for name, value in offers.items() if request.uses(name)}
        edit: Edit = request.method.find(self.generator, self.texts, target=request.prompt, **taken)
        return edit

    def settle(
        self,
        request: Request,
        latent: Latent,
        *,
        search: StrengthSearch,
        others: Sequence[Settled] = (),
        inverted: Tensor | None = None,
        progress: Progress | None = None,
    ) -> Settled:
        """Find the edit of a request, and its strength where that is automatic; as `settling.settle`."""
        return settle(self, request, latent, search=search, others=others, inverted=inverted, progress=progress)

    # Picture out

    @torch.no_grad()
    def render(self, latent: Latent, *, resolution: int | None = None) -> Tensor:
        """Image of a latent, clamped to [-1, 1]."""
        return self.generator(latent, resolution=resolution).clamp(-1, 1)

    def apply(self, photo: Photo, requests: Requests, settled: Sequence[Settled]) -> Result:
        """Draw an inverted photo with edits that were found, and write its record."""
        latent = _latent(photo)
        inverted = self.render(latent)
        edited = apply_edits(self.generator, latent, [(one.edit, one.strength) for one in settled])
        image = self.render(edited)
        record = self.describe(requests, photo) | {"edits": [one.json for one in settled]}
        record["scores"] = provenance.scores(self.domain, self.texts, photo, inverted, image, settled, record["edits"])
        record["warnings"] += provenance.doubts(self.domain, record)
        return Result(image=image, latent=edited, source=photo.image, inverted=inverted, record=record)

    def present(self, latent: Latent, *, request: dict[str, Any], photo: Photo | None = None) -> Result:
        """A result without an edit: the picture of a latent, with its record.

        Args:
            photo: the photo it is an inversion of; None for a new picture.
            request: what was asked for, as JSON.
        """
        latent = self.generator.to_space(latent, "w+") if latent.space in ("z", "w") else latent
        image = self.render(latent)
        source = None if photo is None else photo.image
        about = photo.about if photo is not None else {"name": None, "of": "latent", "sha256": None}
        record = provenance.preamble(self.domain, latent, about, request) | {
            "fingerprints": {
                part: provenance.part_fingerprint(self.domain, part) for part in ("generator", "embedder")
            },
            "scores": metrics.compare(source, image, image, self.identity),
            "warnings": list(photo.notes)
            if photo is not None
            else provenance.unknown_words(self.domain, [request.get("prompt")]),
        }
        record["warnings"] += provenance.doubts(self.domain, record)
        return Result(
            image=image, latent=latent, source=image if source is None else source, inverted=image, record=record
        )

    def sample(
        self,
        num: int = 1,
        *,
        prompt: str | None = None,
        method: Any = None,
        seed: int = 0,
        truncation: float | None = None,
        progress: Progress | None = None,
    ) -> list[Result]:
        """Draw new pictures, random or towards a text; as `grids.sample`."""
        from .grids import sample

        return sample(
            self, num, prompt=prompt, method=method, seed=seed, truncation=truncation, progress=progress
        )  # fmt: skip

    def replay(self, record: Record, *, progress: Progress | None = None) -> Result:
        """Make the picture of a record again, from its input latent; the source of the result is that latent's image.

        Raises:
            DomainError: the record was made with other networks, a bank or templates than these.
            InputError: the record is damaged, or one of its saved edits is missing or altered.
        """
        self.check_parts(record)
        with records.threads_of(record):
            edits = records.recorded_edits(record)
            latent = records.unpack_latent(record.get("input_latent")).to(self.generator.mean_w.device)
            requests = [Request.from_json(self.domain, edit) for edit in edits]
            pairs = [(self.find(each, latent, progress=progress), float(each.strength or 0.0)) for each in requests]
            inverted = self.render(latent)
            edited = apply_edits(self.generator, latent, pairs)
            return Result(image=self.render(edited), latent=edited, source=inverted, inverted=inverted, record=record)

    # The record

    def describe(self, requests: Requests, photo: Photo) -> Record:
        """The part of a record that is known before an edit: versions, domain, source, request, input latent."""
        texts = [text for item in requests.items for text in (item.prompt, item.neutral)]
        return provenance.preamble(self.domain, _latent(photo), photo.about, requests.json) | {
            "fingerprints": self.fingerprints(requests),
            "warnings": [*photo.notes, *provenance.unknown_words(self.domain, texts)],
        }

    def is_done(self, record: Record, requests: Requests, photo: Photo) -> bool:
        """Whether a record says that this very photo was edited by these very requests, with these networks."""
        source = record.get("source")
        return (
            record.get("request") == requests.json
            and isinstance(source, dict)
            and source.get("sha256") == photo.about["sha256"]
            and record.get("fingerprints") == self.fingerprints(requests)
        )

    def fingerprints(self, requests: Requests) -> dict[str, str | None]:
        """Fingerprints of the parts of the domain that requests use; None for a bank that was not made yet."""
        return provenance.fingerprints(self.domain, requests)

    def check_parts(self, record: Mapping[str, Any]) -> None:
        """Refuse a record made with other parts; as `provenance.check_parts`."""
        provenance.check_parts(self.domain, record)

    @cached_property
    def texts(self) -> Any:
        """The embedder, with the texts that it has embedded."""
        return TextMemory(self.embedder)


def _latent(photo: Photo) -> Latent:
    if photo.latent is None:
        raise InputError("this photo was not inverted yet; see Editor.invert_photos")
    return photo.latent
