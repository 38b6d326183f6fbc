"""Domains: a folder that holds everything for editing one kind of picture, and `domain.toml`, which says what is what.

Five lines are enough (docs/domains.md tells the rest):

    generator = "generator.pkl"
    encoder = "encoder.pt"
    embedder = "openai/clip-vit-base-patch32"
    identity = "identity.pth"
    neutral = "face"
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..download import cache_folder
from ..errors import DomainError, OutputError
from ..fields import shown
from ..files import file_sha256
from ..registry import fetch_main
from .domain_file import DEFAULT_FILES, FILE, read_domain_file
from .domain_file import PARTS as PARTS
from .domain_file import TABLES as TABLES
from .domain_file import registry_part as registry_part
from .strength import StrengthSearch

if TYPE_CHECKING:
    from ..banks.bank import ChannelBank
    from ..corpora.corpus import Corpus
    from ..embedders import Embedder, TextEmbedder
    from ..generators import Generator
    from ..inversion.encoders import Encoder
    from ..jobs.job_folder import Progress
    from .framing import FrameSearch


DEFAULT_DOMAIN = "portraits"
"""The domain of an editor when none is named."""
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


class DomainWarning(UserWarning):
    """Something that a domain does beside what it was asked for, such as making its channel bank."""


@dataclass(frozen=True, kw_only=True)
class Domain:
    """One kind of picture: its networks, its words and its tuned values.

    A part is loaded on first use and then kept. Without a file it is None, except generator and embedder, which every
    domain has, and the bank, which is made.

    Args:
        name: short name, as in the file or that of the folder.
        folder: where `domain.toml` lies; names of files are relative to it.
        files: part → file name, or for `embedder` and `witness` also a name on the Hugging Face hub.
        neutral: what any picture of the domain shows, the text that a prompt is measured against.
        title, description, licence: for people.
        templates: sentences with one `{}`, or `imagenet` for those published with CLIP.
        truncation: psi of random latents of this domain, 0 to 1; None leaves that of whatever draws them.
        far_distance: reconstruction distance from which a picture counts as far from the domain; None never warns.
        clip_input: what CLIP sees, `standard` or `paper`.
        method: name of the method that an edit takes when none is named.
        tables: `strength` → fields of `StrengthSearch`; method → fields of its class. The rest are the defaults.
        hashes: file name (relative to the folder) → SHA-256; checked when the part is loaded.
        device: where the networks live.

    Raises:
        DomainError: on use of a part whose file is missing or altered.
    """

    name: str
    folder: Path
    files: Mapping[str, str]
    neutral: str
    title: str = ""
    description: str = ""
    licence: str = ""
    templates: str | tuple[str, ...] = "imagenet"
    truncation: float | None = None
    far_distance: float | None = None
    clip_input: str = "standard"
    method: str = "global"
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"

    @cached_property
    def generator(self) -> Generator:
        from ..generators import load_generator

        return load_generator(self.path("generator"), device=self.device)

    @cached_property
    def encoder(self) -> Encoder | None:
        from ..inversion.encoders import load_encoder

        return _on(self.device, load_encoder(self.path("encoder"))) if "encoder" in self.files else None

    @cached_property
    def embedder(self) -> TextEmbedder:
        return self._text_embedder("embedder")

    @cached_property
    def witness(self) -> TextEmbedder | None:
        """A second CLIP that no edit is found with; it only judges."""
        return self._text_embedder("witness") if "witness" in self.files else None

    @cached_property
    def identity(self) -> Embedder | None:
        from ..embedders import load_identity

        return _on(self.device, load_identity(self.path("identity"))) if "identity" in self.files else None

    @property
    def search(self) -> StrengthSearch:
        """How automatic strength searches in this domain: the table `[strength]`."""
        return StrengthSearch(**self.tables.get("strength", {}))

    @cached_property
    def bank(self) -> ChannelBank:
        """The channel bank; see `load_bank`."""
        return self.load_bank()

    @property
    def bank_file(self) -> Path | None:
        """Where the channel bank is: the domain names it, or it was made and kept; None where there is none."""
        if "bank" in self.files:
            return self.path("bank")
        return next((path for path in self._bank_places() if path.is_file()), None)

    @property
    def has_bank(self) -> bool:
        """Whether there is a channel bank, so that the next edit does not have to make one."""
        return "bank" in self.__dict__ or self.bank_file is not None

    def load_bank(self, progress: Progress | None = None) -> ChannelBank:
        """Load the channel bank, checked against generator and embedder; make one from gradients where there is none.

        A bank that was made is kept in the domain's folder, or in the cache where that cannot be written. A
        `DomainWarning` says so.

        Args:
            progress: of the making.
        """
        if "bank" not in self.__dict__:
            self.__dict__["bank"] = self._load_bank(progress)
        bank: ChannelBank = self.__dict__["bank"]
        return bank

    def _load_bank(self, progress: Progress | None) -> ChannelBank:
        from ..banks.bank import ChannelBank
        from ..banks.gradients import gradient_bank

        if self.bank_file is not None:
            bank = ChannelBank.load(self.bank_file)
            bank.check(self.generator, self.embedder)
            return bank
        warnings.warn(
            f"domain {self.name!r} has no channel bank; one is made from gradients now, once",
            DomainWarning,
            stacklevel=4,
        )
        drawn: dict[str, Any] = {} if self.truncation is None else {"truncation": self.truncation}
        bank = gradient_bank(self.generator, self.embedder, **drawn, **self.bank_layers, progress=progress)
        for path in self._bank_places():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                bank.save(path, overwrite=True)
            except (OSError, OutputError):
                continue
            return bank
        raise OutputError(f"the channel bank can be kept neither in {self.folder} nor in {cache_folder()}")

    @property
    def bank_layers(self) -> dict[str, Any]:
        """The layers that a bank of this domain covers: all that a method's table asks for."""
        tables = [self.tables.get(name, {}) for name in ("global", "svm")]
        sizes = [table.get("max_resolution", 128) for table in tables]
        return {"max_resolution": max(sizes), "to_rgb": any(table.get("to_rgb", False) for table in tables)}

    def _bank_places(self) -> list[Path]:
        """Where a bank that was made is kept; a domain inside the package is left as it is."""
        from ..hashing import fingerprint

        own = [] if _assets() in self.folder.parents else [self.folder / DEFAULT_FILES["bank"][0]]
        name = f"{fingerprint(self.generator)}-{fingerprint(self.embedder)}.safetensors"
        return [*own, cache_folder() / "banks" / name]

    @cached_property
    def frame_search(self) -> FrameSearch | None:
        """Finds the square of a photo that the domain can draw; None without encoder or `far_distance`."""
        from .framing import FrameSearch

        if self.encoder is None or self.far_distance is None:
            return None
        return FrameSearch(self.encoder, self.generator, far_distance=self.far_distance)

    @cached_property
    def corpus(self) -> Corpus | None:
        """The searchable table of images, checked against the embedder."""
        from ..corpora.corpus import Corpus

        if "corpus" not in self.files:
            return None
        corpus = Corpus.load(self.path("corpus"))
        corpus.check(self.embedder)
        return corpus

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """The templates themselves, each with one `{}`."""
        from ..prompts import IMAGENET_TEMPLATES

        return tuple(IMAGENET_TEMPLATES) if isinstance(self.templates, str) else self.templates

    @property
    def samples(self) -> dict[str, tuple[Path, Path]]:
        """Its own pictures: name → file to open, a latent where there is one, and picture to show."""
        pictures = sorted(path for kind in ("*.png", "*.jpg") for path in (self.folder / "samples").glob(kind))
        latents = {path: path.with_suffix(".safetensors") for path in pictures}
        return {path.stem: (latents[path] if latents[path].is_file() else path, path) for path in pictures}

    def truncation_or(self, otherwise: float, given: float | None = None) -> float:
        """Psi for random latents: the one given, or that of the domain, or else another."""
        return next(value for value in (given, self.truncation, otherwise) if value is not None)

    def path(self, part: str) -> Path:
        """File or folder of a part, its hashes checked. What `registry:NAME` names is fetched on first use.

        Raises:
            DomainError: the part is not named, its file is missing, or a hash differs.
        """
        if part not in self.files:
            raise DomainError(f"domain {self.name!r} names no {part}; add `{part} = …` to {self.folder / FILE}")
        if (name := registry_part(self.files[part])) is not None:
            return fetch_main(name)
        path = self.folder / os.path.expanduser(self.files[part])
        if not os.path.exists(path):  # `Path.exists` raises for a name that is too long
            raise DomainError(f"domain {self.name!r}: the {part} {path} is missing")
        self._verify(path)
        return path

    def _text_embedder(self, part: str) -> TextEmbedder:
        from ..embedders import load_embedder

        value = self.files.get(part, "")
        source = value if _is_hub_name(self.folder, value) else str(self.path(part))
        embedder: TextEmbedder = _on(self.device, load_embedder(source, clip_input=self.clip_input))
        return embedder

    def _verify(self, path: Path) -> None:
        """Compare the SHA-256 of a file, or of those below a folder, with what `[hashes]` says."""
        for name, expected in self.hashes.items():
            file = self.folder / name
            if file != path and path not in file.parents:
                continue
            if not os.path.isfile(file):
                raise DomainError(f"domain {self.name!r}: {file} is missing, though [hashes] names it")
            found = file_sha256(file)
            if found != expected.lower():
                raise DomainError(
                    f"domain {self.name!r}: {file} is not the file that [hashes] describes "
                    f"(SHA-256 {found[:12]}…, expected {expected[:12].lower()}…); fetch it again"
                )


def load_domain(name_or_folder: str | os.PathLike[str] = DEFAULT_DOMAIN, *, device: str = "cpu") -> Domain:
    """Read a domain, from a folder or by the name of one inside the package. Networks are loaded on first use.

    Args:
        name_or_folder: a folder with `domain.toml`, that file itself, or a name from `list_domains`.
        device: where its networks will live.

    Raises:
        DomainError: no such domain, or a `domain.toml` that says something wrong.
    """
    folder = _find(name_or_folder)
    return Domain(**read_domain_file(folder), folder=folder, device=device)


def list_domains() -> dict[str, Path]:
    """Names of the domains inside the package, and their folders."""
    root = _assets()
    folders = sorted(root.iterdir()) if root.is_dir() else []
    return {folder.name: folder for folder in folders if (folder / FILE).is_file()}


def _assets() -> Path:
    return Path(str(resources.files("textmorph"))) / "assets"


def _find(name_or_folder: str | os.PathLike[str]) -> Path:
    path = Path(os.path.expanduser(name_or_folder))
    if path.name == FILE and os.path.isfile(path):
        return path.parent
    if os.path.isfile(path / FILE):
        return path
    known = list_domains()
    if str(name_or_folder) in known:
        return known[str(name_or_folder)]
    if os.path.isdir(path):
        raise DomainError(f"{path} has no {FILE}; five lines make one, see docs/domains.md")
    names = ", ".join(known) or "none"
    raise DomainError(
        f"no domain '{shown(str(name_or_folder))}': it is no folder, and the built-in domains are: {names}"
    )


def _is_hub_name(folder: Path, value: str) -> bool:
    """Whether a value such as `openai/clip-vit-base-patch32` can only be meant for the hub."""
    return bool(_HUB_NAME.fullmatch(value)) and not os.path.exists(folder / value.split("/")[0])


def _on(device: str, network: Any) -> Any:
    """Move a network that can move."""
    return network.to(device) if hasattr(network, "to") else network
