from __future__ import annotations

import pytest
import torch

from textmorph.errors import OptionError
from textmorph.precision import check_precision, passes_in

CPU = torch.device("cpu")


def product() -> torch.Tensor:
    return torch.ones(2, 2) @ torch.ones(2, 2)


def test_networks_compute_in_the_precision_asked_for_whatever_goes_on_around() -> None:
    with passes_in("bfloat16", CPU):
        assert product().dtype == torch.bfloat16
        with passes_in("float32", CPU):
            assert product().dtype == torch.float32
    assert product().dtype == torch.float32


@pytest.mark.parametrize("precision", ["float16", "double", "", "bf16"])
def test_another_precision_is_refused(precision: str) -> None:
    check_precision("float32")
    check_precision("bfloat16")
    with pytest.raises(OptionError, match=r"precision is float32 or bfloat16, not '"):
        check_precision(precision)
