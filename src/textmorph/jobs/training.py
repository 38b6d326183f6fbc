"""The one loop that trains a network: stopped at any moment, it goes on to the same bits (on the CPU)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import EditError, JobError, OptionError
from .run_folder import RunFolder, State

Loss = Callable[[Tensor], dict[str, Tensor]]
"""Row numbers [B] → the terms of the loss, [B] each: what is minimised under `loss`, others for the report."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long to train, on what, and when to look.

    Args:
        num_rows: rows to train on, 0 to num_rows − 1, shuffled anew every epoch.
        num_held_out: rows after those, which are only looked at.
        steps: at most.
        batch_size: rows of one step.
        chunk_size: rows that go through the networks at once; None takes the batch. Halved where a GPU's memory is
            too small, and the gradients of the chunks added up.
        learning_rate: step → learning rate.
        validate_every: steps between two looks at the held-out rows.
        patience: stop after so many steps without gain on them; None takes all steps.
        seed: of the shuffling.
        save_seconds: time between two states on disk; what was done since the last is done again after a kill.
        log_every: steps between two lines of metrics.
    """

    num_rows: int
    num_held_out: int
    steps: int
    batch_size: int
    learning_rate: Callable[[int], float]
    validate_every: int
    chunk_size: int | None = None
    patience: int | None = None
    seed: int = 0
    save_seconds: float = 30.0
    log_every: int = 10


@dataclass
class Standing:
    """Where a training stands.

    Args:
        step: steps done.
        best_step, best_loss: when the held-out loss was lowest, and what it was.
        finished: no step remains.
        chunk_size: rows that fit into memory.
    """

    step: int = 0
    best_step: int = 0
    best_loss: float = math.inf
    finished: bool = False
    chunk_size: int = 0


@dataclass
class Training:
    """A network, its optimiser and its loss, on the way.

    Args:
        network: is trained in place; at the end it has the weights that were best on the held-out rows.
        loss: see `Loss`.
        optimizer: of the network's parameters.
        memory: tensors that the loss fills as it goes; they are part of the state.
        look: called after each validation with the step.
    """

    network: nn.Module
    loss: Loss
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    memory: MutableMapping[str, Tensor] = field(default_factory=dict)
    look: Callable[[int], None] | None = None
    standing: Standing = field(default_factory=Standing)
    best: dict[str, Tensor] = field(default_factory=dict)

    def run(self, folder: RunFolder | None = None, progress: Callable[[int, int], None] | None = None) -> Standing:
        """Train to the end; from the last state of the folder, where it has one.

        Raises:
            OptionError: a schedule that cannot be carried out.
            EditError: the loss is no longer finite.
            JobError: the folder's state is damaged, or of another network.
        """
        schedule, standing = self.schedule, self.standing
        _check(schedule)
        standing.chunk_size = schedule.chunk_size or schedule.batch_size
        saved = folder.load() if folder else None
        if saved is not None:
            self._restore(saved)
        if folder:
            folder.forget_after(standing.step if saved else -1)  # the look before the first step is at step 0
        last_save = time.monotonic()
        while not standing.finished:
            if standing.step == 0 and not self.best:
                self._validate(folder)
            terms = self._step(self._batch(standing.step))
            standing.step += 1
            if folder and standing.step % schedule.log_every == 0:
                folder.log(standing.step, learning_rate=schedule.learning_rate(standing.step - 1), **terms)
            last = standing.step == schedule.steps
            if last or standing.step % schedule.validate_every == 0:
                self._validate(folder)
            stale = standing.step - standing.best_step
            standing.finished = last or (schedule.patience is not None and stale >= schedule.patience)
            if folder and (standing.finished or time.monotonic() - last_save >= schedule.save_seconds):
                folder.save(self._state())
                last_save = time.monotonic()
            if progress:
                progress(schedule.steps if standing.finished else standing.step, schedule.steps)
        self.network.load_state_dict(self.best)
        return standing

    def _step(self, rows: Tensor) -> dict[str, float]:
        """One step of the optimiser; the mean of each term before it."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.learning_rate(self.standing.step)
        while True:
            try:
                terms = self._gradients(rows)
                break
            except torch.cuda.OutOfMemoryError:
                if self.standing.chunk_size == 1:
                    raise
            self.standing.chunk_size = (self.standing.chunk_size + 1) // 2
            torch.cuda.empty_cache()
        if not math.isfinite(terms["loss"]):
            raise EditError(f"the loss became {terms['loss']} at step {self.standing.step}; lower the learning_rate")
        self.optimizer.step()
        self.optimizer.zero_grad()
        return terms

    def _gradients(self, rows: Tensor) -> dict[str, float]:
        self.optimizer.zero_grad()
        total: dict[str, float] = {}
        for chunk in torch.split(rows, self.standing.chunk_size):
            with torch.enable_grad():
                terms = self.loss(chunk)
                torch.autograd.backward(terms["loss"].sum() / len(rows))
            for name, value in terms.items():
                total[name] = total.get(name, 0.0) + float(value.detach().sum()) / len(rows)
        return total

    @torch.no_grad()
    def _validate(self, folder: RunFolder | None) -> None:
        """Look at the held-out rows; keep the weights where they are the best so far."""
        schedule, standing = self.schedule, self.standing
        rows = torch.arange(schedule.num_rows, schedule.num_rows + schedule.num_held_out)
        parts = [self.loss(chunk) for chunk in torch.split(rows, standing.chunk_size)]
        means = {name: float(torch.cat([part[name] for part in parts]).mean()) for name in parts[0]}
        if means["loss"] < standing.best_loss:
            standing.best_step, standing.best_loss = standing.step, means["loss"]
            self.best = {name: value.clone() for name, value in self.network.state_dict().items()}
        if folder:
            folder.log(standing.step, **{f"held_out_{name}": value for name, value in means.items()})
        if self.look:
            self.look(standing.step)

    def _batch(self, step: int) -> Tensor:
        """Row numbers of a step; they depend on the seed and the step alone."""
        schedule = self.schedule
        epoch, place = divmod(step, schedule.num_rows // schedule.batch_size)
        order = np.random.default_rng([schedule.seed, epoch]).permutation(schedule.num_rows)
        return torch.from_numpy(order[place * schedule.batch_size : (place + 1) * schedule.batch_size])

    def _state(self) -> State:
        optimizer = {
            f"{i}.{name}": value
            for i, state in self.optimizer.state_dict()["state"].items()
            for name, value in state.items()
        }
        standing = self.standing
        network = self.network.state_dict()
        groups = {"network": network, "best": self.best, "optimizer": optimizer, "memory": self.memory}
        values = {
            "best_step": standing.best_step, "best_loss": standing.best_loss, "finished": standing.finished,
            "chunk_size": standing.chunk_size,
        }  # fmt: skip
        tensors = {f"{group}/{name}": value for group, part in groups.items() for name, value in part.items()}
        return State(step=standing.step, values=values, tensors=tensors)

    def _restore(self, state: State) -> None:
        """Go back to a saved state.

        Raises:
            JobError: it is of another network.
        """
        groups: dict[str, dict[str, Tensor]] = {"network": {}, "best": {}, "optimizer": {}, "memory": {}}
        try:
            for name, value in state.tensors.items():
                group, _, rest = name.partition("/")
                groups[group][rest] = value
            self.network.load_state_dict(groups["network"])
            self.best = _like(groups["best"], self.network.state_dict())
            for name, value in _like(groups["memory"], self.memory).items():
                self.memory[name].copy_(value)
            now = self.optimizer.state_dict()
            now["state"] = dict(_by_number(groups["optimizer"]))
            self.optimizer.load_state_dict(now)
            self.standing.step = state.step
            for name in ("best_step", "best_loss", "finished", "chunk_size"):
                setattr(self.standing, name, state.values[name])
        except (RuntimeError, KeyError, ValueError) as error:
            raise JobError(f"the state of this run does not fit what is trained: {error}") from error


def _check(schedule: Schedule) -> None:
    if schedule.steps < 1 or schedule.batch_size < 1 or schedule.validate_every < 1 or schedule.log_every < 1:
        raise OptionError("steps, batch_size, validate_every and log_every are 1 or more")
    if schedule.chunk_size is not None and schedule.chunk_size < 1:
        raise OptionError(f"chunk_size is 1 or more, not {schedule.chunk_size}")
    if schedule.num_held_out < 1 or schedule.num_rows < schedule.batch_size:
        raise OptionError(
            f"{max(schedule.num_rows, 0)} latents to train on and {schedule.num_held_out} held out are too "
            f"few for batches of {schedule.batch_size}; give more latents"
        )


def _like(tensors: dict[str, Tensor], others: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, moved to where others of the same names and shapes are."""
    if tensors.keys() != others.keys():
        raise KeyError(f"it has {sorted(tensors)[:3]}, not {sorted(others)[:3]}")
    for name, other in others.items():
        if tensors[name].shape != other.shape:
            raise ValueError(f"{name} is {list(tensors[name].shape)}, not {list(other.shape)}")
    return {name: tensors[name].to(other) for name, other in others.items()}


def _by_number(tensors: Mapping[str, Tensor]) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """`{"0.step": …, "0.slow": …}` → (0, {"step": …, "slow": …})."""
    numbers = sorted({int(name.partition(".")[0]) for name in tensors})
    for number in numbers:
        yield number, {name.partition(".")[2]: v for name, v in tensors.items() if name.startswith(f"{number}.")}
