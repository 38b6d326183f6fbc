"""The latent mapper of StyleCLIP (Patashnik et al. 2021, arXiv:2103.17249, Sec. 5 and App. A): a network per text."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from torch import Tensor

from ..edits import Residual
from ..errors import LatentError, OptionError
from ..fields import check_fields
from ..generators.resolution import render_resolution
from ..hashing import fingerprint, tensor_digest
from ..images import write_image
from ..jobs.run_folder import RunFolder, open_run
from ..jobs.training import Schedule, Training
from ..latents import Latent, Space, StyleLayout
from ..losses import clip_loss, identity_loss
from ..mappers import Level, Mapper, MapperConfig, MapperNetwork, Norm, SingleMapper, StyleMapper, StyleMapperConfig
from ..optimization import Ranger, ramped_learning_rate
from ..precision import Precision, check_precision, passes_in
from ..prompts import BARE, check_prompt, text_embedding, text_shift
from ..sheets import contact_sheet

if TYPE_CHECKING:
    from ..embedders import Embedder, TextEmbedder
    from ..generators import Generator

SHOWN = 6
"""Held-out faces on a sample sheet."""


@dataclass(frozen=True, kw_only=True)
class LatentMapper:
    """Train a mapper: a network that finds, for any latent, the step that makes its image show a text.

    The numbers are those of the paper and its code. `keep_person`, `change_person` and `resemble_photo` are its ways
    of use.
    """

    architecture: Annotated[
        Literal["levels", "single", "style"],
        "levels: a block for each level of w+; single: one for all rows; style: one for each style layer.",
    ] = "levels"
    levels: Annotated[tuple[Level, ...], "Levels that are mapped; without fine, colours stay."] = (
        "coarse", "medium", "fine",
    )  # fmt: skip
    norm: Annotated[Norm, "The pixel norm in front averages over channels (the paper) or rows (its code)."] = "channels"
    to_rgb: Annotated[bool, "Of style, also map the layers that only add colour."] = False
    factor: Annotated[float, "Of the residual; 0.1 in the paper's code."] = 0.1
    clip: Annotated[float, "Weight of the CLIP loss."] = 1.0
    clip_loss: Annotated[
        Literal["cosine", "directional"],
        "cosine of image and text; directional: of their changes (Gal et al. 2021), needs a neutral text.",
    ] = "cosine"
    identity: Annotated[float, "Weight of the identity loss; 0 needs no identity network."] = 0.1
    likeness: Annotated[float, "Weight of the identity loss towards one photo, in place of CLIP (App. A)."] = 0.0
    latent_l2: Annotated[float, "Weight of the mean square of the change."] = 0.8
    steps: Annotated[int, "Steps at most."] = 50_000
    batch_size: Annotated[int, "Latents of one step."] = 2
    chunk_size: Annotated[int | None, "Latents rendered at once; none: the batch, or what fits a GPU."] = None
    optimizer: Annotated[Literal["ranger", "adam"], "ranger, as published, or adam."] = "ranger"
    learning_rate: Annotated[float, "Learning rate on the plateau."] = 0.5
    rampup: Annotated[float, "Share of the steps in which the learning rate rises; the paper's is constant."] = 0.0
    rampdown: Annotated[float, "Share of the steps in which it falls."] = 0.0
    resolution: Annotated[int | None, "Side of the image that is looked at; none: what nobody need enlarge."] = None
    precision: Annotated[Precision, "Of the passes through the frozen networks: float32 or bfloat16."] = "float32"
    num_held_out: Annotated[int, "Latents never trained on; the weights that serve them best are the result."] = 64
    validate_every: Annotated[int, "Steps between two looks at those."] = 2000
    patience: Annotated[int | None, "Stop after so many steps without a gain on them; none: never."] = None
    seed: Annotated[int, "Of the first weights, the shuffling and latents that are drawn."] = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", tuple(self.levels))  # a list, when it comes from a record
        check_fields(type(self), asdict(self))
        MapperConfig(levels=self.levels, norm=self.norm)
        check_precision(self.precision)
        weights = {name: getattr(self, name) for name in ("clip", "identity", "likeness", "latent_l2")}
        if not all(weight >= 0 for weight in weights.values()) or not self.clip + self.likeness > 0:
            raise OptionError(f"weights are 0 or more, and clip or likeness above 0, not {weights}")
        if not (self.learning_rate > 0 and self.factor > 0 and 0 <= self.rampup <= 1 and 0 <= self.rampdown <= 1):
            raise OptionError("learning_rate and factor are above 0, rampup and rampdown shares from 0 to 1")
        counts = ("steps", "batch_size", "chunk_size", "num_held_out", "validate_every", "patience")
        low = {name: value for name in counts if (value := getattr(self, name)) is not None and value < 1}
        if low or self.seed < 0:
            raise OptionError(f"{' and '.join(low) or 'seed'} out of range: {low or self.seed}")

    @classmethod
    def keep_person(cls, **options: Any) -> LatentMapper:
        """For edits that leave the person who it is: identity 0.1, latent_l2 0.8, as most of the paper's."""
        return cls(**{"identity": 0.1, "latent_l2": 0.8, **options})

    @classmethod
    def change_person(cls, **options: Any) -> LatentMapper:
        """For edits that make another person: identity 0, latent_l2 2, as the paper's "Trump"."""
        return cls(**{"identity": 0.0, "latent_l2": 2.0, **options})

    @classmethod
    def resemble_photo(cls, **options: Any) -> LatentMapper:
        """Towards the face in a photo, by the identity network instead of CLIP (the paper's App. A)."""
        return cls(**{"clip": 0.0, "identity": 0.0, "likeness": 1.0, **options})

    def train(
        self,
        generator: Generator,
        embedder: TextEmbedder,
        *,
        target: str | None = None,
        photo: Tensor | None = None,
        neutral: str | None = None,
        latents: Latent | None = None,
        num_latents: int = 2000,
        truncation: float = 1.0,
        identity_embedder: Embedder | None = None,
        templates: Sequence[str] | None = None,
        run: str | os.PathLike[str] | None = None,
        resume: bool = False,
        save_seconds: float = 30.0,
        progress: Callable[[int, int], None] | None = None,
    ) -> Residual:
        """Train a mapper for one objective.

        Args:
            target: what the pictures should show; needed where `clip` is above 0.
            photo: one face, [1, 3, H, W], for `likeness`.
            neutral: what they show already, for the directional loss.
            latents: to train on, the last `num_held_out` held out, in any space up to the mapper's; best those that an
                encoder gives, as the edit will get. None draws them.
            num_latents, truncation: of those drawn.
            identity_embedder: needed where `identity` or `likeness` is above 0.
            templates: the text is averaged over these; None takes it as it is, as the paper.
            run: a folder for configuration, metrics, sample sheets and states; None leaves nothing behind.
            resume: go on with the run that lies there. On the CPU, and with as many threads, the result is the same to
                the bit as without the break.
            save_seconds: time between two states on disk.
            progress: called with the steps done and their total.

        Raises:
            OptionError: something that a loss needs is missing, or too few latents.
            PromptError: an empty or over-long text, or a neutral one that means the same.
            SpaceError, LatentError: latents that do not fit.
            JobError: the run folder cannot be begun or continued.
            EditError: the loss is no longer finite.
        """
        if latents is None:
            latents = generator.sample(num_latents, seed=self.seed, truncation=truncation)
        needs = {
            "target": (self.clip > 0, target), "photo": (self.likeness > 0, photo),
            "identity_embedder": (self.identity + self.likeness > 0, identity_embedder),
            "neutral": (self.reads_neutral, neutral),
        }  # fmt: skip
        missing = [name for name, (needed, given) in needs.items() if needed and given is None]
        if missing:
            raise OptionError(f"these losses need {' and '.join(missing)}; give it, or set their weight to 0")
        templates = BARE if templates is None else templates
        about: dict[str, Any] = {
            "method": "mapper", "options": asdict(self) | {"levels": list(self.levels)},
            "target": None if target is None or not self.clip else check_prompt(target),
            "neutral": None if neutral is None else check_prompt(neutral), "templates": list(templates),
            "photo": None if photo is None else tensor_digest(photo),
            "latents": {"num": len(latents), "space": latents.space, "digest": tensor_digest(latents.value)},
            "generator": fingerprint(generator), "embedder": fingerprint(embedder),
            "identity_embedder": None if identity_embedder is None else fingerprint(identity_embedder),
        }  # fmt: skip
        edit = self._untrained(generator)
        objective = _Objective(method=self, edit=edit, generator=generator, latents=latents, embedder=embedder)
        objective.prepare(target, neutral, templates, photo, identity_embedder)
        with nullcontext() if run is None else open_run(run, about, resume=resume) as folder:
            training = self._training(objective, folder, save_seconds)
            standing = training.run(folder, progress)
            held_out = {"steps": standing.step, "best_step": standing.best_step, "held_out_loss": standing.best_loss}
            edit.mapper.requires_grad_(False).eval()
            trained = Residual(edit.mapper, self.factor, edit.space, about | held_out)
            if folder is not None:
                trained.save(folder.path / "mapper.safetensors", overwrite=True)
        return trained

    @property
    def reads_neutral(self) -> bool:
        """Whether these values have a use for a neutral text."""
        return bool(self.clip and self.clip_loss == "directional")

    def _untrained(self, generator: Generator) -> Residual:
        with torch.random.fork_rng(devices=[]):  # the layers draw from the global generator
            torch.default_generator.manual_seed(self.seed)
            mapper = self._mapper(generator.mean_w.shape[0], generator.style_layout)
        space: Space = "s" if self.architecture == "style" else "w+"
        return Residual(mapper.to(generator.mean_w).requires_grad_(True), self.factor, space)

    def _mapper(self, w_dim: int, layout: StyleLayout) -> Mapper:
        if self.architecture == "style":
            mapped = tuple(i for i, is_rgb in enumerate(layout.to_rgb) if self.to_rgb or not is_rgb)
            return StyleMapper(StyleMapperConfig(widths=layout.widths, mapped=mapped))
        config = MapperConfig(w_dim=w_dim, levels=self.levels, norm=self.norm)
        return SingleMapper(config) if self.architecture == "single" else MapperNetwork(config)

    def _training(self, objective: _Objective, folder: RunFolder | None, save_seconds: float) -> Training:
        parameters = list(objective.edit.mapper.parameters())
        optimizer: torch.optim.Optimizer = (
            Ranger(parameters, lr=self.learning_rate)
            if self.optimizer == "ranger"
            else torch.optim.Adam(parameters, lr=self.learning_rate)
        )

        def learning_rate(step: int) -> float:
            # from the first step on: a rise from zero would waste it, and the last one ends above zero
            return ramped_learning_rate(
                step + 1, self.steps + 1, self.learning_rate, rampup=self.rampup, rampdown=self.rampdown
            )

        run = Schedule(
            num_rows=len(objective.latents) - self.num_held_out, num_held_out=self.num_held_out, steps=self.steps,
            batch_size=self.batch_size, chunk_size=self.chunk_size, learning_rate=learning_rate,
            validate_every=self.validate_every, patience=self.patience, seed=self.seed, save_seconds=save_seconds,
        )  # fmt: skip
        look = None if folder is None else lambda step: objective.sheet(folder, step)
        return Training(
            network=objective.edit.mapper,
            loss=objective.loss,
            optimizer=optimizer,
            schedule=run,
            memory=objective.memory,
            look=look,
        )


@dataclass(kw_only=True)
class _Objective:
    """What a mapper is trained for: everything that the loss of some latents needs.

    The faces before the edit are embedded once each, when they are first needed, and remembered.
    """

    method: LatentMapper
    edit: Residual
    generator: Generator
    latents: Latent
    embedder: TextEmbedder
    identity: Embedder | None = None
    text: Tensor | None = None  # [D], of the target; for the directional loss of the change from the neutral text
    photo: Tensor | None = None  # identity of the photo, [D]
    resolution: int = 0
    memory: dict[str, Tensor] = field(default_factory=dict)

    def prepare(
        self,
        target: str | None,
        neutral: str | None,
        templates: Sequence[str],
        photo: Tensor | None,
        identity: Embedder | None,
    ) -> None:
        """Embed texts and photo, and make room for what is remembered."""
        method = self.method
        viewers: list[Embedder] = [self.embedder] if method.clip else []
        if method.identity or method.likeness:
            assert identity is not None
            viewers.append(identity)
            self.identity = identity
        self.resolution = method.resolution or render_resolution(self.generator, *viewers)
        self.latents = self.latents.to(self.generator.mean_w)
        self.generator.to_space(self.latents[:1], self.edit.space)  # raises where they do not fit
        if not self.latents.value.isfinite().all():
            raise LatentError("the latents have values that are not finite")
        with torch.no_grad():
            if method.clip and target is not None:
                directional = method.clip_loss == "directional"
                self.text = (
                    text_shift(self.embedder, neutral=neutral or "", target=target, templates=templates)
                    if directional
                    else text_embedding(self.embedder, target, templates=templates)
                )
                if directional:
                    self._remember("seen", self.text)
            if self.identity is not None:
                if method.likeness and photo is not None:
                    self.photo = self.identity.embed_image(photo.to(self.latents.value))[0]
                if method.identity:
                    self._remember("person", self._seen_by(["person"], self.latents[:1])["person"][0])

    def _remember(self, name: str, example: Tensor) -> None:
        self.memory[name] = example.new_zeros(len(self.latents), *example.shape)  # [N, D]
        self.memory["known"] = torch.zeros(len(self.latents), dtype=torch.bool, device=example.device)

    def loss(self, rows: Tensor) -> dict[str, Tensor]:
        """Terms of the loss for some latents, [B] each; before their weights, save under `loss`."""
        method = self.method
        rows = rows.to(self.latents.device)
        self._remember_before(rows)
        start = self.generator.to_space(self.latents[rows], self.edit.space)
        edited = self.edit(start)
        terms = {"latent_l2": self._mean_square(edited.value - start.value)}
        viewers = [name for name, wanted in (("seen", self.text), ("person", self.identity)) if wanted is not None]
        found = self._seen_by(viewers, edited)
        if self.text is not None:
            seen = found["seen"]
            directional = method.clip_loss == "directional"
            terms["clip"] = clip_loss(seen - self.memory["seen"][rows] if directional else seen, self.text)
        if self.identity is not None:
            person = found["person"]
            if method.identity:
                terms["identity"] = identity_loss(person, self.memory["person"][rows])
            if self.photo is not None:
                terms["likeness"] = identity_loss(person, self.photo)
        weighted = [getattr(method, name) * value for name, value in terms.items()]
        return {"loss": torch.stack(weighted).sum(dim=0), **terms}

    def _mean_square(self, change: Tensor) -> Tensor:
        """Of a change in w+ over everything; in s the sum of each layer's, as in the paper's code. [B, …] → [B]."""
        if self.edit.space == "w+":
            return change.square().mean(dim=(1, 2))
        return torch.stack([part.square().mean(dim=1) for part in self.generator.style_layout.split(change)]).sum(dim=0)

    @torch.no_grad()
    def _remember_before(self, rows: Tensor) -> None:
        """Embed the faces of those latents that were not seen before."""
        if not self.memory:
            return
        new = rows[~self.memory["known"][rows]]
        if len(new):
            remembered = [name for name in ("seen", "person") if name in self.memory]
            for name, rows_seen in self._seen_by(remembered, self.latents[new]).items():
                self.memory[name][new] = rows_seen
            self.memory["known"][new] = True

    def _seen_by(self, names: Sequence[str], latent: Latent) -> dict[str, Tensor]:
        """Draw latents, and embed the pictures by CLIP (`seen`) and the identity network (`person`); [B, D] each."""
        viewers = {"seen": self.embedder, "person": self.identity}
        with passes_in(self.method.precision, latent.device):
            image = self.generator(latent, resolution=self.resolution)
            rows = {name: viewer.embed_image(image) for name in names if (viewer := viewers[name]) is not None}
        return {name: row.to(latent.value) for name, row in rows.items()}

    @torch.no_grad()
    def sheet(self, folder: RunFolder, step: int) -> None:
        """Write a sheet of held-out faces, above as they are, below edited."""
        start = self.generator.to_space(self.latents[-self.method.num_held_out :][:SHOWN], self.edit.space)
        images = torch.cat([self.generator(start), self.generator(self.edit(start))]).clamp(-1, 1)
        write_image(contact_sheet(images, columns=len(start)), folder.sample(f"{step:06}.png"), overwrite=True)
