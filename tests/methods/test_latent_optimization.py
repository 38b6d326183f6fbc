from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from textmorph import exemplars
from textmorph.axes import independent_axes, principal_axes, suggested_step
from textmorph.canvases.latent import LatentCanvas
from textmorph.corpora.corpus import Corpus
from textmorph.edits import Direction
from textmorph.errors import BankMismatchError, InputError, OptionError, PromptError, SpaceError
from textmorph.exemplars import exemplar_pull
from textmorph.generators.stylegan2 import StyleGAN2
from textmorph.latents import Latent
from textmorph.losses import sideways
from textmorph.methods.latent_optimization import LatentOptimization
from textmorph.prompts import BARE, text_shift

from ..toys import ToyEmbedder, toy_generator, toy_identity


@pytest.fixture(scope="module")
def generator() -> StyleGAN2:
    return toy_generator(resolution=16)


@pytest.fixture(scope="module")
def embedder() -> ToyEmbedder:
    return ToyEmbedder(image_size=8)


@pytest.fixture(scope="module")
def w_plus(generator: StyleGAN2) -> Latent:
    return generator.to_space(generator.sample(2, seed=1), "w+")


def cosine(generator: StyleGAN2, embedder: ToyEmbedder, latent: Latent, text: str) -> Tensor:
    return embedder.embed_image(generator(latent, resolution=8)) @ embedder.embed_text([text])[0]


def test_the_image_of_the_last_latent_is_closer_to_the_text(
    generator: StyleGAN2, embedder: ToyEmbedder, w_plus: Latent
) -> None:
    edit = LatentOptimization(steps=20).find(generator, embedder, target="a cat", latent=w_plus)
    assert edit.vector.shape == w_plus.value.shape
    before = cosine(generator, embedder, w_plus, "a cat")
    after = cosine(generator, embedder, edit(w_plus), "a cat")
    assert (after > before + 0.05).all()


def test_it_equals_the_published_recipe(generator: StyleGAN2, embedder: ToyEmbedder, w_plus: Latent) -> None:
    method = LatentOptimization(steps=6, identity=0.05, resolution=16)
    identity = toy_identity()
    start = w_plus[0]
    edit = method.find(generator, embedder, target="a cat", latent=start, identity_embedder=identity)
    latent = start.value.clone().requires_grad_()
    person = identity.embed_image(generator(start))
    text = embedder.embed_text(["a cat"])
    adam = torch.optim.Adam([latent])
    for rate in [0, 0.1, 0.1, 0.1, 0.1, 0.075]:  # 1/6 is past the rise; at 5/6 the fall is at two thirds: sin²(60°)
        adam.param_groups[0]["lr"] = rate
        image = generator(Latent(latent, "w+"))
        loss = 1 - (embedder.embed_image(image) * text).sum()
        loss = loss + 0.008 * (latent - start.value).pow(2).sum()
        loss = loss + 0.05 * (1 - (identity.embed_image(image) * person).sum())
        adam.zero_grad()
        loss.backward()
        adam.step()
    torch.testing.assert_close(edit.vector, latent.detach() - start.value, atol=2e-4, rtol=0)


def test_stronger_weights_hold_the_latent_and_the_person(generator: StyleGAN2, embedder: ToyEmbedder) -> None:
    latent = generator.sample(1, seed=4)
    identity = toy_identity()
    person = identity.embed_image(generator(generator.to_space(latent, "w+")))

    def edited(**weights: float) -> tuple[float, float]:
        method = LatentOptimization(steps=15, resolution=16, **weights)
        edit = method.find(generator, embedder, target="a cat", latent=latent, identity_embedder=identity)
        image = generator(edit(generator.to_space(latent, "w+")))
        return float(edit.vector.norm()), float((identity.embed_image(image) * person).sum())

    free, held, kept = edited(latent_l2=0), edited(latent_l2=1.0), edited(latent_l2=0, identity=5.0)
    assert held[0] < free[0]
    assert kept[1] > free[1]


@pytest.mark.parametrize("space", ["w+", "s"])
def test_rows_are_optimised_by_themselves(
    generator: StyleGAN2, embedder: ToyEmbedder, w_plus: Latent, space: str
) -> None:
    method = LatentOptimization(steps=5, space=space)
    together = method.find(generator, embedder, target="a cat", latent=w_plus)
    for row in range(2):
        alone = method.find(generator, embedder, target="a cat", latent=w_plus[row])
        # Adam divides by the size of the gradient, so rounding counts where that is near zero.
        torch.testing.assert_close(together.vector[row], alone.vector[0], atol=5e-3, rtol=0)


def test_in_style_space_colour_layers_stay_unless_told(
    generator: StyleGAN2, embedder: ToyEmbedder, w_plus: Latent
) -> None:
    mask = generator.style_layout.mask()
    edit = LatentOptimization(steps=3, space="s").find(generator, embedder, target="a cat", latent=w_plus)
    assert edit.space == "s"
    assert edit.vector[:, ~mask].count_nonzero() == 0
    edit = LatentOptimization(steps=3, space="s", to_rgb=True).find(
        generator, embedder, target="a cat", latent=generator.to_space(w_plus, "s")
    )
    assert edit.vector[:, ~mask].count_nonzero() > 0


def test_clip_sees_the_smaller_image_unless_told(generator: StyleGAN2, embedder: ToyEmbedder, w_plus: Latent) -> None:
    sizes: list[int] = []

    class Watching(ToyEmbedder):
        def embed_image(self, image: Tensor) -> Tensor:
            sizes.append(image.shape[-1])
            return super().embed_image(image)

    watching = Watching(image_size=8)
    LatentOptimization(steps=2).find(generator, watching, target="a cat", latent=w_plus)
    LatentOptimization(steps=2, resolution=16).find(generator, watching, target="a cat", latent=w_plus)
    assert sizes == [8, 8, 16, 16]


def test_previews_show_the_full_image_after_each_step(
    generator: StyleGAN2, embedder: ToyEmbedder, w_plus: Latent
) -> None:
    frames: list[Tensor] = []
    losses: list[float] = []
    steps: list[tuple[int, int]] = []

    def callback(step: int, image: Callable[[], Tensor], loss: float) -> None:
        frames.append(image())
        losses.append(loss)

    edit = LatentOptimization(steps=4).find(
        generator, embedder, target="a cat", latent=w_plus, callback=callback,
        progress=lambda done, total: steps.append((done, total)),
    )  # fmt: skip
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert torch.equal(frames[-1], generator(edit(w_plus)))
    assert frames[-1].shape[-1] == 16
    assert edit.provenance["loss"] == pytest.approx(losses[-1] / 2)


def test_frozen_networks_hold_no_gradients(embedder: ToyEmbedder, w_plus: Latent) -> None:
    generator = toy_generator(resolution=16).requires_grad_(True)  # not frozen: it must not matter
    edit = LatentOptimization(steps=2).find(generator, embedder, target="a cat", latent=w_plus)
    assert all(parameter.grad is None for parameter in generator.parameters())
    assert not edit.vector.requires_grad


def test_a_latent_from_inference_mode_will_do(generator: StyleGAN2, embedder: ToyEmbedder) -> None:
    with torch.inference_mode():
        latent = generator.to_space(generator.sample(1, seed=2), "w+")
    for space in ("w+", "s"):
        edit = LatentOptimization(steps=2, space=space).find(generator, embedder, target="a cat", latent=latent)
        assert not edit.vector.is_inference()


def test_held_out_views_stop_the_search_at_its_best(
    generator: StyleGAN2, embedder: ToyEmbedder, w_plus: Latent
) -> None:
    steps: list[int] = []
    method = LatentOptimization(steps=200, learning_rate=2.0, latent_l2=0.0, patience=5)
    edit = method.find(
        generator, embedder, target="a cat", latent=w_plus, progress=lambda done, total: steps.append(done)
    )
    assert steps[-1] < 200
    assert edit.provenance["steps"] == steps[-1]
    assert (cosine(generator, embedder, edit(w_plus), "a cat") > cosine(generator, embedder, w_plus, "a cat")).all()


@pytest.mark.parametrize("options", [{}, {"space": "s", "patience": 2}])
def test_bfloat16_is_close_and_comes_out_the_same_again(
    generator: StyleGAN2, embedder: ToyEmbedder, w_plus: Latent, options: dict
) -> None:
    def find(precision: str) -> Direction:
        # a small rate and no Adam near zero gradients: there the sign of rounding would count
        method = LatentOptimization(steps=6, learning_rate=0.01, identity=0.1, precision=precision, **options)
        return method.find(generator, embedder, target="a cat", latent=w_plus, identity_embedder=toy_identity())

    exact, short = find("float32"), find("bfloat16")
    assert torch.equal(short.vector, find("bfloat16").vector)
    assert short.vector.dtype == torch.float32
    assert not torch.equal(short.vector, exact.vector)
    assert torch.cosine_similarity(short.vector.flatten(1), exact.vector.flatten(1)).min() > 0.9
    assert short.provenance["options"]["precision"] == "bfloat16"


def test_a_picture_is_painted_in_bfloat16(generator: StyleGAN2, embedder: ToyEmbedder) -> None:
    exact, short = (
        LatentOptimization(steps=4, precision=precision).paint(generator, embedder, target="a cat").value
        for precision in ("float32", "bfloat16")
    )
    assert short.dtype == torch.float32
    assert not torch.equal(short, exact)


def test_whoever_watches_can_stop_it_and_keeps_what_was_reached(
    generator: StyleGAN2, embedder: ToyEmbedder, w_plus: Latent
) -> None:
    # no falling learning rate, so that the first five of twelve steps are those of five
    method = LatentOptimization(steps=12, rampup=0, rampdown=0)
    stopped = method.find(generator, embedder, target="a cat", latent=w_plus, stop=lambda step: step == 4)
    short = LatentOptimization(steps=5, rampup=0, rampdown=0).find(generator, embedder, target="a cat", latent=w_plus)
    assert stopped.provenance["steps"] == 5
    assert torch.equal(stopped.vector, short.vector)


def test_patience_is_each_pictures_own(generator: StyleGAN2, embedder: ToyEmbedder, w_plus: Latent) -> None:
    method = LatentOptimization(steps=12, learning_rate=0.5, patience=5)
    together = method.find(generator, embedder, target="a cat", latent=w_plus)
    for row in range(2):
        alone = method.find(generator, embedder, target="a cat", latent=w_plus[row])
        torch.testing.assert_close(together.vector[row], alone.vector[0], atol=2e-2, rtol=0)


def test_free_generation_starts_at_the_mean_and_ignores_the_weights(
    generator: StyleGAN2, embedder: ToyEmbedder
) -> None:
    latent = LatentOptimization(steps=8).paint(generator, embedder, target="a cat")
    heavy = LatentOptimization(steps=8, latent_l2=9.0, identity=9.0).paint(generator, embedder, target="a cat")
    assert latent.space == "w+"
    assert torch.equal(latent.value, heavy.value)
    mean = generator.to_space(Latent(generator.mean_w[None], "w"), "w+")
    assert cosine(generator, embedder, latent, "a cat") > cosine(generator, embedder, mean, "a cat")
    many = LatentOptimization(steps=2).paint(generator, embedder, target="a cat", start=generator.sample(3, seed=0))
    assert len(many) == 3
    canvas = LatentCanvas(generator, mean)
    assert torch.equal(canvas.latent.value, mean.value)


def test_presets_name_the_two_ways_of_use() -> None:
    assert LatentOptimization.keep_person(steps=40) == LatentOptimization(steps=40, identity=0.005)
    assert LatentOptimization.change_person() == LatentOptimization(identity=0.0)
    defaults = LatentOptimization()
    assert (defaults.steps, defaults.learning_rate, defaults.latent_l2) == (300, 0.1, 0.008)
    assert (defaults.rampup, defaults.rampdown, defaults.patience) == (0.05, 0.25, None)


def test_bad_wishes_are_refused(generator: StyleGAN2, embedder: ToyEmbedder, w_plus: Latent) -> None:
    with pytest.raises(OptionError, match="identity network"):
        LatentOptimization(identity=0.1).find(generator, embedder, target="a cat", latent=w_plus)
    with pytest.raises(SpaceError):
        style = generator.to_space(w_plus, "s")
        LatentOptimization(steps=1).find(generator, embedder, target="a cat", latent=style)
    with pytest.raises(PromptError):
        LatentOptimization(steps=1).find(generator, embedder, target=" ", latent=w_plus)


@pytest.mark.parametrize(
    "options",
    [{"steps": 0}, {"learning_rate": 0}, {"rampup": 2}, {"latent_l2": -1}, {"identity": float("nan")},
     {"space": "z"}, {"patience": 0}, {"num_views": 0}, {"precision": "half"}, {"sideways": -1},
     {"latent_noise": float("nan")}, {"shrinkage": -1}, {"second_moment": "picture"}, {"axes": "main"},
     {"space": "s", "axes": "independent"}],
)  # fmt: skip
def test_options_out_of_range_are_refused(options: dict) -> None:
    with pytest.raises(OptionError):
        LatentOptimization(**options)


# Beside the paper: w, axes of w, one second moment per row, noise, shrinkage, what changes sideways


def test_one_step_serves_all_rows_in_w(generator: StyleGAN2, embedder: ToyEmbedder, w_plus: Latent) -> None:
    edit = LatentOptimization(steps=8, space="w").find(generator, embedder, target="a cat", latent=w_plus)
    assert edit.space == "w+"
    assert edit.vector.shape == w_plus.value.shape
    assert torch.equal(edit.vector, edit.vector[:, :1].expand_as(edit.vector))
    after = cosine(generator, embedder, edit(w_plus), "a cat")
    assert (after > cosine(generator, embedder, w_plus, "a cat")).all()
    wandering = LatentOptimization(steps=8).find(generator, embedder, target="a cat", latent=w_plus)
    assert not torch.equal(wandering.vector, wandering.vector[:, :1].expand_as(wandering.vector))


@pytest.mark.parametrize(("space", "axes"), [("w", "principal"), ("w+", "principal"), ("w", "independent")])
def test_white_steps_stay_where_w_varies(embedder: ToyEmbedder, space: str, axes: str) -> None:
    generator = toy_generator(resolution=16)
    flat = generator.mapping.layers[-1]  # the mapping never uses the first two coordinates of w
    flat.weight[:2] = 0
    flat.bias[:2] = 0
    latent = generator.to_space(generator.sample(2, seed=1), "w+")
    method = LatentOptimization(steps=4, space=space, axes=axes)
    edit = method.find(generator, embedder, target="a cat", latent=latent)
    assert edit.vector[..., :2].abs().max() < 1e-5
    assert edit.vector[..., 2:].abs().max() > 0.01
    free = LatentOptimization(steps=4, space=space).find(generator, embedder, target="a cat", latent=latent)
    assert free.vector[..., :2].abs().max() > 0.01


def test_the_weight_of_a_white_step_is_its_distance_in_deviations(generator: StyleGAN2, embedder: ToyEmbedder) -> None:
    latent = generator.to_space(generator.sample(1, seed=4), "w+")

    def found(weight: float) -> Tensor:
        method = LatentOptimization(steps=25, space="w", axes="principal", latent_l2=weight)
        step = method.find(generator, embedder, target="a cat", latent=latent).vector[:, 0]
        return torch.linalg.lstsq(principal_axes(generator).T, step.T).solution.norm()

    distances = [float(found(weight)) for weight in (0.0, 0.05, 5.0)]
    assert distances == sorted(distances, reverse=True)
    assert distances[2] < 0.2 * distances[0]


def test_what_changes_sideways_is_held_back(generator: StyleGAN2, embedder: ToyEmbedder, w_plus: Latent) -> None:
    shift = text_shift(embedder, neutral="a thing", target="a cat", templates=BARE)
    before = embedder.embed_image(generator(w_plus))

    def share(weight: float) -> float:
        method = LatentOptimization(steps=25, sideways=weight, latent_l2=0.0)
        edit = method.find(generator, embedder, target="a cat", neutral="a thing", latent=w_plus)
        change = embedder.embed_image(generator(edit(w_plus))) - before
        assert edit.provenance["neutral"] == ("a thing" if weight else None)
        assert (change @ shift > 0).all()
        return float((sideways(change, shift) / change.square().sum(dim=1)).mean())

    assert share(20.0) < 0.8 * share(0.0)


def test_noise_is_drawn_from_the_seed_and_is_the_same_for_every_row(
    generator: StyleGAN2, embedder: ToyEmbedder, w_plus: Latent
) -> None:
    def found(latent: Latent, **options: Any) -> Tensor:
        method = LatentOptimization(**{"steps": 5, "latent_noise": 0.5, **options})
        return method.find(generator, embedder, target="a cat", latent=latent).vector

    once = found(w_plus)
    assert torch.equal(once, found(w_plus))
    assert not torch.equal(once, found(w_plus, seed=1))
    assert not torch.equal(once, found(w_plus, latent_noise=0.0))
    torch.testing.assert_close(found(w_plus[1])[0], once[1], atol=5e-3, rtol=0)


def test_a_second_moment_per_row_keeps_rows_apart(generator: StyleGAN2, embedder: ToyEmbedder, w_plus: Latent) -> None:
    method = LatentOptimization(steps=5, space="w", axes="principal", second_moment="row")
    together = method.find(generator, embedder, target="a cat", latent=w_plus)
    for row in range(2):
        alone = method.find(generator, embedder, target="a cat", latent=w_plus[row])
        torch.testing.assert_close(together.vector[row], alone.vector[0], atol=1e-3, rtol=0)


def test_shrinkage_leaves_few_axes(generator: StyleGAN2, embedder: ToyEmbedder, w_plus: Latent) -> None:
    def used(shrinkage: float) -> int:
        method = LatentOptimization(
            steps=12, space="w", axes="independent", second_moment="row", shrinkage=shrinkage, rampdown=0
        )
        step = method.find(generator, embedder, target="a cat", latent=w_plus).vector[:, 0]  # [B, W]
        along = torch.linalg.lstsq(independent_axes(generator).T, step.T).solution
        return int((along.abs() > 1e-4).sum())

    assert 0 < used(0.7) < used(0.0)


@pytest.fixture(scope="module")
def corpus(generator: StyleGAN2, embedder: ToyEmbedder) -> Corpus:
    return Corpus.build(generator, embedder, num=200, seed=7)


def test_a_head_start_is_a_step_towards_the_text_as_long_as_asked_for(
    generator: StyleGAN2, embedder: ToyEmbedder, w_plus: Latent, corpus: Corpus
) -> None:
    axes = independent_axes(generator)
    text = embedder.embed_text(["a cat"])[0]
    step = suggested_step(corpus, generator, axes, text)
    assert step.norm() == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(suggested_step(corpus, generator, axes, -text), -step)
    nearer = cosine(generator, embedder, w_plus + (2 * step @ axes), "a cat")
    assert nearer.mean() > cosine(generator, embedder, w_plus, "a cat").mean()
    method = LatentOptimization(steps=1, space="w", axes="independent", head_start=2.0)  # the first step has no length
    edit = method.find(generator, embedder, target="a cat", latent=w_plus, corpus=corpus)
    torch.testing.assert_close(edit.vector, (2 * step @ axes).expand_as(edit.vector), atol=1e-5, rtol=0)
    assert edit.provenance["corpus"] == corpus.fingerprint


def test_the_search_begins_at_exemplars_where_that_is_better(
    generator: StyleGAN2, embedder: ToyEmbedder, w_plus: Latent, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = LatentOptimization(steps=1, space="w", axes="independent", num_exemplars=3, latent_l2=0.0)
    found = []
    for text in ("a cat", "a dog", "a house", "purple hair", "a smile"):
        edit = method.find(generator, embedder, target=text, latent=w_plus, corpus=corpus)  # its one step has no length
        pull = exemplar_pull(corpus, generator, embedder.embed_text([text])[0], num_exemplars=3)
        there = w_plus + pull(w_plus.value).mean(dim=1, keepdim=True).expand_as(w_plus.value)
        nearer = cosine(generator, embedder, there, text) > cosine(generator, embedder, w_plus, text)
        expected = torch.where(nearer[:, None, None], there.value - w_plus.value, 0)
        torch.testing.assert_close(edit.vector, expected, atol=1e-3, rtol=0)
        assert edit.provenance["corpus"] == corpus.fingerprint
        found += nearer.tolist()
    assert set(found) == {True, False}  # both were seen
    monkeypatch.setattr(exemplars, "AGREEMENT", 1.0)  # and where the pictures agree on nothing, it begins at the first
    assert not method.find(generator, embedder, target="a cat", latent=w_plus, corpus=corpus).vector.any()


def test_the_loss_pulls_a_head_start_back_to_the_latent(
    generator: StyleGAN2, embedder: ToyEmbedder, w_plus: Latent, corpus: Corpus
) -> None:
    def length(latent_l2: float) -> float:
        method = LatentOptimization(steps=30, space="w", axes="principal", head_start=2.0, latent_l2=latent_l2)
        return float(method.find(generator, embedder, target="a cat", latent=w_plus, corpus=corpus).vector.norm())

    assert length(50.0) < 0.3 * length(0.0)


def test_shrinkage_leads_back_to_where_the_search_began(
    generator: StyleGAN2, embedder: ToyEmbedder, w_plus: Latent, corpus: Corpus
) -> None:
    def far(shrinkage: float) -> float:
        options: dict[str, Any] = {"space": "w", "axes": "independent", "head_start": 2.0, "latent_l2": 0.0}
        found = [
            LatentOptimization(steps=steps, shrinkage=shrinkage, **options)
            .find(generator, embedder, target="a cat", latent=w_plus, corpus=corpus)
            .vector
            for steps in (1, 12)  # the first step has no length
        ]
        assert found[0].norm() > 1
        return float((found[1] - found[0]).norm())

    assert far(0.0) > 0.1
    assert far(100.0) == pytest.approx(0, abs=1e-4)


def test_a_head_start_needs_axes_and_a_corpus_of_these_networks(
    generator: StyleGAN2, embedder: ToyEmbedder, w_plus: Latent, corpus: Corpus
) -> None:
    with pytest.raises(OptionError, match="axes"):
        LatentOptimization(head_start=1.0)
    with pytest.raises(OptionError, match="axes"):
        LatentOptimization(num_exemplars=10)
    with pytest.raises(OptionError, match="2 or more, not 1"):
        LatentOptimization(num_exemplars=1, axes="principal")
    with pytest.raises(OptionError, match="corpus"):
        LatentOptimization(steps=1, axes="principal", num_exemplars=3).find(
            generator, embedder, target="a cat", latent=w_plus
        )
    method = LatentOptimization(steps=1, axes="principal", head_start=1.0)
    with pytest.raises(OptionError, match="corpus"):
        method.find(generator, embedder, target="a cat", latent=w_plus)
    with pytest.raises(BankMismatchError):
        method.find(generator, ToyEmbedder(image_size=8, seed=5), target="a cat", latent=w_plus, corpus=corpus)
    with pytest.raises(OptionError, match="corpus"):
        method.paint(generator, embedder, target="a cat")
    painted = method.paint(generator, embedder, target="a cat", corpus=corpus)
    assert not torch.equal(painted.value, generator.mean_w.expand_as(painted.value))
    photos = Corpus(
        corpus.embeddings, latents=generator.to_space(generator.sample(200, seed=0), "w+"), info=corpus.info
    )
    with pytest.raises(InputError, match="generated pictures"):
        method.find(generator, embedder, target="a cat", latent=w_plus, corpus=photos)


def test_what_values_have_no_use_for_is_said() -> None:
    assert LatentOptimization().unused == {"neutral", "corpus", "identity_embedder"}
    all_used = LatentOptimization(identity=0.1, sideways=0.1, axes="principal", head_start=1.0)
    assert all_used.unused == set()


def test_sideways_needs_a_neutral_text_that_differs(
    generator: StyleGAN2, embedder: ToyEmbedder, w_plus: Latent
) -> None:
    method = LatentOptimization(steps=1, sideways=0.1)
    with pytest.raises(OptionError, match="neutral text"):
        method.find(generator, embedder, target="a cat", latent=w_plus)
    with pytest.raises(PromptError):
        method.find(generator, embedder, target="a cat", neutral="a cat", latent=w_plus)
