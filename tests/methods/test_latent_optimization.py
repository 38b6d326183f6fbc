from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from textmorph.canvases.latent import LatentCanvas
from textmorph.edits import Direction
from textmorph.errors import OptionError, PromptError, SpaceError
from textmorph.generators.stylegan2 import StyleGAN2
from textmorph.latents import Latent
from textmorph.methods.latent_optimization import LatentOptimization

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
        LatentOptimization(steps=4, precision=precision).sample(generator, embedder, target="a cat").value
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
    latent = LatentOptimization(steps=8).sample(generator, embedder, target="a cat")
    heavy = LatentOptimization(steps=8, latent_l2=9.0, identity=9.0).sample(generator, embedder, target="a cat")
    assert latent.space == "w+"
    assert torch.equal(latent.value, heavy.value)
    mean = generator.to_space(Latent(generator.mean_w[None], "w"), "w+")
    assert cosine(generator, embedder, latent, "a cat") > cosine(generator, embedder, mean, "a cat")
    many = LatentOptimization(steps=2).sample(generator, embedder, target="a cat", start=generator.sample(3, seed=0))
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
     {"space": "z"}, {"space": "w"}, {"patience": 0}, {"num_views": 0}, {"precision": "half"}],
)  # fmt: skip
def test_options_out_of_range_are_refused(options: dict) -> None:
    with pytest.raises(OptionError):
        LatentOptimization(**options)


def test_its_edit_is_whole_at_strength_1(generator: StyleGAN2, embedder: ToyEmbedder, w_plus: Latent) -> None:
    assert LatentOptimization(steps=1).find(generator, embedder, target="a cat", latent=w_plus).whole
