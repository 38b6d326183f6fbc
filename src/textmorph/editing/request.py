"""Requests: what is asked of a photo, checked before any photo is touched, and as JSON."""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..errors import DomainError, InputError, OptionError
from ..fields import check_fields, shown
from ..files import file_sha256
from ..methods import METHODS, method_class
from .strength import StrengthSearch

if TYPE_CHECKING:
    from ..corpora.corpus import Corpus
    from ..edits import Edit
    from .domain import Domain
    from .photos import FrameChoice

SAVED = (".safetensors", ".pt")
"""Endings of files that hold a saved edit."""
_STRENGTH = re.compile(r"(?P<what>.*\S)\s*:\s*(?P<strength>auto|[+-]?(\d+\.?\d*|\.\d+))\s*", re.DOTALL)


def parse_request(text: str) -> tuple[str, float | None]:
    """Read a request as it is typed: `WORDS` or `FILE` of a saved edit, each with an optional `:STRENGTH`.

    Returns:
        The words or the file, and the strength; None where it is left out or `auto`.

    Raises:
        OptionError: nothing is asked.
    """
    found = _STRENGTH.fullmatch(text)
    what, strength = (found["what"], found["strength"]) if found else (text, "auto")
    if not what.strip():
        raise OptionError("this request is empty; give words or a saved edit, such as 'a smile:2' or beard.safetensors")
    return what.strip(), None if strength == "auto" else float(strength)


def is_saved_edit(what: str) -> bool:
    """Whether a request names the file of a saved edit."""
    return what.lower().endswith(SAVED)


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """One thing asked of a photo: a text for a method, or a saved edit.

    Args:
        prompt: the text; None for a saved edit.
        neutral: what the text is measured against; None where the method takes none.
        method: the method object, `method_name` its name in the table of methods.
        open_channels: whether automatic strength may also choose the number of channels.
        edit: the saved edit, from `file` with this `sha256`; both None for an edit that was in no file.
        strength: None is automatic.
    """

    prompt: str | None = None
    neutral: str | None = None
    method_name: str | None = None
    method: Any = None
    open_channels: bool = False
    edit: Edit | None = None
    file: str | None = None
    sha256: str | None = None
    strength: float | None = None

    @property
    def json(self) -> dict[str, Any]:
        """The request as JSON."""
        if self.edit is not None:
            about: dict[str, Any] = {
                "kind": "saved",
                "file": self.file,
                "sha256": self.sha256,
                "provenance": self.edit.provenance,
            }
        else:
            about = {
                "kind": "text",
                "prompt": self.prompt,
                "neutral": self.neutral,
                "method": self.method_name,
                "values": asdict(self.method),
                "open_channels": self.open_channels,
            }
        return _plain({**about, "strength": self.strength})

    @staticmethod
    def from_json(domain: Domain, values: Mapping[str, Any]) -> Request:
        """The request of such JSON.

        Raises:
            InputError: it is damaged, or its saved edit was in no file, or the file is missing or altered.
            OptionError: a value that its method does not take.
        """
        strength = values.get("strength")
        if values.get("kind") == "text" and isinstance(values.get("values"), dict):
            name, fields = str(values.get("method")), values["values"]
            cls = method_class(name)
            _check_values(cls, name, fields)
            method = cls(**{key: tuple(each) if isinstance(each, list) else each for key, each in fields.items()})
            request = make_request(
                domain, str(values.get("prompt")), strength=strength, method=method, neutral=values.get("neutral")
            )
            return replace(request, open_channels=bool(values.get("open_channels", False)))
        if values.get("kind") != "saved":
            raise InputError("this request is damaged: it is neither a text for a method nor a saved edit")
        file = values.get("file")
        if file is None:
            raise InputError("this picture was made with an edit that was in no file; it cannot be made again")
        if not os.path.isfile(file):
            raise InputError(f"this picture was made with the edit {file}, which is missing")
        if file_sha256(file) != values.get("sha256"):
            raise InputError(f"this picture was made with the edit {file}, which has changed since")
        return make_request(domain, Path(file), strength=strength)

    @property
    def target(self) -> str | None:
        """The text that the effect is measured by; None for a saved edit that names none."""
        if self.edit is None:
            return self.prompt
        target = self.edit.provenance.get("target")
        return target if isinstance(target, str) and target else None

    @property
    def per_picture(self) -> bool:
        """Whether the edit is found for one latent, so that no other picture shares it."""
        return self.uses("latent")

    def uses(self, part: str) -> bool:
        """Whether the method takes this input: `bank`, `corpus`, `templates`, `identity_embedder`, `latent`, …"""
        return part in self._parameters

    def variants(self, search: StrengthSearch) -> list[Request]:
        """The requests that automatic strength tries: one for each number of channels, where it is open."""
        if not self.open_channels:
            return [self]
        return [replace(self, method=method) for method in self.method.variants(search.num_channels)]

    @property
    def num_channels(self) -> int | None:
        """How many channels the method selects; None where it selects by a threshold, or none."""
        return cast("int | None", getattr(self.method, "num_channels", None))

    @cached_property
    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        if self.method is None:
            return {}
        unused = getattr(self.method, "unused", ())
        taken = inspect.signature(self.method.find).parameters
        return {name: parameter for name, parameter in taken.items() if name not in unused}

    def inputs(self, domain: Domain, progress: Any = None) -> dict[str, Any]:
        """The parts of a domain that the method's `find` takes.

        Raises:
            DomainError: the domain lacks one of them.
        """
        offers: dict[str, Callable[[], Any]] = {
            "neutral": lambda: self.neutral,
            "templates": lambda: None if domain.templates == "imagenet" else domain.sentences,
            "bank": lambda: domain.load_bank(progress),
            "corpus": lambda: picture_corpus(domain),
            "identity_embedder": lambda: domain.identity,
        }
        return {name: offer() for name, offer in offers.items() if self.uses(name)}


def make_request(
    domain: Domain,
    what: Any,
    *,
    strength: float | None = None,
    method: Any = None,
    values: Mapping[str, Any] | None = None,
    neutral: str | None = None,
    seed: int = 0,
) -> Request:
    """Check one request.

    Args:
        what: a text, a saved edit, or the path of one.
        strength: None is automatic.
        method: name or object; None takes the domain's. An object is taken as it is. A name takes the domain's table
            for it, and leaves the number of channels to automatic strength.
        values: further fields of a method that is given by name.
        neutral: None takes the domain's, where the method takes one.
        seed: for a method, given by name, that draws random numbers.

    Raises:
        PromptError: an empty or over-long text.
        OptionError: a value out of range, or one that does not belong here.
        InputError: there is no such saved edit; EditError, CheckpointError: it cannot be read.
    """
    strength = None if strength is None else _finite(strength)
    if not isinstance(what, str) or is_saved_edit(what):
        return _saved(what, strength)
    from ..prompts import check_prompt

    name, taken, is_open = _method(domain, method, values, seed)
    if not hasattr(taken, "find"):
        raise OptionError(f"the method {name!r} finds no edit of a photo; train it, and use the edit that it saves")
    request = Request(
        prompt=check_prompt(what), method_name=name, method=taken, open_channels=is_open, strength=strength
    )
    if request.uses("neutral"):
        return replace(request, neutral=check_prompt(neutral if neutral is not None else domain.neutral))
    if neutral is not None:
        raise OptionError(f"the method {name!r} takes no neutral text; leave it out")
    return request


def make_method(domain: Domain, name: str, values: Mapping[str, Any] | None = None, *, seed: int = 0) -> Any:
    """A method by its name: fields as given, else from the domain's table, else its own.

    Raises:
        DomainError: the domain's table names something that is no field of it.
        OptionError: no such method, no such field, or a value out of range.
    """
    cls = method_class(name)
    known = {field.name for field in dataclasses.fields(cls)}
    table, given = dict(domain.tables.get(name, {})), dict(values or {})
    if unknown := sorted(table.keys() - known):
        raise DomainError(f"{domain.folder / 'domain.toml'}: [{name}] has no {', '.join(unknown)}")
    _check_values(cls, name, given)
    if given.keys() & {"threshold", "num_channels"}:  # either replaces the other
        table = {key: value for key, value in table.items() if key not in ("threshold", "num_channels")}
    if "seed" in known:
        table.setdefault("seed", seed)
    filled = {key: tuple(value) if isinstance(value, list) else value for key, value in (table | given).items()}
    check_fields(cls, filled)
    return cls(**filled)


@dataclass(frozen=True, kw_only=True, eq=False)
class Requests:
    """Everything asked of one photo, checked.

    Args:
        items: the requests, in order.
        search: for those of automatic strength.
        refine: optimisation steps after the encoder.
        seed: for methods that draw random numbers.
        frame: which square of the photo, see `photos.parse_frame`.
    """

    items: tuple[Request, ...]
    search: StrengthSearch
    refine: int = 0
    seed: int = 0
    frame: FrameChoice = "auto"

    @property
    def json(self) -> dict[str, Any]:
        """The requests as JSON; two that are equal do the same."""
        settings = {"search": asdict(self.search), "refine": self.refine, "seed": self.seed, "frame": self.frame}
        return {"requests": [item.json for item in self.items], **_plain(settings)}

    @staticmethod
    def from_json(domain: Domain, values: Mapping[str, Any]) -> Requests:
        """The requests of such JSON; errors as in `Request.from_json`."""
        return make_requests(
            domain,
            [Request.from_json(domain, each) for each in values["requests"]],
            strength=StrengthSearch(**values["search"]),
            **{name: values[name] for name in ("refine", "seed", "frame")},
        )

    @property
    def main(self) -> Request:
        """The first."""
        return self.items[0]

    def uses(self, part: str) -> bool:
        """Whether one of them takes this input, see `Request.uses`."""
        return any(item.uses(part) for item in self.items)


def make_requests(
    domain: Domain,
    requests: Any,
    *,
    method: Any = None,
    values: Mapping[str, Any] | None = None,
    strength: Any = "auto",
    neutral: str | None = None,
    refine: int = 0,
    seed: int = 0,
    frame: Any = "auto",
) -> Requests:
    """Check everything that is asked of a photo; arguments as in `Editor.edit` and `make_request`.

    Raises:
        InputError: as in `make_request`; or nothing is asked, or a saved edit is given neither strength nor text.
    """
    from .photos import parse_frame

    if strength != "auto" and not isinstance(strength, StrengthSearch) and not _is_number(strength):
        raise OptionError(f"strength is 'auto', a number or a StrengthSearch, not {strength!r}")
    if isinstance(refine, bool) or not isinstance(refine, int) or refine < 0:
        raise OptionError(f"refine is a number of steps from 0, not {refine!r}")
    usual = float(strength) if _is_number(strength) else None
    items: list[Request] = []
    for each in requests if isinstance(requests, list) else [requests]:
        what, own = each if isinstance(each, tuple) and len(each) == 2 else (each, None)
        own = usual if own is None else own
        if isinstance(what, Request):
            items.append(what if what.strength is not None or own is None else replace(what, strength=_finite(own)))
        else:
            saved = not isinstance(what, str) or is_saved_edit(what)
            options = {} if saved else {"method": method, "values": values, "neutral": neutral, "seed": seed}
            items.append(make_request(domain, what, strength=own, **options))
    if not items:
        raise OptionError("nothing to do: give a text or a saved edit")
    for item in items:
        if item.strength is None and item.target is None:
            raise OptionError(
                f"{item.file or 'this saved edit'} names no text to search its strength by; give a strength"
            )
    search = strength if isinstance(strength, StrengthSearch) else domain.search
    return Requests(items=tuple(items), search=search, refine=refine, seed=seed, frame=parse_frame(frame))


def picture_corpus(domain: Domain) -> Corpus:
    """The corpus of a domain.

    Raises:
        DomainError: there is none.
    """
    if domain.corpus is None:
        raise DomainError(
            f"domain {domain.name!r} has no corpus yet; build it once with: "
            f"textmorph corpus build --domain {domain.folder}"
        )
    return domain.corpus


def _saved(what: Any, strength: float | None) -> Request:
    if not isinstance(what, str | os.PathLike):
        if not hasattr(what, "provenance"):
            raise OptionError(f"a request is a text or a saved edit, not {shown(what)}")
        return Request(edit=what, strength=strength)
    from ..edits import load_edit

    path = os.path.realpath(what)
    if not os.path.isfile(path):
        raise InputError(f"there is no saved edit {os.fspath(what)}")
    return Request(edit=load_edit(path), file=path, sha256=file_sha256(path), strength=strength)


def _method(domain: Domain, method: Any, values: Mapping[str, Any] | None, seed: int) -> tuple[str, Any, bool]:
    """Name and object of a method, and whether its number of channels is open."""
    if method is None or isinstance(method, str):
        name = method or domain.method
        made = make_method(domain, name, values, seed=seed)
        given = {"num_channels", "threshold"} & (values or {}).keys()
        return name, made, not given and getattr(made, "num_channels", None) is not None
    if values:
        raise OptionError(f"{', '.join(values)}: fields of a method given by name; this one is an object already")
    where = f"{type(method).__module__}:{type(method).__name__}"
    return next((name for name, known in METHODS.items() if known == where), where), method, False


def _check_values(cls: type, name: str, values: Mapping[str, Any]) -> None:
    known = sorted(field.name for field in dataclasses.fields(cls))
    for value in values:
        if value not in known:
            raise OptionError(
                f"{shown(value)} does not belong to the method {name!r}; its fields are: {', '.join(known)}"
            )
    check_fields(cls, values)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _finite(value: object) -> float:
    if not _is_number(value) or not math.isfinite(cast(float, value)):
        raise OptionError(f"a strength is a number, not {shown(value)}")
    return float(cast(float, value))


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """The same as JSON gives it back: tuples are lists."""
    plain: dict[str, Any] = json.loads(json.dumps(values))
    return plain
