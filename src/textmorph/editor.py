"""The whole way: a photo and a wish in, a photo that explains itself out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from . import evaluation
from . import record as records
from .domains import Domain, load_domain
from .edits import Direction, Edit, apply_edits
from .encoders import Encoder
from .errors import DomainError, InputError, OptionError, TextmorphError
from .fingerprint import fingerprint
from .generators import Generator
from .images import resize
from .inversion.refinement import Refinement
from .latents import Latent
from .plans import Plan, SavedEdit, make_plan
from .prompts import text_embedding
from .record import Record
from .sources import Photo, Source, open_source
from .strength import CHANNEL_COUNTS, PLAIN_SHARE, SCALES, STRENGTHS, Candidate, choose_strength
from .wishes import Progress, TextMemory, Wish, channel_bank, make_wish, picture_corpus

SEARCHED_AT = 256
"""Largest side at which automatic strength renders its tries."""
BATCH = 16
"""Tries rendered at once."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """One edited picture.

    Args:
        image: the edited picture, [1, 3, R, R] in [-1, 1].
        latent: the edited latent.
        source: the photo as it went in, cropped and resized, [1, 3, R, R].
        inverted: the photo as the generator draws it: what the edit started from, [1, 3, R, R].
        record: how it was made, see docs/cli.md; JSON.
    """

    image: Tensor
    latent: Latent
    source: Tensor
    inverted: Tensor
    record: Record

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the edited picture and its record: inside a PNG, in a sidecar beside every other format.

        Raises:
            OutputExistsError, OutputError: as `write_image`.
        """
        records.write_picture(self.image, path, self.record, overwrite=overwrite)

    @property
    def warnings(self) -> list[str]:
        return list(self.record["warnings"])


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

    def open(self, photo: Photo) -> Source:
        """Read a photo, crop its middle square and bring it to the generator's size.

        Raises:
            ImageError, LatentError: as `open_source`.
        """
        return open_source(self.domain, photo)

    def invert(self, photo: Photo, *, refine: int = 0, progress: Progress | None = None) -> Latent:
        """Latent in w+ that draws a photo: by the domain's encoder, then `refine` steps of optimisation.

        Raises:
            DomainError: the domain has no encoder, and `refine` is 0.
        """
        return self.invert_source(self.open(photo), refine=refine, progress=progress)

    def invert_source(self, source: Source, *, refine: int = 0, progress: Progress | None = None) -> Latent:
        """`invert`, for a photo that has been opened."""
        if refine < 0:
            raise OptionError(f"refine is a number of steps from 0, not {refine}")
        if source.latent is not None:
            if refine:
                raise OptionError("a latent needs no inversion; leave refine out")
            return source.latent
        start = None
        if self.encoder is not None:
            with torch.no_grad():
                start = self.encoder(source.image)
        elif not refine:
            raise DomainError(
                f"domain {self.domain.name!r} has no encoder; name one in domain.toml, or invert by optimisation alone "
                "with several hundred steps of refine"
            )
        if start is not None and not refine:
            return self.generator.to_space(start, "w+").detach()
        refinement = Refinement(steps=refine)
        return refinement.invert(self.generator, source.image, start=start, embedder=self.embedder, progress=progress)

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
        progress: Progress | None = None,
        **method_options: Any,
    ) -> Result:
        """Edit a photo by a text.

        Args:
            photo: a picture in any form, or a latent; its middle square is used.
            prompt: what the picture should show; may be left out where `edits` are given.
            strength: how far; `auto` searches for the gentlest plain effect that keeps the identity.
            neutral: what the picture shows already, as a text; None takes the domain's.
            num_channels: how many style channels to move; `auto`, or None with automatic strength, searches that too.
            method: `global`, `svm` or `optimize`.
            also: further wishes, (text, strength), found by the same method.
            edits: saved edits or their files, (edit, strength).
            keep_identity: smallest identity that automatic strength accepts; None takes the domain's (usually 0.7).
            refine: optimisation steps after the encoder.
            seed: for methods that draw random numbers.
            method_options: further fields of the method.

        Raises:
            InputError: a bad photo, text or option.
            EditError: no style channel can be selected at all.
        """
        plan = self.plan(
            prompt, strength=strength, neutral=neutral, num_channels=num_channels, method=method, also=also,
            edits=edits, keep_identity=keep_identity, refine=refine, seed=seed, **method_options,
        )  # fmt: skip
        return self.carry_out(plan, self.open(photo), progress=progress)

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
        **method_options: Any,
    ) -> Plan:
        """Check what is asked for, before any picture is touched; arguments and errors as in `edit`."""
        return make_plan(
            self.domain, prompt, strength=strength, neutral=neutral, num_channels=num_channels, method=method,
            also=also, edits=edits, keep_identity=keep_identity, refine=refine, seed=seed, options=method_options,
        )  # fmt: skip

    def carry_out(self, plan: Plan, source: Source, *, progress: Progress | None = None) -> Result:
        """Edit one opened photo as planned."""
        latent = self.invert_source(source, refine=plan.refine)
        inverted = self.render(latent)
        others: list[tuple[Edit, float]] = [(saved.edit, saved.strength) for saved in plan.edits]
        told = [saved.about for saved in plan.edits]
        for wish, strength in plan.also:
            edit = self._find(wish, latent, progress)
            others.append((edit, strength))
            told.append(_tell(wish, edit, strength))
        automatic = None
        if plan.wish is not None:
            wish, edit, strength, automatic = self._strongest(plan, plan.wish, latent, inverted, others, progress)
            others.insert(0, (edit, strength))
            told.insert(0, _tell(wish, edit, strength))
        edited = apply_edits(self.generator, latent, others)
        image = self.render(edited)
        record: Record = {
            "format": records.FORMAT,
            "versions": records.versions(),
            "domain": {"name": self.domain.name, "folder": str(self.domain.folder)},
            "source": source.about,
            "request": plan.about,
            "input_latent": records.pack_latent(latent),
            "edits": told,
            "automatic": automatic,
            "seed": plan.seed,
            "fingerprints": self.fingerprints(plan),
            "scores": self._scores(plan, source, inverted, image, told),
            "warnings": [],
        }
        record["warnings"] = self._warnings(plan, source, record)
        return Result(image=image, latent=edited, source=source.image, inverted=inverted, record=record)

    def replay(self, record: Record) -> Result:
        """Make the picture of a record again, from its input latent; the source of the result is that latent's image.

        Raises:
            DomainError: the record was made with other networks, a bank or templates than these.
            InputError: the record is damaged, or one of its saved edits is missing or altered.
        """
        try:
            self._check_parts(record["fingerprints"])
            latent = records.unpack_latent(record["input_latent"]).to(self._device)
            pairs = [(self._find_again(told, latent), float(told["strength"])) for told in record["edits"]]
        except TextmorphError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"this record is damaged: {error!r}") from error
        inverted = self.render(latent)
        edited = apply_edits(self.generator, latent, pairs)
        return Result(image=self.render(edited), latent=edited, source=inverted, inverted=inverted, record=record)

    def is_done(self, record: Record, plan: Plan, source: Source) -> bool:
        """Whether a record says that this very photo was edited by this very plan, with these networks."""
        return (
            record.get("request") == plan.about
            and record.get("source", {}).get("sha256") == source.about["sha256"]
            and record.get("fingerprints") == self.fingerprints(plan)
        )

    def fingerprints(self, plan: Plan) -> dict[str, str | None]:
        """Fingerprints of the parts of the domain that a plan uses."""
        parts = ["generator", "encoder", "embedder", "identity", "witness"]
        parts += [part for part in ("bank", "corpus", "templates") if any(wish.uses(part) for wish in plan.wishes)]
        return {part: self._fingerprint(part) for part in parts}

    # Automatic strength

    def _strongest(
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
            return wish, self._find(wish, latent, progress), plan.strength, None
        counts = (self.domain.channel_counts or CHANNEL_COUNTS) if plan.search_channels else (None,)
        wishes = [wish if count is None else wish.with_channels(count) for count in counts]
        found = [self._find(each, latent, progress) for each in wishes]
        strengths = (plan.strength,) if plan.strength is not None else self._strengths(wish)
        tries = [(row, strength) for row in range(len(found)) for strength in strengths]
        tried = self._try(wish.prompt, latent, inverted, others, [(found[row], strength) for row, strength in tries])
        candidates = [
            replace(one, num_channels=counts[row], strength=strength)
            for one, (row, strength) in zip(tried, tries, strict=True)
        ]
        share = self.domain.plain_share if self.domain.plain_share is not None else PLAIN_SHARE
        choice = choose_strength(candidates, keep_identity=plan.keep_identity, plain_share=share)
        row, strength = tries[choice.index]
        automatic = asdict(choice) | {
            "strength": strength,
            "num_channels": counts[row],
            "keep_identity": plan.keep_identity,
            "plain_share": share,
            "tried": [asdict(candidate) for candidate in candidates],
        }
        return wishes[row], found[row], strength, automatic

    def _strengths(self, wish: Wish) -> tuple[float, ...]:
        return SCALES if wish.per_picture else (self.domain.strengths or STRENGTHS)

    @torch.no_grad()
    def _try(
        self,
        prompt: str,
        latent: Latent,
        inverted: Tensor,
        others: list[tuple[Edit, float]],
        tries: list[tuple[Edit, float]],
    ) -> list[Candidate]:
        """Render every try beside the other edits, and measure it: the gain against the picture without this edit."""
        side = min(self.generator.resolution, SEARCHED_AT)
        target = text_embedding(self._text_memory, prompt, templates=self.domain.sentences)
        without = self.render(apply_edits(self.generator, latent, others), resolution=side)
        person = resize(inverted, side, method="area")
        candidates: list[Candidate] = []
        for start in range(0, len(tries), BATCH):
            edited = [apply_edits(self.generator, latent, [one, *others]) for one in tries[start : start + BATCH]]
            images = self.render(Latent.cat(edited), resolution=side)
            gains = evaluation.clip_gain(self.embedder, without, images, target).tolist()
            kept = [None] * len(images)
            if self.identity is not None:
                kept = evaluation.identity_kept(self.identity, person, images).tolist()
            candidates += [
                Candidate(strength=strength, gain=gain, identity=identity)
                for (_, strength), gain, identity in zip(tries[start : start + BATCH], gains, kept, strict=True)
            ]
        return candidates

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
                    about[name] = float(evaluation.clip_gain(judge, inverted, image, target))
        main = told[0] if plan.wish is not None else {}
        photo = source.image if source.latent is None else None
        return {name: main.get(name) for name in judges} | evaluation.compare(photo, inverted, image, self.identity)

    def _warnings(self, plan: Plan, source: Source, record: Record) -> list[str]:
        found = list(source.notes)
        distance, far = record["scores"]["reconstruction_distance"], self.domain.far_distance
        if distance is not None and far is not None and distance > far:
            found.append(
                f"this picture is far from what the domain {self.domain.name!r} can draw (reconstruction distance "
                f"{distance:.3f}, far is above {far:g}); the result will look like the domain, not like the picture"
            )
        words = [
            word for wish in plan.wishes for text in (wish.prompt, wish.neutral or "") for word in self._unknown(text)
        ]
        found += [f"{word!r} is not a word this small model knows" for word in dict.fromkeys(words)]
        if record["automatic"] and not record["automatic"]["goal_met"]:
            found.append(f"automatic strength did not reach its goal: {record['automatic']['reason']}")
        return found

    def _unknown(self, text: str) -> list[str]:
        ask: Callable[[str], list[str]] | None = getattr(self.embedder, "unknown_words", None)
        return ask(text) if ask is not None and text else []

    def _fingerprint(self, part: str) -> str | None:
        if part == "templates":
            return hashlib.sha256("\n".join(self.domain.sentences).encode()).hexdigest()[:16]
        if part == "bank":
            bank = channel_bank(self.domain)
            return records.tensor_sha256(bank.effects, bank.consistency, bank.channel_std)[:16]
        if part == "corpus":
            return records.tensor_sha256(torch.as_tensor(picture_corpus(self.domain).embeddings))[:16]
        if part not in ("generator", "encoder", "embedder", "identity", "witness"):
            raise OptionError(f"this record names an unknown part {part!r}")
        network = getattr(self.domain, part)
        return None if network is None else fingerprint(network)

    def _find(self, wish: Wish, latent: Latent, progress: Progress | None) -> Edit:
        return wish.find(self.domain, embedder=self._text_memory, latent=latent, progress=progress)

    def _find_again(self, told: dict[str, Any], latent: Latent) -> Edit:
        """The edit that a record tells of."""
        if told["kind"] == "saved":
            return SavedEdit.reload(told)
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in told["values"].items()}
        wish = make_wish(self.domain, told["prompt"], method=told["method"], neutral=told["neutral"], options=values)
        return self._find(wish, latent, None)

    def _check_parts(self, made_with: dict[str, str | None]) -> None:
        """Refuse a record made with other parts; those that only judged or inverted do not matter."""
        for part, made in made_with.items():
            if part in ("encoder", "witness"):
                continue
            have = self._fingerprint(part)
            if have != made:
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
    return told
