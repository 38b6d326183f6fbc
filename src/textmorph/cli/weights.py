"""`inspect`, `convert` and `domains`: what a file is, files in our format, and what there is to edit with."""

from __future__ import annotations

import json as jsonlib
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError, OptionError
from ..files import check_output
from . import console
from .console import command, say
from .options import Device, Json, Overwrite

domains_app = typer.Typer(help="List and describe domains.", no_args_is_help=True)

Kind = Annotated[
    str | None, typer.Option(help="e4e, psp or single: for an encoder's file that does not say which it is.")
]


@command
def inspect(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Weights, an edit, a latent, or a picture by textmorph.")],
    kind: Kind = None,
    json: Json = None,
    overwrite: Overwrite = False,
) -> None:
    """Say what a file is: a network of any known format, an edit, a bank, or the record of a picture."""
    quiet = console.check_json(json, overwrite=overwrite)
    path = Path(file).expanduser()
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    if path.suffix.lower() in (*console.PICTURES, *console.MOVING, ".json"):
        from ..editing.record import read_record

        record = read_record(path)
        say(_record_text(path, record), quiet=quiet)
        console.write_json(record, json, overwrite=overwrite)
        return
    from .. import checkpoints

    inspection = checkpoints.inspect(path, kind=kind)
    say(str(inspection), quiet=quiet)
    console.write_json(inspection.to_dict(), json, overwrite=overwrite)


@command
def convert(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Weights in any known format.")],
    out: Annotated[
        str | None, typer.Argument(metavar="OUT", help="A .safetensors file; beside FILE if left out.")
    ] = None,
    kind: Kind = None,
    part: Annotated[str | None, typer.Option(help="Another network in the same file, e.g. generator.")] = None,
    half: Annotated[bool, typer.Option("--half", help="Store half precision: half the size.")] = False,
    rows: Annotated[str | None, typer.Option(help="Of a direction of w: keep these rows, e.g. 0:8.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Convert weights of any known format to ours: safetensors that hold no code and say what they are.

    textmorph convert stylegan2-ffhq-config-f.pkl ffhq.safetensors
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    target = Path(out).expanduser() if out is not None else path.with_suffix(".safetensors")
    if target.suffix != ".safetensors":
        raise OptionError(f"the converted file ends in .safetensors, not {target.name!r}")
    if rows is not None and not re.fullmatch(r"\d{1,3}:\d{1,3}", rows):
        raise OptionError(f"rows are FIRST:END, such as 0:8, not {rows!r}")
    kept = None if rows is None else (int(rows.split(":")[0]), int(rows.split(":")[1]))
    check_output(target, overwrite=overwrite)
    with console.busy("converting"):
        from .. import checkpoints

        checkpoints.convert(path, target, kind=kind, part=part, half=half, rows=kept, overwrite=overwrite)
    say(str(target), style="bold")


@domains_app.command("list")
@command
def list_them() -> None:
    """List the domains inside the package."""
    from ..editing.domain import list_domains, load_domain

    found = list_domains()
    if not found:
        say("no built-in domains; give a folder with domain.toml, see docs/domains.md")
    for name in found:
        say(f"{name}  {load_domain(name).title}".rstrip())


@domains_app.command("describe")
@command
def describe(
    domain: Annotated[str, typer.Argument(metavar="DOMAIN", help="A built-in domain, or a folder.")],
    check: Annotated[bool, typer.Option("--check", help="Also load every part.")] = False,
    device: Device = None,
) -> None:
    """Show what a domain says of itself, and which of its files are there."""
    from ..editing.domain import PARTS, load_domain

    found = load_domain(domain, device=device or "cpu")
    say(found.name + (f": {found.title}" if found.title else ""), style="bold")
    for text in (found.description, f"licence: {found.licence or 'not stated'}", f"folder: {found.folder}"):
        if text:
            say(f"  {text}")
    say(f"  neutral text: {found.neutral}")
    say(f"  templates: {found.templates if isinstance(found.templates, str) else len(found.templates)}")
    for part in PARTS:
        if part not in found.files:
            say(f"  {part}: none")
            continue
        hub = part in ("embedder", "witness") and not (found.folder / found.files[part]).exists()
        if not hub:
            found.path(part)
        say(f"  {part}: {found.files[part]}" + (" (from the hub)" if hub else ""))
        if check:
            with console.busy(f"loading {part}"):
                getattr(found, part)
    if check:
        say("  every part loads, and they fit each other")


def _record_text(path: Path, record: dict[str, Any]) -> str:
    """The record in a few lines; `--json` has all of it."""
    lines = [str(path), f"  {record.get('kind')}, textmorph {record.get('versions', {}).get('textmorph')}"]
    lines += [f"  domain: {record.get('domain', {}).get('name')}", f"  source: {record.get('source', {}).get('name')}"]
    for told in record.get("edits", []):
        name = told.get("prompt") or told.get("file")
        values = jsonlib.dumps(told.get("values", {}))
        lines.append(f"  {told.get('method', 'saved edit')} {name!r}, strength {told.get('strength', '–')}: {values}")
    if record.get("automatic"):
        lines.append(f"  automatic strength: {record['automatic'].get('reason')}")
    for name, value in record.get("scores", {}).items():
        if value is not None:
            lines.append(f"  {name.replace('_', ' ')}: {value:.4f}")
    lines += [f"  {part}: {value}" for part, value in record.get("fingerprints", {}).items() if value]
    lines += [f"  warning: {warning}" for warning in record.get("warnings", [])]
    return "\n".join(lines)
