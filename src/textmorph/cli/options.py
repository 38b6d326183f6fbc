"""The options that several commands share, and the table of those that belong to one method.

Names are the fields of the methods (`num_channels` → `--num-channels`); a test holds the table to them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from ..errors import OptionError

SEPARATOR = "\x1f"
"""Joins the two values of `--also` between `main` and `also_pairs`: typer options take one value each."""

PAIRED = ("--also",)
KEYWORD_ONLY = inspect.Parameter.KEYWORD_ONLY


@dataclass(frozen=True)
class MethodOption:
    """One field of one or several methods, as an option."""

    name: str
    kind: type
    methods: tuple[str, ...]
    help: str
    parser: Callable[[str], Any] | None = None


def layer_limit(text: str) -> int | str:
    """`--max-resolution`: a number of pixels, or `all`."""
    if text == "all":
        return text
    if not text.isdigit():
        raise typer.BadParameter("a number of pixels, or 'all'")
    return int(text)


SELECTING = ("global", "svm")

OUTPUT = "Output"
NETWORKS = "Networks"
ENGINE = "Who computes"
PANELS = {
    SELECTING: "Of the methods global and svm",
    ("svm",): "Of the method svm",
    ("optimize",): "Of the method optimize",
    (*SELECTING, "optimize"): "Of every method",
}
"""Headings of `--help`."""

METHOD_OPTIONS = (
    MethodOption("threshold", float, SELECTING, "Drop channels of smaller relevance, instead of counting channels."),
    MethodOption("relevance", str, SELECTING, "'cosine', or 'consistent': also by how alike a channel acts."),
    MethodOption("max_resolution", str, SELECTING, "Finest layers edited, in pixels, or 'all'.", layer_limit),
    MethodOption("bank", str, SELECTING, "How channels are known: 'auto', 'build', 'screen' or 'none'; docs/banks.md."),
    MethodOption(
        "towards",
        str,
        SELECTING,
        "With --space w: 'shift', one step for all; 'exemplars', to where such pictures lie; 'either'.",
    ),
    MethodOption(
        "num_exemplars",
        int,
        (*SELECTING, "optimize"),
        "Pictures of the corpus that 'exemplars' goes by; for optimize a second start.",
    ),
    MethodOption("regularization", float, ("svm",), "C of the SVM."),
    MethodOption("num_positives", int, ("svm",), "Images retrieved for the text."),
    MethodOption("num_negatives", int, ("svm",), "Images retrieved against it."),
    MethodOption("negatives", str, ("svm",), "'farthest' from the text, or 'random' others."),
    MethodOption("query", str, ("svm",), "'plain', the text as it is, or 'ensemble', in the domain's templates."),
    MethodOption("steps", int, ("optimize",), "Optimisation steps."),
    MethodOption("learning_rate", float, ("optimize",), "Learning rate on the plateau."),
    MethodOption("rampup", float, ("optimize",), "Share of the steps in which it rises."),
    MethodOption("rampdown", float, ("optimize",), "Share of the steps in which it falls."),
    MethodOption("latent_l2", float, ("optimize",), "Weight of the distance to the start."),
    MethodOption("identity", float, ("optimize",), "Weight of the identity loss, e.g. 0.005."),
    MethodOption("sideways", float, ("optimize",), "Weight of what else changes, as CLIP sees it, e.g. 0.3."),
    MethodOption("axes", str, ("optimize",), "Of the steps: 'own', or 'principal' or 'independent' axes of w."),
    MethodOption("head_start", float, ("optimize",), "Length of a first step that the corpus suggests, e.g. 4."),
    MethodOption("shrinkage", float, ("optimize",), "Share of each step that every coordinate goes back, e.g. 0.5."),
    MethodOption("second_moment", str, ("optimize",), "Adam's, per 'coordinate', or one for each 'row'."),
    MethodOption("latent_noise", float, ("optimize",), "Random steps to look from, fading, e.g. 1 along axes of w."),
    MethodOption("resolution", int, ("optimize",), "Side of the image that CLIP sees."),
    MethodOption("patience", int, ("optimize",), "Stop early after so many steps without a gain on held-out views."),
    MethodOption("num_views", int, ("optimize",), "Held-out views for that."),
    MethodOption(
        "space",
        str,
        (*SELECTING, "optimize"),
        "What is moved: 's', style channels; 'w', all rows of w+ at once; and for optimize 'w+'. See docs/methods.md.",
    ),
    MethodOption(
        "precision",
        str,
        (*SELECTING, "optimize"),
        "Of a search, or of channels without a bank: 'bfloat16' is faster.",
    ),
    MethodOption(
        "to_rgb", bool, (*SELECTING, "optimize"), "Also the layers that only add colour. Default: the domain's."
    ),
)
"""In the order of `--help`. `num_channels`, `seed` and `neutral` are options of the commands themselves."""

Domain = Annotated[
    str,
    typer.Option("--domain", "-d", help="A folder with domain.toml, or a built-in domain.", rich_help_panel=NETWORKS),
]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda, …; default: a GPU where there is one.", rich_help_panel=NETWORKS)
]
Photo = Annotated[str, typer.Argument(metavar="PHOTO", help="A picture, or a latent file of 'textmorph invert'.")]
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
Seed = Annotated[int, typer.Option(min=0, help="For everything that draws random numbers.")]
Neutral = Annotated[
    str | None, typer.Option(help="What the picture shows already, e.g. 'hair'. Default: the domain's.")
]
Method = Annotated[str, typer.Option(help="global, svm or optimize; see docs/cli.md.")]
Refine = Annotated[int, typer.Option(min=0, help="Optimisation steps after the encoder, for a closer likeness.")]
Crop = Annotated[
    str,
    typer.Option(
        metavar="auto|middle|X,Y,SIZE",
        help="Square of the picture: the middle one, or where that is far from the domain, one searched for; or yours.",
    ),
]
Also = Annotated[
    list[str] | None,
    typer.Option("--also", metavar="TEXT STRENGTH", help="One more wish, with its strength; repeatable."),
]
Edits = Annotated[
    list[str] | None,
    typer.Option("--edit", metavar="FILE[:STRENGTH]", help="A saved edit, direction or mapper; repeatable."),
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


def join_pairs(arguments: list[str]) -> list[str]:
    """Join the two values after each `--also`, so that `--also TEXT STRENGTH` is one value to the parser."""
    joined: list[str] = []
    rest = iter(enumerate(arguments))
    for i, argument in rest:
        joined.append(argument)
        if argument == "--":
            return joined + arguments[i + 1 :]
        if argument in PAIRED and i + 2 < len(arguments) and _is_number(arguments[i + 2]):
            joined.append(arguments[i + 1] + SEPARATOR + arguments[i + 2])
            next(rest)
            next(rest)
    return joined


def also_pairs(values: list[str] | None) -> list[tuple[str, float]]:
    """The wishes of `--also`.

    Raises:
        OptionError: a text without its strength.
    """
    pairs: list[tuple[str, float]] = []
    for value in values or []:
        text, separator, strength = value.partition(SEPARATOR)
        if not separator:
            raise OptionError(f'--also takes a text and a strength, e.g. --also "glasses" 3; got only {value!r}')
        pairs.append((text, float(strength)))
    return pairs


def saved_edits(values: list[str] | None) -> list[tuple[str, float]]:
    """The files of `--edit`, each with its strength; 1 where none is given."""
    pairs: list[tuple[str, float]] = []
    for value in values or []:
        file, separator, strength = value.rpartition(":")
        pairs.append((file, float(strength)) if separator and _is_number(strength) else (value, 1.0))
    return pairs


def number_or_auto(text: str, name: str) -> Any:
    """A number, or `auto`.

    Raises:
        OptionError: it is neither.
    """
    if text == "auto":
        return text
    if not _is_number(text):
        raise OptionError(f"--{name} is a number or 'auto', not {text!r}")
    return float(text)


def count_or_auto(text: str | None) -> Any:
    """`--num-channels`: a whole number, `auto`, or nothing.

    Raises:
        OptionError: it is none of these.
    """
    if text is None or text == "auto":
        return text
    return counts(text)[0] if text.isdigit() else _refuse_count(text)


def counts(text: str) -> list[int]:
    """`5,20,50` → numbers of channels.

    Raises:
        OptionError: something else.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and int(part) >= 1 for part in parts):
        _refuse_count(text)
    return [int(part) for part in parts]


def strength_steps(text: str, *, limit: int = 101) -> list[float]:
    """`-4:8:2` (from, to, step; both ends) or `0,2,4` → strengths.

    Raises:
        OptionError: something else, or more than `limit` of them.
    """
    usage = f"--strengths is FROM:TO:STEP, e.g. --strengths=-4:8:2, or a list such as 0,2,4; not {text!r}"
    separator = ":" if ":" in text else ","
    parts = text.split(separator)
    if not all(_is_number(part) for part in parts):
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


def with_method_options(*methods: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command, in place of its parameter `method_options`, one option per field of these methods (or of all).

    The command gets those that were given, as a dict of fields.
    """
    rows = [row for row in METHOD_OPTIONS if not methods or set(methods) & set(row.methods)]

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(function, eval_str=True)
        own = [p for p in signature.parameters.values() if p.name != "method_options"]
        added = [inspect.Parameter(r.name, KEYWORD_ONLY, default=None, annotation=_annotation(r)) for r in rows]

        @functools.wraps(function)
        def with_options(**values: Any) -> Any:
            given = {row.name: values.pop(row.name) for row in rows}
            fields = {name: None if value == "all" else value for name, value in given.items() if value is not None}
            return function(**values, method_options=fields)

        del with_options.__wrapped__
        parameters = [p.replace(kind=KEYWORD_ONLY) for p in own] + added
        with_options.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        with_options.__annotations__ = {p.name: p.annotation for p in parameters}
        return with_options

    return decorate


def _annotation(row: MethodOption) -> Any:
    name = row.name.replace("_", "-")
    flags = (f"--{name}/--no-{name}",) if row.kind is bool else ()
    panel = PANELS[row.methods]
    return Annotated[
        row.kind | None,
        typer.Option(*flags, help=row.help, rich_help_panel=panel, parser=row.parser, show_default=False),
    ]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _refuse_count(text: str) -> Any:
    raise OptionError(f"--num-channels is a whole number from 1 (a list of them for grid), or 'auto'; not {text!r}")
