"""The latent optimisation of StyleCLIP (Patashnik et al. 2021, arXiv:2103.17249, Sec. 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from ..augmentation import random_views
from ..axes import independent_axes, principal_axes, suggested_step
from ..canvases.latent import LatentCanvas
from ..edits import Direction
from ..errors import EmptyDirectionError, OptionError
from ..exemplars import exemplar_pull
from ..generators.resolution import render_resolution
from ..hashing import fingerprint
from ..latents import Latent
from ..losses import clip_loss, identity_loss, latent_l2, sideways
from ..optimization import History, optimize, ramped_learning_rate
from ..precision import Precision, check_precision, passes_in
from ..prompts import BARE, check_prompt, text_embedding, text_shift

if TYPE_CHECKING:
    from ..corpora.corpus import Corpus
    from ..embedders import Embedder, TextEmbedder
    from ..generators import Generator

NOISY = 0.75
"""Share of the steps in which the latent noise fades."""
_AXES = {"principal": principal_axes, "independent": independent_axes}
_CHOICES = {
    "space": ("w+", "s", "w"),
    "axes": ("own", "principal", "independent"),
    "second_moment": ("coordinate", "row"),
}

Preview = Callable[[int, Callable[[], Tensor], float], None]
"""Called with the step, a function that renders the image as it is then (full resolution), and the loss."""


@dataclass(frozen=True, kw_only=True)
class LatentOptimization:
    """Move a latent by gradient descent until CLIP sees the text in its image.

    The numbers are those of the published code. `keep_person` and `change_person` are its two ways of use.

    Args:
        steps: of Adam; the paper takes 200 to 300.
        learning_rate: on the plateau.
        rampup, rampdown: shares of the steps in which the learning rate rises and falls.
        latent_l2: weight of the sum of squares of the change.
        identity: weight of the identity loss; 0 needs no identity network.
        sideways: weight of the squared change of the image's embedding at right angles to the shift from the neutral to
            the target text, so that little else changes; 0 needs no neutral text.
        space: `w+` or `s`; or `w`, one step for all rows of w+, which leaves less to find than w+ and stays nearer to
            what the mapping network makes.
        axes: that the steps are made along. `own`, those of the latent; in w and w+ also `principal` or `independent`
            axes of w, each in units of its deviation (`axes.py`): `learning_rate`, `latent_l2` and
            `latent_noise` count in these, and where w never varies no step leads.
        head_start: length of a first step along independent or principal axes that a corpus suggests for the text, in
            deviations (`suggested_step`): a wish far off, which no small step comes nearer to, is then found too. 0
            starts at the latent itself.
        num_exemplars: pictures of a corpus that show the text best. Where they agree to lie (`exemplars.py`) is another
            start, and the search begins at the one with the smaller loss; 0, or pictures that agree on nothing, give
            no second one.
        shrinkage: after each step every coordinate goes back towards where the search began by this share of the
            learning rate, so that only those leave it on which the loss insists; for axes along which a wish is granted
            by few.
        second_moment: what Adam divides the gradient by: an average for each `coordinate`, or one for each `row` of the
            batch, so that what matters little to the loss moves little.
        latent_noise: deviation of random steps that the latent is seen from, so that the search looks past its nearest
            surroundings; it fades in three quarters of the steps (Karras et al. 2020, arXiv:1912.04958, App. D).
        to_rgb: in s, also move the layers that only add colour; the published code does not.
        resolution: of the image that CLIP sees; None takes the smallest that it does not have to enlarge.
        precision: of the passes through the networks: `float32`, or `bfloat16`, which is faster. The latent, the losses
            and Adam stay in float32.
        patience: stop a picture's search when held-out views (random crops, which the loss never sees) have not come
            closer to the text for this many steps, and return its best latent; None takes all steps, as the paper.
        num_views: held-out views.
        seed: of the held-out views and of the noise.
    """

    steps: int = 300
    learning_rate: float = 0.1
    rampup: float = 0.05
    rampdown: float = 0.25
    latent_l2: float = 0.008
    identity: float = 0.0
    sideways: float = 0.0
    space: Literal["w+", "s", "w"] = "w+"
    axes: Literal["own", "principal", "independent"] = "own"
    head_start: float = 0.0
    num_exemplars: int = 0
    shrinkage: float = 0.0
    second_moment: Literal["coordinate", "row"] = "coordinate"
    latent_noise: float = 0.0
    to_rgb: bool = False
    resolution: int | None = None
    precision: Precision = "float32"
    patience: int | None = None
    num_views: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.learning_rate > 0:
            raise OptionError(f"steps is 1 or more, learning_rate above 0, not {self.steps} and {self.learning_rate}")
        if not (0 <= self.rampup <= 1 and 0 <= self.rampdown <= 1):
            raise OptionError(f"rampup and rampdown are shares from 0 to 1, not {self.rampup} and {self.rampdown}")
        weights = {
            name: getattr(self, name) for name in ("latent_l2", "identity", "sideways", "latent_noise", "shrinkage")
        }
        if not all(weight >= 0 for weight in weights.values()):
            raise OptionError(f"these are 0 or more: {weights}")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise OptionError(f"{name} is one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        if self.axes != "own" and self.space == "s":
            raise OptionError(f"{self.axes} axes are those of w; in s leave axes out")
        if (self.head_start or self.num_exemplars) and self.axes == "own":
            raise OptionError(
                "a head start is a step along principal or independent axes; choose axes, or head_start=0 and "
                "num_exemplars=0"
            )
        if self.num_exemplars < 0 or self.num_exemplars == 1:
            raise OptionError(f"num_exemplars is 0, or 2 or more, not {self.num_exemplars}")
        check_precision(self.precision)
        if (self.patience is not None and self.patience < 1) or self.num_views < 1:
            raise OptionError(f"patience and num_views are 1 or more, not {self.patience} and {self.num_views}")

    @classmethod
    def keep_person(cls, **options: Any) -> LatentOptimization:
        """For edits that leave the person who it is: identity weighs 0.005, as in the published notebook."""
        return cls(**{"identity": 0.005, **options})

    @classmethod
    def change_person(cls, **options: Any) -> LatentOptimization:
        """For edits that make another person ("Beyonce", "a child"): identity does not count."""
        return cls(**{"identity": 0.0, **options})

    @property
    def unused(self) -> frozenset[str]:
        """Inputs of `find` that these values have no use for."""
        needs = {
            "neutral": self.sideways, "corpus": self.head_start or self.num_exemplars,
            "identity_embedder": self.identity,
        }  # fmt: skip
        return frozenset(name for name, weight in needs.items() if not weight)

    def find(
        self,
        generator: Generator,
        embedder: TextEmbedder,
        *,
        target: str,
        latent: Latent,
        neutral: str | None = None,
        corpus: Corpus | None = None,
        identity_embedder: Embedder | None = None,
        templates: Sequence[str] | None = None,
        callback: Preview | None = None,
        progress: Callable[[int, int], None] | None = None,
        stop: Callable[[int], bool] | None = None,
    ) -> Direction:
        """Find a change of each latent that makes its image show the target text.

        Args:
            target: what the picture should show.
            latent: where to start, [B, ...]; in any space up to `space`, also in w+ for w. Each row is optimised by
                itself.
            neutral: what the picture shows already; needed where `sideways` is above 0, and not looked at otherwise.
            corpus: of generated pictures; needed where `head_start` or `num_exemplars` is above 0.
            identity_embedder: needed where `identity` is above 0.
            templates: the text is averaged over these; None takes it as it is, as the paper.
            callback: for previews.
            progress: called with the steps done and their total.
            stop: asked after each step; True ends, with what has been reached.

        Returns:
            A direction with one vector per row, the end minus the start: strength 1 is the result. In w+ or s.

        Raises:
            OptionError: an identity loss without an identity network, `sideways` without a neutral text, a head start
                without a corpus.
            BankMismatchError, InputError: a corpus of another embedder or generator, or one without latents in w.
            SpaceError: the latent is in s, and `space` is not.
            PromptError: an empty or over-long text, or a neutral one that means the same.
        """
        templates = BARE if templates is None else templates
        if self.identity and identity_embedder is None:
            raise OptionError("an identity loss needs an identity network; give identity_embedder, or identity=0")
        if self.sideways and neutral is None:
            raise OptionError("sideways is measured from a neutral text; give neutral, or sideways=0")
        viewers = [embedder, identity_embedder] if self.identity and identity_embedder is not None else [embedder]
        canvas = self._canvas(generator, latent, viewers)
        text = text_embedding(embedder, target, templates=templates)
        shift = None
        if self.sideways and neutral is not None:
            shift = text_shift(embedder, neutral=neutral, target=target, templates=templates)
        with torch.no_grad():
            before = self._seen_by(viewers, canvas) if self.identity or self.sideways else []

        def loss(step: int) -> Tensor:
            seen = self._seen_by(viewers, canvas, self._nudge(canvas, step))
            loss = clip_loss(seen[0], text) + self.latent_l2 * latent_l2(canvas.moved)
            if shift is not None:
                loss = loss + self.sideways * sideways(seen[0] - before[0], shift)
            for now, then in zip(seen[1:], before[1:], strict=True):
                loss = loss + self.identity * identity_loss(now, then)
            return loss  # [B]

        self._start(canvas, embedder, text, corpus, loss)
        offset, history = self._run(canvas, loss, embedder, text, callback, progress, stop)
        provenance = {
            "method": "optimize",
            "options": asdict(self),
            "target": check_prompt(target),
            "neutral": check_prompt(neutral) if self.sideways and neutral is not None else None,
            "templates": list(templates),
            "steps": history.steps,
            "loss": history.losses[-1] / len(latent),
            "resolution": canvas.resolution,
            "generator": fingerprint(generator),
            "embedder": fingerprint(embedder),
            "identity_embedder": fingerprint(identity_embedder) if self.identity else None,
            "corpus": corpus.fingerprint if "corpus" not in self.unused and corpus is not None else None,
        }
        return Direction(offset, canvas.start.space, provenance)

    def paint(
        self,
        generator: Generator,
        embedder: TextEmbedder,
        *,
        target: str,
        start: Latent | None = None,
        corpus: Corpus | None = None,
        templates: Sequence[str] | None = None,
        callback: Preview | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Latent:
        """Generate from a text alone: CLIP's loss and no other, from the mean latent.

        Args:
            target: what the picture should show.
            start: other latents to start from, for other pictures of the same text; None for the mean.
            corpus, templates, callback, progress: as in `find`.

        Returns:
            One latent per row of `start`, in w+ or s.
        """
        start = Latent(generator.mean_w[None], "w") if start is None else start
        canvas = self._canvas(generator, start, [embedder])
        text = text_embedding(embedder, target, templates=BARE if templates is None else templates)

        def loss(step: int) -> Tensor:
            return clip_loss(self._seen_by([embedder], canvas, self._nudge(canvas, step))[0], text)

        self._start(canvas, embedder, text, corpus, loss)
        offset, _ = self._run(canvas, loss, embedder, text, callback, progress)
        return canvas.start + offset

    def _seen_by(self, viewers: Sequence[Embedder], canvas: LatentCanvas, nudge: Tensor | None = None) -> list[Tensor]:
        """What each viewer sees on the canvas now, [B, D]."""
        if not viewers:
            return []
        with passes_in(self.precision, canvas.offset.device):
            image = canvas(nudge)
            rows = [viewer.embed_image(image) for viewer in viewers]
        return [row.to(canvas.offset) for row in rows]

    def _canvas(self, generator: Generator, latent: Latent, viewers: Sequence[object]) -> LatentCanvas:
        start = generator.to_space(latent, "s" if self.space == "s" else "w+")
        return LatentCanvas(
            generator,
            start,
            resolution=self.resolution or render_resolution(generator, *viewers),
            mask=generator.style_layout.mask(to_rgb=self.to_rgb) if self.space == "s" else None,
            axes=_AXES[self.axes](generator) if self.axes != "own" else None,
            shared=self.space == "w",
        )

    @torch.no_grad()
    def _start(
        self,
        canvas: LatentCanvas,
        embedder: TextEmbedder,
        text: Tensor,
        corpus: Corpus | None,
        loss: Callable[[int], Tensor],
    ) -> None:
        """Take the head start, the better for each picture where there are two."""
        if canvas.axes is None or not (self.head_start or self.num_exemplars):
            return
        if corpus is None:
            raise OptionError("a head start is suggested by a corpus; give corpus, or head_start=0 and num_exemplars=0")
        corpus.check(embedder)
        if self.head_start:
            canvas.base += self.head_start * suggested_step(corpus, canvas.generator, canvas.axes, text)
        if self.num_exemplars:
            try:
                pull = exemplar_pull(corpus, canvas.generator, text, num_exemplars=self.num_exemplars)
            except EmptyDirectionError:  # they agree on nothing: there is no second start
                return
            first, before = canvas.base.clone(), loss(0)
            way = pull(canvas.start.value) @ torch.linalg.pinv(canvas.axes)  # [B, L, P]
            canvas.base.copy_(way.mean(dim=1, keepdim=True) if self.space == "w" else way)
            better = (loss(0) < before).view(-1, *[1] * (first.ndim - 1))
            canvas.base.copy_(torch.where(better, canvas.base, first))

    def _nudge(self, canvas: LatentCanvas, step: int) -> Tensor | None:
        """The noise of a step, the same for every row of the batch; None without."""
        scale = self.latent_noise * max(0.0, 1 - step / (NOISY * self.steps)) ** 2
        if not scale:
            return None
        random = torch.Generator().manual_seed(self.seed * 100_003 + step)
        return (torch.randn(canvas.coordinates.shape[1:], generator=random) * scale).to(canvas.coordinates)

    def _run(
        self,
        canvas: LatentCanvas,
        loss: Callable[[int], Tensor],
        embedder: Embedder,
        text: Tensor,
        callback: Preview | None,
        progress: Callable[[int, int], None] | None,
        stop: Callable[[int], bool] | None = None,
    ) -> tuple[Tensor, History]:
        """Optimise; the offset that results, and what happened."""

        def image() -> Tensor:
            with torch.no_grad():
                return canvas.generator(canvas.latent)

        def report(step: int, value: float) -> None:
            if callback:
                callback(step, image, value)
            if progress:
                progress(step + 1, self.steps)

        def schedule(step: int, steps: int, base: float) -> float:
            return ramped_learning_rate(step, steps, base, rampup=self.rampup, rampdown=self.rampdown)

        held_out = None if self.patience is None else _HeldOut(canvas, embedder, text, self)

        def ends(step: int) -> bool:
            return (held_out is not None and held_out(step)) or (stop is not None and stop(step))

        history = optimize(
            canvas.parameters(), loss, steps=self.steps, learning_rate=self.learning_rate, schedule=schedule,
            second_moment=self.second_moment, shrinkage=self.shrinkage, callback=report, stop=ends,
        )  # fmt: skip
        return (canvas.offset.detach().clone() if held_out is None else held_out.best), history


class _HeldOut:
    """Watches views that the loss never sees, picture by picture, and says when none of them gains any more."""

    EVERY = 5  # steps between looks

    def __init__(self, canvas: LatentCanvas, embedder: Embedder, text: Tensor, method: LatentOptimization) -> None:
        self.canvas, self.embedder, self.text, self.method = canvas, embedder, text, method
        self.best = canvas.offset.detach().clone()
        self.score = self._score()  # [B]
        self.stale = torch.zeros_like(self.score)

    def __call__(self, step: int) -> bool:
        if (step + 1) % self.EVERY and step + 1 < self.method.steps:
            return False
        patience = self.method.patience or self.method.steps
        running = self.stale < patience
        score = self._score()
        better = running & (score > self.score)
        self.best[better] = self.canvas.offset.detach()[better]
        self.score = torch.where(better, score, self.score)
        self.stale = torch.where(better, 0, self.stale + self.EVERY).where(running, self.stale)
        return bool((self.stale >= patience).all())

    @torch.no_grad()
    def _score(self) -> Tensor:
        with passes_in(self.method.precision, self.text.device):
            views = random_views(self.canvas(), self.method.num_views, seed=self.method.seed)  # [V, B, 3, R, R]
            rows = self.embedder.embed_image(views.flatten(0, 1))
        return (rows.to(self.text) @ self.text).view(views.shape[:2]).mean(dim=0)
