"""The shards of long work, pure functions of JSON arguments for the engines of `jobs/`, and the jobs they make up.

A function loads the domain that its arguments name, keeps it loaded for the next shard, and refuses networks that are
not those the job was planned with: on another machine the same path may hold others.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from ..errors import DomainError, JobError, TextmorphError
from ..images import encode_image
from ..jobs.engine import Engine, ProcessEngine
from ..jobs.job_folder import SUFFIX, Job, Progress, noted_job, open_job
from .domain import Domain, list_domains, load_domain
from .editor import Editor
from .record import Record
from .request import Requests, make_method

if TYPE_CHECKING:
    from ..banks.bank import ChannelBank
    from ..banks.differences import Prober
    from ..corpora.corpus import Corpus


class _Held:
    """What one process keeps loaded between shards: one domain, and the prober of one bank."""

    key: tuple[str, str] | None = None
    editor: Editor | None = None
    plan: str | None = None
    prober: Prober | None = None


_HELD = _Held()


def remember(editor: Editor, device: str | None = None) -> dict[str, str]:
    """Keep loaded networks for the shards of this process; gives the arguments by which shards ask for them.

    Args:
        device: of the shards, where it is another; then they load networks of their own.
    """
    arguments = {"domain": _place(editor.domain), "device": device or editor.domain.device}
    _hold(editor, arguments["domain"], editor.domain.device)
    return arguments


def editor_of(domain: str, device: str) -> Editor:
    """The networks of a domain, loaded once."""
    if _HELD.editor is None or _HELD.key != (domain, device):
        _hold(Editor(load_domain(domain, device=device)), domain, device)
    assert _HELD.editor is not None
    return _HELD.editor


def _hold(editor: Editor, domain: str, device: str) -> None:
    _HELD.key, _HELD.editor, _HELD.plan, _HELD.prober = (domain, device), editor, None, None


def usual_threads(engine: Engine) -> int:
    """Threads of torch for each shard: all for one worker, else one."""
    return torch.get_num_threads() if engine == ProcessEngine() else 1


# The channel bank


def bank_job(domain: Domain, plan: Mapping[str, Any], *, device: str | None = None) -> Job:
    """The job that measures a channel bank; `plan` is that of `plan_bank`."""
    from ..banks.differences import bank_shards

    pairs = bank_shards(dict(plan))
    return Job(
        kind="bank",
        function=f"{__name__}:bank_shard",
        shared={**remember(Editor(domain), device), "plan": plan},
        shards=[{"first": first, "last": last} for first, last in pairs],
        amounts=[last - first for first, last in pairs],
    )


def bank_shard(*, domain: str, device: str, plan: dict[str, Any], first: int, last: int) -> bytes:
    """Some rows of a channel bank, as safetensors."""
    return save(_prober(domain, device, json.dumps(plan, sort_keys=True)).part(first, last))


def _prober(domain: str, device: str, plan: str) -> Prober:
    from ..banks.differences import Prober

    found = editor_of(domain, device)
    if _HELD.prober is None or _HELD.plan != plan:
        _HELD.prober, _HELD.plan = Prober(found.generator, found.embedder, json.loads(plan)), plan
    return _HELD.prober


def make_bank(
    domain: Domain,
    target: Path,
    *,
    engine: Engine | None = None,
    job: Path | None = None,
    device: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    truncation: float | None = None,
    to_rgb: bool | None = None,
    **options: Any,
) -> ChannelBank:
    """Build the channel bank of a domain, by an engine; killed, the same call goes on.

    Args:
        target: file to write.
        engine: who computes; None is this process.
        job: folder to keep the shards in; None takes one beside the target, and removes it at the end.
        device: of the workers; None takes the domain's.
        progress: called with the channels done and their total.
        truncation: None takes the domain's, or that of `build_bank`.
        to_rgb: None takes what the methods' tables of the domain ask for.
        options: the others of `build_bank`.

    Raises:
        JobError: the folder holds another job.
        OutputError: it cannot be written.
    """
    from ..banks.bank import ChannelBank, join_bank
    from ..banks.differences import plan_bank

    place = job or target.with_name(target.name + SUFFIX)
    noted = noted_job(place)
    if noted is not None and options.get("batch_size") is None:  # was chosen by the memory that was free then
        before = noted.get("plan")
        size = before.get("batch_size") if isinstance(before, dict) else None
        options["batch_size"] = size if type(size) is int and 1 <= size <= 2**16 else None
    options["truncation"] = domain.truncation_or(0.7, truncation)
    options["to_rgb"] = domain.bank_layers["to_rgb"] if to_rgb is None else to_rgb
    plan = plan_bank(domain.generator, domain.embedder, **options)

    def make(path: Path, parts: Iterator[dict[str, Tensor]]) -> None:
        join_bank(domain.generator, plan, list(parts)).save(path)

    what = bank_job(domain, plan, device=device)
    _carry_out(what, make, target, place, engine, keep=job is not None, overwrite=overwrite, progress=progress)
    return ChannelBank.load(target)


# The corpus


def corpus_job(
    domain: Domain, plan: Mapping[str, Any], files: Sequence[Path] | None = None, *, device: str | None = None
) -> Job:
    """The job that embeds a corpus; `plan` is that of `plan_corpus`, `files` are its images."""
    from ..corpora.making import corpus_shards

    pairs = corpus_shards(plan)
    names = None if files is None else [os.fspath(file.absolute()) for file in files]
    return Job(
        kind="corpus",
        function=f"{__name__}:corpus_shard",
        shared={**remember(Editor(domain), device), "plan": plan},
        shards=[
            {"first": first, "last": last, "files": None if names is None else names[first:last]}
            for first, last in pairs
        ],
        amounts=[last - first for first, last in pairs],
    )


def corpus_shard(
    *, domain: str, device: str, plan: dict[str, Any], first: int, last: int, files: list[str] | None
) -> bytes:
    """Some images of a corpus, as safetensors."""
    from ..corpora.making import corpus_part

    found = editor_of(domain, device)
    encoder = found.encoder if files is not None else None
    source = found.generator if files is None else files
    return save(corpus_part(source, found.embedder, plan, first, last, encoder=encoder))


def make_corpus(
    domain: Domain,
    target: Path,
    files: Sequence[Path] | None = None,
    *,
    engine: Engine | None = None,
    job: Path | None = None,
    device: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    truncation: float | None = None,
    **options: Any,
) -> Corpus:
    """Build a corpus with the networks of a domain, by an engine; killed, the same call goes on.

    Args:
        target: a .safetensors file, or a new folder, to write.
        files: the images; None draws them.
        engine, job, device, overwrite: as in `make_bank`.
        progress: called with the images done and their total.
        truncation: of those drawn; None takes the domain's, or that of `Corpus.build`.
        options: the others of `Corpus.build`.
    """
    from ..corpora.corpus import Corpus
    from ..corpora.making import join_corpus, plan_corpus

    source: Any = domain.generator if files is None else files
    encoder = domain.encoder if files is not None else None
    thumbnail = None if target.suffix == ".safetensors" else 64
    options["truncation"] = domain.truncation_or(1.0, truncation)
    plan = plan_corpus(source, domain.embedder, encoder=encoder, thumbnail=thumbnail, **options)

    def make(path: Path, parts: Iterator[dict[str, Tensor]]) -> None:
        join_corpus(source, domain.embedder, plan, parts, path, encoder=encoder)

    what = corpus_job(domain, plan, files, device=device)
    place = job or target.with_name(target.name + SUFFIX)
    _carry_out(what, make, target, place, engine, keep=job is not None, overwrite=overwrite, progress=progress)
    return Corpus.load(target)


def _carry_out(
    what: Job,
    make: Callable[[Path, Iterator[dict[str, Tensor]]], None],
    target: Path,
    place: Path,
    engine: Engine | None,
    *,
    keep: bool,
    overwrite: bool,
    progress: Progress | None,
) -> None:
    engine = engine or ProcessEngine()
    with open_job(place, what, threads=usual_threads(engine)) as opened:
        opened.run(engine, progress)
        parts = (load(content) for content in opened.contents())
        opened.finish(lambda path: make(path, parts), target, overwrite=overwrite, keep=keep)


# The pictures of a folder


def edit_arguments(
    editor: Editor, requests: Requests, *, before_after: bool, device: str | None = None
) -> dict[str, Any]:
    """What all shards of a folder's edit have in common. Makes the channel bank where it is needed and missing.

    Args:
        requests: checked by `Editor.check`.
        before_after: whether that picture is wanted, too.
    """
    if requests.uses("bank"):
        editor.domain.load_bank()
    about = {"requests": requests.json, "parts": editor.fingerprints(requests), "before_after": before_after}
    common: dict[str, Any] = json.loads(json.dumps({**remember(editor, device), **about}))
    return common


def edit_shard(
    *,
    domain: str,
    device: str,
    requests: dict[str, Any],
    parts: dict[str, str | None],
    before_after: bool,
    photos: list[str],
) -> bytes:
    """Edit some photos; for `edited_photos`."""
    editor = editor_of(domain, device)
    agreed = Requests.from_json(editor.domain, requests)
    if agreed.uses("bank"):
        editor.domain.load_bank()
    if json.loads(json.dumps(editor.fingerprints(agreed))) != parts:
        raise DomainError(f"the domain {domain} of this worker is another, or was changed meanwhile")
    notes: list[dict[str, Any]] = [{} for _ in photos]
    files: dict[str, bytes] = {}
    opened = {}
    for number, photo in enumerate(photos):
        with _noted(notes[number]):
            opened[number] = editor.open(photo, frame=agreed.frame)
    inverted = editor.invert_photos(list(opened.values()), refine=agreed.refine)
    for number, opened_photo in zip(opened, inverted, strict=True):
        with _noted(notes[number]):
            result = editor.edit(opened_photo, agreed)
            made = {"picture.png": result.encode()}
            if before_after:
                made["before-after.png"] = encode_image(result.before_after())
            files |= {f"{number}/{name}": content for name, content in made.items()}
            notes[number]["record"] = result.record
    tensors = {name: torch.frombuffer(bytearray(content), dtype=torch.uint8) for name, content in files.items()}
    return save({**tensors, "notes": torch.frombuffer(bytearray(json.dumps(notes).encode()), dtype=torch.uint8)})


def edited_photos(content: bytes) -> list[tuple[Record | TextmorphError, dict[str, bytes]]]:
    """Record, or error, and files of each photo of a shard: `picture.png` and perhaps `before-after.png`."""
    from .. import errors

    files = {name: tensor.numpy().tobytes() for name, tensor in load(content).items()}
    photos: list[tuple[Record | TextmorphError, dict[str, bytes]]] = []
    for number, note in enumerate(json.loads(files.pop("notes"))):
        own = {name.partition("/")[2]: file for name, file in files.items() if name.startswith(f"{number}/")}
        kind = getattr(errors, note.get("error", ""), JobError)
        photos.append((note["record"] if "record" in note else kind(note["message"]), own))
    return photos


class _noted:
    """Notes an error about one photo, so that the others are done."""

    def __init__(self, note: dict[str, Any]) -> None:
        self.note = note

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, TextmorphError):
            self.note |= {"error": type(error).__name__, "message": str(error)}
            return True
        return False


# A mapper for each text


def mapper_shard(
    *,
    domain: str,
    device: str,
    parts: dict[str, str | None],
    method: dict[str, Any],
    target: str,
    neutral: str | None,
    latents: str,
    run: str,
    save_seconds: float,
) -> bytes:
    """Train the mapper of one text in its run folder, or go on there; gives the mapper's file.

    Args:
        method: fields of `LatentMapper`.
        latents: file to train on, and
        run: folder, both at the same place for every worker that may get this shard.
    """
    from ..jobs.run_folder import CONFIG
    from ..latents import Latent

    found = editor_of(domain, device)
    if parts != mapper_parts(found):
        raise DomainError(f"the domain {domain} of this worker is another, or was changed meanwhile")
    make_method(found.domain, "mapper", method).train(
        found.generator, found.embedder, target=target, neutral=neutral, latents=Latent.load(latents),
        identity_embedder=found.identity, run=run, save_seconds=save_seconds, resume=(Path(run) / CONFIG).exists(),
    )  # fmt: skip
    return (Path(run) / "mapper.safetensors").read_bytes()


def mapper_parts(editor: Editor) -> dict[str, str | None]:
    """Fingerprints of the networks that a mapper is trained with."""
    from ..hashing import fingerprint

    networks = {"generator": editor.generator, "embedder": editor.embedder, "identity": editor.identity}
    return {role: None if network is None else fingerprint(network) for role, network in networks.items()}


def _place(domain: Domain) -> str:
    """Name of a domain that is inside the package, on every machine; else its folder."""
    names = [name for name, folder in list_domains().items() if folder.resolve() == domain.folder.resolve()]
    return names[0] if names else str(domain.folder.absolute())
