"""`serve`: the studio, a page in the browser."""

from __future__ import annotations

import webbrowser
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import MissingExtraError
from .console import busy, command, say, say_warning
from .networks import DEVICE
from .options import DEFAULT_DOMAIN

if TYPE_CHECKING:
    from ..web.server import Address

LIMITS = "Limits"


@command
def serve(
    domain: Annotated[
        list[str] | None,
        typer.Option(
            "--domain",
            "-d",
            help="A folder with domain.toml, or a built-in domain; repeatable, the page then has a menu.",
        ),
    ] = None,
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="0 takes a free one.")] = 7860,
    host: Annotated[
        str,
        typer.Option(help="The address to listen on. Any but this machine's own lets others in: see docs/studio.md."),
    ] = "127.0.0.1",
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-host",
            metavar="NAME",
            help="Another name that the page answers to, such as that of a proxy; repeatable.",
        ),
    ] = None,
    password: Annotated[
        str | None,
        typer.Option(
            envvar="TEXTMORPH_PASSWORD",
            show_envvar=True,
            help="Ask everybody for this password. Better by the variable: a command line can be read by others.",
        ),
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = False,
    lifetime_hours: Annotated[
        float,
        typer.Option(
            min=0.01, help="How long an idle visitor's pictures, and a link, are kept.", rich_help_panel=LIMITS
        ),
    ] = 24.0,
    max_upload: Annotated[
        int, typer.Option(metavar="MB", min=1, help="Largest file taken.", rich_help_panel=LIMITS)
    ] = 20,
    max_megapixels: Annotated[
        int, typer.Option(min=1, max=100, help="Largest picture decoded.", rich_help_panel=LIMITS)
    ] = 50,
    optimize_steps: Annotated[
        int | None,
        typer.Option(
            min=1, max=1000, help="Steps of a request by optimisation. Default: the domain's.", rich_help_panel=LIMITS
        ),
    ] = None,
    folder: Annotated[
        str | None,
        typer.Option(help="Where visitors' files lie. Default: 'studio' in the cache.", rich_help_panel=LIMITS),
    ] = None,
) -> None:
    """Open the studio: change pictures with words in the browser, on this machine alone.

    textmorph serve --open

    textmorph serve --domain faces --domain my-domain/ --port 8000
    """  # fmt: skip
    if find_spec("gradio") is None:
        raise MissingExtraError("the studio needs the extra 'web': pip install 'textmorph[web]'")
    with busy("loading the page"):
        from ..download import cache_folder
        from ..web import Settings
        from ..web.server import build_studio
        from ..web.server import serve as run

        settings = Settings(
            host=host, port=port, lifetime_hours=lifetime_hours, max_upload_bytes=max_upload << 20,
            allowed_hosts=tuple(allowed_host or ()), password=password, optimize_steps=optimize_steps,
            max_pixels=max_megapixels * 1_000_000,
            root=cache_folder() / "studio" if folder is None else Path(folder).expanduser(),
        )  # fmt: skip
        built = build_studio(domain or [DEFAULT_DOMAIN], settings, device=DEVICE.get())

    def ready(address: Address) -> None:
        say(f"The studio is open at {address.url}", style="bold")
        say("  Ctrl-C closes it.")
        if not settings.is_private:
            say_warning(
                "others who reach this machine can use this page, and nothing encrypts what they send; "
                + ("" if password else "set --password, and ")
                + "put a proxy with TLS before it"
            )
        if open_browser:
            webbrowser.open(address.url)

    run(built, ready=ready)
