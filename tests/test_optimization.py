from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from textmorph.canvases import CANVASES, Canvas
from textmorph.canvases.latent import LatentCanvas
from textmorph.errors import EditError, OptionError
from textmorph.optimization import optimize, ramped_learning_rate

from .toys import toy_generator

GOLDEN = Path(__file__).parent / "golden"


def test_the_learning_rate_equals_the_golden_numbers() -> None:
    golden = load_file(GOLDEN / "global_direction_math.safetensors")["lr_schedule_300"]
    ours = torch.tensor([ramped_learning_rate(step, 300, 0.1) for step in range(300)], dtype=torch.float64)
    torch.testing.assert_close(ours, golden, atol=1e-12, rtol=0)
    assert ramped_learning_rate(270, 300, 0.1) == pytest.approx(0.0345, abs=5e-5)


def test_ramps_can_be_left_out() -> None:
    assert [ramped_learning_rate(step, 4, 0.5, rampup=0, rampdown=0) for step in range(4)] == [0.5] * 4


def test_it_is_adam_with_a_schedule() -> None:
    goal = torch.tensor([1.0, -2.0, 0.5])
    ours, theirs = torch.zeros(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    history = optimize([ours], lambda step: (ours - goal).square().sum(), steps=40, learning_rate=0.3)
    adam = torch.optim.Adam([theirs])
    for step in range(40):
        adam.param_groups[0]["lr"] = ramped_learning_rate(step, 40, 0.3)
        adam.zero_grad()
        (theirs - goal).square().sum().backward()
        adam.step()
    assert torch.equal(ours, theirs)
    assert history.losses[0] == pytest.approx(5.25)
    assert history.losses[-1] < 0.1
    assert history.learning_rates[0] == 0
    assert (history.steps, history.stopped) == (40, False)


def test_rows_of_a_batch_do_not_feel_each_other() -> None:
    goals = torch.tensor([[1.0, 2.0], [-3.0, 0.1], [0.0, 5.0]])
    together = torch.zeros(3, 2, requires_grad=True)
    optimize([together], lambda step: (together - goals).square().sum(dim=1), steps=25, learning_rate=0.2)
    for row in range(3):
        alone = torch.zeros(1, 2, requires_grad=True)
        optimize([alone], lambda step, x=alone, g=goals[row]: (x - g).square().sum(dim=1), steps=25, learning_rate=0.2)
        assert torch.equal(alone[0], together[row])


def test_callback_and_stop_see_every_step() -> None:
    x = torch.ones(1, requires_grad=True)
    seen: list[tuple[int, float]] = []
    history = optimize(
        [x], lambda step: x.square(), steps=50, learning_rate=0.1,
        callback=lambda step, loss: seen.append((step, loss)), stop=lambda step: step == 6,
    )  # fmt: skip
    assert [step for step, _ in seen] == list(range(7))
    assert [loss for _, loss in seen] == history.losses
    assert history.stopped


def test_networks_between_parameters_and_loss_hold_no_gradients() -> None:
    network = torch.nn.Linear(2, 2)  # not frozen, as a user's may be
    x = torch.ones(2, requires_grad=True)
    with torch.no_grad():  # as within a caller that forgot
        optimize([x], lambda step: network(x).square().sum(), steps=3, learning_rate=0.1)
    assert all(parameter.grad is None for parameter in network.parameters())
    assert x.grad is None
    assert not torch.equal(x, torch.ones(2))


def test_a_loss_that_is_not_finite_is_said() -> None:
    x = torch.zeros(1, requires_grad=True)
    with pytest.raises(EditError, match="step 2"):
        optimize([x], lambda step: x.sum() / (0 if step == 2 else 1), steps=5, learning_rate=0.1)


@pytest.mark.parametrize(("steps", "rate"), [(0, 0.1), (3, 0.0), (3, float("nan"))])
def test_nothing_to_do_is_refused(steps: int, rate: float) -> None:
    x = torch.zeros(1, requires_grad=True)
    with pytest.raises(OptionError):
        optimize([x], lambda step: x.sum(), steps=steps, learning_rate=rate)


def test_a_latent_canvas_starts_at_its_latent_and_moves_only_what_it_may() -> None:
    generator = toy_generator()
    style = generator.to_space(generator.sample(2, seed=0), "s")
    mask = generator.style_layout.mask()
    canvas = LatentCanvas(generator, style, resolution=8, mask=mask)
    assert isinstance(canvas, Canvas)
    with torch.no_grad():
        assert torch.equal(canvas(), generator(style, resolution=8))
    optimize(canvas.parameters(), lambda step: canvas().mean(dim=(1, 2, 3)), steps=5, learning_rate=0.1)
    moved = canvas.latent.value - style.value
    assert moved[:, mask].count_nonzero() > 0
    assert moved[:, ~mask].count_nonzero() == 0
    assert torch.equal(canvas.latent.value, style.value + canvas.offset)


def test_every_canvas_of_the_table_can_be_imported() -> None:
    from importlib import import_module

    for path in CANVASES.values():
        module, _, name = path.partition(":")
        assert hasattr(import_module(module), name)
