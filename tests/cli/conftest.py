"""One toy domain for all commands, and a way to run one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from textmorph.cli import main
from textmorph.images import write_image

from ..toy_domain import write_toy_domain
from ..toys import toy_image


@dataclass
class Outcome:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture(scope="session")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_domain(tmp_path_factory.mktemp("cli") / "toy")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a photo `me.png`."""
    desk = tmp_path / "desk"
    desk.mkdir()
    write_image(toy_image(24), desk / "me.png")
    monkeypatch.chdir(desk)
    return desk


@pytest.fixture
def run(desk: Path, domain: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process; `{D}` stands for the toy domain's folder."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(argument).replace("{D}", str(domain)) for argument in arguments])
        said = capsys.readouterr()
        code = left.value.code
        return Outcome(code if isinstance(code, int) else 0, said.out, said.err)

    return run
