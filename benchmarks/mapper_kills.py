"""`python -m benchmarks.mapper_kills`: kill -9 a training again and again, resume it, and compare the end bit by bit.

A short mapper training saves its whole state after every step. It is killed at seeded random moments, many of them
while a state is being written, and resumed, until it ends; then the next training begins, until there were enough
kills. Every end must equal that of a training that was never broken off: the mapper's file byte by byte, and the
metrics line by line. The log says where each kill struck.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from textmorph.files import write_bytes
from textmorph.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from textmorph.jobs.run_folder import METRICS, STATE, RunFolder
from textmorph.memory import keep_memory
from textmorph.methods.latent_mapper import LatentMapper
from textmorph.optimization import Ranger

from .machine import about_run

STEPS = 16
WRITING = 1 / 3
"""Share of the kills that must strike while a state is being written."""
LATEST = 0.03
"""Seconds after a file was seen that such a kill strikes at the latest; one that is whole by then is let go."""
MISSES = 20
"""Trainings in a row that may end unhurt before the disk is said to be too fast."""


class Projection:
    """Stands in for CLIP and for the identity net: a fixed random projection of the pooled picture."""

    image_size = 8

    def __init__(self, seed: int) -> None:
        self.matrix = torch.randn(48, 8, generator=torch.Generator().manual_seed(seed))
        self.fingerprint = f"projection {seed}"

    def embed_image(self, image: Tensor) -> Tensor:
        return F.normalize(F.adaptive_avg_pool2d(image, 4).flatten(1) @ self.matrix, dim=1)

    def embed_text(self, texts: list[str]) -> Tensor:
        return F.normalize(torch.ones(len(texts), 8), dim=1)


def train(folder: Path, width: int, *, resume: bool) -> None:
    """One training, or what is left of it. A state has five copies of the mapper's weights."""
    torch.manual_seed(0)
    config = StyleGAN2Config(resolution=8, z_dim=8, w_dim=width, mapping_layers=1, channel_base=32, channel_max=4)
    method = LatentMapper(steps=STEPS, batch_size=2, num_held_out=2, validate_every=5, latent_l2=0.1)
    method.train(
        StyleGAN2(config), Projection(0), target="anything", identity_embedder=Projection(1), num_latents=9,
        run=folder, resume=resume, save_seconds=0.0,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Strike:
    """Where a kill struck.

    Args:
        training: which of the trainings, from 0.
        aim: `writing`, at a file that was just being written; or `anywhere`, after a random time.
        after: seconds since the program began, or since the file was seen.
        step: steps in the last whole state on disk; None before the first.
        unfinished: name of the file that was being written, and its bytes so far; None where none was.
    """

    training: int
    aim: str
    after: float
    step: int | None
    unfinished: tuple[str, int] | None


def attempt(folder: Path, width: int, aim: Callable[[int], bool] | None) -> bool:
    """Train in a process of its own, perhaps kill it; says whether it was killed.

    Args:
        aim: gets the process, waits, and says whether to kill; False when the process has ended.

    Raises:
        RuntimeError: it failed by itself.
    """
    process = os.fork()
    if process == 0:
        try:
            train(folder, width, resume=folder.exists())
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    if aim is not None and aim(process):
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        return True
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError(f"the training in {folder} failed by itself")
    return False


def unfinished(folder: Path) -> tuple[str, int] | None:
    """The state that is being written, if one is: its temporary name and its size so far."""
    try:
        for entry in os.scandir(folder):
            if ".part" in entry.name and entry.name.endswith(Path(STATE).suffix):
                return entry.name, entry.stat().st_size
    except FileNotFoundError:
        pass
    return None


def _ended(process: int) -> bool:
    """Whether a child has ended; it stays to be waited for."""
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _hold(process: int) -> bool:
    """Stop a child where it is, until it is told to go on or killed; False where it has ended."""
    os.kill(process, signal.SIGSTOP)
    found = os.waitid(os.P_PID, process, os.WEXITED | os.WSTOPPED | os.WNOWAIT)
    return found is not None and found.si_code == os.CLD_STOPPED


def run(kills: int, *, width: int, seed: int, folder: Path, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Kill and resume until there were enough kills, in all and while writing; then compare."""
    moments = random.Random(seed)
    warm = torch.zeros(2, 2, requires_grad=True)
    warm.grad = torch.zeros(2, 2)
    Ranger([warm]).step()  # loads what every process would load for itself, in seconds
    begin = time.monotonic()
    attempt(folder / "whole", width, None)
    whole_seconds = time.monotonic() - begin
    expected = (folder / "whole" / "mapper.safetensors").read_bytes()
    metrics = RunFolder(folder / "whole").metrics()
    state_bytes = (folder / "whole" / STATE).stat().st_size
    say(f"unbroken: {whole_seconds:.1f} s, {STEPS} steps, a state of {state_bytes / 1e6:.1f} MB after each")
    strikes: list[Strike] = []
    training, equal, last_hit = 0, 0, -1
    while True:
        lying = folder / f"broken-{training}"
        writing = sum(strike.unfinished is not None for strike in strikes)
        behind = writing < len(strikes) * WRITING
        enough = len(strikes) >= kills and not behind
        if training - last_hit > MISSES:
            raise RuntimeError(f"{MISSES} trainings ended before a write was met: give a larger --width")
        at_writing = behind or moments.random() < 0.5
        # while writing: the n-th file from now on, and a little later; else some time within a whole training
        count, delay = moments.randint(1, 4), moments.random() * (LATEST if at_writing else whole_seconds)
        aim = None if enough else (_at_writing(lying, count, delay) if at_writing else _after(delay))
        if attempt(lying, width, aim):
            state = RunFolder(lying).load() if lying.exists() else None
            strike = Strike(
                training=training, aim="writing" if at_writing else "anywhere", after=round(delay, 3),
                step=state.step if state else None, unfinished=unfinished(lying),
            )  # fmt: skip
            strikes.append(strike)
            last_hit = training
            where = f"writing a state, {strike.unfinished[1] / 1e6:.1f} MB of it" if strike.unfinished else "elsewhere"
            say(f"kill {len(strikes):3}: training {training}, {where}; on disk: step {strike.step}")
            continue
        wrong = []
        if (lying / "mapper.safetensors").read_bytes() != expected:
            wrong.append("ANOTHER MAPPER")
        if RunFolder(lying).metrics() != metrics:
            wrong.append("OTHER METRICS")
        hit = sum(strike.training == training for strike in strikes)
        say(f"training {training} ended after {hit} kills: {' and '.join(wrong) or 'the same bits'}")
        equal += not wrong
        shutil.rmtree(lying)
        training += 1
        if enough:
            break
    return {
        "kills": len(strikes),
        "while_writing": sum(strike.unfinished is not None for strike in strikes),
        "trainings": training,
        "equal": equal,
        "steps": STEPS,
        "state_bytes": state_bytes,
        "files": [METRICS, "mapper.safetensors"],
        "seed": seed,
        "strikes": [asdict(strike) for strike in strikes],
    }


def _after(seconds: float) -> Callable[[int], bool]:
    """Wait for so long, or until the process has ended."""

    def wait(process: int) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if _ended(process):
                return False
            time.sleep(0.001)
        return True

    return wait


def _at_writing(folder: Path, count: int, seconds: float) -> Callable[[int], bool]:
    """Wait until the count-th new file is being written, and a little longer, and hold the program there.

    Where the file was whole by then, sooner after the next one, so that a fast disk is met, too.
    """

    def wait(process: int) -> bool:
        stale = unfinished(folder)  # of the last kill; the program removes it when it begins
        seen = {stale[0]} if stale else set()
        target, later = len(seen) + count, seconds
        while not _ended(process):
            found = unfinished(folder)
            if found is None or found[0] in seen:
                continue
            seen.add(found[0])
            if len(seen) < target:
                continue
            time.sleep(later)
            if not _hold(process):
                return False
            there = unfinished(folder)
            if there is not None and there[0] == found[0]:
                return True
            os.kill(process, signal.SIGCONT)
            later /= 2
        return False

    return wait


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mapper_kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="at least so many (default: 50)")
    parser.add_argument("--width", type=int, default=128, help="of w; a wide mapper's state takes longer to write")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--results", type=Path, help="file to write the log to, as JSON")
    arguments = parser.parse_args(words)
    keep_memory()
    torch.set_num_threads(1)  # a forked process has no threads of its parent
    with tempfile.TemporaryDirectory() as folder:
        found = run(arguments.kills, width=arguments.width, seed=arguments.seed, folder=Path(folder))
    if arguments.results:
        content = json.dumps({**found, "run": about_run()}, indent=1) + "\n"
        write_bytes(arguments.results, content.encode(), overwrite=True)
    print(f"{found['kills']} kills, {found['while_writing']} of them while a state was being written; ", end="")
    print(f"{found['equal']} of {found['trainings']} trainings ended with the same bits")
    return 0 if found["equal"] == found["trainings"] else 1


if __name__ == "__main__":
    sys.exit(main())
