"""The commands and their order in `textmorph --help`. Each lives in a module beside this one."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import __version__
from . import build, cache, edits, mapper, morphs, pictures, serve, weights

app = typer.Typer(
    help="Edit pictures with words.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def textmorph(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and leave.")
    ] = False,
) -> None:
    """Edit pictures with words."""


EDITING, PICTURES, PARTS = "Edit pictures", "Make pictures", "Networks and their parts"

app.command("demo", rich_help_panel=EDITING)(edits.demo)
app.command("edit", rich_help_panel=EDITING)(edits.edit)
app.command("grid", rich_help_panel=EDITING)(morphs.grid)
app.command("sweep", rich_help_panel=EDITING)(morphs.sweep)
app.command("replay", rich_help_panel=EDITING)(morphs.replay)
app.command("serve", rich_help_panel=EDITING)(serve.serve)
app.command("invert", rich_help_panel=PICTURES)(pictures.invert)
app.command("sample", rich_help_panel=PICTURES)(pictures.sample)
app.command("tune", rich_help_panel=PARTS)(build.tune)
app.add_typer(build.bank_app, name="bank", rich_help_panel=PARTS)
app.add_typer(build.corpus_app, name="corpus", rich_help_panel=PARTS)
app.add_typer(mapper.mapper_app, name="mapper", rich_help_panel=PARTS)
app.add_typer(weights.domains_app, name="domains", rich_help_panel=PARTS)
app.add_typer(cache.domain_app, name="domain", rich_help_panel=PARTS)
app.add_typer(cache.cache_app, name="cache", rich_help_panel=PARTS)
app.command("inspect", rich_help_panel=PARTS)(weights.inspect)
app.command("convert", rich_help_panel=PARTS)(weights.convert)
