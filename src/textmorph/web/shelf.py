"""The domains that a studio offers: by name, each loaded once, on first use."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from ..editing.editor import Editor
from ..errors import OptionError
from ..images import resize

PARTS = ("generator", "encoder", "embedder", "identity", "witness", "bank")
"""Loaded when a domain is chosen, in this order, by one thread: networks are not safely loaded by several at once."""

SAME = 0.1
"""Mean difference, in [-1, 1], up to which an early picture counts as the same."""

Tell = Callable[[str, int, int], None]
"""Called with the part that is being loaded, how many are done, and their number."""


class Shelf:
    """Editors by the names that the page shows.

    Args:
        domains: names or folders of domains, or editors.
        device: for those that are loaded here.
        preview_seconds: a preview is drawn at the largest size that takes no longer.

    Raises:
        OptionError: none, or two of one name.
        DomainError: no such domain.
    """

    def __init__(
        self, domains: Sequence[str | Path | Editor], *, device: str | None = None, preview_seconds: float = 0.1
    ) -> None:
        editors = [d if isinstance(d, Editor) else Editor.from_pretrained(d, device=device) for d in domains]
        self._editors = {editor.domain.name: editor for editor in editors}
        if not editors or len(self._editors) < len(editors):
            raise OptionError("a studio needs one domain or more, all of different names")
        self._locks = {name: threading.RLock() for name in self._editors}
        self._previews: dict[str, int] = {}
        self._preview_seconds = preview_seconds

    @property
    def names(self) -> list[str]:
        return list(self._editors)

    def titles(self) -> list[tuple[str, str]]:
        """What the menu shows, and the name it stands for."""
        return [(editor.domain.title or name, name) for name, editor in self._editors.items()]

    def editor(self, name: str, tell: Tell | None = None) -> Editor:
        """An editor, its networks loaded.

        Raises:
            OptionError: it is not offered.
        """
        if name not in self._editors:
            raise OptionError("this domain is not offered here")
        editor = self._editors[name]
        with self._locks[name]:
            for done, part in enumerate(PARTS):
                if tell is not None:
                    tell(part, done, len(PARTS))
                if part != "bank" or editor.domain.has_bank:  # else one is made by the first request that needs it
                    getattr(editor.domain, part)
            if name not in self._previews:
                self._previews[name] = preview_resolution(editor.generator, self._preview_seconds)
        return editor

    def preview_resolution(self, name: str) -> int:
        """Side at which a picture is drawn while a slider moves."""
        self.editor(name)
        return self._previews[name]


@torch.no_grad()
def preview_resolution(generator: Any, seconds: float, *, smallest: int = 32) -> int:
    """The largest side at which this machine draws within this time; else the smallest that shows the same picture.

    A generator that stops at an early layer need not show the picture: some only come to it in the last ones.

    Args:
        generator: measured at one side after the other, each after one drawing to warm up.
        seconds: for one picture.
        smallest: side that is never undercut.
    """
    style = generator.to_space(generator.sample(1, seed=0), "s")
    whole = generator(style).clamp(-1, 1)
    side = int(generator.resolution)
    while min(_seconds(generator, style, side) for _ in range(3)) > seconds and side // 2 >= smallest:
        early = generator(style, resolution=side // 2).clamp(-1, 1)
        if float((early - resize(whole, side // 2, method="area")).abs().mean()) > SAME:
            break
        side //= 2
    return side


def _seconds(generator: Any, style: Any, side: int) -> float:
    started = time.perf_counter()
    generator(style, resolution=side).sum().item()  # waits for a GPU
    return time.perf_counter() - started
