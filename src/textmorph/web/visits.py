"""Visitors: each has an unguessable key, a folder that nobody else can read, and an end.

Folders carry names of their own, so that a list of them gives no key away; links are kept under their token's hash.
What has expired is swept away at the start and now and then, by the same rule.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, OptionError, OutputError
from ..files import write_bytes
from ..memory import give_back_memory
from .session import History, Session
from .settings import Settings

if TYPE_CHECKING:
    from PIL import Image

    from ..edits import Edit
    from ..latents import Latent

KEY = re.compile(r"[A-Za-z0-9_-]{43}")
FILE_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\.(png|mp4|gif|safetensors|pt|json)")
LINKS = 4
"""Links that are kept, per visitor that there can be."""
IDLE = 3600.0
"""Seconds after which a visitor with a picture may have to make room for another."""

Clock = Callable[[], float]


@dataclass(kw_only=True, eq=False)
class Picture:
    """What a visitor works on.

    Args:
        photo: as it went in, a square at the generator's size.
        about: name, size and SHA-256 of what was given, for the record.
        notes: what a reader should know of it.
        latent: in w+ (or s, where it was given as that).
        style: the same in s.
        inverted: the picture of the latent.
        drawn: whether it was made by the generator, not photographed.
        distance: reconstruction distance; None for a drawn one.
        middle: the middle square, where another was found to fit the domain.
    """

    photo: Image.Image
    about: dict[str, Any]
    notes: tuple[str, ...]
    latent: Latent
    style: Latent
    inverted: Any
    drawn: bool
    distance: float | None
    middle: Image.Image | None = None


@dataclass(frozen=True, kw_only=True)
class Item:
    """One picture in a visitor's gallery.

    Args:
        id: its number.
        title: the wishes in words.
        image: a small picture, as a data URL.
        session: the wishes themselves; None for a sheet or video, which is only looked at.
        file: its file in the visitor's folder, if it has one.
    """

    id: int
    title: str
    image: str
    session: Session | None = None
    file: str | None = None


@dataclass(kw_only=True, eq=False)
class Visit:
    """One visitor: what is on the table, and the folder where files lie."""

    key: str
    folder: Path
    domain: str
    touched: float
    history: History = field(default_factory=History)
    picture: Picture | None = None
    edits: dict[Any, Edit] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    version: int = 0
    serial: int = 0
    shown: Any = None  # what was drawn last; see `Studio.show`
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def session(self) -> Session:
        return self.history.present

    @contextmanager
    def trying(self) -> Iterator[None]:
        """Change what is on the table, or, where the block raises, leave all as it was, files included.

        Holds the lock, so that nobody sees what is only tried.
        """
        with self.lock:
            before = self.domain, self.history, self.picture, dict(self.edits), self.version, self.shown
            files = set(self.folder.glob("*"))
            try:
                yield
            except BaseException:
                self.domain, self.history, self.picture, self.edits, self.version, self.shown = before
                for path in set(self.folder.glob("*")) - files:
                    path.unlink(missing_ok=True)
                raise

    def new_name(self, stem: str, suffix: str) -> str:
        """A name for a file that this visitor does not have yet; nothing of it is the visitor's own words."""
        self.serial += 1
        return f"{stem}-{self.serial}{suffix}"

    def offer(self, name: str) -> Path:
        """Path of a file that the visitor may fetch, by its name.

        Raises:
            OptionError: a name that no file of ours has.
        """
        if not FILE_NAME.fullmatch(name):
            raise OptionError(f"no file of the studio is called {name!r}")
        if name not in self.files:
            self.files.append(name)
        return self.folder / name

    def empty(self) -> None:
        """Forget the picture, the wishes and their edits."""
        self.history, self.picture, self.shown = History(), None, None
        self.edits.clear()
        self.version += 1


class Visits:
    """All visitors of one studio.

    Args:
        settings: root, lifetime, limits.
        domain: where a visitor begins.
        clock: for tests.
    """

    def __init__(self, settings: Settings, *, domain: str, clock: Clock = time.time) -> None:
        self._settings, self._domain, self._clock = settings, domain, clock
        self._open: dict[str, Visit] = {}
        self._lock = threading.Lock()
        self._visitors = private_folder(private_folder(settings.root) / "visitors")
        self._links = private_folder(settings.root / "links")
        self.sweep()

    def __len__(self) -> int:
        return len(self._open)

    def start(self) -> Visit:
        """Let a visitor in.

        Raises:
            OptionError: the studio is full.
        """
        with self._lock:
            self._make_room(empty=True)
            key = secrets.token_urlsafe(32)
            folder = private_folder(self._visitors / secrets.token_hex(16))
            visit = Visit(key=key, folder=folder, domain=self._domain, touched=self._clock())
            self._open[key] = visit
            return visit

    def get(self, key: object) -> Visit:
        """The visitor with this key.

        Raises:
            InputError: there is none, or no longer.
        """
        with self._lock:
            visit = self._open.get(key) if isinstance(key, str) else None
            if visit is None or self._clock() - visit.touched > self._settings.lifetime:
                raise InputError("this visit is over and its pictures are gone; load the page anew")
            visit.touched = self._clock()
        with suppress(FileNotFoundError):
            os.utime(visit.folder)  # another studio with the same root sees that it is in use
        return visit

    def seat(self, visit: Visit) -> None:
        """Make sure of room for one more visitor with a picture.

        Raises:
            OptionError: the studio is full.
        """
        with self._lock:
            if visit.picture is None:
                self._make_room(empty=False)

    def file(self, key: str, name: str) -> Path:
        """A file that a visitor was offered.

        Raises:
            InputError: no such visitor, or no such file of this visitor.
        """
        visit = self.get(key)
        if name not in visit.files or not (visit.folder / name).is_file():
            raise InputError("there is no such file")
        return visit.folder / name

    def close(self) -> None:
        """Let everybody go; links stay until they expire."""
        with self._lock:
            for visit in list(self._open.values()):
                self._end(visit)

    def end(self, visit: Visit) -> None:
        """Let a visitor go, with everything that was made."""
        with self._lock:
            self._end(visit)

    def sweep(self) -> int:
        """Remove what has expired: visitors, folders that an earlier run left, links. Says how many."""
        now = self._clock()
        with self._lock:
            late = [visit for visit in self._open.values() if now - visit.touched > self._settings.lifetime]
            for visit in late:
                self._end(visit)
            open_folders = {visit.folder for visit in self._open.values()}
            old = [path for path in self._visitors.iterdir() if path not in open_folders and self._is_old(path, now)]
            for path in old:
                shutil.rmtree(path, ignore_errors=True)
            links = [path for path in self._links.iterdir() if self._is_old(path, now)]
            for path in links:
                path.unlink(missing_ok=True)
        return len(late) + len(old) + len(links)

    # Links

    def make_link(self, content: bytes) -> str:
        """Keep a state for a lifetime; the token that opens it.

        Raises:
            OptionError: there are too many.
        """
        if sum(1 for _ in self._links.iterdir()) >= LINKS * self._settings.max_visits:
            raise OptionError("there are too many links already; try again later")
        token = secrets.token_urlsafe(32)
        path = self._link_path(token)
        write_bytes(path, content)
        path.chmod(0o600)
        os.utime(path, (self._clock(), self._clock()))
        return token

    def open_link(self, token: object) -> bytes:
        """The state that a token stands for.

        Raises:
            InputError: it is unknown, or has expired.
        """
        try:
            if isinstance(token, str) and KEY.fullmatch(token):
                path = self._link_path(token)
                if not self._is_old(path, self._clock()):
                    return path.read_bytes()
        except OSError:
            pass
        raise InputError("this link has expired, or was never made here")

    def _link_path(self, token: str) -> Path:
        return self._links / f"{hashlib.sha256(token.encode()).hexdigest()}.json"

    # All below: under the lock

    def _is_old(self, path: Path, now: float) -> bool:
        try:
            return now - path.stat().st_mtime > self._settings.lifetime
        except FileNotFoundError:
            return True

    def _make_room(self, *, empty: bool) -> None:
        """Of visitors with a picture there is a number, and of those without one as many again: whoever only knocks
        takes no place from whoever works, and the one without a picture who was idle for longest gives way at once."""
        rivals = [visit for visit in self._open.values() if (visit.picture is None) is empty]
        if len(rivals) < self._settings.max_visits:
            return
        idlest = min(rivals, key=lambda visit: visit.touched)
        if not empty and self._clock() - idlest.touched < min(IDLE, self._settings.lifetime):
            raise OptionError("the studio is full; try again later")
        self._end(idlest)

    def _end(self, visit: Visit) -> None:
        visit.stop.set()
        self._open.pop(visit.key, None)
        shutil.rmtree(visit.folder, ignore_errors=True)


def private_folder(path: Path) -> Path:
    """Make a folder that only its owner can enter, or make one so.

    Raises:
        OutputError: something else is there, it belongs to someone else, or it cannot be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.is_symlink():
            raise OutputError(f"{path} is a link, not a folder; the studio keeps pictures in a folder of its own")
        path.chmod(0o700)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path}: {error.strerror or error}") from error
    return path


@contextmanager
def sweeping(visits: Visits, *, every: float = 300.0) -> Iterator[None]:
    """Sweep now and then, in a thread of its own, until the block ends; then let everybody go."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(every):
            visits.sweep()
            give_back_memory()

    thread = threading.Thread(target=work, name="textmorph-sweep", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        visits.close()
