"""The options that several commands share, and how their texts are read."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from ..editing.domain import DEFAULT_DOMAIN as DEFAULT_DOMAIN
from ..errors import OptionError

REFINED = 100
"""Steps of `--likeness refined`."""

ASKED = "What is asked"
OUTPUT = "Output"
ENGINE = "Who computes"

Domain = Annotated[str, typer.Option("--domain", "-d", help="A folder with domain.toml, or a built-in domain.")]
Photo = Annotated[str, typer.Argument(metavar="PHOTO", help="A picture, or a latent file of 'textmorph invert'.")]
Requests = Annotated[
    list[str],
    typer.Argument(
        metavar="REQUEST...",
        help="WORDS, or FILE of a saved edit, each with an optional :STRENGTH, e.g. 'a smile' glasses:2"
        " beard.safetensors:-1.",
        show_default=False,
    ),
]
Neutral = Annotated[
    str | None, typer.Option(help="What the picture shows already, e.g. 'hair'. Default: the domain's.")
]
Method = Annotated[
    str | None, typer.Option("--method", "-m", help="A method of 'textmorph methods'. Default: the domain's.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE",
        help="A field of the method, e.g. num_channels=20 or threshold=0.15 (the paper's β); repeatable."
        " 'textmorph methods NAME' lists them.",
    ),
]  # fmt: skip
Likeness = Annotated[
    str,
    typer.Option(
        metavar="encoder|refined[:STEPS]",
        help=f"How alike the picture starts: as the encoder sees it, or refined by so many steps ({REFINED}).",
    ),
]
Frame = Annotated[
    str,
    typer.Option(
        metavar="auto|middle|X,Y,SIDE",
        help="Square of the picture: the middle one, or where that is far from the domain, one searched for; or yours.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="For everything that draws random numbers.")]
Truncation = Annotated[
    float | None,
    typer.Option(
        min=0, max=1, help="0 draws the mean picture, 1 the full variety. Default: the domain's.", show_default=False
    ),
]
Out = Annotated[
    str | None,
    typer.Option("--out", "-o", help="File or folder to write; default: beside the input.", rich_help_panel=OUTPUT),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace files that are there already.", rich_help_panel=OUTPUT)
]
Json = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE|-", help="Also the records as JSON; - for stdout.", rich_help_panel=OUTPUT),
]
EngineName = Annotated[
    str,
    typer.Option("--engine", help="process: this machine; ray: a cluster, see docs/jobs.md.", rich_help_panel=ENGINE),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, help="At once; default: this process alone, or all of a cluster.", rich_help_panel=ENGINE
    ),
]
JobFolder = Annotated[
    str | None,
    typer.Option(
        "--job", metavar="FOLDER", rich_help_panel=ENGINE,
        help="Keep the finished parts here. Default: beside the result, while it is made. Killed, the same command"
        " goes on.",
    ),
]  # fmt: skip


def refine_steps(likeness: str) -> int:
    """`--likeness`: the number of refining steps.

    Raises:
        OptionError: something else.
    """
    kind, colon, steps = likeness.partition(":")
    if kind == "encoder" and not colon:
        return 0
    if kind == "refined" and (not colon or steps.isdigit()):
        return int(steps) if colon else REFINED
    raise OptionError(f"--likeness is encoder, refined or refined:STEPS, e.g. refined:200; not {likeness!r}")


def counts(text: str, name: str) -> list[int]:
    """`5,20,50` → numbers from 1.

    Raises:
        OptionError: something else.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and int(part) >= 1 for part in parts):
        raise OptionError(f"--{name} is a list of whole numbers from 1, e.g. 5,20,50; not {text!r}")
    return [int(part) for part in parts]


def layer_limit(text: str) -> int | None:
    """`--max-resolution`: a number of pixels, or `all`.

    Raises:
        OptionError: something else.
    """
    if text != "all" and not text.isdigit():
        raise OptionError(f"--max-resolution is a number of pixels, or 'all'; not {text!r}")
    return None if text == "all" else int(text)


def strength_steps(text: str, *, limit: int = 101) -> list[float]:
    """`-4:8:2` (from, to, step; both ends) or `0,2,4` → numbers.

    Raises:
        OptionError: something else, or more than `limit` of them.
    """
    usage = f"--strengths is FROM:TO:STEP, e.g. --strengths=-4:8:2, or a list such as 0,2,4; not {text!r}"
    separator = ":" if ":" in text else ","
    parts = text.split(separator)
    if not all(is_number(part) for part in parts):
        raise OptionError(usage)
    numbers = [float(part) for part in parts]
    if separator == ",":
        return numbers
    if len(numbers) != 3 or numbers[2] == 0 or (numbers[1] - numbers[0]) * numbers[2] < 0:
        raise OptionError(usage)
    first, last, step = numbers
    num = int((last - first) / step + 1e-6) + 1
    if num > limit:
        raise OptionError(f"--strengths {text!r} has {num} steps; {limit} is the most")
    return [round(first + i * step, 9) for i in range(num)]


def is_number(text: str) -> bool:
    """Whether a text is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
