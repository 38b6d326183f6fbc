"""The latent optimisation of StyleCLIP (Patashnik et al. 2021, arXiv:2103.17249, Sec. 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from torch import Tensor

from ..canvases.latent import LatentCanvas
from ..edits import Direction
from ..errors import OptionError
from ..fields import check_fields
from ..generators.resolution import render_resolution
from ..hashing import fingerprint
from ..latents import Latent
from ..losses import clip_loss, identity_loss, latent_l2, random_views
from ..optimization import History, optimize, ramped_learning_rate
from ..precision import Precision, check_precision, passes_in
from ..prompts import BARE, check_prompt, text_embedding

if TYPE_CHECKING:
    from ..embedders import Embedder, TextEmbedder
    from ..generators import Generator

Preview = Callable[[int, Callable[[], Tensor], float], None]
"""Called with the step, a function that renders the image as it is then (full resolution), and the loss."""


@dataclass(frozen=True, kw_only=True)
class LatentOptimization:
    """Move a latent by gradient descent until CLIP sees the text in its image.

    The numbers are those of the published code. `keep_person` and `change_person` are its two ways of use.
    """

    steps: Annotated[int, "Steps of Adam; the paper takes 200 to 300."] = 300
    learning_rate: Annotated[float, "Learning rate on the plateau."] = 0.1
    rampup: Annotated[float, "Share of the steps in which the learning rate rises."] = 0.05
    rampdown: Annotated[float, "Share of the steps in which it falls."] = 0.25
    latent_l2: Annotated[float, "Weight of the sum of squares of the change."] = 0.008
    identity: Annotated[float, "Weight of the identity loss, e.g. 0.005; 0 needs no identity network."] = 0.0
    space: Annotated[Literal["w+", "s"], "What is moved: w+, or s."] = "w+"
    to_rgb: Annotated[bool, "In s, also move the layers that only add colour."] = False
    resolution: Annotated[int | None, "Side of the image that CLIP sees; none: what it need not enlarge."] = None
    precision: Annotated[Precision, "Of the passes through the networks: float32, or bfloat16, faster."] = "float32"
    patience: Annotated[int | None, "Stop after so many steps without a gain on held-out views; none: never."] = None
    num_views: Annotated[int, "Held-out views (random crops) for that."] = 4
    seed: Annotated[int, "Of the held-out views."] = 0

    def __post_init__(self) -> None:
        check_fields(type(self), asdict(self))
        if self.steps < 1 or not self.learning_rate > 0:
            raise OptionError(f"steps is 1 or more, learning_rate above 0, not {self.steps} and {self.learning_rate}")
        if not (0 <= self.rampup <= 1 and 0 <= self.rampdown <= 1):
            raise OptionError(f"rampup and rampdown are shares from 0 to 1, not {self.rampup} and {self.rampdown}")
        if not (self.latent_l2 >= 0 and self.identity >= 0):
            raise OptionError(f"weights are 0 or more, not {self.latent_l2} and {self.identity}")
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

    def variants(self, num_channels: Sequence[int]) -> list[LatentOptimization]:
        """The methods that automatic strength tries: this one."""
        return [self]

    @property
    def unused(self) -> frozenset[str]:
        """Inputs of `find` that these values have no use for."""
        return frozenset() if self.identity else frozenset({"identity_embedder"})

    def find(
        self,
        generator: Generator,
        embedder: TextEmbedder,
        *,
        target: str,
        latent: Latent,
        identity_embedder: Embedder | None = None,
        templates: Sequence[str] | None = None,
        callback: Preview | None = None,
        progress: Callable[[int, int], None] | None = None,
        stop: Callable[[int], bool] | None = None,
    ) -> Direction:
        """Find a change of each latent that makes its image show the target text.

        Args:
            target: what the picture should show.
            latent: where to start, [B, ...]; in any space up to `space`. Each row is optimised by itself.
            identity_embedder: needed where `identity` is above 0.
            templates: the text is averaged over these; None takes it as it is, as the paper.
            callback: for previews.
            progress: called with the steps done and their total.
            stop: asked after each step; True ends, with what has been reached.

        Returns:
            A direction with one vector per row, the end minus the start: strength 1 is the result. In w+ or s.

        Raises:
            OptionError: an identity loss without an identity network.
            SpaceError: the latent is in s, and `space` is not.
            PromptError: an empty or over-long text.
        """
        templates = BARE if templates is None else templates
        if self.identity and identity_embedder is None:
            raise OptionError("an identity loss needs an identity network; give identity_embedder, or identity=0")
        viewers = [embedder, identity_embedder] if self.identity and identity_embedder is not None else [embedder]
        canvas = self._canvas(generator, latent, viewers)
        text = text_embedding(embedder, target, templates=templates)
        with torch.no_grad():
            before = self._seen_by(viewers, canvas) if self.identity else []

        def loss(step: int) -> Tensor:
            """D_CLIP(G(w), t) + λ_L2 ‖w − w_s‖² + λ_ID L_ID(w), [B]."""
            seen = self._seen_by(viewers, canvas)
            loss = clip_loss(seen[0], text) + self.latent_l2 * latent_l2(canvas.offset)
            for now, then in zip(seen[1:], before[1:], strict=False):
                loss = loss + self.identity * identity_loss(now, then)
            return loss

        offset, history = self._run(canvas, loss, embedder, text, callback, progress, stop)
        provenance = {
            "method": "optimize", "whole": True, "options": asdict(self), "target": check_prompt(target),
            "templates": list(templates), "steps": history.steps, "loss": history.losses[-1] / len(latent),
            "resolution": canvas.resolution, "generator": fingerprint(generator), "embedder": fingerprint(embedder),
            "identity_embedder": fingerprint(identity_embedder) if self.identity else None,
        }  # fmt: skip
        return Direction(offset, canvas.start.space, provenance)

    def sample(
        self,
        generator: Generator,
        embedder: TextEmbedder,
        *,
        target: str,
        start: Latent | None = None,
        templates: Sequence[str] | None = None,
        callback: Preview | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Latent:
        """Generate from a text alone: CLIP's loss and no other, from the mean latent (Sec. 4, free generation).

        Args:
            target: what the picture should show.
            start: other latents to start from, for other pictures of the same text; None for the mean.
            templates, callback, progress: as in `find`.

        Returns:
            One latent per row of `start`, in w+ or s.
        """
        start = Latent(generator.mean_w[None], "w") if start is None else start
        canvas = self._canvas(generator, start, [embedder])
        text = text_embedding(embedder, target, templates=BARE if templates is None else templates)

        def loss(step: int) -> Tensor:
            return clip_loss(self._seen_by([embedder], canvas)[0], text)

        offset, _ = self._run(canvas, loss, embedder, text, callback, progress)
        return canvas.start + offset

    def _seen_by(self, viewers: Sequence[Embedder], canvas: LatentCanvas) -> list[Tensor]:
        """What each viewer sees on the canvas now, [B, D]."""
        with passes_in(self.precision, canvas.step.device):
            image = canvas()
            rows = [viewer.embed_image(image) for viewer in viewers]
        return [row.to(canvas.step) for row in rows]

    def _canvas(self, generator: Generator, latent: Latent, viewers: Sequence[object]) -> LatentCanvas:
        mask = generator.style_layout.mask(to_rgb=self.to_rgb) if self.space == "s" else None
        resolution = self.resolution or render_resolution(generator, *viewers)
        return LatentCanvas(generator, generator.to_space(latent, self.space), resolution=resolution, mask=mask)

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
            callback=report, stop=ends,
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
