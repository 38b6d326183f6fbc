from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from textmorph.errors import EditError, JobError, OptionError
from textmorph.jobs.run_folder import STATE, RunFolder, State
from textmorph.jobs.training import Schedule, Training
from textmorph.optimization import Ranger

ROWS = torch.randn(24, 3, generator=torch.Generator().manual_seed(1))
GOAL = ROWS @ torch.tensor([[1.0], [-2.0], [0.5]])


def plan(**options: Any) -> Schedule:
    usual: dict[str, Any] = {
        "num_rows": 20, "num_held_out": 4, "steps": 30, "batch_size": 6, "validate_every": 10, "save_seconds": 0.0,
        "learning_rate": lambda step: 0.05, "log_every": 5,
    }  # fmt: skip
    return Schedule(**{**usual, **options})


class Stop(Exception):
    """Stands for a kill between two steps."""


def training(**options: Any) -> Training:
    torch.manual_seed(0)
    network = nn.Linear(3, 1)
    memory = {"seen": torch.zeros(24)}

    def loss(rows: Tensor) -> dict[str, Tensor]:
        memory["seen"][rows] += 1
        return {"loss": (network(ROWS[rows]) - GOAL[rows]).square()[:, 0], "size": ROWS[rows].norm(dim=1)}

    optimizer = Ranger(network.parameters(), lr=0.05)
    return Training(network=network, loss=loss, optimizer=optimizer, schedule=plan(**options), memory=memory)


def test_training_lowers_the_held_out_loss_and_gives_the_best_weights():
    one = training(steps=200)
    one.optimizer = torch.optim.Adam(one.network.parameters(), lr=0.05)
    before = float(one.loss(torch.arange(20, 24))["loss"].detach().mean())
    standing = one.run()
    after = float(one.loss(torch.arange(20, 24))["loss"].detach().mean())
    assert after < 0.2 * before
    assert after == pytest.approx(standing.best_loss, rel=1e-5)
    assert standing.finished


@pytest.mark.parametrize("stops", [[1], [7], [10, 11, 29], [3, 6, 12, 24]])
def test_broken_off_and_resumed_it_ends_with_the_same_bits(tmp_path: Path, stops: list[int]):
    whole = training()
    whole.run()
    for number in stops:
        broken = training()

        def stop(done: int, total: int, number: int = number) -> None:
            if done == number:
                raise Stop

        with pytest.raises(Stop):
            broken.run(RunFolder(tmp_path), stop)
    resumed = training()
    assert resumed.run(RunFolder(tmp_path)) == whole.standing
    for name, value in whole.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[name], value)
    assert torch.equal(resumed.memory["seen"], whole.memory["seen"])
    steps = [line["step"] for line in RunFolder(tmp_path).metrics() if "loss" in line]
    assert steps == [5, 10, 15, 20, 25, 30]  # each once, as in an unbroken run


def test_broken_off_before_the_first_state_nothing_is_told_twice(tmp_path: Path):
    def stop(step: int) -> None:
        raise Stop

    broken = training()
    broken.look = stop
    with pytest.raises(Stop):
        broken.run(RunFolder(tmp_path))
    training().run(RunFolder(tmp_path))
    assert [line["step"] for line in RunFolder(tmp_path).metrics() if "held_out_loss" in line] == [0, 10, 20, 30]


def test_a_finished_run_is_not_trained_further(tmp_path: Path):
    first = training()
    first.run(RunFolder(tmp_path))
    again = training()
    again.loss = lambda rows: pytest.fail("nothing is left to do")
    assert again.run(RunFolder(tmp_path)) == first.standing
    assert torch.equal(again.network.weight, first.network.weight)  # type: ignore[arg-type]


def test_every_epoch_sees_every_row_once_and_held_out_rows_are_never_trained_on():
    one = training(num_rows=18, num_held_out=6)
    batches = [one._batch(step) for step in range(6)]
    for epoch in (batches[:3], batches[3:]):
        assert sorted(torch.cat(epoch).tolist()) == list(range(18))
    assert not torch.equal(torch.cat(batches[:3]), torch.cat(batches[3:]))


def test_it_stops_early_when_held_out_rows_do_not_gain():
    one = training(steps=500, patience=20, learning_rate=lambda step: 0.05 if step < 20 else 1e-12)
    one.optimizer = torch.optim.SGD(one.network.parameters(), lr=0.05)
    standing = one.run()
    assert standing.finished
    assert standing.step < 200
    assert standing.step - standing.best_step >= 20


def test_gradients_of_chunks_add_up_to_those_of_the_batch():
    whole, chunked = training(steps=3), training(steps=3, chunk_size=4)
    whole.run()
    chunked.run()
    torch.testing.assert_close(whole.network.weight, chunked.network.weight, atol=1e-6, rtol=1e-6)


def test_where_a_gpu_runs_out_of_memory_the_chunks_get_smaller():
    one, seen = training(steps=2), []
    inner = one.loss

    def loss(rows: Tensor) -> dict[str, Tensor]:
        seen.append(len(rows))
        if len(rows) > 2 and torch.is_grad_enabled():
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return inner(rows)

    one.loss = loss
    standing = one.run()
    assert standing.chunk_size == 2
    assert seen[1:6] == [6, 3, 2, 2, 2]
    reference = training(steps=2)
    reference.run()
    torch.testing.assert_close(one.network.weight, reference.network.weight, atol=1e-6, rtol=1e-6)


def test_a_loss_that_is_not_finite_is_an_error():
    one = training()
    one.loss = lambda rows: {"loss": one.network(ROWS[rows])[:, 0] * math.nan}
    with pytest.raises(EditError, match="learning_rate"):
        one.run()


@pytest.mark.parametrize(
    "options", [{"num_rows": 5}, {"num_rows": -3}, {"num_held_out": 0}, {"steps": 0}, {"chunk_size": 0}]
)
def test_a_plan_that_cannot_be_carried_out_is_refused(options: dict[str, int]):
    with pytest.raises(OptionError):
        training(**options).run()


@pytest.mark.parametrize("damage", ["drop", "shape", "group", "value", "memory", "optimizer"])
def test_a_state_of_another_network_is_refused(tmp_path: Path, damage: str):
    folder = RunFolder(tmp_path)
    training().run(folder)
    state = folder.load()
    assert state is not None
    tensors, values = dict(state.tensors), dict(state.values)
    if damage == "drop":
        del tensors["network/weight"]
    elif damage == "shape":
        tensors["best/weight"] = torch.zeros(2, 3)
    elif damage == "group":
        tensors["other/weight"] = torch.zeros(1)
    elif damage == "memory":
        tensors["memory/seen"] = torch.zeros(23)
    elif damage == "optimizer":
        tensors["optimizer/first.step"] = torch.zeros(1)
    else:
        del values["best_loss"]
    folder.save(State(step=state.step, values=values, tensors=tensors))
    assert (tmp_path / STATE).exists()
    with pytest.raises(JobError, match="does not fit"):
        training().run(folder)
