"""The studio: a page on the user's own machine on which pictures are changed with words.

Pure rooms first: `session` (what was wished for, and undo), `visits` (folders, keys, expiry), `turns` (fair waiting),
`studio` (what can be done), `words` (what is said). Gradio stands in `page`, `handlers` and `server` alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .settings import Settings as Settings

if TYPE_CHECKING:
    from .server import build_studio as build_studio
    from .server import launch as launch

_LAZY = {"build_studio": "server", "launch": "server"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LAZY[name]}", __name__), name)
