"""The pages: the README's Python runs; what a page points to, files and headings, is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "benchmarks" / "results" / "README.md"]


def headings(page: Path) -> set[str]:
    """Anchors of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert code.count('("faces")') == 1
    monkeypatch.chdir(tmp_path)
    code = code.replace('("faces")', '("portraits")')  # needs no fetch; the rest is the README's
    exec(compile(code, "README.md", "exec"), {})
    assert (tmp_path / "glasses.png").stat().st_size > 1000


def test_what_pages_point_to_is_there() -> None:
    lost = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            name, _, anchor = target.partition("#")
            path = page.parent / name if name else page
            if not target.startswith("http") and not (path.exists() and (not anchor or anchor in headings(path))):
                lost.append(f"{page.relative_to(ROOT)}: {target}")
    assert not lost, "\n".join(lost)


def test_the_commands_for_make_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        for target in re.findall(r"^make ([\w-]+)|`make ([\w-]+)", page.read_text(), re.MULTILINE):
            name = next(filter(None, target))
            assert re.search(rf"^{name}:", makefile, re.MULTILINE), f"{page.name}: make {name}"
