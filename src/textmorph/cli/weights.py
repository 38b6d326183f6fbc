"""`inspect` and `convert`: what a file is, and files in our format."""

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
from .options import Json, Overwrite

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
    console.load_torch()
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


def _record_text(path: Path, record: dict[str, Any]) -> str:
    """The record in a few lines; `--json` has all of it."""
    lines = [str(path), f"  {record.get('kind')}, textmorph {record.get('versions', {}).get('textmorph')}"]
    lines += [f"  domain: {record.get('domain', {}).get('name')}", f"  source: {record.get('source', {}).get('name')}"]
    for edit in record.get("edits", []):
        name = edit.get("prompt") or edit.get("file")
        values = jsonlib.dumps(edit.get("values", {}))
        lines.append(f"  {edit.get('method', 'saved edit')} {name!r}, strength {edit.get('strength', '–')}: {values}")
        if edit.get("automatic"):
            lines.append(f"    automatic strength: {edit['automatic'].get('reason')}")
    for name, value in record.get("scores", {}).items():
        if value is not None:
            lines.append(f"  {name.replace('_', ' ')}: {value:.4f}")
    lines += [f"  {part}: {value}" for part, value in record.get("fingerprints", {}).items() if value]
    lines += [f"  warning: {warning}" for warning in record.get("warnings", [])]
    return "\n".join(lines)
