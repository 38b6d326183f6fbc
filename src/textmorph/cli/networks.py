"""Networks, loaded before the eyes of whoever waits for them."""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import OptionError
from . import console
from .console import busy, say
from .options import is_number

if TYPE_CHECKING:
    from ..editing.domain import Domain
    from ..editing.editor import Editor
    from ..editing.request import Requests

EDITING = ("generator", "encoder", "embedder", "identity")
"""Parts of a domain that every edit needs."""

DEVICE: ContextVar[str | None] = ContextVar("device", default=None)
"""That of `textmorph --device`; None leaves it open."""


def load_networks(domain: str, parts: tuple[str, ...]) -> Domain:
    """A domain with some of its parts loaded."""
    console.load_torch()
    import torch

    from ..editing.domain import load_domain

    with busy("loading") as show:
        device = DEVICE.get() or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            torch.empty(1, device=device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).partition("\n")[0]
            raise OptionError(f"--device {device!r} cannot be used on this machine: {reason}") from error
        found = load_domain(domain, device=device)
        for part in parts:
            show(f"loading the {part}")
            getattr(found, part)
    return found


def load_editor(domain: str) -> Editor:
    """An editor with the networks that every edit needs."""
    found = load_networks(domain, EDITING)
    from ..editing.editor import Editor

    return Editor(found)


def ready_editor(
    domain: str,
    requests: list[str],
    *,
    strength: str = "auto",
    keep_identity: float | None = None,
    quiet: bool = False,
    **asked: Any,
) -> tuple[Editor, Requests]:
    """An editor with everything loaded that some requests need, and these requests, checked; says how long it took.

    Args:
        requests: as they were typed.
        strength, keep_identity: options of these names.
        asked: more arguments of `Editor.check`.
    """
    from ..editing.request import parse_request

    typed = [what if own is None else (what, own) for what, own in map(parse_request, requests)]
    amount: Any = strength if strength == "auto" else _strength(strength, keep_identity)
    started = time.perf_counter()
    editor = load_editor(domain)
    if keep_identity is not None:
        amount = replace(editor.domain.search, keep_identity=keep_identity)
    agreed = editor.check(typed, strength=amount, **asked)
    load_inputs(editor.domain, agreed)
    say(f"loaded in {time.perf_counter() - started:.1f} s", style="dim", quiet=quiet)
    return editor, agreed


def load_inputs(domain: Domain, requests: Requests) -> None:
    """Load what the methods of these requests take; a channel bank is made where there is none."""
    if any(request.uses("bank") for request in requests.items):
        if domain.has_bank:
            with busy("loading the channel bank"):
                domain.load_bank()
        else:
            with console.progress_bar("making the channel bank, once") as show:
                domain.load_bank(show)
    if any(request.uses("corpus") for request in requests.items):
        with busy("loading the corpus"):
            _ = domain.corpus


def _strength(text: str, keep_identity: float | None) -> float:
    if not is_number(text):
        raise OptionError(f"--strength is a number or 'auto', not {text!r}")
    if keep_identity is not None:
        raise OptionError("--keep-identity steers automatic strength; leave it or --strength out")
    return float(text)
