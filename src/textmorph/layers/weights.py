"""From a checkpoint to a network: its configuration and its tensors, strictly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..errors import CheckpointMismatchError
from ..fields import check_fields

C = TypeVar("C")
N = TypeVar("N", bound=nn.Module)

LARGEST = 2**20
"""Largest number in a configuration: two of them and a kernel multiply to a size that torch can count."""
ENTRIES = 256
"""Longest list in a configuration; the longest of a known network names 26 layers."""


def read_config(config_class: type[C], fields: Mapping[str, Any], *, source: object) -> C:
    """Make a configuration of the fields in a file.

    Raises:
        CheckpointMismatchError: a field that the class does not have, or a value of another kind or out of range.
    """
    try:
        check_fields(config_class, fields, largest=LARGEST, entries=ENTRIES)
        return config_class(**fields)
    except (TypeError, ValueError) as error:
        raise CheckpointMismatchError(f"{source} has a configuration that does not fit: {error}") from error


class _QuickMeta(TorchFunctionMode):
    """Answers on the meta device what constructors of networks ask for, without torch's compiler.

    There torch works out `randn` and a division in Python code whose first call imports `torch._dynamo` and `sympy`:
    4 CPU seconds in each process that loads a network. All other calls are as always.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.randn and str(kwargs.get("device")) == "meta":
            return torch.empty(*args, **kwargs)
        if func in (Tensor.div, Tensor.__truediv__) and args[0].is_meta and isinstance(args[1], float):
            return torch.empty(args[0].shape, dtype=args[0].dtype, device="meta")
        return func(*args, **kwargs)


def build(make: Callable[[], N], tensors: Mapping[str, Tensor], *, source: object) -> N:
    """Build a network that holds these tensors, every one of which must fit.

    The network is first made without memory or random numbers (torch's meta device), so that a file that does not fit
    costs nothing.

    Args:
        make: returns the network; all its tensors are in its state dict.
        tensors: by the names of the network's state dict; floating-point ones are cast to the network's precision.
        source: the file they come from, for the message.

    Raises:
        CheckpointMismatchError: missing or extra names, another shape, values that are not finite, or sizes that no
            network can have.
    """
    try:
        with _QuickMeta(), torch.device("meta"):
            network = make()
    except (ArithmeticError, RuntimeError, TypeError) as error:  # sizes that torch refuses
        raise CheckpointMismatchError(f"{source} has a configuration that no network can have: {error}") from error
    expected = network.state_dict()
    _refuse(source, "lacks", expected.keys() - tensors.keys())
    _refuse(source, "has unknown", tensors.keys() - expected.keys())
    shapes = (
        f"{name} {list(tensors[name].shape)} instead of {list(value.shape)}"
        for name, value in expected.items()
        if tensors[name].shape != value.shape
    )
    _refuse(source, "has the wrong shape of", shapes)
    kinds = (
        f"{name} ({tensors[name].dtype})"
        for name, value in expected.items()
        if tensors[name].is_floating_point() != value.is_floating_point()
    )
    _refuse(source, "has the wrong type of", kinds)
    broken = (name for name, value in tensors.items() if value.is_floating_point() and not value.isfinite().all())
    _refuse(source, "has values that are not finite in", broken)
    cast = {name: value.to(expected[name].dtype).contiguous() for name, value in tensors.items()}
    network.load_state_dict(cast, assign=True)
    return network


def _refuse(source: object, what: str, names: Iterable[str]) -> None:
    listed = sorted(names)
    if listed:
        rest = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
        raise CheckpointMismatchError(f"{source} {what} {', '.join(listed[:5])}{rest}")
