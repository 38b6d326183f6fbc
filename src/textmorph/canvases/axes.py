"""Axes of w, found from random latents alone: the directions along which the mapping network lets it vary.

Each axis is as long as the deviation of w along it, so that w is white in coordinates along them: their sum of squares
is a squared Mahalanobis distance. Where w does not vary there is no axis: what the mapping never makes is out of reach.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ..errors import InputError

if TYPE_CHECKING:
    from ..corpus import Corpus
    from ..generators import Generator

NUM_SAMPLES = 8192
FLAT = 1e-4
"""Share of the largest variance below which an axis counts as one along which w does not vary."""
ROUNDS = 100
"""Of the search for independent axes, at most."""
SPARSE = 0.15
"""Weight of the L1 norm in a regression, as a share of that which leaves no coordinate at all."""
SETTLED = 1e-4
"""It ends when no axis turns by more than this, as 1 − |cosine|."""

_found: WeakKeyDictionary[object, Tensor] = WeakKeyDictionary()


@torch.no_grad()
def principal_axes(generator: Generator, *, num: int = NUM_SAMPLES, seed: int = 0) -> Tensor:
    """Principal axes of w, the longest first, [P, W].

    Args:
        num, seed: of the random latents, without truncation, that tell how w varies.

    Source: Härkönen et al. 2020, arXiv:2004.02546, Sec. 2; Zhu et al. 2020, arXiv:2012.09036, Sec. 3 (there after
    undoing the last activation, which would make a straight step depend on where it starts).
    """
    return _principal(generator.to_space(generator.sample(num, seed=seed), "w").value)


@torch.no_grad()
def independent_axes(generator: Generator) -> Tensor:
    """Axes of w along which it varies independently, [P, W]; kept as long as the generator lives.

    Where something that varies by itself in the pictures has a direction of its own in w, that direction becomes an
    axis: a change of one such thing is then a step along one or few axes, which `shrinkage` finds.

    Source: Hyvärinen 1999, "Fast and robust fixed-point algorithms for independent component analysis", eq. 20 and 45
    (fourth moments, all axes at once), on the principal axes.
    """
    if generator not in _found:
        w = generator.to_space(generator.sample(NUM_SAMPLES, seed=0), "w").value
        principal = _principal(w)
        white = (w - w.mean(dim=0)) @ torch.linalg.pinv(principal)  # [N, P]
        _found[generator] = _independent(white) @ principal
    return _found[generator]


@torch.no_grad()
def suggested_step(corpus: Corpus, generator: Generator, axes: Tensor, text: Tensor) -> Tensor:
    """Unit step in coordinates along axes [P, W] towards a text [D], as the pictures of a corpus suggest it, [P].

    A sparse linear regression (Tibshirani 1996, the lasso) of how near the pictures are to the text on where their w
    lie: pictures of all kinds, so that nothing counts which only this one picture, or none at all, would answer to.

    Raises:
        InputError: the corpus keeps no latents in z or w, or the nearness of its pictures does not depend on them.
    """
    from sklearn.linear_model import Lasso

    rows = torch.arange(len(corpus))
    latents = corpus.latents(rows, generator)
    if latents.space not in ("z", "w"):
        raise InputError(
            f"a head start needs a corpus of generated pictures; the latents of this one are in {latents.space}"
        )
    w = generator.to_space(latents.to(axes), "w").value
    places = ((w - w.mean(dim=0)) @ torch.linalg.pinv(axes)).double().cpu()
    nearness = (corpus.embedding(rows).to(text) @ text).double().cpu()
    nearness = nearness - nearness.mean()
    weight = SPARSE * float((places.T @ nearness).abs().max()) / len(places)
    if not weight > 0:
        raise InputError("all pictures of this corpus are equally near to the text")
    found = Lasso(alpha=weight, fit_intercept=False, max_iter=5000).fit(places.numpy(), nearness.numpy()).coef_
    return torch.nn.functional.normalize(torch.from_numpy(found), dim=0).to(axes)


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
