"""What every method in the table obeys, whatever paper it comes from."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
import torch

from textmorph.banks.bank import build_bank
from textmorph.corpora.corpus import Corpus
from textmorph.edits import Edit, apply_edits, load_edit
from textmorph.errors import OptionError, PromptError
from textmorph.latents import Latent
from textmorph.methods import METHODS, method_class
from textmorph.prompts import BARE

from ..toys import ToyEmbedder, toy_generator, toy_identity

SMALL: dict[str, dict[str, Any]] = {
    "global": {"num_channels": 7},
    "svm": {"num_channels": 7, "num_positives": 10, "num_negatives": 10},
    "optimize": {"steps": 4},
    "interfacegan": {"num_positives": 10, "num_negatives": 10},
}
"""Options that make a method quick on toys; a new method, or way of using one, adds its own."""


def class_of(name: str) -> Any:
    return method_class(name)


@dataclass(frozen=True)
class Toys:
    generator: Any
    embedder: Any
    latent: Latent
    offers: dict[str, Any]

    def find(self, name: str, *, target: str = "a red cat", neutral: str = "a cat", **options: Any) -> Edit:
        method = class_of(name)(**{**SMALL.get(name, {}), **options})
        wanted = inspect.signature(method.find).parameters
        given = {k: v for k, v in {**self.offers, "neutral": neutral}.items() if k in wanted}
        edit: Edit = method.find(self.generator, self.embedder, target=target, **given)
        return edit


@pytest.fixture(scope="module")
def toys() -> Toys:
    generator, embedder = toy_generator(8), ToyEmbedder(image_size=8)
    latent = generator.to_space(generator.sample(3, seed=1), "w+")
    offers = {
        "bank": build_bank(generator, embedder, num_samples=2, num_statistics=32),
        "corpus": Corpus.build(generator, embedder, num=40, seed=7),
        "latent": latent,
        "identity_embedder": toy_identity(),
        "templates": BARE,
    }
    return Toys(generator, embedder, latent, offers)


finders = [name for name in METHODS if hasattr(method_class(name), "find")]
every_method = pytest.mark.parametrize("name", finders)


@pytest.mark.parametrize("name", METHODS)
def test_the_variants_are_methods_of_the_same_kind(name: str) -> None:
    cls = class_of(name)
    if hasattr(cls, "find"):
        assert all(isinstance(one, cls) for one in cls().variants((5, 10)))


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_its_hyper_parameters(name: str) -> None:
    cls = class_of(name)
    assert cls.__dataclass_params__.frozen
    assert all(field.kw_only for field in fields(cls))
    method = cls()
    assert cls(**json.loads(json.dumps(asdict(method)))) == method
    hints = get_type_hints(cls, include_extras=True)
    assert [field.name for field in fields(cls) if not getattr(hints[field.name], "__metadata__", None)] == []
    assert sum(hasattr(cls, verb) for verb in ("find", "train", "paint")) == 1


@every_method
def test_strength_zero_is_the_identity(name: str, toys: Toys) -> None:
    edit = toys.find(name)
    assert isinstance(edit, Edit)
    latent = toys.generator.to_space(toys.latent, edit.space)
    assert torch.equal(edit(latent, 0.0).value, latent.value)
    assert torch.equal(toys.generator(edit(latent, 0.0)), toys.generator(latent))
    assert not torch.equal(edit(latent, 1.0).value, latent.value)


@every_method
def test_inputs_stay_as_they_are(name: str, toys: Toys) -> None:
    def state() -> list[torch.Tensor]:
        bank, corpus = toys.offers["bank"], toys.offers["corpus"]
        tensors = [toys.latent.value, bank.effects, bank.channel_std, corpus.embeddings, toys.embedder.projection]
        return [tensor.clone() for tensor in (*tensors, *toys.generator.state_dict().values())]

    before = state()
    edit = toys.find(name)
    edit(toys.generator.to_space(toys.latent, edit.space), 2.0)
    assert all(torch.equal(a, b) for a, b in zip(before, state(), strict=True))
    assert all(parameter.grad is None for parameter in toys.generator.parameters())


@every_method
def test_the_same_again_gives_the_same_bits_and_no_global_seed_moves(name: str, toys: Toys) -> None:
    torch_state, numpy_state = torch.random.get_rng_state(), np.random.get_state(legacy=False)  # noqa: NPY002
    first = toys.find(name)
    latent = toys.generator.to_space(toys.latent, first.space)
    assert torch.equal(first(latent).value, toys.find(name)(latent).value)
    assert torch.equal(torch.random.get_rng_state(), torch_state)
    assert str(np.random.get_state(legacy=False)) == str(numpy_state)  # noqa: NPY002


@every_method
def test_an_edit_survives_its_file(name: str, toys: Toys, tmp_path: Path) -> None:
    edit = toys.find(name)
    edit.save(tmp_path / "edit.safetensors")
    again = load_edit(tmp_path / "edit.safetensors")
    latent = toys.generator.to_space(toys.latent, edit.space)
    assert torch.equal(again(latent, 1.7).value, edit(latent, 1.7).value)
    assert again.provenance == edit.provenance
    assert edit.provenance["method"] == name
    assert edit.provenance["target"] == "a red cat"
    cls = class_of(name)
    assert cls(**again.provenance["options"]) == cls(**SMALL.get(name, {}))


@every_method
def test_a_batch_is_its_rows(name: str, toys: Toys) -> None:
    edit = toys.find(name)
    latent = toys.generator.to_space(toys.latent, edit.space)
    together = edit(latent, 1.5).value
    for row in range(len(latent)):
        one: Callable[..., Latent] = edit if edit.vector.ndim == latent.value.ndim - 1 else edit[row]  # type: ignore[attr-defined,index]
        assert torch.equal(one(latent[row], 1.5).value[0], together[row])


@every_method
def test_swapped_texts_give_the_opposite_direction(name: str, toys: Toys) -> None:
    if "neutral" not in inspect.signature(class_of(name).find).parameters:
        pytest.skip("takes no neutral text")
    if "latent" in inspect.signature(class_of(name).find).parameters:
        pytest.skip("searches from one picture: what leads to one text is not the way back to another")
    there = toys.find(name, target="a red cat", neutral="a cat")
    back = toys.find(name, target="a cat", neutral="a red cat")
    latent = toys.generator.to_space(toys.latent, there.space)
    # an SVM's solver stops within its tolerance
    torch.testing.assert_close(there(latent, -2.0).value, back(latent, 2.0).value, atol=1e-3, rtol=0)


@every_method
def test_an_edit_combines_with_others(name: str, toys: Toys) -> None:
    edit, other = toys.find(name), toys.find("global", target="a blue dog")
    result = apply_edits(toys.generator, toys.latent, [(other, 1.0), (edit, 0.5)])
    assert other.space == result.space == "s"
    assert result.value.isfinite().all()


@every_method
def test_a_text_that_says_nothing_is_refused(name: str, toys: Toys) -> None:
    with pytest.raises(PromptError):
        toys.find(name, target=" ")


def test_an_unknown_method_is_refused_and_the_table_is_named() -> None:
    with pytest.raises(OptionError, match="global"):
        method_class("magic")
