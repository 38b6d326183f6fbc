"""Fetching data out of packages: with a stub in the place of pip, and a toy package."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import stat
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from textmorph import registry
from textmorph.cli.app import app
from textmorph.download import cache_folder
from textmorph.editing.domain import load_domain
from textmorph.errors import DownloadError, OfflineError, OptionError
from textmorph.registry import Part, RegistryPackage, clear_cache, fetch_part, list_cache, read_member

CONTENT = b"numbers " * 1000

STUB = """#!{python}
import os, shutil, sys, time
arguments = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(" ".join(arguments) + "\\n")
assert open(arguments[arguments.index("--requirement") + 1]).read().startswith("toy==1.0 --hash=sha256:")
time.sleep({sleep})
if {fail!r}:
    sys.exit("ERROR: " + {fail!r})
target = arguments[arguments.index("--dest") + 1]
shutil.copy({wheel!r}, os.path.join(target, "toy-1.0-py3-none-any.whl"))
"""


def make(archive: Path, folder: Path) -> None:
    """Makes the toy part, unless told to break off."""
    (folder / "half.bin").write_bytes(b"half")
    if breaks := os.environ.get("TOY_BREAKS"):
        if breaks == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise DownloadError("broken")
    (folder / "main.bin").write_bytes(read_member(archive, "toy/data.bin"))


class Toy:
    """A wheel, a pip that hands it out, and the record of it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.wheel = folder / "toy-1.0-py3-none-any.whl"
        with zipfile.ZipFile(self.wheel, "w") as archive:
            archive.writestr("toy/data.bin", CONTENT)
            archive.writestr("toy/__init__.py", "raise SystemExit('imported')")
        self.log = folder / "log"
        self.log.touch()
        self.sha256 = hashlib.sha256(self.wheel.read_bytes()).hexdigest()
        package = RegistryPackage(name="toy", version="1.0", sha256=self.sha256, size=self.wheel.stat().st_size)
        part = Part(package=package, make=f"{__name__}:make", main="main.bin", licence="toys only")
        monkeypatch.setitem(registry.PARTS, "toy", part)
        monkeypatch.setattr(registry, "find_spec", lambda name: None)  # no pip in this environment …
        monkeypatch.setenv("PATH", str(folder / "bin"))  # … but one on the path
        for name in ("TEXTMORPH_OFFLINE", "HF_HUB_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        self.pip()

    def pip(self, *, sleep: float = 0, fail: str = "", wheel: Path | None = None) -> None:
        path = self.folder / "bin" / "pip"
        path.parent.mkdir(exist_ok=True)
        values = {"log": str(self.log), "sleep": sleep, "fail": fail, "wheel": str(wheel or self.wheel)}
        path.write_text(STUB.format(python=sys.executable, **values))
        path.chmod(path.stat().st_mode | stat.S_IEXEC)

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    return Toy(tmp_path, monkeypatch)


def test_a_part_is_fetched_once_with_size_source_and_licence_said_first(toy: Toy) -> None:
    said: list[str] = []
    folder = fetch_part("toy", say=said.append)
    assert (folder / "main.bin").read_bytes() == CONTENT
    assert "toys only" in (folder / "NOTICE").read_text()
    assert "toy 1.0" in said[0]
    assert "MB" in said[0]
    assert "toys only" in said[1]
    assert fetch_part("toy", say=said.append) == folder
    assert len(said) == 2
    assert len(toy.calls) == 1
    assert "--no-deps --only-binary :all: --require-hashes" in toy.calls[0]
    assert [path.name for path, _ in list_cache()] == [folder.name]  # neither archive nor leftovers


def test_what_was_carried_by_hand_needs_no_network(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTMORPH_OFFLINE", "1")
    assert (fetch_part("toy", archive=toy.wheel) / "main.bin").is_file()
    assert toy.calls == []
    assert toy.wheel.is_file()


def test_another_file_than_the_known_one_is_refused(toy: Toy) -> None:
    wrong = toy.folder / "wrong.whl"
    wrong.write_bytes(toy.wheel.read_bytes() + b" ")
    with pytest.raises(DownloadError, match=r"is not toy 1\.0: it has SHA-256"):
        fetch_part("toy", archive=wrong)
    toy.pip(wheel=wrong)
    with pytest.raises(DownloadError, match=r"is not toy 1\.0"):
        fetch_part("toy")
    with pytest.raises(DownloadError, match=r"no file .*pip download --no-deps toy==1\.0"):
        fetch_part("toy", archive=toy.folder / "none.whl")
    toy.pip()
    assert (fetch_part("toy") / "main.bin").is_file()


@pytest.mark.parametrize("says", ["No matching distribution found for toy==1.0", "THESE PACKAGES DO NOT MATCH"])
def test_a_pip_that_fails_gives_one_line_that_says_what_to_do(toy: Toy, says: str) -> None:
    toy.pip(fail=says)
    with pytest.raises(DownloadError, match=rf"{says}.*pip download --no-deps toy==1\.0.*--wheel FILE") as error:
        fetch_part("toy", say=lambda line: None)
    assert "\n" not in str(error.value)


def test_without_pip_it_says_how_to_carry_the_file(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(toy.folder))
    with pytest.raises(DownloadError, match=r"no pip here.*--wheel FILE"):
        fetch_part("toy", say=lambda line: None)


def test_without_pip_that_of_uv_is_asked(toy: Toy) -> None:
    (toy.folder / "bin" / "pip").rename(toy.folder / "bin" / "uv")
    assert (fetch_part("toy") / "main.bin").is_file()
    assert toy.calls[0].startswith("tool run pip download")


def test_offline_says_what_to_do_and_fetches_nothing(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTMORPH_OFFLINE", "1")
    with pytest.raises(OfflineError, match=r"TEXTMORPH_OFFLINE.*--wheel FILE"):
        fetch_part("toy")
    assert toy.calls == []


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(OptionError, match="random-face"):
        fetch_part("toy")


def test_whoever_is_stopped_after_the_download_does_not_download_again(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_BREAKS", "error")
    with pytest.raises(DownloadError, match="broken"):
        fetch_part("toy")
    monkeypatch.delenv("TOY_BREAKS")
    folder = fetch_part("toy")
    assert sorted(path.name for path in folder.iterdir()) == ["NOTICE", "half.bin", "main.bin"]
    assert len(toy.calls) == 1


def fetching(toy: Toy, **environment: str) -> subprocess.Popen[bytes]:
    """Another program that fetches the toy."""
    root = Path(__file__).parents[1]
    part = f"Part(package=RegistryPackage(name='toy', version='1.0', sha256='{toy.sha256}', size=1), "
    part += "make='tests.test_registry:make', main='main.bin', licence='toys only')"
    code = "from textmorph import registry\nfrom textmorph.registry import *\nregistry.find_spec = lambda name: None\n"
    code += f"registry.PARTS['toy'] = {part}\nfetch_part('toy')"
    path = os.pathsep.join([str(root / "src"), str(root)])
    return subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path, **environment})


@pytest.mark.parametrize("when", ["while pip works", "while the part is made"])
def test_a_killed_fetch_leaves_nothing_half_written_and_goes_on(toy: Toy, when: str) -> None:
    if when == "while pip works":
        toy.pip(sleep=5)
        program = fetching(toy)
        while not toy.calls and program.poll() is None:
            time.sleep(0.05)
        program.kill()
    else:
        program = fetching(toy, TOY_BREAKS="kill")
    assert program.wait(60) != 0
    assert not list(cache_folder().glob("parts/toy-*"))
    toy.pip()
    assert (fetch_part("toy") / "main.bin").read_bytes() == CONTENT
    assert [path.name[:4] for path, _ in list_cache()] == ["toy-"]


def test_two_programs_at_once_fetch_once(toy: Toy) -> None:
    toy.pip(sleep=1)
    programs = [fetching(toy) for _ in range(3)]
    assert [program.wait(60) for program in programs] == [0, 0, 0]
    assert len(toy.calls) == 1
    assert (fetch_part("toy") / "main.bin").is_file()


# Archives


def test_a_member_is_read_within_bounds(tmp_path: Path, toy: Toy) -> None:
    assert read_member(toy.wheel, "toy/data.bin") == CONTENT
    with pytest.raises(DownloadError, match="at most 100 bytes"):
        read_member(toy.wheel, "toy/data.bin", limit=100)
    with pytest.raises(DownloadError, match=r"no file \.\./data"):
        read_member(toy.wheel, "../data")
    packed = tmp_path / "toy.tgz"
    with tarfile.open(packed, "w:gz") as archive:
        info = tarfile.TarInfo("package/data.bin")
        info.size = len(CONTENT)
        archive.addfile(info, io.BytesIO(CONTENT))
        link = tarfile.TarInfo("package/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
    assert read_member(packed, "package/data.bin") == CONTENT
    with pytest.raises(DownloadError):
        read_member(packed, "package/data.bin", limit=100)
    with pytest.raises(DownloadError):
        read_member(packed, "package/link")
    packed.write_bytes(packed.read_bytes()[:60])
    with pytest.raises(DownloadError, match="damaged"):
        read_member(packed, "package/data.bin")


# Doors


def test_a_domain_names_a_part_and_fetches_it_on_first_use(toy: Toy, tmp_path: Path) -> None:
    folder = tmp_path / "domain"
    folder.mkdir()
    (folder / "domain.toml").write_text('generator = "registry:toy"\nembedder = "a/b"\nneutral = "face"\n')
    assert toy.calls == []
    assert load_domain(folder).path("generator").read_bytes() == CONTENT

    cache = CliRunner().invoke(app, ["cache", "list"])
    assert "toy-" in cache.output
    assert CliRunner().invoke(app, ["cache", "clear"]).exit_code == 0
    assert list_cache() == []
    got = CliRunner().invoke(app, ["domain", "get", str(folder)])
    assert got.exit_code == 0, got.output
    assert "toys only" in got.output
    assert len(toy.calls) == 2
    clear_cache()
    got = CliRunner().invoke(app, ["domain", "get", str(folder), "--wheel", str(tmp_path / "none")])
    assert got.exit_code == 1
    assert "Traceback" not in got.output
