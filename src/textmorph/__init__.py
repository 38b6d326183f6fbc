"""Edit pictures with words.

    import textmorph as tm

    editor = tm.Editor.from_pretrained("portraits")
    editor.edit("me.png", "a person with purple hair").save("purple.png")

Names are imported on first use, so `import textmorph` is instant and loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .banks.bank import ChannelBank as ChannelBank
    from .banks.bank import build_bank as build_bank
    from .banks.gradients import gradient_bank as gradient_bank
    from .corpora.corpus import Corpus as Corpus
    from .editing.domain import Domain as Domain
    from .editing.domain import load_domain as load_domain
    from .editing.editor import Editor as Editor
    from .editing.record import Result as Result
    from .editing.strength import StrengthSearch as StrengthSearch
    from .edits import Direction as Direction
    from .edits import Residual as Residual
    from .edits import apply_edits as apply_edits
    from .edits import load_edit as load_edit
    from .embedders import load_embedder as load_embedder
    from .embedders import load_identity as load_identity
    from .errors import TextmorphError as TextmorphError
    from .generators import load_generator as load_generator
    from .images import read_image as read_image
    from .images import write_image as write_image
    from .inversion.encoders import load_encoder as load_encoder
    from .latents import Latent as Latent
    from .methods.global_direction import GlobalDirection as GlobalDirection
    from .methods.latent_mapper import LatentMapper as LatentMapper
    from .methods.latent_optimization import LatentOptimization as LatentOptimization
    from .methods.svm_direction import SvmDirection as SvmDirection

_PUBLIC = {
    "Editor": "textmorph.editing.editor:Editor",
    "Result": "textmorph.editing.record:Result",
    "Domain": "textmorph.editing.domain:Domain",
    "load_domain": "textmorph.editing.domain:load_domain",
    "GlobalDirection": "textmorph.methods.global_direction:GlobalDirection",
    "SvmDirection": "textmorph.methods.svm_direction:SvmDirection",
    "LatentOptimization": "textmorph.methods.latent_optimization:LatentOptimization",
    "LatentMapper": "textmorph.methods.latent_mapper:LatentMapper",
    "StrengthSearch": "textmorph.editing.strength:StrengthSearch",
    "Direction": "textmorph.edits:Direction",
    "Residual": "textmorph.edits:Residual",
    "apply_edits": "textmorph.edits:apply_edits",
    "load_edit": "textmorph.edits:load_edit",
    "Latent": "textmorph.latents:Latent",
    "ChannelBank": "textmorph.banks.bank:ChannelBank",
    "build_bank": "textmorph.banks.bank:build_bank",
    "gradient_bank": "textmorph.banks.gradients:gradient_bank",
    "Corpus": "textmorph.corpora.corpus:Corpus",
    "load_generator": "textmorph.generators:load_generator",
    "load_embedder": "textmorph.embedders:load_embedder",
    "load_encoder": "textmorph.inversion.encoders:load_encoder",
    "load_identity": "textmorph.embedders:load_identity",
    "read_image": "textmorph.images:read_image",
    "write_image": "textmorph.images:write_image",
    "TextmorphError": "textmorph.errors:TextmorphError",
}
"""Every public name and where it lives."""

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PUBLIC[name].partition(":")
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
