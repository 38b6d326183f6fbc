"""`mapper train` and `mapper consistency`: a network per wish, trained once, then an edit in one pass."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError, LatentError, OptionError
from ..files import check_output, write_bytes, written_whole
from . import console
from .console import command, say
from .engines import make_engine, worker_device
from .options import Device, Domain, EngineName, Json, Neutral, Overwrite, Seed, Workers

if TYPE_CHECKING:
    from ..editing.domain import Domain as Networks
    from ..jobs.engine import Engine
    from ..latents import Latent

mapper_app = typer.Typer(help="Latent mappers: train once per wish, then edit in one pass.", no_args_is_help=True)

PRESETS = {"keep": "keep_person", "change": "change_person"}
BATCH = 16
"""Pictures drawn and encoded at once."""

LOSS, LENGTH = "The loss", "The training"
Latents = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Latents of 'textmorph invert', or a .pt of the paper's code, [N, L, W]."),
]
Photos = Annotated[str | None, typer.Option(metavar="FOLDER", help="Photos, which the encoder inverts.")]
Draw = Annotated[int, typer.Option("--num-latents", "-n", min=2, help="How many are drawn where neither is given.")]
Truncation = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Of those drawn.  [default: the domain's, or 1]", show_default=False),
]
Encode = Annotated[
    bool | None,
    typer.Option(
        "--encode/--no-encode",
        help="Invert those drawn by the encoder, as the photos of an edit.  [default: where there is one]",
        show_default=False,
    ),
]


@mapper_app.command("train")
@command
def train(
    prompts: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT...", help="What the pictures should show; a mapper for each.")
    ] = None,
    levels: Annotated[str | None, typer.Option(help="Of coarse,medium,fine; without fine, colours stay.")] = None,
    architecture: Annotated[str | None, typer.Option(help="levels, single (one block for all) or style.")] = None,
    norm: Annotated[str | None, typer.Option(help="channels (the paper), or rows (its code).")] = None,
    preset: Annotated[str, typer.Option(help="keep the person, or change it: without identity loss.")] = "keep",
    photo: Annotated[
        str | None, typer.Option(metavar="FILE", help="Towards the face in this photo, instead of a text.")
    ] = None,
    latents: Latents = None,
    photos: Photos = None,
    num_latents: Draw = 2000,
    truncation: Truncation = None,
    encode: Encode = None,
    clip: Annotated[float | None, typer.Option(help="Weight of CLIP.", rich_help_panel=LOSS)] = None,
    clip_loss: Annotated[str | None, typer.Option(help="cosine or directional.", rich_help_panel=LOSS)] = None,
    identity: Annotated[float | None, typer.Option(help="Weight of the identity.", rich_help_panel=LOSS)] = None,
    latent_l2: Annotated[float | None, typer.Option(help="Weight of the step's size.", rich_help_panel=LOSS)] = None,
    sideways: Annotated[float | None, typer.Option(help="Weight of what else changes.", rich_help_panel=LOSS)] = None,
    head_start: Annotated[
        float | None, typer.Option(help="First step, that the corpus suggests, e.g. 4.", rich_help_panel=LOSS)
    ] = None,
    neutral: Neutral = None,
    steps: Annotated[int | None, typer.Option(help="At most.", rich_help_panel=LENGTH)] = None,
    batch_size: Annotated[int | None, typer.Option(help="Latents of one step.", rich_help_panel=LENGTH)] = None,
    chunk_size: Annotated[int | None, typer.Option(help="Rendered at once.", rich_help_panel=LENGTH)] = None,
    optimizer: Annotated[str | None, typer.Option(help="ranger or adam.", rich_help_panel=LENGTH)] = None,
    learning_rate: Annotated[float | None, typer.Option(help="On the plateau.", rich_help_panel=LENGTH)] = None,
    rampup: Annotated[float | None, typer.Option(help="Share of the steps.", rich_help_panel=LENGTH)] = None,
    rampdown: Annotated[float | None, typer.Option(help="Share of the steps.", rich_help_panel=LENGTH)] = None,
    resolution: Annotated[int | None, typer.Option(help="That CLIP sees.", rich_help_panel=LENGTH)] = None,
    precision: Annotated[
        str | None, typer.Option(help="float32, or bfloat16, which is faster.", rich_help_panel=LENGTH)
    ] = None,
    num_held_out: Annotated[int | None, typer.Option(help="Never trained on.", rich_help_panel=LENGTH)] = None,
    validate_every: Annotated[int | None, typer.Option(help="Steps.", rich_help_panel=LENGTH)] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many steps without gain.", rich_help_panel=LENGTH)
    ] = None,
    save_seconds: Annotated[float, typer.Option(min=0, help="Between two states.", rich_help_panel=LENGTH)] = 30.0,
    run: Annotated[str | None, typer.Option(help="Run folder.  [default: TEXT.run]", show_default=False)] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what lies in the run folder.")] = False,
    out: Annotated[
        str | None, typer.Option("--out", "-o", help="[default: TEXT.safetensors]", show_default=False)
    ] = None,
    overwrite: Overwrite = False,
    seed: Seed = 0,
    engine: EngineName = "process",
    workers: Workers = None,
    domain: Domain = "portraits",
    device: Device = None,
) -> None:
    """Train a mapper for each text. It may be stopped at any moment; --resume goes on.

    textmorph mapper train "a person with a mohawk" --levels coarse,medium
    """
    fields = {
        "architecture": architecture, "norm": norm, "clip": clip, "clip_loss": clip_loss, "identity": identity,
        "latent_l2": latent_l2, "sideways": sideways, "head_start": head_start, "steps": steps,
        "batch_size": batch_size, "chunk_size": chunk_size, "optimizer": optimizer, "learning_rate": learning_rate,
        "rampup": rampup, "rampdown": rampdown, "resolution": resolution, "precision": precision,
        "num_held_out": num_held_out, "validate_every": validate_every, "patience": patience, "seed": seed,
        "levels": None if levels is None else _words(levels),
    }  # fmt: skip
    wishes = _wishes(prompts or [], photo)
    force = make_engine(engine, workers)
    spread = force != make_engine("process", None)
    if spread and photo is not None:
        raise OptionError("--engine and --workers share out several texts; one --photo has no use for them")
    if out is not None and len(wishes) > 1 and Path(out).suffix:
        raise OptionError(f"--out is a folder where there are several texts, not the file {out}")
    folders = {name: _run_folder(run, name, alone=len(wishes) == 1) for name in wishes}
    files = {
        name: check_output(
            console.output_path(out, Path(), f"{name}.safetensors", suffixes=(".safetensors",)),
            overwrite=overwrite or resume,
        )
        for name in wishes
    }
    from ..editing.wishes import picture_corpus
    from ..edits import load_edit
    from ..jobs.run_folder import check_run

    going_on = {name: resume and (len(wishes) == 1 or folder.is_dir()) for name, folder in folders.items()}
    for name, folder in folders.items():
        check_run(folder, resume=going_on[name])
    found = _domain(domain, device)
    method = _method(found, preset, photo, {name: value for name, value in fields.items() if value is not None})
    face = None
    if photo is not None:
        from ..images import read_image

        face = read_image(Path(photo).expanduser())
    psi = found.truncation_or(1.0, truncation)
    kept = next(iter(folders.values())) / f"inputs-{num_latents}-{psi}-{seed}.safetensors"
    data = _latents(found, latents, photos, num_latents, psi, seed, encode, keep=kept)
    wished = (neutral or found.neutral) if method.reads_neutral else None
    corpus = picture_corpus(found) if method.head_start else None
    if spread:
        shared = console.make_folder(kept.parent) / "inputs-of-all.safetensors"
        data.save(shared, overwrite=True)
        _train_apart(force, worker_device(force, device), found, method, wishes, wished, shared, folders, save_seconds)
    for name, text in wishes.items():
        if not spread:
            with console.progress_bar(text or f"towards {photo}") as tell:
                method.train(
                    found.generator, found.embedder, target=text, photo=face, neutral=wished, latents=data,
                    identity_embedder=found.identity, corpus=corpus, run=folders[name], save_seconds=save_seconds,
                    resume=going_on[name], progress=tell,
                )  # fmt: skip
        with written_whole(files[name], overwrite=overwrite or resume) as temporary:
            shutil.copyfile(folders[name] / "mapper.safetensors", temporary)
        told = load_edit(files[name]).provenance
        say(str(files[name]), style="bold")
        say(f"  {told['steps']} steps; best on held-out latents at {told['best_step']}: {told['held_out_loss']:.4f}")
        say(f"  textmorph edit PHOTO --edit {files[name]}:1.0")


def _train_apart(
    engine: Engine,
    device: str | None,
    found: Networks,
    method: Any,
    wishes: dict[str, str | None],
    neutral: str | None,
    latents: Path,
    folders: dict[str, Path],
    save_seconds: float,
) -> None:
    """Train every mapper in a worker, each in its own run folder; what a killed worker has saved is gone on with."""
    from ..editing.editor import Editor
    from ..editing.tasks import mapper_parts, mapper_shard, remember, usual_threads

    editor = Editor(found)
    common: dict[str, Any] = {
        **remember(editor, device), "parts": mapper_parts(editor), "method": asdict(method), "neutral": neutral,
        "latents": str(latents.absolute()), "save_seconds": save_seconds,
    }  # fmt: skip
    shards = {
        number: {**common, "target": text, "run": str(folders[name].absolute())}
        for number, (name, text) in enumerate(wishes.items())
    }
    function = f"{mapper_shard.__module__}:{mapper_shard.__name__}"
    names = list(wishes)
    with (
        console.progress_bar("training") as tell,
        closing(engine.run(function, shards, threads=usual_threads(engine))) as finished,
    ):
        tell(0, len(shards))
        for done, (number, content) in enumerate(finished, 1):
            result = console.make_folder(folders[names[number]]) / "mapper.safetensors"  # of another machine, perhaps
            write_bytes(result, content, overwrite=True)
            tell(done, len(shards))


@mapper_app.command("consistency")
@command
def consistency(
    mappers: Annotated[list[str], typer.Argument(metavar="FILE...", help="Mappers, or other edits.")],
    latents: Latents = None,
    photos: Photos = None,
    num_latents: Draw = 200,
    truncation: Truncation = None,
    encode: Encode = None,
    seed: Seed = 1,
    json: Json = None,
    overwrite: Overwrite = False,
    domain: Domain = "portraits",
    device: Device = None,
) -> None:
    """Say how alike the steps are that a mapper takes for different faces: mean and deviation of their cosines.

    textmorph mapper consistency mohawk.safetensors
    """
    quiet = console.check_json(json, overwrite=overwrite)
    from ..edits import load_edit
    from ..evaluation.consistency import step_consistency

    edits = {name: load_edit(Path(name).expanduser()) for name in mappers}
    found = _domain(domain, device)
    data = _latents(found, latents, photos, num_latents, found.truncation_or(1.0, truncation), seed, encode)
    told: dict[str, Any] = {}
    for name, edit in edits.items():
        mapper = getattr(edit, "mapper", None)
        if mapper is not None:
            mapper.to(found.generator.mean_w)
        figures = step_consistency(edit, found.generator.to_space(data.to(found.generator.mean_w), edit.space))
        told[name] = asdict(figures)
        say(f"{name}: cosine {figures.mean:.3f} ± {figures.std:.3f} over {figures.num} faces", quiet=quiet)
    console.write_json(told, json, overwrite=overwrite)


def _wishes(prompts: list[str], photo: str | None) -> dict[str, str | None]:
    """Name of each mapper → its text.

    Raises:
        OptionError: neither text nor photo, both, or two texts of one name.
    """
    if photo is not None:
        if prompts:
            raise OptionError("give a TEXT or a --photo, not both")
        return {console.slug(Path(photo).stem): None}
    if not prompts:
        raise OptionError('say what the pictures should show, e.g. "a person with a mohawk"; or give a --photo')
    wishes: dict[str, str | None] = {console.slug(text): text for text in prompts}
    if len(wishes) < len(prompts):
        raise OptionError("two of these texts would get the same name; train them one by one, with --run and --out")
    return wishes


def _run_folder(run: str | None, name: str, *, alone: bool) -> Path:
    if run is None:
        return Path(f"{name}.run")
    folder = Path(run).expanduser()
    return folder if alone else folder / name


def _domain(name: str, device: str | None) -> Networks:
    with console.busy("loading"):
        import torch

        from ..editing.domain import load_domain

        found = load_domain(name, device=device or ("cuda" if torch.cuda.is_available() else "cpu"))
        _ = found.generator, found.embedder, found.identity
    return found


def _method(found: Networks, preset: str, photo: str | None, fields: dict[str, Any]) -> Any:
    """The method: the options given, then the preset's, then the domain's, then the paper's."""
    from ..editing.wishes import usual_values
    from ..methods.latent_mapper import LatentMapping

    if preset not in PRESETS:
        raise OptionError(f"--preset is {' or '.join(PRESETS)}, not {preset!r}")
    make = getattr(LatentMapping, "resemble_photo" if photo is not None else PRESETS[preset])
    usual = usual_values(found, "mapper", LatentMapping)
    if preset != "keep" or photo is not None:
        of_loss = ("clip", "identity", "latent_l2", "sideways", "head_start")
        usual = {name: value for name, value in usual.items() if name not in of_loss}
    if fields.get("architecture", usual.get("architecture")) == "style":
        usual.pop("head_start", None)  # a step in w+
    if found.identity is None and photo is None:
        usual["identity"] = 0.0
    return make(**{**usual, **fields})


def _latents(
    found: Networks,
    file: str | None,
    photos: str | None,
    num: int,
    truncation: float,
    seed: int,
    encode: bool | None,
    *,
    keep: Path | None = None,
) -> Latent:
    """The latents of a file, of a folder of photos, or drawn; those drawn and encoded are kept for another time."""
    import torch

    from ..latents import Latent

    if file is not None and photos is not None:
        raise OptionError("give --latents or --photos, not both")
    if file is not None:
        return _read(Path(file).expanduser())
    if (photos is not None or encode) and found.encoder is None:
        raise OptionError(f"domain {found.name!r} has no encoder to invert with; give --latents or --no-encode")
    if photos is None:
        drawn = found.generator.sample(num, seed=seed, truncation=truncation)
        if encode is False or found.encoder is None:
            return drawn
        if keep is not None and keep.is_file():
            return Latent.load(keep)
        images = (found.generator(drawn[i : i + BATCH]) for i in range(0, num, BATCH))
        total = num
    else:
        from ..editing.photos import open_source

        files = console.pictures_in(Path(photos).expanduser())
        images = (open_source(found, path).image for path in files)
        total = len(files)
    parts: list[Latent] = []
    with console.progress_bar("encoding") as tell, torch.no_grad():
        for image in images:
            parts.append(found.generator.to_space(found.encoder(image.clamp(-1, 1)), "w+"))  # type: ignore[misc]
            tell(sum(map(len, parts)), total)
    joined = Latent.cat(parts)
    if keep is not None and photos is None:
        console.make_folder(keep.parent)
        joined.save(keep, overwrite=True)
    return joined


def _read(path: Path) -> Latent:
    """Latents from our file, or a tensor [N, L, W] from one of the paper's code.

    Raises:
        LatentError: it is neither.
    """
    from pickle import UnpicklingError

    import torch

    from ..latents import Latent

    if path.suffix != ".pt":
        return Latent.load(path)
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, UnpicklingError) as error:
        raise LatentError(f"{path} cannot be read as a tensor file: {error}") from error
    if not isinstance(value, torch.Tensor):
        raise LatentError(f"{path} holds {type(value).__name__}, not one tensor [N, L, W]")
    return Latent(value.float(), "w+")


def _words(text: str) -> tuple[str, ...]:
    words = tuple(part.strip() for part in text.split(",") if part.strip())
    if not words:
        raise InputError("--levels names some of coarse, medium and fine")
    return words
