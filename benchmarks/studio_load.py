"""What a load of clients must show: every answer is its asker's, waits are told, memory is flat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .studio_server import MemoryWatch

SAME = 0.75
"""Largest mean difference, in 255ths, between an answer and the same edit made in this process."""
SAME_PREVIEW = 6.0
"""The same for a preview, which comes as a lossy picture."""
APART = 8.0
"""Smallest mean difference, in 255ths, between right answers of two clients, else the check proves nothing; between two
wishes of one client it is twice `SAME`."""
GROWTH = 32.0
"""Growth of the server's memory after its warm-up that still counts as flat, in MiB."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one client got, and how long it waited.

    Args:
        client: its number.
        action: what it asked for.
        wait: seconds from question to answer.
        finished: seconds from the start of the load to the answer.
        image: the picture in it, [1, 3, R, R] in [-1, 1]; None where the action makes none.
        wish: number of the wish that it asked for; with `client`, what the picture must be.
    """

    client: int
    action: str
    wait: float
    finished: float
    image: Tensor | None = None
    wish: int = 0


def mistaken(answers: Sequence[Answer], expected: Tensor, *, same: float = SAME) -> list[str]:
    """What is wrong with the pictures among the answers; an empty list says that each belongs to its asker.

    Args:
        expected: the right picture for every client and wish, [N, K, 3, R, R] in [-1, 1].
        same: largest mean difference between an answer and the right one, in 255ths.

    Raises:
        ValueError: right answers are too alike to tell apart, or no answer has a picture.
    """
    right = expected.flatten(2) * 127.5  # [N, K, P]
    _check_apart(right)
    pictures = [answer for answer in answers if answer.image is not None]
    if not pictures:
        raise ValueError("there is no picture among the answers")
    found: list[str] = []
    for answer in pictures:
        assert answer.image is not None
        distances = (right - answer.image.reshape(1, 1, -1) * 127.5).abs().mean(dim=2)  # [N, K]
        person, wish = divmod(int(distances.argmin()), right.shape[1])
        own = float(distances[answer.client, answer.wish])
        about = f"client {answer.client} asked for wish {answer.wish} ({answer.action})"
        if (person, wish) != (answer.client, answer.wish):
            found.append(f"{about} and got wish {wish} of client {person}")
        elif own > same:
            found.append(f"{about} and got a picture {own:.1f}/255 from the right one")
    return found


def _check_apart(right: Tensor) -> None:
    clients, wishes = right.shape[:2]
    flat = right.flatten(0, 1)
    apart = torch.cdist(flat, flat, p=1) / right.shape[2]  # [NK, NK]
    people = torch.arange(clients).repeat_interleave(wishes)
    same_person = people[:, None] == people[None, :]
    for mask, least, what in ((~same_person, APART, "two clients"), (same_person, 2 * SAME, "two wishes of a client")):
        closest = apart.masked_fill(~mask | torch.eye(len(flat), dtype=torch.bool), torch.inf).min()
        if closest < least:
            raise ValueError(f"right answers of {what} differ by {closest:.1f}/255 only; ask for other pictures")


def waits(answers: Sequence[Answer]) -> dict[str, dict[str, float]]:
    """Number, median, 95th percentile and maximum of the waits for each action, in seconds."""
    table: dict[str, list[float]] = {}
    for answer in answers:
        table.setdefault(answer.action, []).append(answer.wait)
    table["all"] = [answer.wait for answer in answers]
    return {
        action: {"answers": len(values)}
        | {
            name: round(float(np.percentile(values, share)), 3)
            for name, share in {"p50": 50, "p95": 95, "max": 100}.items()
        }
        for action, values in table.items()
    }


def memory(watch: MemoryWatch, *, warm: float, end: float) -> dict[str, Any]:
    """Resident memory of the server after its warm-up and at the end of a load, in MiB.

    Args:
        warm: when the warm-up was over, in the watch's seconds; the first quarter of what follows is compared …
        end: … with the last quarter before this.
    """
    quarter = (end - warm) / 4
    before, after = watch.median(warm, warm + quarter), watch.median(end - quarter, end)
    return {
        "after_warm_up": round(before, 1),
        "at_end": round(after, 1),
        "growth": round(after - before, 1),
        "largest": round(max((size for _, size in watch.samples), default=0.0), 1),
        "samples": len(watch.samples),
        "tolerance": GROWTH,
        "flat": bool(after - before <= GROWTH),
    }
