"""Axes of w, found from random latents alone: the directions along which the mapping network lets it vary.

Each axis is as long as the deviation of w along it, so that w is white in coordinates along them: their sum of squares
is a squared Mahalanobis distance. Where w does not vary there is no axis: what the mapping never makes is out of reach.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from .errors import EmptyDirectionError, InputError

if TYPE_CHECKING:
    from .corpora.corpus import Corpus
    from .generators import Generator

NUM_SAMPLES = 8192
FLAT = 1e-4
"""Share of the largest variance below which an axis counts as one along which w does not vary."""
ROUNDS = 100
"""Of the search for independent axes, at most."""
SPARSE = 0.15
"""Weight of the L1 norm in a regression, as a share of that which leaves no coordinate at all."""
SETTLED = 1e-4
"""It ends when no axis turns by more than this, as 1 − |cosine|."""
MOST = 10_000
"""Pictures of a corpus that tell what the axes do: its first ones."""
RARE = 0.001
"""Share of random latents at each end of an axis that do not count for its usual range."""


@dataclass(frozen=True)
class Places:
    """Where the pictures of a corpus lie along axes of w: its first `MOST`, in double precision on the CPU.

    Args:
        read: what coordinates a row of w has, [W, P].
        center: mean of the coordinates, [P].
        along: coordinates of each picture from the mean, [N, P].
        embeddings: from their mean, [N, D].
    """

    read: Tensor
    center: Tensor
    along: Tensor
    embeddings: Tensor


@dataclass(frozen=True)
class Range:
    """Where nearly all of w lies along axes, in deviations, counted from the origin of w.

    Args:
        read: what coordinates a row of w has, [W, P].
        low, high: the least and the most along each axis, [P].
    """

    read: Tensor
    low: Tensor
    high: Tensor

    def astray(self, w: Tensor, start: Tensor) -> Tensor:
        """How many deviations w leads beyond this range along the axis where it leads farthest, [B].

        Rows of w+ count in the mean. Where the start lies outside by itself, what is beyond that counts.

        Args:
            w, start: [B, W], or [B, L, W] in w+.
        """
        now, then = self._along(w), self._along(start)
        over = now - torch.maximum(self.high, then)
        under = torch.minimum(self.low, then) - now
        return torch.maximum(over, under).amax(dim=-1).clamp(min=0)

    def _along(self, w: Tensor) -> Tensor:
        along = w @ self.read
        return along.mean(dim=1) if along.ndim == 3 else along


_found: WeakKeyDictionary[object, tuple[Tensor, Range]] = WeakKeyDictionary()
_places: WeakKeyDictionary[object, WeakKeyDictionary[object, Places]] = WeakKeyDictionary()
_effects: WeakKeyDictionary[object, WeakKeyDictionary[object, Tensor]] = WeakKeyDictionary()


@contextmanager
def alone() -> Iterator[None]:
    """One thread: sums over many rows come out otherwise with more, and a picture is to be made again bit for bit."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


@torch.no_grad()
@alone()
def principal_axes(generator: Generator, *, num: int = NUM_SAMPLES, seed: int = 0) -> Tensor:
    """Principal axes of w, the longest first, [P, W].

    Args:
        num, seed: of the random latents, without truncation, that tell how w varies.

    Source: Härkönen et al. 2020, arXiv:2004.02546, Sec. 2; Zhu et al. 2020, arXiv:2012.09036, Sec. 3 (there after
    undoing the last activation, which would make a straight step depend on where it starts).
    """
    return _principal(generator.to_space(generator.sample(num, seed=seed), "w").value)


@torch.no_grad()
@alone()
def independent_axes(generator: Generator) -> Tensor:
    """Axes of w along which it varies independently, [P, W]; kept as long as the generator lives.

    Where something that varies by itself in the pictures has a direction of its own in w, that direction becomes an
    axis: a change of one such thing is then a step along one or few axes, which `shrinkage` finds.

    Source: Hyvärinen 1999, "Fast and robust fixed-point algorithms for independent component analysis", eq. 20 and 45
    (fourth moments, all axes at once), on the principal axes.
    """
    return _independent_of(generator)[0]


@torch.no_grad()
@alone()
def usual_range(generator: Generator) -> Range:
    """Where nearly all of w lies along the independent axes; kept as long as the generator lives."""
    return _independent_of(generator)[1]


@torch.no_grad()
@alone()
def suggested_step(corpus: Corpus, generator: Generator, axes: Tensor, text: Tensor) -> Tensor:
    """Unit step in coordinates along axes [P, W] towards a text [D], as the pictures of a corpus suggest it, [P].

    A sparse linear regression (Tibshirani 1996, the lasso) of how near the pictures are to the text on where their w
    lie: pictures of all kinds, so that nothing counts which only this one picture, or none at all, would answer to.

    Raises:
        InputError: the corpus keeps no latents in z or w, or the nearness of its pictures does not depend on them.
    """
    from sklearn.linear_model import Lasso

    known = _known(corpus, generator, axes)
    nearness = known.embeddings @ text.double().cpu()
    weight = SPARSE * float((known.along.T @ nearness).abs().max()) / len(nearness)
    if not weight > 0:
        raise InputError("all pictures of this corpus are equally near to the text")
    found = Lasso(alpha=weight, fit_intercept=False, max_iter=5000).fit(known.along.numpy(), nearness.numpy()).coef_
    return torch.nn.functional.normalize(torch.from_numpy(found), dim=0).to(axes)


@torch.no_grad()
@alone()
def axis_effects(corpus: Corpus, generator: Generator, axes: Tensor) -> Tensor:
    """What a step along each axis [P, W] does to an embedding, as the pictures of a corpus tell it, [P, D].

    A least-squares regression of the embeddings on where the w of the pictures lie: the mean effect over all of them,
    of one axis while the others stay. No picture is rendered.

    Raises:
        InputError: the corpus keeps no latents in z or w, or has fewer than two pictures for each axis.
    """
    return _regressed(_known(corpus, generator, axes)).to(axes)


@alone()
def select_axes(effects: Tensor, shift: Tensor, *, num_axes: int) -> Tensor:
    """Turn a shift in embedding space into a step along few axes that together do little else, [P].

    The least-squares sum of effects for the shift under a bound on the sum of the steps' sizes (Tibshirani 1996, the
    lasso): what two axes do besides is set off against each other, which no ranking of single axes sees. The bound is
    the loosest that leaves `num_axes`, before more were let in (Efron et al. 2004, least angle regression).

    Args:
        effects: of a step of one deviation along each axis, [P, D].
        shift: unit vector, [D].
        num_axes: k, the number of axes moved, or all that help if they are fewer.

    Returns:
        [P]: at strength 1 the axis that moves most does so by its deviation.

    Raises:
        EmptyDirectionError: no axis moves the embedding that way.
    """
    from sklearn.linear_model import lars_path_gram

    known = effects.double().cpu()
    along, products = known @ shift.double().cpu(), known @ known.t()
    if not float(along.abs().max()) > 0:
        raise EmptyDirectionError("no axis of w moves pictures that way; use another text, or space='s'")
    _, _, path = lars_path_gram(along.numpy(), products.numpy(), n_samples=len(shift), method="lasso")
    path = torch.from_numpy(path)  # [P, corners], from nothing to everything
    path = torch.where(path.abs() > 1e-12 * path.abs().max(), path, 0)
    moved = path != 0
    many = (moved[:, 1:] | moved[:, :-1]).sum(dim=0) > num_axes  # on the way from one corner to the next
    last = int(many.nonzero()[0]) if many.any() else path.shape[1] - 1
    step = path[:, max(1, last)]
    return (step / step.abs().max()).to(effects)


@torch.no_grad()
@alone()
def independent_places(corpus: Corpus, generator: Generator) -> Places:
    """Where the pictures of a corpus lie along the independent axes; kept as long as corpus and generator live.

    Raises:
        InputError: the corpus keeps no latents in z or w.
    """
    kept = _places.setdefault(corpus, WeakKeyDictionary())
    if generator not in kept:
        kept[generator] = _known(corpus, generator, independent_axes(generator))
    return kept[generator]


@torch.no_grad()
@alone()
def independent_effects(corpus: Corpus, generator: Generator) -> Tensor:
    """`axis_effects` of the independent axes, kept as long as corpus and generator live."""
    kept = _effects.setdefault(corpus, WeakKeyDictionary())
    if generator not in kept:
        axes = independent_axes(generator)
        kept[generator] = _regressed(independent_places(corpus, generator)).to(axes)
    return kept[generator]


def _independent_of(generator: Generator) -> tuple[Tensor, Range]:
    """The independent axes, and how far random latents go along them."""
    if generator not in _found:
        w = generator.to_space(generator.sample(NUM_SAMPLES, seed=0), "w").value
        principal = _principal(w)
        white = (w - w.mean(dim=0)) @ torch.linalg.pinv(principal)  # [N, P]
        axes = _independent(white) @ principal
        read = torch.linalg.pinv(axes)
        low, high = torch.quantile(w @ read, w.new_tensor([RARE, 1 - RARE]), dim=0)
        _found[generator] = axes, Range(read=read, low=low, high=high)
    return _found[generator]


def _regressed(known: Places) -> Tensor:
    """Coefficients [P, D] of the embeddings on where the pictures lie."""
    num, axes = known.along.shape
    if num < 2 * axes:
        raise InputError(
            f"the effects of {axes} axes cannot be told from a corpus of {num} pictures; "
            f"build one of {2 * axes} or more, or use space='s'"
        )
    effects: Tensor = torch.linalg.lstsq(known.along, known.embeddings).solution
    return effects


def _known(corpus: Corpus, generator: Generator, axes: Tensor) -> Places:
    """Where the pictures of a corpus lie along axes [P, W]."""
    rows = torch.arange(min(len(corpus), MOST))
    latents = corpus.latents(rows, generator)
    if latents.space not in ("z", "w"):
        raise InputError(
            f"axes of w need a corpus of generated pictures; the latents of this one are in {latents.space}"
        )
    w = generator.to_space(latents.to(axes), "w").value
    read = torch.linalg.pinv(axes)
    embeddings = corpus.embedding(rows).double().cpu()
    return Places(
        read=read,
        center=w.mean(dim=0) @ read,
        along=((w - w.mean(dim=0)) @ read).double().cpu(),
        embeddings=embeddings - embeddings.mean(dim=0),
    )


def _principal(w: Tensor) -> Tensor:
    variances, axes = torch.linalg.eigh(torch.cov(w.double().T))  # ascending; columns
    variances, axes = variances.flip(0), axes.flip(1).T
    kept = variances > FLAT * variances[0]
    scaled: Tensor = (axes[kept] * variances[kept].sqrt()[:, None]).to(w)
    return scaled


def _independent(white: Tensor) -> Tensor:
    """Rotation [P, P] of white samples [N, P] to independent coordinates; its rows are the axes."""
    size = white.shape[1]
    random = torch.Generator().manual_seed(0)
    turn: Tensor = torch.linalg.qr(torch.randn(size, size, generator=random)).Q.to(white)
    for _ in range(ROUNDS):
        before = turn
        turn = (white @ turn.T).pow(3).T @ white / len(white) - 3 * turn
        left, _, right = torch.linalg.svd(turn)
        turn = left @ right  # the nearest rotation
        if float((1 - (turn * before).sum(dim=1).abs()).max()) < SETTLED:
            break
    return turn
