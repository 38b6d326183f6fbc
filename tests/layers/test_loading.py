"""Loading a network does not import torch's compiler."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.toys import toy_generator
from textmorph import checkpoints

CODE = """
import sys, textmorph
textmorph.load_generator(sys.argv[1])
print(*{"sympy", "torch._dynamo"} & sys.modules.keys())
"""


def test_a_generator_loads_without_torchs_compiler(tmp_path: Path) -> None:
    generator = toy_generator(8)
    path = tmp_path / "generator.safetensors"
    config = vars(generator.config)
    checkpoints.native.write(path, generator.state_dict(), kind="generator", architecture="stylegan2", config=config)
    run = subprocess.run([sys.executable, "-c", CODE, str(path)], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
