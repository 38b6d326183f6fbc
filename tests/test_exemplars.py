from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from textmorph.corpora.corpus import Corpus
from textmorph.edits import Residual, load_edit
from textmorph.errors import CheckpointMismatchError, EmptyDirectionError, InputError, OptionError
from textmorph.exemplars import exemplar_pull
from textmorph.latents import Latent
from textmorph.mappers import PullConfig, PullMapper

MIXING = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(2))).Q


class Hair:
    """A generator of one colour of four, and of two things that vary by themselves; w is all six, turned."""

    mean_w = torch.zeros(6)

    def sources(self, num: int, seed: int) -> Tensor:
        random = torch.Generator().manual_seed(seed)
        colours = torch.eye(4)[torch.multinomial(torch.tensor([0.4, 0.3, 0.2, 0.1]), num, True, generator=random)]
        return torch.cat([colours, torch.rand(num, 2, generator=random)], dim=1)

    def sample(self, num: int, *, seed: int, truncation: float = 1.0) -> Latent:
        return Latent(self.sources(num, seed) @ MIXING, "w")

    def to_space(self, latent: Latent, space: str) -> Latent:
        return latent


def pictures(generator: Hair, num: int = 600) -> Corpus:
    """Embeddings that are the sources themselves."""
    return Corpus(generator.sources(num, 5), {"embedder": "none"}, latents=generator.sample(num, seed=5))


def pulled(pull: PullMapper, sources: Tensor, strength: float = 1.0) -> Tensor:
    """Sources after the pull, [B, L, 6]."""
    edited = Residual(pull, 1.0)(Latent(sources @ MIXING, "w+"), strength)
    return edited.value @ MIXING.T


def test_what_is_asked_for_comes_and_what_it_replaces_goes_from_wherever_one_is() -> None:
    """The straight step would add the fourth colour to the one that is there."""
    generator = Hair()
    pull = exemplar_pull(pictures(generator), generator, torch.eye(6)[3], num_exemplars=40)
    sources = generator.sources(20, seed=9)[:, None].repeat(1, 3, 1)
    after = pulled(pull, sources)
    torch.testing.assert_close(after[..., :4], torch.eye(4)[3].expand(20, 3, 4), atol=0.05, rtol=0)
    torch.testing.assert_close(after[..., 4:], sources[..., 4:], atol=0.05, rtol=0)
    torch.testing.assert_close(pulled(pull, after), after, atol=0.02, rtol=0)  # one is there already
    half = pulled(pull, sources, 0.5)
    torch.testing.assert_close(half, (sources + after) / 2, atol=1e-5, rtol=0)


def test_a_pull_is_saved_and_read_again_like_any_edit(tmp_path: Path) -> None:
    generator = Hair()
    pull = exemplar_pull(pictures(generator), generator, torch.eye(6)[3], num_exemplars=40)
    edit = Residual(pull, 1.0, "w+", {"target": "the fourth colour"})
    edit.save(tmp_path / "fourth.safetensors")
    again = load_edit(tmp_path / "fourth.safetensors")
    assert isinstance(again, Residual)
    latent = Latent(generator.sources(4, seed=1)[:, None] @ MIXING, "w+")
    assert torch.equal(again(latent, 0.7).value, edit(latent, 0.7).value)
    assert (again.factor, again.provenance) == (1.0, {"target": "the fourth colour"})
    assert (tmp_path / "fourth.safetensors").stat().st_size < 4096


def test_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    mapper = PullMapper(PullConfig(w_dim=6, num_axes=2))
    object.__setattr__(mapper.config, "num_axes", 3)
    Residual(mapper, 1.0).save(tmp_path / "wrong.safetensors")
    with pytest.raises(CheckpointMismatchError, match="shape"):
        load_edit(tmp_path / "wrong.safetensors")


def test_the_number_of_threads_changes_no_bit() -> None:
    def found(threads: int) -> dict[str, Tensor]:
        usual = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            generator = Hair()  # another object each time: nothing is remembered
            return dict(exemplar_pull(pictures(generator), generator, torch.eye(6)[2], num_exemplars=60).state_dict())
        finally:
            torch.set_num_threads(usual)

    one, two = found(1), found(2)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_exemplars_that_are_too_many_or_agree_on_nothing_are_said() -> None:
    generator = Hair()
    corpus = pictures(generator)
    with pytest.raises(OptionError, match="a corpus of 602 pictures, and this one has 600"):
        exemplar_pull(corpus, generator, torch.eye(6)[3], num_exemplars=301)
    with pytest.raises(EmptyDirectionError, match="agree on nothing"):
        both = torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0, 1.0])  # half of all pictures have more of one or of the other
        exemplar_pull(corpus, generator, both, num_exemplars=300)
    styles = Corpus(torch.randn(600, 6), {"embedder": "none"}, latents=Latent(torch.zeros(600, 9), "s"))
    with pytest.raises(InputError, match="in s"):
        exemplar_pull(styles, generator, torch.eye(6)[3], num_exemplars=40)
    with pytest.raises(OptionError, match="1 to 6 axes, not 7"):
        PullConfig(w_dim=6, num_axes=7)
