from __future__ import annotations

import pytest
import torch

from tests.toys import ToyEmbedder, toy_identity, toy_image
from textmorph.embedders import TextEmbedder
from textmorph.embedders.ensemble import EnsembleEmbedder
from textmorph.errors import OptionError

MEMBERS = [(ToyEmbedder(8), 3.0), (ToyEmbedder(12, seed=1), 1.0)]
TEXTS = ["purple hair", "a person"]


def test_cosines_are_the_weighted_means_of_the_members():
    ensemble = EnsembleEmbedder(MEMBERS)
    assert isinstance(ensemble, TextEmbedder)
    image = toy_image(16, batch=3)
    joined = ensemble.embed_image(image) @ ensemble.embed_text(TEXTS).t()
    separate = [e.embed_image(image) @ e.embed_text(TEXTS).t() for e, _ in MEMBERS]
    torch.testing.assert_close(joined, 0.75 * separate[0] + 0.25 * separate[1])


def test_rows_are_unit_whatever_the_scale_of_the_weights():
    rows = EnsembleEmbedder(MEMBERS).embed_image(toy_image(16, batch=3))
    assert rows.shape == (3, 20)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(3))
    tenfold = EnsembleEmbedder([(embedder, 10 * weight) for embedder, weight in MEMBERS])
    torch.testing.assert_close(tenfold.embed_image(toy_image(16, batch=3)), rows)


def test_the_gradient_reaches_the_image():
    image = toy_image(16).requires_grad_(True)
    EnsembleEmbedder(MEMBERS).embed_image(image).sum().backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0


def test_a_word_is_unknown_if_no_member_knows_it():
    class Knows(ToyEmbedder):
        def unknown_words(self, text: str) -> list[str]:
            return [word for word in super().unknown_words(text) if word != "xyzzy"]

    text = "xyzzy and xyzzyx"
    assert EnsembleEmbedder(MEMBERS).unknown_words(text) == ["xyzzy", "xyzzyx"]
    assert EnsembleEmbedder([*MEMBERS, (Knows(4), 1.0)]).unknown_words(text) == ["xyzzyx"]


def test_the_fingerprint_depends_on_members_and_weights():
    other = [(MEMBERS[0][0], 2.0), MEMBERS[1]]
    assert EnsembleEmbedder(MEMBERS).fingerprint == EnsembleEmbedder(MEMBERS).fingerprint
    assert EnsembleEmbedder(other).fingerprint != EnsembleEmbedder(MEMBERS).fingerprint
    assert EnsembleEmbedder(MEMBERS[:1]).fingerprint != EnsembleEmbedder(MEMBERS).fingerprint


def test_the_members_limits_are_joined():
    short = ToyEmbedder(4, image_size=32)
    short.context_length, short.temperature = 9, 0.05
    ensemble = EnsembleEmbedder([*MEMBERS, (short, 4.0)])
    assert (ensemble.context_length, ensemble.image_size) == (9, 32)
    assert ensemble.temperature == pytest.approx(0.03)


@pytest.mark.parametrize("members", [[], [(toy_identity(), 0.0)], [(toy_identity(), float("nan"))]])
def test_no_members_or_no_weight_is_refused(members: list):
    with pytest.raises(OptionError):
        EnsembleEmbedder(members)
