"""What whoever serves the studio can set."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from ..download import cache_folder
from ..errors import OptionError

OPTIMIZE_STEPS = 100
"""Of the method `optimize`, where neither the studio nor the domain says: fewer than the paper's, for people wait."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")

MIN_PASSWORD = 8
"""Characters of a password, at the least."""

_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|[0-9a-f:]+")


def _default_root() -> Path:
    return cache_folder() / "studio"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where the studio listens, and how much it gives to one visitor.

    Args:
        host, port: the address; port 0 takes a free one.
        allowed_hosts: other names that the studio answers to, without port. Where others can reach it, it answers to
            every numeric address too.
        password: None asks for none; else whoever comes gives it, by HTTP Basic authentication with any user name.
        root: folder of the visitors' folders; made with mode 0700.
        lifetime_hours: how long an idle visitor's pictures, and a link, are kept.
        max_upload_bytes: of a picture, state or edit file, before it is decoded.
        max_pixels: of a picture, before it is decoded.
        max_visits: visitors with a picture at a time; beyond that the one idle for longest, if for an hour, makes room.
            As many again may have no picture yet; of these the one idle for longest makes room at once.
        max_rows: wishes of one picture.
        max_items: pictures in one visitor's gallery.
        at_once: how many visitors' works run at the same time.
        max_waiting: works that one visitor may have waiting.
        optimize_steps: steps of the method `optimize`; None takes the domain's, or `OPTIMIZE_STEPS` if it names none.
        preview_seconds: a preview is drawn at the largest size that takes no longer.

    Raises:
        OptionError: a value out of range.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    allowed_hosts: tuple[str, ...] = ()
    password: str | None = field(default=None, repr=False)
    root: Path = field(default_factory=_default_root)
    lifetime_hours: float = 24.0
    max_upload_bytes: int = 20 << 20
    max_pixels: int = 50_000_000
    max_visits: int = 500
    max_rows: int = 24
    max_items: int = 48
    at_once: int = 2
    max_waiting: int = 6
    optimize_steps: int | None = None
    preview_seconds: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise OptionError(f"a port is a number from 0 to 65535, not {self.port}")
        object.__setattr__(self, "allowed_hosts", tuple(name.lower().strip("[]") for name in self.allowed_hosts))
        for name in self.allowed_hosts:
            if not _HOST.fullmatch(name):
                raise OptionError(f"an allowed host is a name such as studio.example, without port, not {name[:80]!r}")
        if self.password is not None and len(self.password) < MIN_PASSWORD:
            raise OptionError(f"a password has {MIN_PASSWORD} characters or more")
        if not self.lifetime_hours > 0 or not self.preview_seconds > 0:
            raise OptionError(f"a lifetime is above 0 hours, not {self.lifetime_hours}")
        steps = OPTIMIZE_STEPS if self.optimize_steps is None else self.optimize_steps
        counts = (self.max_upload_bytes, self.max_pixels, self.max_visits, self.max_rows, self.max_items, steps)
        if min(*counts, self.at_once, self.max_waiting) < 1:
            raise OptionError("every limit of the studio is 1 or more")

    @property
    def lifetime(self) -> float:
        """In seconds."""
        return self.lifetime_hours * 3600

    @property
    def is_private(self) -> bool:
        """Whether only this machine can reach the page."""
        return self.host in LOOPBACK
