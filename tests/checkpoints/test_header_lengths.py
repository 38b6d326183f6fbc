from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from textmorph import checkpoints


@pytest.mark.parametrize("length", [0x200, 0x280, 0x380, 0x480, 0x580, 0x10080])
def test_a_header_of_any_length_is_read(tmp_path: Path, length: int) -> None:
    """A file begins with the length of its header, and 80 02 also begins a pickle: 640 was once taken for one."""
    path = tmp_path / "edit.safetensors"
    fields = {"kind": "direction", "architecture": "direction", "config": {}, "provenance": {}, "version": 1}
    save_file({"vector": torch.ones(2)}, path, {"textmorph": json.dumps({**fields, "provenance": {"a": ""}})})
    fields["provenance"] = {"a": "x" * (length - int.from_bytes(path.read_bytes()[:8], "little"))}
    save_file({"vector": torch.ones(2)}, path, {"textmorph": json.dumps(fields)})
    assert int.from_bytes(path.read_bytes()[:8], "little") == length
    assert torch.equal(checkpoints.read(path).tensors["vector"], torch.ones(2))
