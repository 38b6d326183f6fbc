"""The latent mapper of StyleCLIP (Patashnik et al. 2021, arXiv:2103.17249, Sec. 5 and App. A): a network per wish."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from ..axes import independent_axes, independent_effects, select_axes
from ..edits import Residual
from ..errors import LatentError, OptionError
from ..generators.resolution import render_resolution
from ..hashing import fingerprint
from ..images import write_image
from ..jobs.run_folder import RunFolder, open_run
from ..jobs.training import Plan, Training
from ..latents import Latent, Space, StyleLayout
from ..losses import clip_loss, identity_loss, sideways
from ..mappers import (
    LatentMapper,
    Level,
    Mapper,
    MapperBlock,
    MapperConfig,
    Norm,
    SingleMapper,
    StyleMapper,
    StyleMapperConfig,
)
from ..optimization import ramped_learning_rate
from ..precision import Precision, check_precision, passes_in
from ..prompts import BARE, check_prompt, text_embedding, text_shift
from ..ranger import Ranger
from ..sheets import contact_sheet

if TYPE_CHECKING:
    from ..corpora.corpus import Corpus
    from ..embedders import Embedder, TextEmbedder
    from ..generators import Generator

SHOWN = 6
"""Held-out faces on a sample sheet."""
SUGGESTED = 8
"""Axes of a head start."""


@dataclass(frozen=True, kw_only=True)
class LatentMapping:
    """Train a mapper: a network that finds, for any latent, the step that makes its image show a text.

    The numbers are those of the paper and its code. `keep_person`, `change_person` and `resemble_photo` are its ways
    of use.

    Args:
        architecture: `levels`, a block for each level of w+; `single`, one block for all rows; `style`, a block for
            each style layer.
        levels: of `levels`, those that are mapped; rows of the others keep every bit. Without `fine` colours stay.
        norm: what the pixel norm in front averages over: `channels`, as the paper says, or `rows`, as its code does.
        to_rgb: of `style`, also map the layers that only add colour.
        factor: of the residual; 0.1 in the paper's code.
        clip: weight of the CLIP loss.
        clip_loss: `cosine` between image and text; or `directional`, between the change of the image and that of the
            text (Gal et al. 2021, arXiv:2108.00946), which needs a neutral text.
        identity: weight of the identity loss towards the face before the edit; 0 needs no identity network.
        likeness: weight of the identity loss towards one photo, which the paper tries instead of CLIP.
        latent_l2: weight of the mean square of the change.
        sideways: weight of the squared change of the image's embedding at right angles to the shift from the neutral to
            the target text, as in `LatentOptimization`; 0 needs no neutral text.
        head_start: the first weights let every face take the same step, along the axes of w that a corpus suggests for
            the text (`axes.py`), the largest by so many deviations: a wish that no small step comes nearer to is found
            too, and what is learnt is how faces differ. Not for `style`. 0 begins at random, as the paper.
        steps: at most.
        batch_size: latents of one step.
        chunk_size: latents rendered at once; None takes the batch, or less where a GPU's memory is too small for it.
        optimizer: `ranger` or `adam`.
        learning_rate: on the plateau.
        rampup, rampdown: shares of the steps in which the learning rate rises and falls; the paper's is constant.
        resolution: of the image that is looked at; None takes the smallest that no network has to enlarge.
        precision: of the passes through the frozen networks: `float32`, or `bfloat16`, which is faster. The mapper, its
            latents, losses and optimiser stay in float32.
        num_held_out: latents that are never trained on; the weights that serve them best are the result.
        validate_every: steps between two looks at those.
        patience: stop when they have not gained for so many steps; None takes all steps, as the paper.
        seed: of the first weights, of the shuffling and of latents that are drawn.
    """

    architecture: Literal["levels", "single", "style"] = "levels"
    levels: tuple[Level, ...] = ("coarse", "medium", "fine")
    norm: Norm = "channels"
    to_rgb: bool = False
    factor: float = 0.1
    clip: float = 1.0
    clip_loss: Literal["cosine", "directional"] = "cosine"
    identity: float = 0.1
    likeness: float = 0.0
    latent_l2: float = 0.8
    sideways: float = 0.0
    head_start: float = 0.0
    steps: int = 50_000
    batch_size: int = 2
    chunk_size: int | None = None
    optimizer: Literal["ranger", "adam"] = "ranger"
    learning_rate: float = 0.5
    rampup: float = 0.0
    rampdown: float = 0.0
    resolution: int | None = None
    precision: Precision = "float32"
    num_held_out: int = 64
    validate_every: int = 2000
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", tuple(self.levels))  # a list, when it comes from a record
        MapperConfig(levels=self.levels, norm=self.norm)
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise OptionError(f"{name} is one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        check_precision(self.precision)
        weights = {name: getattr(self, name) for name in ("clip", "identity", "likeness", "latent_l2", "sideways")}
        if not all(weight >= 0 for weight in weights.values()) or not self.clip + self.likeness > 0:
            raise OptionError(f"weights are 0 or more, and clip or likeness above 0, not {weights}")
        if not (self.learning_rate > 0 and self.factor > 0 and 0 <= self.rampup <= 1 and 0 <= self.rampdown <= 1):
            raise OptionError("learning_rate and factor are above 0, rampup and rampdown shares from 0 to 1")
        if self.head_start < 0 or (self.head_start and (self.architecture == "style" or not self.clip)):
            raise OptionError("head_start is 0 or more, towards a text, and for mappers in w+")
        if self.sideways and not self.clip:
            raise OptionError("sideways is measured from a text; it needs clip above 0")
        counts = ("steps", "batch_size", "chunk_size", "num_held_out", "validate_every", "patience")
        low = {name: value for name in counts if (value := getattr(self, name)) is not None and value < 1}
        if low or self.seed < 0:
            raise OptionError(f"{' and '.join(low) or 'seed'} out of range: {low or self.seed}")

    @classmethod
    def keep_person(cls, **options: Any) -> LatentMapping:
        """For edits that leave the person who it is: identity 0.1, latent_l2 0.8, as most of the paper's."""
        return cls(**{"identity": 0.1, "latent_l2": 0.8, **options})

    @classmethod
    def change_person(cls, **options: Any) -> LatentMapping:
        """For edits that make another person: identity 0, latent_l2 2, as the paper's "Trump"."""
        return cls(**{"identity": 0.0, "latent_l2": 2.0, **options})

    @classmethod
    def resemble_photo(cls, **options: Any) -> LatentMapping:
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
        corpus: Corpus | None = None,
        templates: Sequence[str] | None = None,
        run: str | os.PathLike[str] | None = None,
        resume: bool = False,
        save_seconds: float = 30.0,
        progress: Callable[[int, int], None] | None = None,
    ) -> Residual:
        """Train a mapper for one wish.

        Args:
            target: what the pictures should show; needed where `clip` is above 0.
            photo: one face, [1, 3, H, W], for `likeness`.
            neutral: what they show already, for the directional loss and for `sideways`.
            latents: to train on, the last `num_held_out` held out, in any space up to the mapper's; best those that an
                encoder gives, as the edit will get. None draws them.
            num_latents, truncation: of those drawn.
            identity_embedder: needed where `identity` or `likeness` is above 0.
            corpus: of generated pictures, embedded by this embedder; needed where `head_start` is above 0.
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
            "neutral": (self.reads_neutral, neutral), "corpus": (self.head_start > 0, corpus),
        }  # fmt: skip
        missing = [name for name, (needed, given) in needs.items() if needed and given is None]
        if missing:
            raise OptionError(f"these losses need {' and '.join(missing)}; give it, or set their weight to 0")
        templates = BARE if templates is None else templates
        about: dict[str, Any] = {
            "method": "mapper", "options": asdict(self) | {"levels": list(self.levels)},
            "target": None if target is None or not self.clip else check_prompt(target),
            "neutral": None if neutral is None else check_prompt(neutral), "templates": list(templates),
            "photo": None if photo is None else _digest(photo),
            "latents": {"num": len(latents), "space": latents.space, "digest": _digest(latents.value)},
            "generator": fingerprint(generator), "embedder": fingerprint(embedder),
            "identity_embedder": None if identity_embedder is None else fingerprint(identity_embedder),
            "corpus": corpus.fingerprint if self.head_start and corpus is not None else None,
        }  # fmt: skip
        edit = self._untrained(generator)
        wish = _Wish(method=self, edit=edit, generator=generator, latents=latents, embedder=embedder)
        wish.prepare(target, neutral, templates, photo, identity_embedder)
        if self.head_start and corpus is not None:
            corpus.check(embedder)
            wish.begin(corpus)
        with nullcontext() if run is None else open_run(run, about, resume=resume) as folder:
            training = self._training(wish, folder, save_seconds)
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
        return bool(self.clip and self.clip_loss == "directional") or self.sideways > 0

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
        return SingleMapper(config) if self.architecture == "single" else LatentMapper(config)

    def _training(self, wish: _Wish, folder: RunFolder | None, save_seconds: float) -> Training:
        parameters = list(wish.edit.mapper.parameters())
        optimizer: torch.optim.Optimizer = (
            Ranger(parameters, lr=self.learning_rate)
            if self.optimizer == "ranger"
            else torch.optim.Adam(parameters, lr=self.learning_rate)
        )

        def schedule(step: int) -> float:
            # from the first step on: a rise from zero would waste it, and the last one ends above zero
            return ramped_learning_rate(
                step + 1, self.steps + 1, self.learning_rate, rampup=self.rampup, rampdown=self.rampdown
            )

        plan = Plan(
            num_rows=len(wish.latents) - self.num_held_out, num_held_out=self.num_held_out, steps=self.steps,
            batch_size=self.batch_size, chunk_size=self.chunk_size, schedule=schedule,
            validate_every=self.validate_every, patience=self.patience, seed=self.seed, save_seconds=save_seconds,
        )  # fmt: skip
        look = None if folder is None else lambda step: wish.sheet(folder, step)
        return Training(
            network=wish.edit.mapper, loss=wish.loss, optimizer=optimizer, plan=plan, memory=wish.memory, look=look
        )


_CHOICES = {
    "architecture": ("levels", "single", "style"),
    "clip_loss": ("cosine", "directional"),
    "optimizer": ("ranger", "adam"),
}


@dataclass(kw_only=True)
class _Wish:
    """What a mapper is trained for: everything that the loss of some latents needs.

    The faces before the edit are embedded once each, when they are first needed, and remembered.
    """

    method: LatentMapping
    edit: Residual
    generator: Generator
    latents: Latent
    embedder: TextEmbedder
    identity: Embedder | None = None
    text: Tensor | None = None  # [D], of the target; for the directional loss of the change from the neutral text
    shift: Tensor | None = None  # [D], from the neutral text to the target, for what counts sideways of it
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
                if method.sideways:
                    self.shift = text_shift(self.embedder, neutral=neutral or "", target=target, templates=templates)
                if directional or method.sideways:
                    self._remember("seen", self.text)
            if self.identity is not None:
                if method.likeness and photo is not None:
                    self.photo = self.identity.embed_image(photo.to(self.latents.value))[0]
                if method.identity:
                    self._remember("person", self._seen_by(["person"], self.latents[:1])["person"][0])

    @torch.no_grad()
    def begin(self, corpus: Corpus) -> None:
        """Weights by which every face takes the step that a corpus suggests."""
        aim = self.text if self.shift is None else self.shift
        assert aim is not None
        step = select_axes(independent_effects(corpus, self.generator), aim, num_axes=SUGGESTED)
        along = self.method.head_start * step @ independent_axes(self.generator)  # [W]
        blocks = [block for block in self.edit.mapper.modules() if isinstance(block, MapperBlock)]
        for block in blocks:
            block.start_at(along / self.method.factor)

    def _remember(self, name: str, example: Tensor) -> None:
        self.memory[name] = example.new_zeros(len(self.latents), *example.shape)  # [N, D]
        self.memory["known"] = torch.zeros(len(self.latents), dtype=torch.bool, device=example.device)

    def loss(self, rows: Tensor) -> dict[str, Tensor]:
        """Terms of the loss for some latents, [B] each; before their weights, save under `loss`."""
        method = self.method
        rows = rows.to(self.latents.device)
        self._meet(rows)
        start = self.generator.to_space(self.latents[rows], self.edit.space)
        edited = self.edit(start)
        terms = {"latent_l2": self._mean_square(edited.value - start.value)}
        viewers = [name for name, wanted in (("seen", self.text), ("person", self.identity)) if wanted is not None]
        found = self._seen_by(viewers, edited)
        if self.text is not None:
            seen = found["seen"]
            directional = method.clip_loss == "directional"
            terms["clip"] = clip_loss(seen - self.memory["seen"][rows] if directional else seen, self.text)
            if self.shift is not None:
                terms["sideways"] = sideways(seen - self.memory["seen"][rows], self.shift)
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
    def _meet(self, rows: Tensor) -> None:
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


def _digest(value: Tensor) -> str:
    """16 hex digits that name a tensor."""
    return hashlib.sha256(value.detach().cpu().float().contiguous().numpy().tobytes()).hexdigest()[:16]
