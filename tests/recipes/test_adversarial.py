"""The stage `adversarial` of the portraits recipe: formulas by hand, and a game that survives being stopped."""

from __future__ import annotations

import itertools
import math
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("tokenizers")

from recipes.portraits import adversarial, data, training
from recipes.portraits import attributes as A
from recipes.portraits.adversarial import (
    Game,
    PathLength,
    Settings,
    discriminator_loss,
    generator_loss,
    normal,
    path_lengths,
    r1_penalty,
)
from recipes.portraits.discriminator import Discriminator, EqualizedConv, minibatch_deviation, smooth
from recipes.portraits.generator import Pair
from textmorph.errors import OptionError
from textmorph.generators.stylegan2 import StyleGAN2Config

TOY = StyleGAN2Config(resolution=16, z_dim=32, w_dim=96, mapping_layers=2, channel_base=128, channel_max=8)
BATCH = 4


def seeded(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def toy_game(*, from_scratch: bool = False, **settings: float) -> Game:
    torch.manual_seed(0)
    return Game(Pair(TOY), Settings(batch=BATCH, **settings), from_scratch=from_scratch)  # type: ignore[arg-type]


def toy_batch(number: int = 0) -> tuple[Tensor, Tensor]:
    """Pictures and the records they are said to be of."""
    vectors = torch.from_numpy(A.vectors(A.sample_columns(BATCH, seed=number)))
    return seeded(BATCH, 3, 16, 16, seed=number).clamp(-1, 1), vectors


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def changed(before: dict[str, Tensor], network: nn.Module) -> set[str]:
    return {name for name, value in network.state_dict().items() if not torch.equal(before[name], value)}


# The formulas


def test_the_losses_are_the_logistic_ones() -> None:
    real, fake = seeded(5, seed=1), seeded(5, seed=2)
    chance = torch.sigmoid
    assert torch.allclose(generator_loss(fake), -chance(fake).log().mean())
    assert torch.allclose(discriminator_loss(real, fake), -chance(real).log().mean() - (1 - chance(fake)).log().mean())


def test_the_generator_s_loss_does_not_saturate() -> None:
    """Where the discriminator is sure, the gradient is still 1; that of log(1 − D) would be gone."""
    fake = torch.full((1,), -30.0, requires_grad=True)
    (gradient,) = torch.autograd.grad(generator_loss(fake), fake)
    assert gradient.item() == pytest.approx(-1)


def test_r1_of_a_linear_discriminator_is_the_square_of_its_weights() -> None:
    slope = seeded(3, 8, 8).requires_grad_()

    class Linear(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return (image * slope).sum(dim=(1, 2, 3)) + 3

    penalty = r1_penalty(Linear(), seeded(6, 3, 8, 8, seed=1))
    assert torch.allclose(penalty, slope.square().sum())
    (gradient,) = torch.autograd.grad(penalty, slope)
    assert torch.allclose(gradient, 2 * slope), "the penalty teaches the discriminator"


def test_r1_is_the_slope_along_the_gradient() -> None:
    """Against differences of the discriminator itself, in float64."""
    torch.manual_seed(1)
    net = Discriminator(TOY).double()
    real = seeded(1, 3, 16, 16).double()
    leaf = real.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(net(leaf).sum(), leaf)
    along = gradient / gradient.norm()
    slope = (net(real + 1e-5 * along) - net(real - 1e-5 * along)) / 2e-5
    assert r1_penalty(net, real).item() == pytest.approx(slope.item() ** 2, rel=1e-4)


def test_path_lengths_of_a_linear_generator_are_those_of_its_matrix() -> None:
    matrix = seeded(3 * 4 * 4, 5)
    rows = seeded(2, 3, 5, seed=1).requires_grad_()  # [B, L, W]
    image = (rows.sum(dim=1) @ matrix.t()).view(2, 3, 4, 4)
    noise = seeded(2, 3, 4, 4, seed=2)
    expected = (noise.flatten(1) @ matrix / math.sqrt(16)).norm(dim=1)  # the same for every one of the L rows
    assert torch.allclose(path_lengths(image, rows, noise), expected, atol=1e-5)


def test_the_mean_path_length_runs_after_the_lengths() -> None:
    paths = PathLength(decay=0.25)
    assert paths(torch.tensor([5.0, 7.0])).item() == pytest.approx(1), "the first lengths are the first mean"
    lengths = torch.tensor([1.0, 3.0], requires_grad=True)
    penalty = paths(lengths)
    assert paths.mean.item() == pytest.approx(5)  # 6 + (2 − 6) / 4
    assert penalty.item() == pytest.approx((4**2 + 2**2) / 2)
    (gradient,) = torch.autograd.grad(penalty, lengths)
    assert torch.allclose(gradient, torch.tensor([-4.0, -2.0])), "the mean is a number, not a way for gradients"
    for _ in range(40):
        paths(lengths)
    assert paths.mean.item() == pytest.approx(2, abs=1e-3)
    assert set(paths.state_dict()) == {"mean"}


def test_the_path_penalty_reaches_the_weights_through_two_derivatives() -> None:
    """Its gradient is that of differences, by one weight of the generator in float64."""
    torch.manual_seed(2)
    pair = Pair(TOY).double()
    made = pair.generator
    weight = made.blocks[1].conv0.weight.requires_grad_()
    w, noise = seeded(2, 6, 96).double(), seeded(2, 3, 16, 16, seed=1).double()

    def lengths() -> Tensor:
        rows = w.clone().requires_grad_()
        image = made(adversarial.Latent(rows, "w+"), noise="none")
        return path_lengths(image, rows, noise).sum()

    (gradient,) = torch.autograd.grad(lengths(), weight)
    at = divmod(int(gradient.abs().argmax()), gradient[0].numel())
    flat = weight.data.flatten(1)
    flat[at] += 1e-5
    above = lengths().item()
    flat[at] -= 2e-5
    assert (above - lengths().item()) / 2e-5 == pytest.approx(gradient.flatten(1)[at].item(), rel=1e-4)


# The discriminator


def test_minibatch_deviation_is_that_of_every_fourth_picture() -> None:
    x = seeded(8, 3, 2, 2)
    out = minibatch_deviation(x)
    assert torch.equal(out[:, :3], x)
    for i in range(8):
        group = x[i % 2 :: 2]  # pictures i, i + 2, i + 4, i + 6
        expected = group.std(dim=0, unbiased=False).mean()
        assert torch.allclose(out[i, 3], expected.expand(2, 2), atol=1e-5)


@pytest.mark.parametrize(("batch", "different"), [(1, 1), (6, 2), (7, 1), (12, 3)])
def test_minibatch_deviation_divides_any_batch(batch: int, different: int) -> None:
    x = seeded(batch, 2, 2, 2)
    values = minibatch_deviation(x)[:, -1, 0, 0]
    assert len(values.unique()) == different
    assert torch.isfinite(torch.autograd.grad(minibatch_deviation(x.requires_grad_()).sum(), x)[0]).all()


def test_a_generator_that_always_draws_the_same_is_seen_by_it() -> None:
    same = seeded(1, 4, 4, 4).expand(8, -1, -1, -1)
    assert minibatch_deviation(same)[:, -1].max() <= 1.01e-4  # the root of the 1e-8 that keeps its slope finite
    assert minibatch_deviation(seeded(8, 4, 4, 4))[:, -1].min() > 0.5


def test_smoothing_keeps_the_mean_and_layers_keep_the_variance() -> None:
    flat = torch.ones(1, 2, 8, 8)
    assert torch.allclose(smooth(flat, padding=1, stride=2)[..., 1:-1, 1:-1], torch.ones(1, 2, 2, 2))
    torch.manual_seed(3)
    for conv, side in ((EqualizedConv(64, 64, 3), 16), (EqualizedConv(64, 64, 3, down=True), 8)):
        out = conv(seeded(4, 64, 16, 16))
        assert out.shape == (4, 64, side, side)
    plain = EqualizedConv(64, 64, 3, activate=False)(seeded(4, 64, 16, 16))
    assert plain[..., 1:-1, 1:-1].std().item() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("resolution", [8, 16, 64])
def test_the_discriminator_reads_the_generator_s_pictures(resolution: int) -> None:
    net = Discriminator(StyleGAN2Config(resolution=resolution, channel_base=128, channel_max=8))
    assert not any(p.requires_grad for p in net.parameters())
    logits = net(seeded(4, 3, resolution, resolution))
    assert logits.shape == (4,)
    assert logits.std() > 0


# The game


def test_each_player_stands_still_and_holds_no_gradient_while_the_other_learns() -> None:
    game, (target, vectors) = toy_game(), toy_batch()
    held: list[bool] = []
    for optimizer, other in (
        (game.judge_optimizer, game.drawing),
        (game.draw_optimizer, list(game.discriminator.parameters())),
    ):
        optimizer.register_step_pre_hook(
            lambda *_, other=other: held.extend(p.grad is not None or p.requires_grad for p in other)
        )
    turns = {
        "discriminator": (lambda: game.teach_discriminator(target, normal(BATCH, game.pair, 0, 0)), game.pair),
        "R1": (lambda: game.penalise_gradient(target), game.pair),
        "generator": (
            lambda: game.teach_generator(target, vectors, normal(BATCH, game.pair, 0, 1)),
            game.discriminator,
        ),
        "path": (lambda: game.penalise_paths(0), game.discriminator),
    }
    for name, (turn, still) in turns.items():
        moving = game.discriminator if still is game.pair else game.pair
        before_still, before_moving = weights(still), weights(moving)
        turn()
        assert not changed(before_still, still), name
        assert changed(before_moving, moving), name
        left = [p for net in (game.pair, game.discriminator) for p in net.parameters()]
        assert all(p.grad is None and not p.requires_grad for p in left), name
    assert len(held) > 50
    assert not any(held)


def test_noise_axes_and_average_are_not_trained_by_gradients() -> None:
    game = toy_game()
    before = weights(game.pair)
    for number in range(2):
        game.step(number, 0.3, *toy_batch(number))
    moved = changed(before, game.pair)
    assert moved
    assert not any(name.endswith(("noise_strength", "noise_const", "axes")) for name in moved)
    assert any("mapping" in name for name in moved)
    assert not any(p.requires_grad for p in game.average.parameters())
    assert changed(before, game.average.module) == moved


def test_penalties_come_every_so_often_and_weigh_as_much_more() -> None:
    game = toy_game(r1_every=3, path_every=2)
    told = [set(game.step(i, 0.3, *toy_batch(i))) for i in range(6)]
    assert ["R1" in names for names in told] == [True, False, False] * 2
    assert ["path" in names for names in told] == [True, False] * 3
    rates = [optimizer.param_groups[0] for optimizer in (game.draw_optimizer, game.judge_optimizer)]
    assert [group["betas"] for group in rates] == [(0.0, 0.99 ** (2 / 3)), (0.0, 0.99 ** (3 / 4))]
    assert [group["lr"] for group in rates] == pytest.approx([1e-3 * 2 / 3, 1e-3 * 3 / 4])


@pytest.mark.parametrize("from_scratch", [False, True])
def test_the_discriminator_has_a_head_start_where_the_generator_can_draw(from_scratch: bool) -> None:
    game = toy_game(head_start=0.1, from_scratch=from_scratch)
    before = weights(game.pair)
    game.step(1, 0.05, *toy_batch())
    assert bool(changed(before, game.pair)) == from_scratch
    game.step(2, 0.15, *toy_batch())
    assert changed(before, game.pair)


def test_a_few_steps_lower_the_generator_s_loss_against_a_fixed_discriminator() -> None:
    game, (target, vectors) = toy_game(anchor=0.0, learning_rate=5e-3), toy_batch()
    z = normal(BATCH, game.pair, 0, 1)
    losses = [game.teach_generator(target, vectors, z)["G"] for _ in range(15)]
    assert losses[-1] < 0.8 * losses[0]


def test_a_few_steps_lower_the_discriminator_s_loss_against_a_fixed_generator() -> None:
    game, (target, _) = toy_game(learning_rate=5e-3), toy_batch()
    z = normal(BATCH, game.pair, 0, 1)
    losses = [game.teach_discriminator(target, z)["D"] for _ in range(15)]
    assert losses[-1] < 0.7 * losses[0]


def test_the_anchor_pulls_records_to_their_pictures() -> None:
    near = {}
    for anchor in (0.0, 3.0):
        game = toy_game(anchor=anchor, learning_rate=5e-3)
        target, vectors = toy_batch()
        for number in range(15):
            game.step(number, 0.3, target, vectors)
        with torch.no_grad():
            near[anchor] = (game.draw(game.pair.attributes(vectors[:1])) - target[:1]).abs().mean().item()
    assert near[3.0] < 0.8 * near[0.0]


# Stopping and going on


def tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every look at the clock take a second, so that a step lasts one and a budget is a number of steps."""
    clock = itertools.count()
    monkeypatch.setattr(training.time, "monotonic", lambda: float(next(clock)))


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder of toy renders, with a toy generator in place of the real one."""
    monkeypatch.setattr(data, "RUNS", tmp_path)
    cols = A.sample_columns(40, seed=0)
    images = np.random.default_rng(0).integers(256, size=(40, 16, 16, 3), dtype=np.uint8)
    toys = data.Portraits(images, cols, torch.from_numpy(A.vectors(cols)))
    monkeypatch.setattr(data, "joined", lambda *names: toys)
    monkeypatch.setattr(adversarial, "Pair", lambda: Pair(TOY))
    monkeypatch.setattr(adversarial.generator, "regressed", lambda: Pair(TOY).requires_grad_(False))
    monkeypatch.setattr(adversarial.generator, "save_sheet", lambda *_: None)
    tick(monkeypatch)
    return tmp_path


SHORT = Settings(batch=BATCH, r1_every=3, path_every=2, head_start=0.1)


def read(folder: Path) -> dict[str, dict[str, Tensor]]:
    saved: dict[str, dict[str, Tensor]] = torch.load(folder / "adversarial" / "checkpoint.pt", weights_only=True)
    return saved


def assert_same(one: object, other: object) -> None:
    if isinstance(one, Tensor):
        assert isinstance(other, Tensor)
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert isinstance(other, dict)
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    else:
        assert one == other


def test_stopped_and_started_again_gives_the_same_bits(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adversarial.train_adversarial(12 / 60, settings=SHORT)
    unbroken = read(runs)
    assert unbroken["step"] == 12
    broken = tmp_path / "broken"
    monkeypatch.setattr(data, "RUNS", broken)
    step = Game.step
    stops = iter([3, 8])
    strike = next(stops)

    def stopped(self: Game, number: int, *rest: object) -> dict[str, float]:
        nonlocal strike
        if number == strike:
            strike = next(stops, -1)
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, number, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Game, "step", stopped)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            adversarial.train_adversarial(12 / 60, settings=SHORT)
    adversarial.train_adversarial(12 / 60, settings=SHORT)
    assert_same(unbroken, read(broken))


def test_the_run_folder_remembers_how_it_began(runs: Path) -> None:
    assert adversarial.trained() is None
    adversarial.train_adversarial(2 / 60, settings=SHORT)
    assert adversarial.trained() == "finished"
    with pytest.raises(OptionError, match="move it away"):
        adversarial.train_adversarial(4 / 60, settings=SHORT, from_scratch=True)


def test_it_can_begin_from_random_weights(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(adversarial.generator, "regressed")
    adversarial.train_adversarial(2 / 60, settings=SHORT, from_scratch=True)
    assert adversarial.trained() == "from scratch"
    adversarial.train_adversarial(4 / 60, settings=SHORT)  # goes on as it began, without being told again
    assert adversarial.trained() == "from scratch"
    assert read(runs)["step"] == 4
