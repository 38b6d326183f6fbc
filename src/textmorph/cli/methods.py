"""`methods` and `--set`: what every method is, and its fields, read from its source, so that torch is not loaded."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import MISSING, dataclass
from functools import reduce
from importlib.util import find_spec
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ..errors import OptionError
from ..fields import described, fits
from ..methods import METHODS
from .console import command, say

VERBS = ("find", "train", "paint")
PLAIN = {"bool": bool, "int": int, "float": float, "str": str}


@dataclass(frozen=True)
class Field:
    """One field of a method; `kind` is its type, and `default` is MISSING where there is none."""

    name: str
    kind: Any
    help: str
    default: Any

    @property
    def text(self) -> str:
        """The field in one line: what it takes, and its default."""
        usual = "" if self.default is MISSING else f" [default: {as_text(self.default)}]"
        return f"{described(self.kind)}{usual}"


@dataclass(frozen=True)
class Method:
    """What the source of a method says of it.

    Args:
        networks: that its verb takes first, such as `generator`.
        parameters: that its verb takes by keyword.
    """

    name: str
    summary: str
    verb: str
    networks: tuple[str, ...]
    parameters: tuple[str, ...]
    fields: tuple[Field, ...]


def describe_method(name: str) -> Method:
    """Read a method's source.

    Raises:
        OptionError: no such method.
    """
    if name not in METHODS:
        raise OptionError(f"there is no method {name!r}; the methods are: {', '.join(METHODS)}")
    module, _, attribute = METHODS[name].partition(":")
    source = Source(module)
    body = source.classes[attribute].body
    functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
    verb = next(verb for verb in VERBS if verb in functions)
    own = [node for node in body if isinstance(node, ast.AnnAssign)]
    return Method(
        name=name,
        summary=(ast.get_docstring(source.classes[attribute]) or "").partition("\n")[0],
        verb=verb,
        networks=tuple(argument.arg for argument in functions[verb].args.args[1:]),
        parameters=tuple(argument.arg for argument in functions[verb].args.kwonlyargs),
        fields=tuple(source.field(node) for node in own),
    )


def method_with(verb: str, name: str | None) -> Method:
    """The method of a name, or the first that has a verb.

    Raises:
        OptionError: no method has it, or this one has another.
    """
    known = [method for method in map(describe_method, METHODS) if method.verb == verb]
    found = [method for method in known if name in (None, method.name)]
    if not found:
        names = ", ".join(method.name for method in known) or "none in this version"
        raise OptionError(f"methods that {verb}: {names}" + (f"; not {name!r}" if name else ""))
    return found[0]


def parse_fields(name: str, settings: list[str] | None) -> dict[str, Any]:
    """The values of `--set NAME=VALUE`, typed as the fields of the method are.

    Raises:
        OptionError: no such method or field, a value of another kind, or one given twice.
    """
    fields = {field.name: field for field in describe_method(name).fields}
    values: dict[str, Any] = {}
    for setting in settings or []:
        key, equals, text = setting.partition("=")
        key = key.strip().replace("-", "_")
        if not equals:
            raise OptionError(f"--set takes NAME=VALUE, e.g. --set {next(iter(fields))}=…; not {setting!r}")
        if key not in fields:
            close = difflib.get_close_matches(key, fields, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise OptionError(f"the method {name!r} has no {key!r}; {hint}`textmorph methods {name}` lists its fields")
        if key in values:
            raise OptionError(f"--set {key} is given twice")
        values[key] = parse_value(fields[key], text.strip())
    return values


def parse_value(field: Field, text: str) -> Any:
    """The value of a field that a text stands for; `none` is None, and commas part the entries of a list.

    Raises:
        OptionError: it is of another kind.
    """
    for value in _readings(text):
        if fits(field.kind, value):
            return value
    raise OptionError(f"{field.name} is {described(field.kind)}, not {text!r}")


def _readings(text: str) -> Iterator[Any]:
    """Everything that a text may stand for, the narrowest first."""
    words = {"none": None, "true": True, "false": False, "yes": True, "no": False}
    if text.lower() in words:
        yield words[text.lower()]
    for number in (int, float):
        with suppress(ValueError):
            yield number(text)
    yield text
    entries = [part.strip() for part in text.split(",") if part.strip()]
    for kind in (int, float, str):
        with suppress(ValueError):
            yield tuple(map(kind, entries))


def as_text(value: Any) -> str:
    """A value as `--set` takes it."""
    if isinstance(value, tuple):
        return ",".join(map(as_text, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


@command
def list_methods(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One method, with all its fields.")] = None,
) -> None:
    """List the methods, or the fields of one, which --set takes.

    textmorph methods global
    """
    if name is None:
        for each in map(describe_method, METHODS):
            say(f"{each.name:12} {each.verb:5} {each.summary}")
        say("`textmorph methods NAME` lists the fields of one, which --set NAME=VALUE takes.", style="dim")
        return
    method = describe_method(name)
    say(method.summary, style="bold")
    for field in method.fields:
        say(f"  {field.name:16} {field.help}")
        say(f"  {'':16} {field.text}", style="dim")


class Source:
    """The source of a module: its classes, and what its names for types stand for."""

    def __init__(self, module: str) -> None:
        found = find_spec(module)
        assert found is not None
        assert found.origin is not None
        self.module = module
        self.tree = ast.parse(Path(found.origin).read_text(encoding="utf-8"))
        self.classes = {node.name: node for node in self.tree.body if isinstance(node, ast.ClassDef)}

    def field(self, node: ast.AnnAssign) -> Field:
        """A field: `name: Annotated[kind, "help"] = default`."""
        assert isinstance(node.target, ast.Name)
        kind, help = node.annotation, ""
        if isinstance(kind, ast.Subscript) and ast.unparse(kind.value) == "Annotated":
            parts = kind.slice
            assert isinstance(parts, ast.Tuple)
            kind, help = parts.elts[0], ast.literal_eval(parts.elts[1])
        default = MISSING if node.value is None else ast.literal_eval(node.value)
        return Field(node.target.id, self.kind(kind), help, default)

    def kind(self, node: ast.expr) -> Any:
        """The type that an annotation stands for."""
        if isinstance(node, ast.Name):
            return PLAIN.get(node.id) or self._alias(node.id)
        if isinstance(node, ast.BinOp):
            return reduce(or_, (self.kind(node.left), self.kind(node.right)))
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal":
            return Literal[ast.literal_eval(node.slice)]
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple):  # tuple[kind, ...]
            return tuple[self.kind(node.slice.elts[0]), ...]  # type: ignore[misc]
        return ast.literal_eval(node)  # None

    def _alias(self, name: str) -> Any:
        """What a name for a type stands for, here or in the module that it is imported from."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Assign) and [ast.unparse(each) for each in node.targets] == [name]:
                return self.kind(node.value)
            if isinstance(node, ast.ImportFrom) and name in [each.asname or each.name for each in node.names]:
                package = self.module.rsplit(".", node.level)[0] + "." if node.level else ""
                return Source(f"{package}{node.module}")._alias(name)
        raise LookupError(f"{self.module} does not say what {name} is")
