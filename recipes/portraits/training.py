"""What the training stages share: a loop with a time budget that can be stopped and resumed, views of images, EMA."""

from __future__ import annotations

import copy
import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

WEIGHTS_ALONE = "PORTRAITS_WEIGHTS_ALONE"
"""Set by `--weights-alone`."""


class Stateful(Protocol):
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: Any, /) -> Any: ...


def device() -> torch.device:
    """A GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name() -> str:
    """What the model card calls it."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


def autocast() -> torch.autocast:
    return torch.autocast(device().type, torch.bfloat16)


def train(
    folder: Path,
    state: Mapping[str, Stateful],
    step: Callable[[int, float], Mapping[str, float]],
    *,
    minutes: float,
    label: str,
    save_minutes: float = 3,
    preview: Callable[[int], None] | None = None,
) -> None:
    """Call `step(number, progress)` until `minutes` of training have gone by, over all runs together.

    `progress` goes from 0 to 1 with the time spent, so schedules fit any budget. Every few minutes, and when
    interrupted, everything in `state` is written to `folder/checkpoint.pt` (whole or not at all); a later call goes on
    from there. A log line says loss, speed and remaining time. With `WEIGHTS_ALONE` in the environment, or where the
    checkpoint holds nothing but networks, schedule and optimizer begin anew from its weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "checkpoint.pt"
    done, elapsed, before = 0, 0.0, 0.0
    if path.exists():
        saved = torch.load(path, map_location=device(), weights_only=True)
        alone = bool(os.environ.get(WEIGHTS_ALONE)) or "elapsed" not in saved
        for name, part in state.items():
            if isinstance(part, nn.Module) or not alone:
                part.load_state_dict(saved[name])
        done, elapsed, before = saved.get("step", 0), saved.get("elapsed", 0.0), saved.get("before", 0.0)
        if alone:
            before, elapsed = before + elapsed, 0.0
        how = "began anew from the weights" if alone else "resumed"
        print(f"{label}: {how} at step {done}, {elapsed / 60:.1f} of {minutes:g} minutes", flush=True)
    budget = minutes * 60

    def save() -> None:
        temporary = path.with_suffix(".part")
        parts = {name: part.state_dict() for name, part in state.items()}
        torch.save({**parts, "step": done, "elapsed": elapsed, "before": before, "device": device_name()}, temporary)
        os.replace(temporary, path)

    with _interruptible() as stop:
        last_log = last_save = time.monotonic()
        recent: dict[str, list[float]] = {}
        logged = done
        while elapsed < budget and not stop:
            begin = time.monotonic()
            for name, value in step(done, elapsed / budget).items():
                recent.setdefault(name, []).append(value)
            now = time.monotonic()
            done += 1
            elapsed += now - begin
            if now - last_log > 30 or elapsed >= budget:
                means = "  ".join(f"{n} {np.mean(v):.4f}" for n, v in recent.items())
                speed = (done - logged) / (now - last_log)
                left = (budget - elapsed) / 60
                print(f"{label}: step {done}  {means}  {speed:.2f} steps/s  {left:.1f} min left", flush=True)
                with (folder / "log.txt").open("a") as log:
                    log.write(f"{done}\t{elapsed:.0f}\t{means}\n")
                recent, last_log, logged = {}, now, done
            if now - last_save > save_minutes * 60:
                save()
                if preview:
                    preview(done)
                last_save = time.monotonic()
        save()
        if stop:
            raise KeyboardInterrupt


@contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM instead of dying in the middle of a step."""
    caught: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        caught.append(number)

    before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def countdown(label: str, every: float = 20) -> Callable[[int, int], None]:
    """Make a function of what is done and of the total that now and then says how long the rest takes.

    The speed is that of this run: what is done at the first call counts for nothing.
    """
    first: tuple[float, int] | None = None
    last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal first, last
        now = time.monotonic()
        if first is None:
            first = now, done
        elif done > first[1] and (now - last > every or done == total):
            left = (now - first[0]) * (total - done) / (done - first[1])
            print(f"{label}: {done}/{total}, {left / 60:.1f} min left", flush=True)
            last = now

    return tell


class Average(nn.Module):
    """Exponential moving average of a module's weights, `average.module`, warmed up over the first steps."""

    updates: Tensor

    def __init__(self, module: nn.Module, decay: float = 0.999) -> None:
        super().__init__()
        self.module = copy.deepcopy(module).requires_grad_(False).eval()
        self.decay = decay
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + int(self.updates)) / (10 + int(self.updates)))
        for mine, theirs in zip(self.module.parameters(), module.parameters(), strict=True):
            mine.lerp_(theirs, 1 - decay)
        for kept, seen in zip(self.module.buffers(), module.buffers(), strict=True):
            kept.copy_(seen)


def learning_rate(optimizer: torch.optim.Optimizer, base: float, progress: float, *, warmup: float = 0.01) -> None:
    """Linear warm-up, flat, cosine to 2 % over the second half."""
    rate = base * min(1.0, (progress + 1e-4) / warmup)
    if progress > 0.5:
        rate *= 0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * (progress - 0.5) / 0.5))
    for group in optimizer.param_groups:
        group["lr"] = rate


def views(images: Tensor, random: torch.Generator) -> Tensor:
    """Differentiable views of images [B, 3, S, S] as a generator or a camera might give them.

    Slight shift and zoom (portraits come aligned, and a small transformer pays dearly for every pixel of shift),
    softness, noise, brightness and contrast, drawn per picture (softness in half of the batch).
    """
    b = len(images)
    uniform = torch.rand(b, 8, generator=random).to(images.device) * 2 - 1
    theta = torch.zeros(b, 2, 3, device=images.device)
    zoom = 1 + 0.02 * uniform[:, 0]
    theta[:, 0, 0] = zoom
    theta[:, 1, 1] = zoom
    theta[:, :, 2] = 0.015 * uniform[:, 1:3]
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    images = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    half = b // 2
    side = images.shape[-1]
    soft = F.interpolate(images[:half], size=side // 2, mode="area")
    soft = F.interpolate(soft, size=side, mode="bilinear", align_corners=False)
    mix = (uniform[:half, 3, None, None, None] + 1) / 2
    images = torch.cat([images[:half].lerp(soft, mix), images[half:]])
    gain = 1 + 0.1 * uniform[:, 4, None, None, None]
    shift = 0.08 * uniform[:, 5, None, None, None]
    noise = torch.randn(images.shape, generator=random).to(images.device) * 0.03 * (uniform[:, 6, None, None, None] + 1)
    return images * gain + shift + noise


def batches(num: int, size: int, *, seed: int) -> Callable[[int], NDArray[np.int64]]:
    """Row numbers of batch i: a new shuffle every epoch; depends on the seed and i alone."""
    per_epoch = num // size
    orders: dict[int, NDArray[np.int64]] = {}

    def batch(i: int) -> NDArray[np.int64]:
        epoch, at = divmod(i, per_epoch)
        if epoch not in orders:
            orders.clear()
            orders[epoch] = np.random.default_rng([seed, epoch]).permutation(num)
        return orders[epoch][at * size : (at + 1) * size]

    return batch
