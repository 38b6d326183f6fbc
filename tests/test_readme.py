"""The README: its Python runs, its figures are the measured ones, its commands and pictures exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks import readme

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()


def test_the_figures_are_those_of_the_results() -> None:
    results = json.loads((ROOT / readme.RESULTS).read_text())
    assert readme.filled(TEXT, results) == TEXT, "run python -m benchmarks.readme"


def test_the_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    photo = ROOT / "src/textmorph/assets/portraits/samples/portrait-1.png"
    code = code.replace("src/textmorph/assets/portraits/samples/portrait-1.png", str(photo))
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    assert (tmp_path / "purple.png").stat().st_size > 1000


def test_every_file_it_points_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_its_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\S+)", TEXT, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
