"""Passes through frozen networks in shorter numbers."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from .errors import OptionError

Precision = Literal["float32", "bfloat16"]
"""Of the passes through networks that nobody trains."""


def check_precision(precision: str) -> None:
    """Raises OptionError unless it is one of `Precision`."""
    if precision not in get_args(Precision):
        raise OptionError(f"precision is {' or '.join(get_args(Precision))}, not {precision!r}")


def passes_in(precision: str, device: torch.device) -> torch.autocast:
    """A context in which networks on a device compute in a precision; weights and inputs stay as they are.

    What they give may be short: who goes on with it in float32 casts it. `float32` also ends an outer autocast.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
