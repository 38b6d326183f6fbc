"""Data inside packages of a registry: fetched by the user's own pip or npm, checked by hash, never installed.

    folder = fetch_part("random-face")      # generator.safetensors, LICENSE, NOTICE

A package is an archive here: it is not installed, nothing in it is imported or run. `PARTS` lists what is known. A part
is made in the cache in a folder of its own, which appears whole or not at all; whoever is killed on the way begins
again where the archive was complete.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from .download import cache_folder, is_offline
from .errors import DownloadError, JobError, OfflineError, OptionError, OutputError
from .files import file_sha256
from .jobs.lock import locked

Say = Callable[[str], None]
"""Called with each line for people."""

_MAX_FILE = 1 << 28  # of one file in an archive, in bytes
_WAIT = 0.2  # seconds between two looks whether another program is done
_LIMIT = 3600  # seconds that a download may take


@dataclass(frozen=True, kw_only=True)
class RegistryPackage:
    """One archive of a package registry.

    Args:
        manager: the program that fetches it.
        name, version: as the registry has them.
        sha256: of the archive.
        size: of the archive, in bytes.
        options: more options for the program, such as a platform.
    """

    manager: Literal["pip", "npm"] = "pip"
    name: str
    version: str
    sha256: str
    size: int
    options: tuple[str, ...] = ()

    def command(self) -> str:
        """What a person types to fetch it by hand."""
        if self.manager == "npm":
            return " ".join(["npm pack", *self.options, f"{self.name}@{self.version}"])
        return " ".join(["pip download --no-deps", *self.options, f"{self.name}=={self.version}"])


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a domain that comes out of a package.

    Args:
        package: where it is in.
        make: `module:function` that writes the part's files into a folder, given the archive and the folder.
        main: the file that a domain loads.
        licence: one line, said before the download and kept beside the result.
        revision: goes up when `make` makes something else of the same package, so that no older result is used.
    """

    package: RegistryPackage
    make: str
    main: str
    licence: str
    revision: int = 1


PARTS = {
    "random-face": Part(
        package=RegistryPackage(
            name="random-face",
            version="2021.7.21.1",
            sha256="e5d10e2be7df63f06123855ec591ca35dcb1d059eba47ddcb175d7d26b4019b5",
            size=37_588_926,
        ),
        make="textmorph.checkpoints.random_face:make",
        main="generator.safetensors",
        licence="the wheel says Apache-2.0; its teacher (StyleGAN2-FFHQ) and the pictures of FFHQ are non-commercial: "
        "for research, unless you clear it",
    ),
}
"""Name after `registry:` in a `domain.toml` → what it stands for."""


def fetch_part(name: str, *, archive: str | os.PathLike[str] | None = None, say: Say | None = None) -> Path:
    """Folder of a part: from the cache, or fetched, checked and made there.

    Two programs at once fetch once: the second waits.

    Args:
        name: in `PARTS`.
        archive: the package's file, if it was carried here by hand.
        say: for the size, source and licence, before anything is fetched; None writes them to stderr.

    Raises:
        OptionError: no such part.
        OfflineError: it is not in the cache, and the network is switched off.
        DownloadError: it could not be fetched, or is not the file with the known hash; nothing is kept.
        OutputError: the cache cannot be written.
    """
    if name not in PARTS:
        raise OptionError(f"there is no part {name!r} to fetch; known are {', '.join(PARTS)}")
    part = PARTS[name]
    root = cache_folder() / "parts"
    folder = root / f"{name}-{part.package.sha256[:16]}-{part.revision}"
    if (folder / part.main).is_file():
        return folder
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _turn(root):
            if not (folder / part.main).is_file():
                _make(name, part, folder, archive, say or _to_stderr)
    except OSError as error:
        raise OutputError(f"cannot write the cache {root}: {error.strerror or error}") from error
    return folder


def fetch_main(name: str) -> Path:
    """The file of a part that a domain loads; errors as in `fetch_part`."""
    return fetch_part(name) / PARTS[name].main


def read_member(archive: str | os.PathLike[str], name: str, *, limit: int = _MAX_FILE) -> bytes:
    """One file of a wheel (zip) or npm package (tar), unfolded in memory.

    Args:
        name: its full name in the archive.
        limit: largest size in bytes.

    Raises:
        DownloadError: it is not there, is too large, or the archive is damaged.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                size = opened.getinfo(name).file_size
                content = opened.read(name) if size <= limit else b""
        else:
            with tarfile.open(archive) as packed:
                member = packed.getmember(name)
                size = member.size
                file = packed.extractfile(member) if size <= limit else None
                content = file.read() if file is not None else b""
    except KeyError as error:
        raise DownloadError(f"{archive} has no file {name}") from error
    except (OSError, EOFError, ValueError, RuntimeError, zlib.error, zipfile.BadZipFile, tarfile.TarError) as error:
        raise DownloadError(f"{archive} is damaged: {error}") from error
    if len(content) != size:
        raise DownloadError(f"{name} in {archive} is no file of at most {limit} bytes")
    return content


def list_cache() -> list[tuple[Path, int]]:
    """What the cache holds: files and folders at its top and below `parts`, each with its size in bytes."""
    root = cache_folder()
    found = [path for folder in (root, root / "parts") if folder.is_dir() for path in sorted(folder.iterdir())]
    return [(path, _size(path)) for path in found if path != root / "parts" and path.name != ".lock"]


def clear_cache() -> int:
    """Remove all that the cache holds; waits for a program that is fetching. Returns the bytes that are free now.

    Raises:
        OutputError: something cannot be removed.
    """
    freed = 0
    root = cache_folder()
    try:
        if (root / "parts").is_dir():
            with _turn(root / "parts"):
                freed += sum(_discard(path) for path, _ in list_cache())
        else:
            freed += sum(_discard(path) for path, _ in list_cache())
    except OSError as error:
        raise OutputError(f"cannot clear the cache {root}: {error.strerror or error}") from error
    return freed


def _make(name: str, part: Part, folder: Path, given: str | os.PathLike[str] | None, say: Say) -> None:
    """Fetch and make a part; runs in one program at a time."""
    work = folder.with_name(f".{name}.part")
    work.mkdir(exist_ok=True)
    archive = work / "archive"
    if given is not None:
        archive = Path(given).expanduser()
        if not archive.is_file():
            raise DownloadError(f"there is no file {archive}; fetch it by '{part.package.command()}'")
        _check(archive, part.package)
    elif not (archive.is_file() and file_sha256(archive) == part.package.sha256):
        _download(name, part, archive, say)
    made = work / "made"
    _discard(made)
    made.mkdir()
    module, function = part.make.split(":")
    getattr(import_module(module), function)(archive, made)
    source = f"{part.package.name} {part.package.version}, SHA-256 {part.package.sha256}"
    (made / "NOTICE").write_text(f"made by textmorph from the package {source}\nlicence: {part.licence}\n")
    _discard(folder)
    os.replace(made, folder)
    _discard(work)


def _download(name: str, part: Part, archive: Path, say: Say) -> None:
    package = part.package
    by_hand = f"fetch it elsewhere by '{package.command()}', then 'textmorph domain get faces --wheel FILE'"
    if is_offline():
        off = "the network is switched off: unset TEXTMORPH_OFFLINE"
        raise OfflineError(f"{name} is not in the cache, and {off}, or {by_hand}")
    size = f"{package.size / 1e6:.1f} MB"
    say(f"fetching {package.name} {package.version}, {size}, once, from the index that {package.manager} is set to")
    say(f"licence: {part.licence}")
    target = archive.with_name("download")
    _discard(target)
    target.mkdir()
    command = _command(package, target)
    if command is None:
        raise DownloadError(f"there is no {package.manager} here, which {name} is fetched with: {by_hand}")
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_LIMIT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DownloadError(f"{package.manager} did not fetch {name}: {error}; {by_hand}") from error
    files = [path for path in target.iterdir() if path.suffix in (".whl", ".zip", ".tgz", ".gz")]
    if done.returncode != 0 or len(files) != 1:
        raise DownloadError(f"{package.manager} did not fetch {name}: {_reason(done.stderr)}; {by_hand}")
    _check(files[0], package)
    os.replace(files[0], archive)


def _command(package: RegistryPackage, target: Path) -> list[str] | None:
    """The user's own pip or npm, with its own settings; None where there is none."""
    if package.manager == "npm":
        npm = shutil.which("npm")
        pack = ["pack", "--ignore-scripts", "--pack-destination", str(target), *package.options]
        return [npm, *pack, f"{package.name}@{package.version}"] if npm else None
    pips = [[sys.executable, "-m", "pip"]] if find_spec("pip") else []
    pips += [[found] for found in map(shutil.which, ("pip3", "pip")) if found]
    pips += [[found, "tool", "run", "pip"] for found in [shutil.which("uv")] if found]
    if not pips:
        return None
    wanted = target / "wanted.txt"
    wanted.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    options = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--disable-pip-version-check", "--no-input"]
    return [*pips[0], "download", *options, *package.options, "--dest", str(target), "--requirement", str(wanted)]


def _check(archive: Path, package: RegistryPackage) -> None:
    found = file_sha256(archive)
    if found != package.sha256:
        raise DownloadError(
            f"{archive} is not {package.name} {package.version}: it has SHA-256 {found[:16]}…, expected "
            f"{package.sha256[:16]}…; fetch it anew by '{package.command()}'"
        )


def _reason(output: str) -> str:
    """The last line of an output that says something is wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    wrong = [line for line in lines if "error" in line.lower()] or lines
    return wrong[-1][:300] if wrong else "it said nothing"


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Wait until no other program works in a folder, then keep others out."""
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(locked(folder))
                break
            except JobError:
                time.sleep(_WAIT)
        yield


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())


def _discard(path: Path) -> int:
    """Remove a file or folder, if it is there; its size."""
    size = _size(path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    return size


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
