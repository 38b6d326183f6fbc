from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from textmorph.edits import Direction, Edit, Residual, apply_edits, load_edit
from textmorph.errors import EditError, LatentError, OptionError, OutputExistsError, SpaceError
from textmorph.generators.stylegan2 import StyleGAN2
from textmorph.latents import Latent
from textmorph.mappers import LatentMapper, MapperConfig

from .toys import seed_weights


class ToyMapper(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)
        seed_weights(self, 0)
        self.requires_grad_(False)

    def forward(self, w_plus: Tensor) -> Tensor:
        return self.layer(w_plus).tanh()


@pytest.fixture(scope="module")
def w_plus(generator: StyleGAN2) -> Latent:
    return generator.to_space(generator.sample(3, seed=1), "w+")


@pytest.fixture(scope="module")
def style(generator: StyleGAN2, w_plus: Latent) -> Latent:
    return generator.to_space(w_plus, "s")


def style_direction(seed: int = 0, *shape: int) -> Direction:
    random = torch.Generator().manual_seed(seed)
    return Direction(torch.randn(*(shape or (64,)), generator=random), "s", {"seed": seed})


def row_direction(seed: int = 0, *shape: int) -> Direction:
    random = torch.Generator().manual_seed(seed)
    return Direction(torch.randn(*(shape or (6, 8)), generator=random), "w+", {"seed": seed})


def test_strength_zero_changes_nothing_and_strength_is_linear(style: Latent, w_plus: Latent) -> None:
    for edit, latent in ((style_direction(), style), (row_direction(), w_plus), (Residual(ToyMapper()), w_plus)):
        assert isinstance(edit, Edit)
        before = latent.value.clone()
        assert torch.equal(edit(latent, 0.0).value, latent.value)
        step = edit(latent).value - latent.value
        torch.testing.assert_close(edit(latent, -2.5).value, latent.value - 2.5 * step, atol=1e-5, rtol=1e-5)
        assert torch.equal(latent.value, before)


def test_strengths_can_differ_by_row(style: Latent) -> None:
    edit = style_direction()
    strengths = torch.tensor([0.0, 1.0, -3.0])
    rows = [edit(style[i], float(strengths[i])).value for i in range(3)]
    assert torch.equal(edit(style, strengths).value, torch.cat(rows))
    assert torch.equal(edit(style, torch.tensor(2.0)).value, edit(style, 2.0).value)
    with pytest.raises(OptionError):
        edit(style, torch.ones(2))


def test_directions_are_vectors(style: Latent) -> None:
    a, b = style_direction(0), style_direction(1)
    torch.testing.assert_close((a * 2 + b)(style).value, b(a(style, 2.0)).value)
    torch.testing.assert_close((2 * a - b)(style).value, b(a(style, 2.0), -1.0).value)
    assert torch.equal((-a)(style).value, a(style, -1.0).value)
    assert (a * 2 + b).provenance == {"sum": [{"factor": 2.0, "of": {"seed": 0}}, {"seed": 1}]}
    with pytest.raises(SpaceError):
        a + row_direction()


def test_one_vector_per_picture(w_plus: Latent) -> None:
    edit = row_direction(0, 3, 6, 8)
    for row in range(3):
        assert torch.equal(edit(w_plus).value[row : row + 1], edit[row](w_plus[row]).value)
    with pytest.raises(LatentError):
        edit(w_plus[:2])
    with pytest.raises(LatentError):
        row_direction()[0]


def test_one_row_serves_all_rows(w_plus: Latent) -> None:
    edit = row_direction(0, 1, 8)
    full = Direction(edit.vector.expand(6, -1), "w+")
    assert torch.equal(edit(w_plus).value, full(w_plus).value)


def test_a_direction_follows_the_precision_of_the_latent(style: Latent) -> None:
    assert style_direction()(style.to(torch.float64)).value.dtype == torch.float64


def test_other_spaces_and_shapes_are_refused(style: Latent, w_plus: Latent) -> None:
    with pytest.raises(SpaceError):
        style_direction()(w_plus)
    with pytest.raises(SpaceError):
        Residual(ToyMapper())(style)
    with pytest.raises(LatentError):
        style_direction(0, 63)(style)
    with pytest.raises(LatentError):
        row_direction(0, 5, 8)(w_plus)
    with pytest.raises(SpaceError):
        Direction(torch.zeros(8), "w")
    with pytest.raises(LatentError):
        Direction(torch.zeros(8), "w+")
    with pytest.raises(LatentError, match="finite"):
        Direction(torch.full((8,), float("nan")), "s")


def test_edits_combine_in_one_order_whatever_the_order_given(generator: StyleGAN2, w_plus: Latent) -> None:
    edits = [(Residual(ToyMapper()), 2.0), (row_direction(), 0.5), (style_direction(), -1.0)]
    residual, rows, styles = (edit for edit, _ in edits)
    by_hand = styles(generator.to_space(rows(residual(w_plus, 2.0), 0.5), "s"), -1.0)
    for order in permutations(edits):
        result = apply_edits(generator, w_plus, list(order))
        assert result.space == "s"
        assert torch.equal(result.value, by_hand.value)


def test_the_lift_happens_only_where_it_must(generator: StyleGAN2, w_plus: Latent) -> None:
    assert apply_edits(generator, w_plus, [(row_direction(), 1.0)]).space == "w+"
    assert apply_edits(generator, w_plus, []) is w_plus
    w = generator.sample(2, seed=0)
    assert apply_edits(generator, w, [(row_direction(), 1.0)]).space == "w+"
    assert apply_edits(generator, w, [(style_direction(), 1.0)]).space == "s"


@pytest.mark.parametrize("shape", [(6, 8), (1, 8), (3, 6, 8)])
def test_a_w_plus_direction_acts_on_styles_exactly(generator: StyleGAN2, w_plus: Latent, shape: tuple) -> None:
    edit = row_direction(3, *shape)
    before = generator.to_space(edit(w_plus, 1.5), "s")
    after = apply_edits(generator, generator.to_space(w_plus, "s"), [(edit, 1.5)])
    torch.testing.assert_close(after.value, before.value, atol=1e-5, rtol=1e-5)


def test_a_residual_cannot_read_styles(generator: StyleGAN2, style: Latent) -> None:
    with pytest.raises(SpaceError, match="residual"):
        apply_edits(generator, style, [(Residual(ToyMapper()), 1.0)])


@pytest.mark.parametrize("edit", [style_direction(), row_direction(0, 3, 6, 8)])
def test_a_direction_survives_its_file(edit: Direction, tmp_path: Path) -> None:
    path = tmp_path / "edit.safetensors"
    edit.save(path)
    again = load_edit(path)
    assert isinstance(again, Direction)
    assert torch.equal(again.vector, edit.vector)
    assert (again.space, again.provenance) == (edit.space, edit.provenance)
    with pytest.raises(OutputExistsError):
        edit.save(path)
    (edit * 2).save(path, overwrite=True)
    assert torch.equal(load_edit(path).vector, edit.vector * 2)


@pytest.mark.parametrize("factor", [0.1, 0.25])
def test_a_residual_survives_its_file(generator: StyleGAN2, w_plus: Latent, tmp_path: Path, factor: float) -> None:
    mapper = LatentMapper(MapperConfig(w_dim=8, levels=("coarse", "medium")))
    seed_weights(mapper, 3)
    edit = Residual(mapper, factor, provenance={"target": "purple hair"})
    edit.save(tmp_path / "mapper.safetensors")
    again = load_edit(tmp_path / "mapper.safetensors")
    assert isinstance(again, Residual)
    assert torch.equal(again(w_plus, 2.0).value, edit(w_plus, 2.0).value)
    assert not torch.equal(again(w_plus, 2.0).value, w_plus.value)
    assert (again.factor, again.space, again.provenance) == (factor, "w+", {"target": "purple hair"})


def test_a_file_of_something_else_is_no_edit(style: Latent, tmp_path: Path) -> None:
    style.save(tmp_path / "latent.safetensors")
    with pytest.raises(EditError, match="not an edit"):
        load_edit(tmp_path / "latent.safetensors")


def test_provenance_that_is_no_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EditError, match="JSON"):
        Direction(torch.zeros(4), "s", {"when": object()}).save(tmp_path / "edit.safetensors")


def test_a_direction_of_18_rows_fits_a_generator_with_fewer(generator: StyleGAN2, w_plus: Latent) -> None:
    published = row_direction(0, 18, 8)
    edit = Direction(published.vector[:6], "w+")
    assert torch.equal(published(w_plus, 2.0).value, edit(w_plus, 2.0).value)
    style = generator.to_space(w_plus, "s")
    moved = (apply_edits(generator, style, [(one, 1.0)]).value for one in (published, edit))
    assert torch.equal(*moved)
    with pytest.raises(LatentError):
        row_direction(0, 17, 8)(w_plus)
