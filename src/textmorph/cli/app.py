"""The commands and their order in `textmorph --help`, and the options of `textmorph` itself."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from .. import __version__
from . import build, domains, edit, evaluate, methods, pictures, series, serve, train, weights
from .networks import DEVICE

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


def _set_device(name: str | None) -> None:
    DEVICE.set(name)


def _set_threads(number: int | None) -> None:
    """For this process and those that it starts; torch reads the variable when it is loaded."""
    if number is not None:
        os.environ["OMP_NUM_THREADS"] = str(number)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(number)


def _set_offline(wanted: bool) -> None:
    if wanted:
        os.environ["TEXTMORPH_OFFLINE"] = os.environ["HF_HUB_OFFLINE"] = "1"


@app.callback()
def textmorph(
    device: Annotated[
        str | None,
        typer.Option(
            callback=_set_device, help="Where networks compute: cpu, cuda, …; default: a GPU where there is one."
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, callback=_set_threads, help="CPU threads; default: one for each core.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", callback=_set_offline, help="Fetch nothing; use what is here already.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and leave.")
    ] = False,
) -> None:
    """Edit pictures with words.

    textmorph --device cpu edit me.png "a smile"
    """


EDITING, PICTURES, PARTS = "Edit pictures", "Make pictures", "Methods, networks and their parts"

app.command("demo", rich_help_panel=EDITING)(edit.demo)
app.command("edit", rich_help_panel=EDITING)(edit.edit)
app.command("grid", rich_help_panel=EDITING)(series.grid)
app.command("morph", rich_help_panel=EDITING)(series.morph)
app.command("replay", rich_help_panel=EDITING)(series.replay)
app.command("serve", rich_help_panel=EDITING)(serve.serve)
app.command("invert", rich_help_panel=PICTURES)(pictures.invert)
app.command("sample", rich_help_panel=PICTURES)(pictures.sample)
app.command("paint", rich_help_panel=PICTURES)(pictures.paint)
app.command("methods", rich_help_panel=PARTS)(methods.list_methods)
app.command("train", rich_help_panel=PARTS)(train.train)
app.add_typer(evaluate.evaluate_app, name="evaluate", rich_help_panel=PARTS)
app.add_typer(build.bank_app, name="bank", rich_help_panel=PARTS)
app.add_typer(build.corpus_app, name="corpus", rich_help_panel=PARTS)
app.add_typer(domains.domain_app, name="domain", rich_help_panel=PARTS)
app.add_typer(domains.cache_app, name="cache", rich_help_panel=PARTS)
app.command("inspect", rich_help_panel=PARTS)(weights.inspect)
app.command("convert", rich_help_panel=PARTS)(weights.convert)
