"""`python -m benchmarks.fuzz`: damage files of every kind that textmorph reads; each is taken, or refused by our error.

Bytes are flipped, cut, doubled and exchanged; in texts that are JSON or TOML, values and names are exchanged for odd
ones. Inputs follow from the seed. The report counts, for each kind, what was taken and refused, and lists what ended in
another error (a foreign one) or took longer than the alarm.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import random
import signal
import struct
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zlib import crc32

import torch
from PIL import Image

from tests.checkpoints import foreign
from tests.embedders.tiny_clip import write_tiny_clip
from tests.toys import toy_generator, toy_image
from textmorph import checkpoints
from textmorph.editing.domain import load_domain
from textmorph.editing.record import FORMAT, pack_latent, read_record, recorded_edits, unpack_latent
from textmorph.edits import Direction, load_edit
from textmorph.embedders.clip_folder import check_folder, checkpoint_errors
from textmorph.errors import TextmorphError
from textmorph.files import write_bytes
from textmorph.images import read_image, read_text, to_pil
from textmorph.jobs.job_folder import JOB, Job, open_job, settle_job
from textmorph.latents import Latent
from textmorph.mappers import MapperConfig, SingleMapper, save_mapper

from .machine import about_run

ALARM = 20
"""Seconds after which an input counts as slow."""
MEMORY = 6 << 30
"""Bytes of address space that one process may take more than at its start."""
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**40, 2**63, 2**70, 10**400, 1e308, -1e308, 5e-324, float("nan"), float("inf"),
    "", "x", "../x", "a\0b", "x" * 5000, "\ud800", [], [[]], [None], {}, {"a": {}}, [1] * 1000, [[[[[[]]]]]],
)  # fmt: skip

Kind = tuple[list[bytes], Callable[[bytes], Any], Callable[[bytes, random.Random], bytes]]
"""Whole samples, what reads one, and what damages one."""


class Slow(BaseException):
    """The alarm went off."""


def damaged(content: bytes, rng: random.Random) -> bytes:
    """A file with some bytes flipped, cut out, doubled or exchanged."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        place = rng.randrange(len(data)) if rng.random() < 0.5 or len(data) < 512 else rng.randrange(512)
        length = rng.choice((1, 1, 2, 4, 8, 64))
        match rng.randrange(6):
            case 0:
                data[place] ^= 1 << rng.randrange(8)
            case 1:
                data[place : place + length] = rng.randbytes(length)
            case 2:
                del data[place : place + length]
            case 3:
                data[place:place] = data[place : place + length] * rng.choice((1, 2, 50))
            case 4:
                data[place : place + length] = rng.choice((b"\0", b"\xff", b"\x7f", b"\x80")) * length
            case 5:
                value = rng.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**16, 10**6))
                data[place : place + 4] = struct.pack(rng.choice(("<I", ">I")), value)
        if not data:
            return b""
    return bytes(data[: rng.randrange(len(data))] if rng.random() < 0.1 else data)


def odd_json(content: bytes, rng: random.Random) -> bytes:
    """A JSON text with some of its values and names exchanged; now and then damaged as bytes, or nested too deep."""
    if rng.random() < 0.15:
        return damaged(content, rng)
    tree = json.loads(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        tree = _exchanged(tree, rng)
    text = json.dumps(tree)
    if rng.random() < 0.01:
        text = text.replace("null", "[" * 50_000 + "]" * 50_000)
    return text.encode()


def _exchanged(tree: Any, rng: random.Random) -> Any:
    holder: Any = None
    key: Any = None
    value = tree
    while isinstance(value, dict | list) and value and (holder is None or rng.random() < 0.85):
        holder, key = value, rng.choice(list(value) if isinstance(value, dict) else range(len(value)))
        value = holder[key]
    if holder is None or rng.random() < 0.01:
        return copy.deepcopy(rng.choice(ODD))
    match rng.randrange(5):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[rng.choice(("x", "", "__class__", "auto_map", "target", *map(str, holder)))] = value
        case 2 if isinstance(value, int | float) and not isinstance(value, bool):
            holder[key] = value * rng.choice((-1, 0, 2, 1000, 2**20, 2**40)) + rng.choice((-1, 0, 1))
        case _:
            holder[key] = copy.deepcopy(rng.choice(ODD))
    return tree


def odd_toml(content: bytes, rng: random.Random) -> bytes:
    """A `domain.toml` with some lines exchanged."""
    if rng.random() < 0.15:
        return damaged(content, rng)
    lines = content.decode().splitlines()
    values = (
        "nan", "inf", "-inf", "1e308", "1" + "0" * 30, "-1", "0", "true", "''", "'x'", "'../../x'",
        "'" + "x" * 5000 + "'",
        "'a\\u0000b'", '"a\\u0000b"', "[]", "[1]", "[nan]", "{}", "{a = 1}", "1979-05-27", "[" * 3000, "'/dev/zero'",
        "[" * 500 + "]" * 500, "'~x/y'",
    )  # fmt: skip
    for _ in range(rng.choice((1, 1, 2, 3))):
        place = rng.randrange(len(lines))
        name = lines[place].partition("=")[0].strip() or "x"
        match rng.randrange(4):
            case 0:
                lines[place : place + 1] = []
            case 1:
                lines.insert(place, rng.choice(lines))
            case _:
                lines[place] = f"{name} = {rng.choice(values)}"
        lines = lines or [""]
    return "\n".join(lines).encode()


def odd_png(content: bytes, rng: random.Random) -> bytes:
    """A PNG damaged as it lies, or in one of its chunks, whose length and sum are then right again."""
    if rng.random() < 0.3 or content[:4] != b"\x89PNG":
        return damaged(content, rng)
    chunks, place = [], 8
    while place < len(content):
        size = struct.unpack_from(">I", content, place)[0]
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + size]))
        place += 12 + size
    hit = rng.randrange(len(chunks))
    if rng.random() < 0.1:
        chunks.insert(rng.randrange(len(chunks)), chunks[hit])
    elif chunks[hit][1]:
        chunks[hit] = chunks[hit][0], damaged(chunks[hit][1], rng)
    parts = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", crc32(name + body)) for name, body in chunks
    )
    return content[:8] + b"".join(parts)


def odd_zip(content: bytes, rng: random.Random) -> bytes:
    """A torch file damaged as it lies, or in a part of it, whose sizes and sums are then right again."""
    if rng.random() < 0.4:
        return damaged(content, rng)
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
        names = old.namelist()
        hit = next(name for name in names if name.endswith("data.pkl")) if rng.random() < 0.8 else rng.choice(names)
        for name in names:
            part = old.read(name)
            new.writestr(name, damaged(part, rng) if name == hit and part else part)
    return file.getvalue()


def odd_safetensors(content: bytes, rng: random.Random) -> bytes:
    """A safetensors file damaged as it lies, or with odd values in its header, and in the JSON within that."""
    if rng.random() < 0.4:
        return damaged(content, rng)
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    about = header.get("__metadata__", {})
    inner = [name for name, text in about.items() if text.startswith("{")]
    if inner and rng.random() < 0.8:
        about[inner[0]] = odd_json(about[inner[0]].encode(), rng).decode("latin1")
    else:
        header = _exchanged(header, rng)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + size :]


def kinds(folder: Path) -> dict[str, Kind]:
    """Every kind of file, with samples written to a folder."""

    def stored(read: Callable[[Path], Any], ending: str = "") -> Callable[[bytes], Any]:
        path = folder / f"file{ending}"

        def use(content: bytes) -> Any:
            path.write_bytes(content)
            return read(path)

        return use

    found: dict[str, Kind] = {
        "pictures": (_pictures(), lambda content: read_image(content, max_side=512), odd_png),
        "png text": (_png_texts(), read_text, odd_png),
        "edits": (_edits(folder), stored(load_edit, ".safetensors"), odd_safetensors),
        "latents": (_latents(folder), stored(Latent.load, ".safetensors"), odd_safetensors),
        "records": ([_record()], stored(_read_record, ".json"), odd_json),
        "domain.toml": ([DOMAIN], stored(load_domain, "-domain/domain.toml"), odd_toml),
        "legacy torch": (_torch(folder, legacy=True), stored(checkpoints.read, ".pt"), damaged),
        "zip torch": (_torch(folder, legacy=False), stored(checkpoints.read, ".pt"), odd_zip),
        "nvidia pickle": (_nvidia(folder), stored(checkpoints.read, ".pkl"), damaged),
        "job.json": ([_job(folder)], stored(lambda path: _use_job(path.parent), ".bin.job/job.json"), odd_json),
    }
    (folder / "file-domain").mkdir()
    (folder / "file.bin.job").mkdir(exist_ok=True)
    clip = write_tiny_clip(folder / "clip", image_size=16)
    config = [(clip / "config.json").read_bytes()]
    found["clip config"] = (config, lambda content: _use_clip(clip, content), odd_json)
    found |= _states() | _lancedb(folder)
    return found


DOMAIN = b"""\
generator = "generator.safetensors"
encoder = "encoder.safetensors"
embedder = "clip"
identity = "identity.safetensors"
neutral = "a person"
templates = ["{}", "a photo of {}"]
truncation = 0.7

[strength]
keep_identity = 0.7
strengths = [1.0, 4.0]
"""


def _pictures() -> list[bytes]:
    picture = to_pil(toy_image(24))
    samples = []
    modes = {
        "PNG": ("RGB", "RGBA", "P", "1", "I;16", "LA"),
        "JPEG": ("RGB", "L", "CMYK"),
        "GIF": ("P",),
        "BMP": ("RGB",),
    }
    modes |= {"TIFF": ("RGB", "L", "1"), "WEBP": ("RGB", "RGBA"), "PPM": ("RGB",)}
    exif = Image.Exif()
    exif[0x0112] = 6
    for format, each in modes.items():
        for mode in each:
            buffer = io.BytesIO()
            (picture.convert("L").convert("I;16") if mode == "I;16" else picture.convert(mode)).save(
                buffer, format, **({"exif": exif} if format in ("PNG", "JPEG", "WEBP") else {})
            )
            samples.append(buffer.getvalue())
    buffer = io.BytesIO()
    picture.save(buffer, "GIF", save_all=True, append_images=[picture.rotate(90)])
    return [*samples, buffer.getvalue()]


def _png_texts() -> list[bytes]:
    from textmorph.images import encode_image

    return [encode_image(toy_image(8), text={"textmorph": _record().decode()}), encode_image(toy_image(8))]


def _edits(folder: Path) -> list[bytes]:
    Direction(torch.ones(4, 8), "w+", {"target": "x"}).save(folder / "d.safetensors")
    save_mapper(SingleMapper(MapperConfig(w_dim=4)), folder / "p.safetensors", config={"factor": 1.0, "space": "w+"})
    return [(folder / name).read_bytes() for name in ("d.safetensors", "p.safetensors")]


def _latents(folder: Path) -> list[bytes]:
    Latent(torch.ones(1, 4, 8), "w+").save(folder / "l.safetensors")
    return [(folder / "l.safetensors").read_bytes()]


def _record() -> bytes:
    edits = [
        {"kind": "text", "prompt": "a smile", "neutral": None, "method": "global", "values": {"num_channels": 3},
         "strength": 1.0},
        {"kind": "saved", "file": "x.safetensors", "sha256": "0" * 64, "strength": 2.0},
    ]  # fmt: skip
    record = {
        "format": FORMAT,
        "kind": "edit",
        "threads": 1,
        "domain": {"name": "portraits", "folder": "/x"},
        "edits": edits,
    }
    record |= {"input_latent": pack_latent(Latent(torch.ones(1, 8), "w")), "fingerprints": {"generator": "0"}}
    return json.dumps(record).encode()


def _read_record(path: Path) -> None:
    from textmorph.editing.record import recorded_domain

    record = read_record(path)
    recorded_domain(record)
    recorded_edits(record)
    unpack_latent(record.get("input_latent"))


def _torch(folder: Path, *, legacy: bool) -> list[bytes]:
    state, mean = foreign.to_rosinality(toy_generator().state_dict())
    return [foreign.write_torch(folder / "t.pt", {"g_ema": state, "latent_avg": mean}, legacy=legacy).read_bytes()]


def _nvidia(folder: Path) -> list[bytes]:
    root = foreign.generator(foreign.to_nvidia(toy_generator().state_dict()))
    return [foreign.write_pickle(folder / "n.pkl", {"G_ema": root}).read_bytes()]


JOB_OF = Job(kind="toy", function="tests.jobs.toy_shards:noise", shared={"size": 8}, shards=[{"seed": 0}])


def _job(folder: Path) -> bytes:
    with open_job(folder / "file.bin.job", JOB_OF, threads=1):
        about: dict[str, Any] = json.loads((folder / "file.bin.job" / JOB).read_text())
    return json.dumps(about | {"finished": {"target": str(folder / "file.bin"), "overwrite": True}}).encode()


def _use_job(folder: Path) -> None:
    (folder / "result.bin").write_bytes(b"x")
    target = folder.parent / "file.bin"
    before = set(folder.parent.iterdir())
    try:
        settle_job(folder, target, kind="toy", overwrite=True)
        if (folder / JOB).exists():
            with open_job(folder, JOB_OF, threads=1):
                pass
    finally:
        folder.mkdir(exist_ok=True)
        assert set(folder.parent.iterdir()) <= before | {target}, "a job wrote somewhere else"


def _use_clip(folder: Path, content: bytes) -> None:
    from textmorph.embedders.clip import ClipEmbedder

    (folder / "config.json").write_bytes(content)
    with checkpoint_errors(folder):
        check_folder(folder, folder)
    ClipEmbedder.from_pretrained(folder)


def _states() -> dict[str, Kind]:
    try:
        from textmorph.web.session import Row, Session
        from textmorph.web.state import State, read_state
    except ImportError:  # without the studio there are no states
        return {}
    row = Row(id=1, text="a smile", method="global", strength=1.0, reach=10.0, num_channels=3)
    state = State(
        domain="portraits", generator="0" * 16, photo=b"png", about={"name": "a.png"}, notes=(), drawn=False,
        latent=Latent(torch.ones(1, 4, 8), "w+"), session=Session(rows=(row,), next_id=2), edits={"a": b"edit"},
    )  # fmt: skip
    return {"states": ([state.to_json().encode()], lambda content: read_state(content, max_rows=8), odd_json)}


def _lancedb(folder: Path) -> dict[str, Kind]:
    try:
        import lancedb  # noqa: F401
    except ImportError:
        return {}
    from textmorph.corpora.table import DONE, CorpusTable

    CorpusTable.create(folder / "corpus", {"embedder": "0" * 16}, dims=4)

    def use(content: bytes) -> None:
        (folder / "corpus" / DONE).write_bytes(content)
        CorpusTable(folder / "corpus")

    return {"finished.json": ([b'{"skipped": ["a.png"]}'], use, odd_json)}


@contextmanager
def alarm(seconds: int) -> Iterator[None]:
    """Raise `Slow` after so many seconds."""

    def ring(*_: object) -> None:
        raise Slow

    signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def tried(kind: Kind, number: int, rng: random.Random, *, seconds: int = ALARM) -> dict[str, Any]:
    """Damage and read so many inputs of one kind; counts, and what went wrong."""
    samples, use, damage = kind
    for sample in samples:
        use(sample)  # whole, each is taken
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    slowest = 0.0
    began = time.process_time()
    for i in range(number):
        content = damage(samples[i % len(samples)], rng)
        start = time.monotonic()
        try:
            with alarm(seconds):
                use(content)
            counts["taken"] += 1
        except TextmorphError as error:
            counts["refused"] += 1
            if "\n" in str(error):
                counts["of several lines"] += 1
                wrong.append(f"{i}: several lines: {str(error)[:200]!r}")
        except Slow:
            counts["slow"] += 1
            wrong.append(f"{i}: slow: {content[:60]!r}")
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            counts["foreign"] += 1
            wrong.append(f"{i}: {type(error).__name__}: {str(error)[:200]}")
        slowest = max(slowest, time.monotonic() - start)
    about = {"inputs": number, **counts, "seconds": round(time.process_time() - began, 1), "slowest": round(slowest, 2)}
    return about | ({"wrong": wrong[:20]} if wrong else {})


SHARES = {"clip config": 0.02, "finished.json": 0.03, "nvidia pickle": 0.05, "job.json": 0.05}
"""Of all inputs, for kinds that take long; the others have the rest in equal parts."""


def run(inputs: int, seed: int, folder: Path, *, least: int = 0, only: str | None = None) -> dict[str, Any]:
    """All kinds, so many inputs in all and of each kind at least some."""
    every = {name: kind for name, kind in kinds(folder).items() if only in (None, name)}
    rest = (1 - sum(SHARES[name] for name in every if name in SHARES)) / max(1, len(every.keys() - SHARES.keys()))
    results: dict[str, Any] = {}
    for name, kind in every.items():
        number = max(least, round(inputs * SHARES.get(name, rest)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results[name] = tried(kind, number, random.Random(f"{seed} {name}"))
        print(name, json.dumps({key: value for key, value in results[name].items() if key != "wrong"}), file=sys.stderr)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--least", type=int, default=2000, help="of each kind")
    parser.add_argument("--only", help="one kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="where the report goes; default: the terminal")
    args = parser.parse_args()
    torch.set_num_threads(1)
    import resource

    status = Path("/proc/self/status").read_text().splitlines()
    taken = int(next(line for line in status if line.startswith("VmSize")).split()[1]) << 10
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        results = run(args.inputs, args.seed, Path(folder), least=args.least, only=args.only)
    total = {key: sum(result.get(key, 0) for result in results.values()) for key in ("inputs", "taken", "refused")}
    total |= {key: sum(result.get(key, 0) for result in results.values()) for key in ("foreign", "slow", "seconds")}
    report = json.dumps({"about": about_run(), "seed": args.seed, "total": total, "kinds": results}, indent=1) + "\n"
    if args.out:
        write_bytes(args.out, report.encode(), overwrite=True)
    else:
        print(report)
    sys.exit(1 if total["foreign"] or total["slow"] else 0)


if __name__ == "__main__":
    main()
