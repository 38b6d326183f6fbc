"""The parts of the training recipe that can be wrong without a training showing it."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

pytest.importorskip("tokenizers")

from recipes.portraits import attributes as A
from recipes.portraits import captions, clip
from recipes.portraits.details import detail_mask, unpack
from recipes.portraits.encoder import record_loss
from recipes.portraits.generator import (
    AttributeBasis,
    Pair,
    StyleSteps,
    regression_loss,
    uniform_from_z,
    z_from_uniform,
)
from recipes.portraits.mapping import Signal, Wires, through, wire
from recipes.portraits.render import render
from recipes.portraits.training import WEIGHTS_ALONE, Average, learning_rate, train
from textmorph.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from textmorph.layers.equalized import EqualizedLinear, leaky_relu


def test_w_tells_its_record() -> None:
    basis = AttributeBasis(256)
    vectors = torch.from_numpy(A.vectors(A.sample_columns(20, seed=0)))
    assert torch.allclose(basis.read(basis(vectors)), vectors, atol=1e-5)


def test_sparsify_keeps_what_a_channel_listens_to_most() -> None:
    basis, affine = AttributeBasis(256), EqualizedLinear(256, 12)
    affine.requires_grad_(False)
    before = basis.styles(affine)
    for _ in range(5000):
        basis.sparsify(affine, 2e-3)
    after = basis.styles(affine)
    assert (after.abs().argmax(dim=1) == before.abs().argmax(dim=1)).all()
    assert ((after * before) >= -1e-6).all(), "no weight changes its sign"
    small = before.abs() < 0.9 * before.abs().amax(dim=1, keepdim=True)
    assert (after.abs()[small] < 1e-4).all()


def test_sparsify_leaves_what_no_attribute_moves() -> None:
    basis, affine = AttributeBasis(256), EqualizedLinear(256, 5)
    affine.requires_grad_(False)
    beside = affine.weight - affine.weight @ basis.axes @ basis.axes.t() / 16
    basis.sparsify(affine, 0.1)
    assert torch.allclose(affine.weight - affine.weight @ basis.axes @ basis.axes.t() / 16, beside, atol=1e-5)


def test_style_steps_are_those_of_an_optimizer_over_the_styles() -> None:
    """Gradient descent on `styles` itself, written out, and on the layer through StyleSteps give the same layer."""
    basis, affine = AttributeBasis(256), EqualizedLinear(256, 6)
    w = basis(torch.from_numpy(A.vectors(A.sample_columns(8, seed=1))))
    goal = torch.randn(8, 6, generator=torch.Generator().manual_seed(2))
    told = basis.styles(affine).detach().requires_grad_(True)
    beside = (affine.weight - affine.weight @ basis.axes @ basis.axes.t() / 16).detach()
    steps = StyleSteps(basis, [affine])
    ours, theirs = torch.optim.SGD(steps.parameters, lr=0.3), torch.optim.SGD([told], lr=0.3)
    first = F.mse_loss(affine(w), goal).detach()
    for _ in range(30):
        affine.weight.grad = None
        torch.autograd.backward(F.mse_loss(affine(w), goal))
        steps.take()
        ours.step()
        steps.give()
        theirs.zero_grad()
        torch.autograd.backward(F.mse_loss(basis.read(w) @ told.t() + affine.bias.detach(), goal))
        theirs.step()
    assert F.mse_loss(affine(w), goal) < 0.5 * first, "or this test shows nothing"
    assert torch.allclose(basis.styles(affine), told, atol=1e-3)
    assert torch.allclose(affine.weight - affine.weight @ basis.axes @ basis.axes.t() / 16, beside, atol=1e-4)


def test_details_lie_where_wrinkles_and_earrings_are_drawn_and_nowhere_else() -> None:
    portrait = A.Portrait(earrings="none", age=0.3)
    mask = unpack(detail_mask(portrait, 64)[None], 64)[0, 0].bool()
    assert 0.01 < mask.float().mean() < 0.35
    plain = render(portrait, 64).astype(int)
    for change in ({"age": 0.9}, {"earrings": "earrings"}, {"lipstick": "lipstick"}):
        moved = torch.from_numpy(np.abs(render(portrait.but(**change), 64).astype(int) - plain).max(axis=2) > 24)
        assert moved.any(), change
        assert (mask & moved).sum() > 0.9 * moved.sum(), change
    assert not mask[:8].any(), "not in the sky"
    assert not mask[-6:].any(), "not on clothes"


def test_the_regression_weighs_errors_where_it_is_told() -> None:
    target, weight = torch.zeros(1, 3, 16, 16), torch.ones(1, 1, 16, 16)
    image = target.clone()
    image[:, :, 4, 4] = 1
    plain = regression_loss(image, target)
    assert torch.equal(regression_loss(image, target, weight), plain)
    weight[:, :, 12, 12] = 8
    assert torch.equal(regression_loss(image, target, weight), plain), "no error there"
    weight[:, :, 4, 4] = 8
    assert regression_loss(image, target, weight) > 2 * plain


def test_an_encoder_that_cannot_tell_does_better_to_choose_than_to_blend() -> None:
    """Seven of ten look-alikes have a beard: say beard, not seven tenths of one."""
    basis = AttributeBasis(256)
    cols = {name: np.repeat(column, 10) for name, column in A.sample_columns(1, seed=4).items()}
    none, full = (A.CATEGORIES["beard"].index(value) for value in ("none", "full"))
    cols["beard"] = np.array([full] * 7 + [none] * 3)
    vectors = torch.from_numpy(A.vectors(cols))
    chosen, blend = vectors[:1].expand(10, -1), vectors.mean(dim=0, keepdim=True).expand(10, -1)

    def cost(told: torch.Tensor, *, sharp: bool = True) -> torch.Tensor:
        return record_loss(basis, basis(told)[:, None].expand(-1, 12, -1), vectors, sharp=sharp)

    assert cost(chosen) < cost(blend)
    assert cost(chosen, sharp=False) > cost(blend, sharp=False), "squares alone blend"
    assert cost(vectors) < cost(chosen), "knowing is best"
    beside = basis.axes.new_ones(256) - basis(basis.read(torch.ones(256)))
    off = record_loss(basis, (basis(vectors) + 0.1 * beside)[:, None], vectors)
    assert off > cost(vectors), "nothing but a record is to be said"


def test_the_mapping_draws_the_record_that_z_stands_for() -> None:
    pair = Pair()
    mapping = pair.generator.mapping
    wire(mapping, pair.attributes.axes)
    z = torch.randn(20_000, 256, generator=torch.Generator().manual_seed(0))
    w = mapping(z)
    assert torch.equal(mapping.half().float()(z), w), "it is shipped in half precision"
    told = pair.attributes.read(w)
    assert (w - pair.attributes(told)).abs().max() < 0.02, "w says a record and nothing else"
    cols = A.columns(uniform_from_z(z).numpy())
    at = len(A.SCALARS)
    off = (told - torch.from_numpy(A.vectors(cols)))[:, :at].abs()
    assert off.mean() < 0.01
    assert (off > 0.05).float().mean() < 1e-3, "but where a step is"
    for name, words in A.CATEGORIES.items():
        part = told[:, at : at + len(words)]
        drawn = part.argmax(dim=1).numpy()
        assert (part.amax(dim=1) > 0.95).double().mean() > 0.98, f"{name}: no blends"
        assert (drawn == cols[name]).mean() > 0.96, name
        counts = [np.bincount(column, minlength=len(words)) / len(z) for column in (drawn, cols[name])]
        assert np.abs(counts[0] - counts[1]).max() < 0.01, f"{name}: as often as the prior has it"
        at += len(words)


def test_what_is_wired_is_what_was_meant() -> None:
    """Lines go through their values at the knots, level outside; a step is 0 and 1 on its sides."""
    layer = Wires(1, 1.0, 1.0)
    x = Signal(np.ones(1))
    knots, values = (-1.0, 0.5, 2.0), (3.0, -1.0, 4.0)
    line, step = through(layer.line(x, knots), knots, values), layer.step(x - 0.25)
    told = EqualizedLinear(1, len(layer.rows), activation=leaky_relu).requires_grad_(False)
    told.weight_gain = 1.0
    layer.lay(told)
    at = np.array([-4.0, -1.0, -0.25, 0.5, 2.0, 9.0])
    out = told(torch.from_numpy(at).float()[:, None]).double().numpy()

    def said(signal: Signal) -> np.ndarray:
        return out[:, : len(signal.weights)] @ signal.weights + signal.constant

    assert np.allclose(said(line), [3.0, 3.0, 1.0, -1.0, 4.0, 4.0], atol=0.01)
    assert np.allclose(said(step), [0, 0, 0, 1, 1, 1], atol=0.01)


def test_a_mapping_that_cannot_hold_the_record_is_refused() -> None:
    axes = AttributeBasis(256).axes
    with pytest.raises(ValueError, match="six layers of 256 units; this network has 2 of 256"):
        wire(StyleGAN2(StyleGAN2Config(resolution=8, z_dim=256, w_dim=256, mapping_layers=2)).mapping, axes)
    with pytest.raises(ValueError, match="6 of 128"):
        wire(StyleGAN2(StyleGAN2Config(resolution=8, z_dim=128, w_dim=128, mapping_layers=6)).mapping, axes[:128])


def test_uniform_from_z_is_uniform() -> None:
    z = torch.randn(20_000, 256, generator=torch.Generator().manual_seed(1))
    u = uniform_from_z(z).numpy()
    assert u.shape == (20_000, len(A.ATTRIBUTES))
    assert np.allclose(np.quantile(u, [0.1, 0.5, 0.9], axis=0), np.array([[0.1], [0.5], [0.9]]), atol=0.02)


def test_z_from_uniform_is_the_way_back() -> None:
    u = np.random.default_rng(0).random((500, len(A.ATTRIBUTES)))
    z = z_from_uniform(u, 256)
    assert np.allclose(uniform_from_z(z).numpy(), u, atol=1e-5)
    torch.testing.assert_close(z.square().mean(dim=1), torch.ones(500))


def test_finishing_a_class_state_equals_the_vision_tower() -> None:
    """What `train_words` trains on is what the exported CLIP computes."""

    class Few:
        images = torch.rand(3, 3, 96, 96, generator=torch.Generator().manual_seed(2)) * 2 - 1

        def tensor(self, rows: slice, device: torch.device) -> torch.Tensor:
            return self.images[rows].to(device)

    learner = clip.Learner(clip.SIZES["witness"]).requires_grad_(False).eval()
    states = clip._class_states(learner, Few(), 3)  # type: ignore[arg-type]
    pooled = learner.clip.vision_model(pixel_values=learner.sized(Few.images)).pooler_output
    seen = F.normalize(learner.clip.visual_projection(pooled), dim=-1)
    assert torch.allclose(learner.finish(states), seen, atol=2e-2)  # kept in bfloat16 on the way


def test_the_choice_loss_falls_where_it_is_followed() -> None:
    learner = clip.Learner(clip.SIZES["witness"]).requires_grad_(False).eval()
    cols = A.sample_columns(40, seed=3)
    tok = clip._padding_tokenizer()
    pictures = torch.randn(40, 128, generator=torch.Generator().manual_seed(4)).requires_grad_(True)

    def loss() -> torch.Tensor:
        return clip._choice_loss(learner, tok, F.normalize(pictures, dim=1), cols, np.random.default_rng(0))

    first = loss()
    (gradient,) = torch.autograd.grad(first, pictures)
    with torch.no_grad():
        pictures -= 10 * gradient
    assert loss() < first


def test_only_training_phrasings_are_chosen_among() -> None:
    for attribute in captions.CLASSES:
        withheld = {t for _, texts in captions.classify_prompts(attribute, "withheld") for t in texts}
        assert not withheld & {t for texts in clip._class_texts(attribute) for t in texts}


def test_learning_rate_and_average() -> None:
    layer = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    rates = []
    for progress in (0.0, 0.25, 0.5, 1.0):
        learning_rate(optimizer, 1.0, progress)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[0] < rates[1] == rates[2] == 1.0
    assert rates[3] == pytest.approx(0.02)
    average = Average(layer, 0.5)
    with torch.no_grad():
        layer.weight.add_(1)
    before = average.module.weight.clone()
    average.update(layer)
    assert (average.module.weight > before).all()
    assert (average.module.weight < layer.weight).all()


def _train_a_line(folder: Path, *, minutes: float) -> tuple[torch.nn.Linear, list[tuple[int, float]]]:
    torch.manual_seed(0)
    line = torch.nn.Linear(1, 1)
    optimizer = torch.optim.Adam(line.parameters(), lr=0.01)
    seen: list[tuple[int, float]] = []

    def step(number: int, progress: float) -> dict[str, float]:
        seen.append((number, progress))
        loss = (line(torch.ones(1, 1)) - 2).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"loss": float(loss.detach())}

    train(folder, {"line": line, "optimizer": optimizer}, step, minutes=minutes, label="line")
    return line, seen


def test_a_training_goes_on_or_begins_anew_from_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    clock = SimpleNamespace(monotonic=lambda: next(ticks) / 1000)  # a step takes a millisecond, on any machine
    monkeypatch.setattr("recipes.portraits.training.time", clock)
    first, seen = _train_a_line(tmp_path, minutes=0.002)
    assert seen[0] == (0, 0.0)
    second, seen_then = _train_a_line(tmp_path, minutes=0.004)
    assert seen_then[0][0] == len(seen)
    assert seen_then[0][1] == pytest.approx(0.5, abs=0.01), "half of the time had gone by"
    monkeypatch.setenv(WEIGHTS_ALONE, "1")
    third, seen_last = _train_a_line(tmp_path, minutes=0.001)
    assert seen_last[0] == (len(seen) + len(seen_then), 0.0)
    aims = [abs(float(line(torch.ones(1, 1)).detach()) - 2) for line in (first, second, third)]
    assert aims[1] < aims[0] < 1.5
    assert aims[2] < 0.05, "it began where the second ended"
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert saved["before"] == pytest.approx(0.24, abs=0.005)
    assert saved["elapsed"] == pytest.approx(0.06, abs=0.005)


def test_a_network_within_half_precision_computes_the_same() -> None:
    from recipes.portraits.bundle import bring_within_half
    from textmorph.inversion.e4e import E4eEncoder, EncoderConfig

    torch.manual_seed(3)
    network = E4eEncoder(EncoderConfig(input_size=16, num_rows=4, widths=(4, 4, 6), blocks=(1, 1, 1), w_dim=8))
    block = network.trunk.body[1].residual
    block[3].weight.mul_(1e4)
    block[4].running_var.copy_(torch.rand(4) * 1e8 + 1e6)
    block[4].running_mean.copy_(torch.randn(4) * 1e3)
    image = torch.rand(2, 3, 16, 16) * 2 - 1
    before = network(image).value
    bring_within_half(network)
    assert torch.allclose(network(image).value, before, atol=1e-4)
    assert all(value.abs().max() < 6e4 for value in network.state_dict().values())
