"""Exemplars: the pictures of a corpus that show best what a text asks for, and the place in w that they agree on.

A straight step adds what a text asks for and leaves what it would replace: purple added to blond is pink. The pictures
that show purple hair tell what has to go, without any text that says so: along some axes of w they lie together, where
the other pictures are spread. There a portrait is led to where they lie, from wherever it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .axes import alone, independent_axes, independent_places
from .errors import EmptyDirectionError, OptionError
from .mappers import PullConfig, PullMapper

if TYPE_CHECKING:
    from .corpora.corpus import Corpus
    from .generators import Generator

AGREEMENT = 0.8
"""Least share of the variance along an axis that is gone among the exemplars, where they count as agreeing."""


@torch.no_grad()
@alone()
def exemplar_pull(corpus: Corpus, generator: Generator, shift: Tensor, *, num_exemplars: int) -> PullMapper:
    """The way to where the pictures farthest along a shift agree to lie, for a row of w anywhere.

    Args:
        corpus: of generated pictures.
        shift: in the space of the corpus's embeddings, [D].
        num_exemplars: how many pictures, the farthest along it. More of them tell better along which axes they agree,
            as long as they all show what is asked for.

    Raises:
        OptionError: the corpus has not twice as many pictures.
        EmptyDirectionError: the pictures agree on nothing.
        InputError: the corpus keeps no latents in z or w.
    """
    known = independent_places(corpus, generator)
    if 2 * num_exemplars > len(known.along):
        raise OptionError(
            f"{num_exemplars} exemplars need a corpus of {2 * num_exemplars} pictures, and this one has "
            f"{len(known.along)}; ask for fewer, or build a larger corpus"
        )
    nearness = known.embeddings @ shift.double().cpu()
    places = known.along[nearness.topk(num_exemplars).indices]  # [N, P]
    gone = 1 - places.var(dim=0) / known.along.var(dim=0)
    agreed = torch.nonzero(gone > AGREEMENT)[:, 0]
    if not len(agreed):
        raise EmptyDirectionError(
            f"the {num_exemplars} pictures that show this best agree on nothing; ask for fewer of them, "
            "or use towards='shift'"
        )
    axes = independent_axes(generator)
    agreed = agreed.to(axes.device)
    mapper = PullMapper(PullConfig(w_dim=axes.shape[1], num_axes=len(agreed))).to(axes)
    mapper.place.copy_((known.center + places.mean(dim=0).to(axes))[agreed])
    mapper.read.copy_(known.read[:, agreed])
    mapper.write.copy_(axes[agreed])
    return mapper
